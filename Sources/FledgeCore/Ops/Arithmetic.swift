// Arithmetic of two tensors, or of a tensor and a number. Shapes broadcast as NumPy's do; types must agree (a plain
// number takes the tensor's type). Overloads are concrete on purpose: generic ones make long formulas slow to compile.

extension Tensor {
    public static func + (a: Tensor, b: Tensor) -> Tensor { arithmetic(.add, a, b) }
    public static func - (a: Tensor, b: Tensor) -> Tensor { arithmetic(.subtract, a, b) }
    public static func * (a: Tensor, b: Tensor) -> Tensor { arithmetic(.multiply, a, b) }
    public static func / (a: Tensor, b: Tensor) -> Tensor { arithmetic(.divide, a, b) }

    public static func + (a: Tensor, b: Double) -> Tensor { a.elementwise(.add(b)) }
    public static func - (a: Tensor, b: Double) -> Tensor { a.elementwise(.add(-b)) }
    public static func * (a: Tensor, b: Double) -> Tensor { a.elementwise(.multiply(b)) }
    /// Division by a number. Stops for integer tensors, whose quotients are not integers.
    public static func / (a: Tensor, b: Double) -> Tensor {
        require(a.dtype.isFloatingPoint, "/: a \(a.dtype) tensor divided by a number; cast it first")
        return a.elementwise(.multiply(1 / b))
    }
    public static func + (a: Double, b: Tensor) -> Tensor { b.elementwise(.add(a)) }
    public static func - (a: Double, b: Tensor) -> Tensor { b.elementwise(.subtractFrom(a)) }
    public static func * (a: Double, b: Tensor) -> Tensor { b.elementwise(.multiply(a)) }
    public static func / (a: Double, b: Tensor) -> Tensor { b.elementwise(.divideInto(a)) }

    public static func += (a: inout Tensor, b: Tensor) { a = a + b }
    public static func -= (a: inout Tensor, b: Tensor) { a = a - b }
    public static func *= (a: inout Tensor, b: Tensor) { a = a * b }
    public static func /= (a: inout Tensor, b: Tensor) { a = a / b }

    /// a to the power b, element by element. The gradient of b is 0 where a is 0.
    public func pow(_ exponent: Tensor) -> Tensor { Tensor.arithmetic(.power, self, exponent) }

    static func arithmetic(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor) -> Tensor {
        let shape = commonShape(a, b, "\(operation)")
        require(
            a.dtype != .bfloat16 && a.dtype != .bool, "\(operation): a \(a.dtype) tensor is storage only; cast it first"
        )
        let result = a.backend.binary(operation, a, b, shape: shape)
        // Only products, quotients and the like need their operands again.
        let linear = operation == .add || operation == .subtract
        let shapes = (a.shape, b.shape)
        return record(
            "arithmetic", result, from: [a, b], saving: linear ? [] : [a, b], savingOutput: operation == .power
        ) { context in
            let g = context.gradient
            var da: Tensor?
            var db: Tensor?
            switch operation {
            case .add:
                if context.needs(0) { da = g }
                if context.needs(1) { db = g }
            case .subtract:
                if context.needs(0) { da = g }
                if context.needs(1) { db = -g }
            case .multiply:
                if context.needs(0) { da = g * context.saved[1] }
                if context.needs(1) { db = g * context.saved[0] }
            case .divide:
                if context.needs(0) { da = g / context.saved[1] }
                if context.needs(1) { db = -g * context.saved[0] / context.saved[1].square() }
            case .power:
                let (x, e) = (context.saved[0], context.saved[1])
                if context.needs(0) {
                    // 0 * x^-1 at x = 0 would be NaN; the derivative of x^0 is 0.
                    let constant = (e .== 0)
                    da = g * Tensor.where(constant, .zeros(like: e), e * x.pow(e - 1))
                }
                if context.needs(1) {
                    let positive = x .> 0
                    db = g * context.output * Tensor.where(positive, x, .ones(like: x)).log()
                    db = Tensor.where(x .== 0, .zeros(like: db!), db!)
                }
            case .maximum, .minimum:
                // Equal values share the gradient.
                let (x, y) = (context.saved[0], context.saved[1])
                let half = (x .== y).cast(to: g.dtype) * 0.5
                let first = (operation == .maximum ? x .> y : x .< y).cast(to: g.dtype) + half
                if context.needs(0) { da = g * first }
                if context.needs(1) { db = g * (1 - first) }
            }
            return [da?.summed(to: shapes.0), db?.summed(to: shapes.1)]
        }
    }

    /// The shape two operands broadcast to. Stops when shapes, types or devices do not go together.
    static func commonShape(_ a: Tensor, _ b: Tensor, _ operation: @autoclosure () -> String) -> [Int] {
        require(a.dtype == b.dtype, "\(operation()): types \(a.dtype) and \(b.dtype) differ; cast one of them")
        require(a.device == b.device, "\(operation()): one operand is on \(a.device), the other on \(b.device)")
        guard let shape = broadcastShape(a.shape, b.shape) else {
            stop("\(operation()): shapes \(a.shape) and \(b.shape) do not broadcast")
        }
        return shape
    }

    /// Sums over the axes along which `shape` was broadcast to this tensor's shape: the adjoint of broadcasting.
    func summed(to shape: [Int]) -> Tensor {
        if self.shape == shape { return self }
        let lead = rank - shape.count
        let axes = (0..<rank).filter { $0 < lead || (shape[$0 - lead] == 1 && self.shape[$0] != 1) }
        let reduced = axes.isEmpty ? self : sum(axes: axes, keepDims: true)
        return reduced.reshaped(shape)
    }
}

/// The larger of each pair of elements; equal ones share the gradient.
public func maximum(_ a: Tensor, _ b: Tensor) -> Tensor { Tensor.arithmetic(.maximum, a, b) }
/// The smaller of each pair of elements; equal ones share the gradient.
public func minimum(_ a: Tensor, _ b: Tensor) -> Tensor { Tensor.arithmetic(.minimum, a, b) }

// Comparisons give bool tensors and have no gradient.
extension Tensor {
    public static func .== (a: Tensor, b: Tensor) -> Tensor { compare(.equal, a, b) }
    public static func .!= (a: Tensor, b: Tensor) -> Tensor { compare(.notEqual, a, b) }
    public static func .< (a: Tensor, b: Tensor) -> Tensor { compare(.less, a, b) }
    public static func .<= (a: Tensor, b: Tensor) -> Tensor { compare(.lessOrEqual, a, b) }
    public static func .> (a: Tensor, b: Tensor) -> Tensor { compare(.greater, a, b) }
    public static func .>= (a: Tensor, b: Tensor) -> Tensor { compare(.greaterOrEqual, a, b) }
    public static func .== (a: Tensor, b: Double) -> Tensor { compare(.equal, a, a.scalar(b)) }
    public static func .!= (a: Tensor, b: Double) -> Tensor { compare(.notEqual, a, a.scalar(b)) }
    public static func .< (a: Tensor, b: Double) -> Tensor { compare(.less, a, a.scalar(b)) }
    public static func .<= (a: Tensor, b: Double) -> Tensor { compare(.lessOrEqual, a, a.scalar(b)) }
    public static func .> (a: Tensor, b: Double) -> Tensor { compare(.greater, a, a.scalar(b)) }
    public static func .>= (a: Tensor, b: Double) -> Tensor { compare(.greaterOrEqual, a, a.scalar(b)) }
    /// Negation of a bool tensor.
    public static prefix func .! (a: Tensor) -> Tensor {
        require(a.dtype == .bool, ".!: needs a bool tensor, not \(a.dtype)")
        return a.backend.unary(.not, a)
    }
    /// Where both bool tensors hold.
    public static func .& (a: Tensor, b: Tensor) -> Tensor { (a.cast(to: .uint8) * b.cast(to: .uint8)).cast(to: .bool) }
    /// Where at least one of two bool tensors holds.
    public static func .| (a: Tensor, b: Tensor) -> Tensor {
        maximum(a.cast(to: .uint8), b.cast(to: .uint8)).cast(to: .bool)
    }

    private static func compare(_ operation: Comparison, _ a: Tensor, _ b: Tensor) -> Tensor {
        let shape = commonShape(a, b, "comparison")
        return a.backend.compare(operation, a, b, shape: shape)
    }

    /// A number as a scalar tensor of this tensor's type and device.
    func scalar(_ value: Double) -> Tensor { Tensor(value, dtype: dtype, device: device) }

    /// `a` where `condition` (bool) holds, else `b`; all three broadcast together.
    public static func `where`(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
        require(condition.dtype == .bool, "where: the condition must be a bool tensor, not \(condition.dtype)")
        let values = commonShape(a, b, "where")
        guard let shape = broadcastShape(condition.shape, values) else {
            stop("where: condition \(condition.shape) does not broadcast with \(values)")
        }
        let result = a.backend.select(condition, a, b, shape: shape)
        let shapes = (a.shape, b.shape)
        return record("where", result, from: [a, b], saving: [condition]) { context in
            let g = context.gradient
            let zero = g.scalar(0)
            let c = context.saved[0]
            return [
                context.needs(0) ? Tensor.where(c, g, zero).summed(to: shapes.0) : nil,
                context.needs(1) ? Tensor.where(c, zero, g).summed(to: shapes.1) : nil,
            ]
        }
    }

    /// This tensor with `value` where `mask` (bool) holds; no gradient flows there.
    public func maskedFill(_ mask: Tensor, _ value: Double) -> Tensor { Tensor.where(mask, scalar(value), self) }

    /// The same values in another type; gradients are cast back. Integer and bool tensors have no gradient.
    public func cast(to dtype: DType) -> Tensor {
        if dtype == self.dtype { return self }
        let result = backend.cast(self, to: dtype)
        guard dtype.isFloatingPoint, self.dtype.isFloatingPoint else { return result }
        let original = self.dtype
        return record("cast", result, from: [self]) { [$0.gradient.cast(to: original)] }
    }

    /// The same values for another device (memory is shared where possible).
    public func to(_ device: Device) -> Tensor {
        if device == self.device { return self }
        let original = self.device
        let result = Tensor(
            storage: storage, shape: shape, strides: strides, offset: offset, dtype: dtype, device: device)
        return record("to", result, from: [self]) { [$0.gradient.to(original)] }
    }
}
