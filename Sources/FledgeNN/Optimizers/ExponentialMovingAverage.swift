import FledgeCore

/// A slowly following copy of a module's parameters: average = decay * average + (1 - decay) * value after every step
/// (Polyak and Juditsky 1992; in Mean Teacher, Tarvainen and Valpola 2017). Buffers are copied as they are.
public final class ExponentialMovingAverage {
    public let decay: Double
    /// Lets the average follow fast at first: the decay in update t is at most (1 + t) / (10 + t).
    public let warmsUp: Bool
    /// How many updates there were.
    public private(set) var updates = 0
    private let parameters: [Named<Parameter>]
    private let buffers: [Named<Buffer>]
    private var averages: [Tensor]
    private var copies: [Tensor]

    /// Starts at the module's present values.
    public init(of module: any Module, decay: Double, warmsUp: Bool = false) {
        require((0...1).contains(decay), "ExponentialMovingAverage: a decay of \(decay) is not between 0 and 1")
        self.decay = decay
        self.warmsUp = warmsUp
        parameters = module.parameters()
        buffers = module.buffers()
        averages = parameters.map { $0.item.value.detached() }
        copies = buffers.map { $0.item.value }
    }

    /// Takes in the module's present values. Call after each optimizer step.
    public func update() {
        let t = Double(updates)
        let decay = warmsUp ? min(self.decay, (1 + t) / (10 + t)) : self.decay
        updates += 1
        for (index, parameter) in parameters.enumerated() {
            moveAverage(&averages[index], towards: parameter.item.value, decay: decay)
        }
        copies = buffers.map { $0.item.value }
    }

    /// Runs `body`, such as an evaluation, with the averages in the module; afterwards its own values are back.
    public func withAverages<R>(_ body: () throws -> R) rethrows -> R {
        swapValues()
        defer { swapValues() }
        return try body()
    }

    private func swapValues() {
        for (index, parameter) in parameters.enumerated() {
            let value = parameter.item.value.detached()
            parameter.item.value = averages[index]
            averages[index] = value
        }
        for (index, buffer) in buffers.enumerated() {
            let value = buffer.item.value
            buffer.item.value = copies[index]
            copies[index] = value
        }
    }

    /// The averages under the module's own names, and `updates`: what a checkpoint stores.
    public func state() -> [String: Tensor] {
        var state = moduleState()
        state["updates"] = Tensor([updates], shape: [])
        return state
    }

    /// The averages as a state for `Module.load`.
    public func moduleState() -> [String: Tensor] {
        var state: [String: Tensor] = [:]
        for (parameter, tensor) in zip(parameters, averages) { state[parameter.name] = tensor.detached() }
        for (buffer, tensor) in zip(buffers, copies) { state[buffer.name] = tensor }
        return state
    }

    /// Continues from a `state()`.
    /// - Throws: `StateMismatch` naming all tensors that are missing, unexpected or do not fit; then nothing was
    ///   changed.
    public func load(_ state: [String: Tensor]) throws(StateMismatch) {
        var mismatch = StateMismatch()
        let newAverages = zip(parameters, averages).map { mismatch.take($0.name, from: state, like: $1) ?? $1 }
        let newCopies = zip(buffers, copies).map { mismatch.take($0.name, from: state, like: $1) ?? $1 }
        let count = mismatch.take("updates", from: state, like: Tensor([updates], shape: []))
        let known = Set(parameters.map(\.name) + buffers.map(\.name) + ["updates"])
        mismatch.unexpected = state.keys.filter { !known.contains($0) }.sorted()
        if !mismatch.isEmpty { throw mismatch }
        (averages, copies, updates) = (newAverages, newCopies, count.map { Int($0.item()) } ?? 0)
    }
}

extension Module {
    /// Moves every parameter towards its namesake in `leader`: value = decay * value + (1 - decay) * leader's. Buffers
    /// are left alone: a teacher in training mode has running statistics of its own. The momentum encoder of MoCo, BYOL
    /// and DINO. Stops when the two differ in names or shapes.
    public func follow(_ leader: any Module, decay: Double) {
        let (mine, theirs) = (ModuleWalk(self), ModuleWalk(leader))
        require(
            mine.parameters.map(\.name) == theirs.parameters.map(\.name),
            "follow: \(type(of: self)) and \(type(of: leader)) hold parameters of different names")
        for (own, other) in zip(mine.parameters, theirs.parameters) {
            require(
                own.item.shape == other.item.shape,
                "follow: \(own.name) has shape \(own.item.shape), the leader's \(other.item.shape)")
            own.item.update { moveAverage(&$0, towards: other.item.value, decay: decay) }
        }
    }
}

/// average = decay * average + (1 - decay) * value
func moveAverage(_ average: inout Tensor, towards value: Tensor, decay: Double) {
    if OptimizerKernels.interpolate(&average, towards: value.detached(), share: 1 - decay) { return }
    average = average.detached() * decay + value.detached() * (1 - decay)
}
