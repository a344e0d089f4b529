import FledgeCore

/// One input of a case: its values by formula, and how they lie in memory. `Golden/ops.py` builds the same.
public struct OpInput {
    /// Where the values come from, counting elements i of the memory in row-major order.
    public enum Values {
        /// shift + amplitude * sin(offset + 0.7 i + 0.013 i^2); nil is 0.3 for the first input, 1.4 for the second, ...
        case wave(offset: Double?, amplitude: Double, shift: Double)
        /// As listed.
        case list([Double])
        /// Integers (7 i + 3) mod `below`.
        case indices(below: Int)
        /// Integers as listed.
        case integers([Int])
        /// Truth values: whether sin(1 + 0.7 i + 0.013 i^2) is above 0.
        case mask
    }

    /// How the operation sees the memory. All but the first exercise strides, offsets and their gradients.
    public enum Layout: String {
        case contiguous
        /// The last two axes of the memory are swapped.
        case transposed
        /// Every second element of the last axis, from the second on, of memory with 2 n + 1 elements there.
        case sliced
        /// All but the first slice of memory that has one more along the first axis: contiguous, but not aligned.
        case narrowed
        /// Memory of length 1 along the first axis, repeated without a copy.
        case broadcast
    }

    /// The shape that the operation sees.
    public let shape: [Int]
    public let values: Values
    public let layout: Layout

    public static func wave(
        _ shape: [Int], offset: Double? = nil, amplitude: Double = 1, shift: Double = 0, _ layout: Layout = .contiguous
    ) -> OpInput {
        OpInput(shape: shape, values: .wave(offset: offset, amplitude: amplitude, shift: shift), layout: layout)
    }
    public static func values(_ list: [Double], _ shape: [Int]? = nil) -> OpInput {
        OpInput(shape: shape ?? [list.count], values: .list(list), layout: .contiguous)
    }
    public static func indices(_ shape: [Int], below: Int) -> OpInput {
        OpInput(shape: shape, values: .indices(below: below), layout: .contiguous)
    }
    public static func integers(_ list: [Int], _ shape: [Int]? = nil) -> OpInput {
        OpInput(shape: shape ?? [list.count], values: .integers(list), layout: .contiguous)
    }
    public static func mask(_ shape: [Int]) -> OpInput { OpInput(shape: shape, values: .mask, layout: .contiguous) }

    /// The shape of the memory behind the view.
    var memoryShape: [Int] {
        var memory = shape
        let last = shape.count - 1
        switch layout {
        case .contiguous: break
        case .transposed: memory.swapAt(last - 1, last)
        case .sliced: memory[last] = 2 * memory[last] + 1
        case .narrowed: memory[0] += 1
        case .broadcast: memory[0] = 1
        }
        return memory
    }

    /// Whether gradients are taken with respect to this input.
    var isDifferentiable: Bool {
        switch values {
        case .wave, .list: true
        case .indices, .integers, .mask: false
        }
    }

    /// The memory as a tensor. Floating-point values take the given type.
    func memory(number: Int, dtype: DType, device: Device) -> Tensor {
        let shape = memoryShape
        let count = shape.reduce(1, *)
        switch values {
        case .wave(let offset, let amplitude, let shift):
            let offset = offset ?? Double(3 + 11 * number) / 10
            let list = waves(shape, offset: offset, amplitude: amplitude).map { $0 + shift }
            return Tensor(float64: list, shape: shape, device: device).cast(to: dtype)
        case .list(let list): return Tensor(float64: list, shape: shape, device: device).cast(to: dtype)
        case .indices(let below): return Tensor((0..<count).map { (7 * $0 + 3) % below }, shape: shape, device: device)
        case .integers(let list): return Tensor(list, shape: shape, device: device)
        case .mask: return Tensor(waves(shape, offset: 1).map { $0 > 0 }, shape: shape, device: device)
        }
    }

    /// What the operation sees of `memory`.
    func view(of memory: Tensor) -> Tensor {
        switch layout {
        case .contiguous: memory
        case .transposed: memory.transposed()
        case .sliced: memory[TensorIndex.ellipsis, TensorIndex.range(1, nil, step: 2)]
        case .narrowed: memory[1...]
        case .broadcast: memory.expanded(to: shape)
        }
    }

    /// The same words as `Golden/ops.py` writes, so that the two tables cannot drift apart.
    func description(number: Int) -> String {
        let words: String
        func joined<T>(_ list: [T]) -> String { list.map { "\($0)" }.joined(separator: ",") }
        switch values {
        case .wave(let offset, let amplitude, let shift):
            words = "wave \(offset ?? Double(3 + 11 * number) / 10) \(amplitude) \(shift)"
        case .list(let list): words = "values " + joined(list)
        case .indices(let below): words = "indices \(below)"
        case .integers(let list): words = "integers " + joined(list)
        case .mask: words = "mask"
        }
        return "[\(joined(shape))] \(words) \(layout.rawValue)"
    }
}

/// One operation at one set of inputs: a row of the table that all checks of the engine walk.
public struct OpCase {
    /// The name of the operation in Swift, then what is special about this case.
    public let name: String
    public let inputs: [OpInput]
    /// How often the outputs are differentiated in the gradient check: 2 where double backward is defined, 0 at kinks
    /// and for outputs without gradient.
    public let order: Int
    /// Largest difference, relative to max(1, |expected|), of float32 values and gradients on the CPU.
    public let tolerance: Double
    /// Large cases only compare the CPU with the reference: they are about vector widths and threads.
    public let isLarge: Bool
    /// A row without a golden one says why.
    public let notGolden: String?
    public let body: ([Tensor]) -> [Tensor]

    public var operation: String { String(name.prefix { $0 != " " }) }

    /// What each input is, for comparison with the golden file.
    public var inputDescriptions: [String] { inputs.enumerated().map { $1.description(number: $0) } }

    /// The differentiable inputs' memory, of the given type.
    public func leaves(_ dtype: DType, _ device: Device) -> [Tensor] {
        inputs.enumerated().filter(\.element.isDifferentiable).map {
            $1.memory(number: $0, dtype: dtype, device: device)
        }
    }

    /// The outputs for the given leaves; the other inputs are built for their device.
    public func outputs(_ leaves: [Tensor], _ device: Device) -> [Tensor] {
        var rest = leaves[...]
        return body(
            inputs.enumerated().map { number, input in
                let memory =
                    input.isDifferentiable
                    ? rest.removeFirst() : input.memory(number: number, dtype: .int64, device: device)
                return input.view(of: memory)
            })
    }

    /// Values and gradients of all inputs, when the outputs are weighted to a number by waves (offset 0.4, shift 0.3).
    public func evaluate(_ dtype: DType, _ device: Device) -> (values: [Tensor], gradients: [Tensor]) {
        let leaves = leaves(dtype, device).map { $0.requiringGradient() }
        let outputs = outputs(leaves, device)
        var total: Tensor?
        for y in outputs where y.requiresGradient {
            let weights = Tensor(float64: waves(y.shape, offset: 0.4).map { $0 + 0.3 }, shape: y.shape, device: device)
            let part = (y * weights.cast(to: y.dtype)).sum()
            total = total.map { $0 + part } ?? part
        }
        let found = total.map { FledgeCore.gradients(of: $0, for: leaves) } ?? leaves.map { _ in nil }
        return (outputs.map { $0.detached() }, zip(leaves, found).map { $1 ?? .zeros(like: $0) })
    }

    /// What differs between analytic and numeric gradients in float64 on the reference device; nil when nothing does.
    public func gradientFailure() -> String? {
        if order == 0 { return nil }
        return FledgeTesting.gradientFailure(at: leaves(.float64, .reference), secondOrder: order > 1) { leaves in
            let parts = outputs(leaves, .reference).filter(\.dtype.isFloatingPoint)
            return parts.count == 1 ? parts[0] : concatenate(parts.map { $0.reshaped([-1]) })
        }
    }
}

/// Collects cases. One statement a case keeps the table quick to compile.
public struct OpTable {
    public private(set) var cases: [OpCase] = []

    mutating func add(
        _ name: String, _ inputs: OpInput..., order: Int = 2, tolerance: Double = 2e-5, isLarge: Bool = false,
        notGolden: String? = nil, _ body: @escaping ([Tensor]) -> Tensor
    ) {
        cases.append(
            OpCase(
                name: name, inputs: inputs, order: isLarge ? 0 : order, tolerance: tolerance, isLarge: isLarge,
                notGolden: notGolden, body: { [body($0)] }))
    }

    /// A case with several outputs.
    mutating func addSeveral(
        _ name: String, _ inputs: OpInput..., order: Int = 2, tolerance: Double = 2e-5, isLarge: Bool = false,
        notGolden: String? = nil, _ body: @escaping ([Tensor]) -> [Tensor]
    ) {
        cases.append(
            OpCase(
                name: name, inputs: inputs, order: isLarge ? 0 : order, tolerance: tolerance, isLarge: isLarge,
                notGolden: notGolden, body: body))
    }

    /// Every operation of the engine.
    public static func all() -> OpTable {
        var table = OpTable()
        table.addElementwise()
        table.addArithmetic()
        table.addReductions()
        table.addRearranging()
        table.addIndexing()
        table.addProducts()
        table.addConvolutions()
        table.addPooling()
        table.addImages()
        table.addNormalization()
        table.addAttention()
        table.addRecurrence()
        table.addRouting()
        table.addLosses()
        table.addDistances()
        table.addLinearAlgebra()
        table.addEinsum()
        return table
    }
}
