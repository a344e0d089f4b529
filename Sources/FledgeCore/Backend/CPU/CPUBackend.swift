import CFledgeKernels

/// The fast backend: C kernels for everything element-wise, reductions, norms and pooling, oneDNN for products and
/// convolutions. It computes in float32; other types go to the reference kernels, which share the memory.
struct CPUBackend: Backend {
    static let shared = CPUBackend()
    let reference = ReferenceBackend.shared

    /// How many threads the kernels and oneDNN use. The results of some kernels depend on it in the last bit.
    static var threads: Int {
        get { Int(fledge_threads()) }
        set { fledge_set_threads(Int32(newValue)) }
    }

    func isFast(_ x: Tensor) -> Bool { x.dtype == .float32 && x.rank <= Int(FK_MAX_RANK) }

    /// A new contiguous float32 tensor for a kernel to fill.
    func output(_ shape: [Int], like x: Tensor, dtype: DType = .float32) -> Tensor {
        Tensor(uninitialized: shape, dtype: dtype, device: x.device)
    }

    /// Where a result of the shape of `gradient` goes: to its own memory if nobody else can see that, else to new
    /// memory. Makes it contiguous.
    func outputOver(_ gradient: inout Tensor) -> Tensor {
        gradient = gradient.contiguous()
        if gradient.node == nil, Tensor.isHeldAlone(&gradient) { return gradient }
        return output(gradient.shape, like: gradient)
    }

    // MARK: Element-wise

    func unary(_ operation: UnaryOperation, _ x: Tensor) -> Tensor {
        guard isFast(x), let kernel = operation.kernel else { return reference.unary(operation, x) }
        let x = x.contiguous()
        let y = output(x.shape, like: x)
        switch kernel {
        case .plain(let op): fk_unary(op, x.data(), y.data(), Int64(x.count))
        case .parameter(let op, let p): fk_unary_p(op, x.data(), y.data(), Int64(x.count), Float(p))
        case .clamp(let low, let high): fk_clamp(x.data(), y.data(), Int64(x.count), Float(low), Float(high))
        }
        return y
    }

    func unaryGradient(_ operation: UnaryOperation, x: Tensor?, y: Tensor?, gradient: inout Tensor) -> Tensor? {
        guard isFast(gradient), let (op, p) = operation.gradientKernel else { return nil }
        let x = x?.contiguous()
        let y = y?.contiguous()
        let dx = outputOver(&gradient)
        fk_unary_grad(op, x?.data(), y?.data(), gradient.data(), dx.data(), Int64(dx.count), Float(p))
        return dx
    }

    func binary(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor {
        guard isFast(a), shape.count <= Int(FK_MAX_RANK) else {
            return reference.binary(operation, a, b, shape: shape)
        }
        let y = output(shape, like: a)
        fk_binary(
            operation.kernel, Int32(shape.count), shape.wide, a.data(), a.strides(in: shape), b.data(),
            b.strides(in: shape), y.data())
        return y
    }

    func compare(_ operation: Comparison, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor {
        guard isFast(a), shape.count <= Int(FK_MAX_RANK) else {
            return reference.compare(operation, a, b, shape: shape)
        }
        let y = output(shape, like: a, dtype: .bool)
        fk_compare(
            operation.kernel, Int32(shape.count), shape.wide, a.data(), a.strides(in: shape), b.data(),
            b.strides(in: shape), y.data())
        return y
    }

    func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor {
        guard isFast(a), shape.count <= Int(FK_MAX_RANK) else {
            return reference.select(condition, a, b, shape: shape)
        }
        let y = output(shape, like: a)
        fk_where(
            Int32(shape.count), shape.wide, condition.pointer.assumingMemoryBound(to: UInt8.self),
            condition.strides(in: shape), a.data(), a.strides(in: shape), b.data(), b.strides(in: shape), y.data())
        return y
    }

    func cast(_ x: Tensor, to dtype: DType) -> Tensor {
        let x = x.contiguous()
        let y = output(x.shape, like: x, dtype: dtype)
        fk_cast(x.dtype.kernel, dtype.kernel, x.pointer, y.pointer, Int64(x.count))
        return y
    }

    func copy(_ x: Tensor) -> Tensor {
        guard x.rank <= Int(FK_MAX_RANK) else { return reference.copy(x) }
        let y = output(x.shape, like: x, dtype: x.dtype)
        fk_copy(
            Int32(x.dtype.size), Int32(x.rank), x.shape.wide, x.pointer, x.strides.wide, y.pointer, y.strides.wide)
        return y
    }

    func write(_ source: Tensor, into target: Tensor, strides: [Int], offset: Int) {
        guard source.rank <= Int(FK_MAX_RANK) else {
            return reference.write(source, into: target, strides: strides, offset: offset)
        }
        let size = source.dtype.size
        fk_copy(
            Int32(size), Int32(source.rank), source.shape.wide, source.pointer, source.strides.wide,
            target.pointer + offset * size, strides.wide)
    }

    func dropoutMask(like x: Tensor, rate: Double, key: UInt64) -> Tensor {
        guard isFast(x) else { return reference.dropoutMask(like: x, rate: rate, key: key) }
        let mask = output(x.shape, like: x)
        fk_fill(mask.data(), Int64(mask.count), 1)
        fk_dropout(mask.data(), mask.data(), nil, Int64(mask.count), Float(rate), key, 0)
        return mask
    }

    // MARK: Rows

    func softmax(_ x: Tensor) -> Tensor { rows(x, fk_softmax) ?? reference.softmax(x) }
    func logSoftmax(_ x: Tensor) -> Tensor { rows(x, fk_log_softmax) ?? reference.logSoftmax(x) }
    func softmaxGradient(y: Tensor, gradient: inout Tensor) -> Tensor {
        rows(y, &gradient, fk_softmax_grad) ?? reference.softmaxGradient(y: y, gradient: &gradient)
    }
    func logSoftmaxGradient(y: Tensor, gradient: inout Tensor) -> Tensor {
        rows(y, &gradient, fk_log_softmax_grad) ?? reference.logSoftmaxGradient(y: y, gradient: &gradient)
    }

    func crossEntropy(
        _ logits: Tensor, _ labels: Tensor, labelSmoothing: Double, ignoreIndex: Int
    ) -> (loss: Tensor, probabilities: Tensor) {
        guard isFast(logits), logits.count > 0 else {
            return reference.crossEntropy(logits, labels, labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex)
        }
        let x = logits.contiguous()
        let loss = output([x.shape[0]], like: x)
        let probabilities = output(x.shape, like: x)
        fk_cross_entropy(
            x.data(), labels.data(Int64.self), Int64(x.shape[0]), Int64(x.shape[1]), Float(labelSmoothing),
            Int64(ignoreIndex), loss.data(), probabilities.data())
        return (loss, probabilities)
    }

    func crossEntropyGradient(
        _ probabilities: Tensor, _ labels: Tensor, scale: Tensor, labelSmoothing: Double, ignoreIndex: Int
    ) -> Tensor {
        guard isFast(probabilities), probabilities.count > 0 else {
            return reference.crossEntropyGradient(
                probabilities, labels, scale: scale, labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex)
        }
        let p = probabilities.contiguous()
        let scale = scale.contiguous()
        let result = output(p.shape, like: p)
        fk_cross_entropy_grad(
            p.data(), labels.data(Int64.self), scale.data(), Int64(p.shape[0]), Int64(p.shape[1]),
            Float(labelSmoothing),
            Int64(ignoreIndex), result.data())
        return result
    }

    private typealias Floats = UnsafeMutablePointer<Float>

    private func rows(
        _ x: Tensor, _ kernel: (UnsafePointer<Float>, Floats, Int64, Int64) -> Void
    ) -> Tensor? {
        guard isFast(x) else { return nil }
        let x = x.contiguous()
        let y = output(x.shape, like: x)
        let width = x.shape[x.rank - 1]
        if x.count > 0 { kernel(x.data(), y.data(), Int64(x.count / width), Int64(width)) }
        return y
    }

    private func rows(
        _ y: Tensor, _ gradient: inout Tensor,
        _ kernel: (UnsafePointer<Float>, UnsafePointer<Float>, Floats, Int64, Int64) -> Void
    ) -> Tensor? {
        guard isFast(y) else { return nil }
        let y = y.contiguous()
        let dx = outputOver(&gradient)
        let width = y.shape[y.rank - 1]
        if y.count > 0 { kernel(y.data(), gradient.data(), dx.data(), Int64(y.count / width), Int64(width)) }
        return dx
    }
}

extension Array where Element == Int {
    /// The same numbers as the kernels take them.
    var wide: [Int64] { map(Int64.init) }
}

extension Tensor {
    /// The strides, as the kernels take them, that read this tensor as if it had the larger shape.
    func strides(in shape: [Int]) -> [Int64] { broadcastStrides(self.shape, strides, to: shape).wide }
}

extension DType {
    var kernel: fk_type {
        switch self {
        case .float32: FK_F32
        case .float64: FK_F64
        case .bfloat16: FK_BF16
        case .int32: FK_I32
        case .int64: FK_I64
        case .uint8: FK_U8
        case .bool: FK_BOOL
        }
    }
}

extension BinaryOperation {
    var kernel: fk_binary_op {
        switch self {
        case .add: FK_ADD
        case .subtract: FK_SUB
        case .multiply: FK_MUL
        case .divide: FK_DIV
        case .power: FK_POW
        case .maximum: FK_MAX
        case .minimum: FK_MIN
        }
    }
}

extension Comparison {
    var kernel: fk_compare_op {
        switch self {
        case .equal: FK_EQ
        case .notEqual: FK_NE
        case .less: FK_LT
        case .lessOrEqual: FK_LE
        case .greater: FK_GT
        case .greaterOrEqual: FK_GE
        }
    }
}

extension UnaryOperation {
    enum Kernel {
        case plain(fk_unary_op)
        case parameter(fk_unary_op, Double)
        case clamp(Double, Double)
    }

    /// The kernel, or nil for operations whose result is not float32.
    var kernel: Kernel? {
        switch self {
        case .negate: .plain(FK_NEG)
        case .absolute: .plain(FK_ABS)
        case .sign: .plain(FK_SIGN)
        case .exp: .plain(FK_EXP)
        case .log: .plain(FK_LOG)
        case .log1p: .plain(FK_LOG1P)
        case .expm1: .plain(FK_EXPM1)
        case .sqrt: .plain(FK_SQRT)
        case .rsqrt: .plain(FK_RSQRT)
        case .reciprocal: .plain(FK_RECIPROCAL)
        case .square: .plain(FK_SQUARE)
        case .sin: .plain(FK_SIN)
        case .cos: .plain(FK_COS)
        case .tanh: .plain(FK_TANH)
        case .sigmoid: .plain(FK_SIGMOID)
        case .softplus: .plain(FK_SOFTPLUS)
        case .relu: .plain(FK_RELU)
        case .erf: .plain(FK_ERF)
        case .gelu: .plain(FK_GELU)
        case .geluTanh: .plain(FK_GELU_TANH)
        case .silu: .plain(FK_SILU)
        case .floor: .plain(FK_FLOOR)
        case .ceil: .plain(FK_CEIL)
        case .round: .plain(FK_ROUND)
        case .not, .isNaN, .isFinite: nil
        case .leakyRelu(let slope): .parameter(FK_LEAKY_RELU, slope)
        case .elu(let alpha): .parameter(FK_ELU, alpha)
        case .clamp(let low, let high): .clamp(low, high)
        case .add(let s): .parameter(FK_ADD_SCALAR, s)
        case .multiply(let s): .parameter(FK_MUL_SCALAR, s)
        case .subtractFrom(let s): .parameter(FK_SUB_FROM, s)
        case .divideInto(let s): .parameter(FK_DIV_INTO, s)
        case .power(let s): .parameter(FK_POW_SCALAR, s)
        }
    }

    /// The fused derivative kernel and its parameter, where there is one that beats two plain operations.
    var gradientKernel: (fk_unary_op, Double)? {
        switch self {
        case .absolute, .exp, .log, .log1p, .expm1, .sqrt, .rsqrt, .reciprocal, .square, .sin, .cos, .tanh, .sigmoid,
            .softplus, .relu, .erf, .gelu, .geluTanh, .silu:
            if case .plain(let op) = kernel { (op, 0) } else { nil }
        case .leakyRelu(let slope): (FK_LEAKY_RELU, slope)
        case .elu(let alpha): (FK_ELU, alpha)
        default: nil
        }
    }
}
