import FledgeCore

/// A trained tensor: a box whose value is replaced by optimizers and loading. Gradients of every value it ever had
/// arrive in `gradient`.
public final class Parameter {
    private var stored: Tensor
    private var substitution: Tensor?
    private let leaf = Leaf()

    /// A parameter that starts at `value` (its history is not kept). Stops for integer tensors.
    public init(_ value: Tensor) {
        stored = leaf.connect(value)
        Parameter.liveCount += 1
    }

    deinit { Parameter.liveCount -= 1 }

    /// What layers compute with. A new value must have the shape, type and device of the old one; its history is not
    /// kept: a parameter is a leaf of the graph.
    public var value: Tensor {
        get { substitution ?? stored }
        set {
            checkReplacement(newValue, for: stored, "Parameter")
            connect(newValue)
        }
    }

    /// The sum of the gradients since it was last set to nil, as `backward()` collects them.
    public var gradient: Tensor? {
        get { leaf.gradient }
        set { leaf.gradient = newValue }
    }

    /// Whether gradients are computed and optimizers move this parameter. Freezing drops the gradient.
    public var isTrainable = true {
        didSet {
            if !isTrainable { gradient = nil }
            connect(stored)
        }
    }

    public var shape: [Int] { stored.shape }
    /// How many numbers it holds.
    public var count: Int { stored.count }

    /// How many parameters are alive: what tests compare with the parameters that a module finds in itself.
    public nonisolated(unsafe) private(set) static var liveCount = 0

    /// Lets `body` change the value without recording: by assigning a new tensor, or in place through a kernel, which
    /// copies first if anything else still sees the old values.
    package func update(_ body: (inout Tensor) -> Void) {
        change(&stored, "Parameter", body)
        connect(stored)
    }

    /// Puts `tensor`, history and all, in place of the value. Returns what stood there before, for `restore`.
    func substitute(_ tensor: Tensor) -> Tensor? {
        checkReplacement(tensor, for: stored, "Parameter")
        defer { substitution = tensor }
        return substitution
    }

    func restore(_ before: Tensor?) { substitution = before }

    func convert(to dtype: DType, device: Device) {
        gradient = nil
        connect(stored.detached().cast(to: dtype).to(device))
    }

    private func connect(_ tensor: Tensor) { stored = isTrainable ? leaf.connect(tensor) : tensor.detached() }
}

/// A tensor that belongs to a module's state but is not trained, such as a running mean or a queue of features.
public final class Buffer {
    private var stored: Tensor

    public init(_ value: Tensor) { stored = value.detached() }

    /// The current value, without history. A new one must have the shape, type and device of the old one.
    public var value: Tensor {
        get { stored }
        set {
            checkReplacement(newValue, for: stored, "Buffer")
            stored = newValue.detached()
        }
    }

    /// As `Parameter.update`.
    package func update(_ body: (inout Tensor) -> Void) { change(&stored, "Buffer", body) }

    /// Row `places[i]` of the value, along its first axis, becomes row i of `rows`: memories of what was said of each
    /// sample. Writes in place where nothing else holds the value. Stops when the shapes, types or devices do not fit.
    public func setRows(at places: [Int], to rows: Tensor) { update { Tensor.setRows(of: &$0, at: places, to: rows) } }

    public var shape: [Int] { stored.shape }

    func convert(to dtype: DType, device: Device) {
        stored = (stored.dtype.isFloatingPoint ? stored.cast(to: dtype) : stored).to(device)
    }
}

/// Lets `body` change a stored value without recording; stops when it has another shape or type then.
private func change(_ stored: inout Tensor, _ owner: String, _ body: (inout Tensor) -> Void) {
    let (shape, dtype) = (stored.shape, stored.dtype)
    noGradient { body(&stored) }
    require(
        stored.shape == shape && stored.dtype == dtype,
        "\(owner).update: \(dtype) \(shape) became \(stored.dtype) \(stored.shape)")
}

private func checkReplacement(_ new: Tensor, for old: Tensor, _ box: StaticString) {
    require(
        new.shape == old.shape && new.dtype == old.dtype && new.device == old.device,
        "\(box): holds \(old.dtype) \(old.shape) on \(old.device), not \(new.dtype) \(new.shape) on \(new.device)")
}
