// Functions of one tensor, element by element. Forward and derivative of each stand in one table below.

extension Tensor {
    public static prefix func - (x: Tensor) -> Tensor { x.elementwise(.negate) }

    /// |x|; the derivative at 0 is 0.
    public func abs() -> Tensor { elementwise(.absolute) }
    /// -1, 0 or 1; its gradient is 0.
    public func sign() -> Tensor { elementwise(.sign) }
    public func exp() -> Tensor { elementwise(.exp) }
    /// The natural logarithm.
    public func log() -> Tensor { elementwise(.log) }
    /// log(1 + x), accurate near 0.
    public func log1p() -> Tensor { elementwise(.log1p) }
    /// exp(x) - 1, accurate near 0.
    public func expm1() -> Tensor { elementwise(.expm1) }
    public func sqrt() -> Tensor { elementwise(.sqrt) }
    /// 1 / sqrt(x).
    public func rsqrt() -> Tensor { elementwise(.rsqrt) }
    /// 1 / x.
    public func reciprocal() -> Tensor { elementwise(.reciprocal) }
    public func square() -> Tensor { elementwise(.square) }
    public func sin() -> Tensor { elementwise(.sin) }
    public func cos() -> Tensor { elementwise(.cos) }
    public func tanh() -> Tensor { elementwise(.tanh) }
    public func sigmoid() -> Tensor { elementwise(.sigmoid) }
    /// log(1 + exp(x)), without overflow.
    public func softplus() -> Tensor { elementwise(.softplus) }
    /// max(x, 0); the derivative at 0 is 0.
    public func relu() -> Tensor { elementwise(.relu) }
    /// x where positive, else `slope` * x.
    public func leakyRelu(slope: Double = 0.01) -> Tensor { elementwise(.leakyRelu(slope)) }
    /// x where positive, else `alpha` * (exp(x) - 1).
    public func elu(alpha: Double = 1) -> Tensor { elementwise(.elu(alpha)) }
    /// The Gauss error function.
    public func erf() -> Tensor { elementwise(.erf) }
    /// x * Phi(x), with the exact normal distribution function (Hendrycks and Gimpel 2016).
    public func gelu() -> Tensor { elementwise(.gelu) }
    /// The tanh approximation of `gelu`, as BERT and GPT-2 use it.
    public func geluTanh() -> Tensor { elementwise(.geluTanh) }
    /// x * sigmoid(x), also called swish.
    public func silu() -> Tensor { elementwise(.silu) }
    /// x limited to [low, high]; the gradient passes inside, bounds included.
    public func clamped(_ low: Double, _ high: Double) -> Tensor {
        require(low <= high, "clamped: \(low) is above \(high)")
        return elementwise(.clamp(low, high))
    }
    /// Rounds down; gradient 0, as for `ceil` and `rounded`.
    public func floor() -> Tensor { elementwise(.floor) }
    public func ceil() -> Tensor { elementwise(.ceil) }
    /// The nearest whole number, ties to even.
    public func rounded() -> Tensor { elementwise(.round) }
    /// x to a constant power.
    public func pow(_ exponent: Double) -> Tensor {
        if exponent == 2 { return square() }
        return elementwise(.power(exponent))
    }
    /// Where the value is not a number, as bool.
    public func isNaN() -> Tensor { backend.unary(.isNaN, self) }
    /// Where the value is neither infinite nor NaN, as bool.
    public func isFinite() -> Tensor { backend.unary(.isFinite, self) }

    func elementwise(_ operation: UnaryOperation) -> Tensor {
        require(
            dtype != .bfloat16 && dtype != .bool, "\(operation): a \(dtype) tensor is storage only; cast it first")
        let y = backend.unary(operation, self)
        // Nothing is kept that the derivative does not use. gelu's input is the largest tensor of a transformer's block.
        return record(
            "elementwise", y, from: [self],
            saving: operation.derivativeUsesInput ? [operation.isGELU ? roundedToKeep(for: [self]) : self] : [],
            savingOutput: operation.derivativeUsesOutput
        ) { context in
            var g = context.takeGradient()
            let x = context.saved.first?.cast(to: g.dtype)
            if !Autograd.isRecording,
                let fused = g.backend.unaryGradient(operation, x: x, y: context.savedOutput, gradient: &g)
            {
                return [fused]
            }
            return [operation.derivative(x: x, y: context.savedOutput, times: g)]
        }
    }

    /// What waits for the gradient of an operation on `inputs` that need not see it exactly: rounded where products are,
    /// for half of the memory.
    func roundedToKeep(for inputs: [Tensor]) -> Tensor {
        let rounds =
            dtype == .float32 && device == .cpu && Engine.precision == .bfloat16 && Engine.hasBFloat16
            && Autograd.records(inputs)
        return rounds ? cast(to: .bfloat16) : self
    }
}

extension UnaryOperation {
    var isGELU: Bool {
        switch self {
        case .gelu, .geluTanh: true
        default: false
        }
    }

    var derivativeUsesOutput: Bool {
        switch self {
        case .exp, .expm1, .sqrt, .rsqrt, .reciprocal, .tanh, .sigmoid, .relu: true
        default: false
        }
    }

    var derivativeUsesInput: Bool {
        switch self {
        case .absolute, .log, .log1p, .square, .sin, .cos, .softplus, .erf, .gelu, .geluTanh, .silu, .leakyRelu, .elu,
            .clamp, .divideInto, .power:
            true
        default: false
        }
    }

    /// The gradient of the input, in tensor operations, so that it can be differentiated again.
    func derivative(x: Tensor?, y: Tensor?, times g: Tensor) -> Tensor {
        switch self {
        case .negate, .subtractFrom: return -g
        case .add: return g
        case .multiply(let s): return g * s
        case .exp: return g * y!
        case .expm1: return g * (y! + 1)
        case .sqrt: return g * 0.5 / y!
        case .rsqrt: return g * -0.5 * y! * y! * y!
        case .reciprocal: return -g * y! * y!
        case .tanh: return g * (1 - y! * y!)
        case .sigmoid: return g * (y! * (1 - y!))
        case .relu: return g * (y! .> 0).cast(to: g.dtype)
        case .absolute: return g * x!.detached().sign()
        case .log: return g / x!
        case .log1p: return g / (x! + 1)
        case .square: return g * x! * 2
        case .sin: return g * x!.cos()
        case .cos: return -g * x!.sin()
        case .softplus: return g * x!.sigmoid()
        case .erf: return g * (x!.square() * -1).exp() * (2 / Double.pi.squareRoot())
        case .gelu:
            let density = (x!.square() * -0.5).exp() * (1 / (2 * Double.pi).squareRoot())
            return g * (((x! * 0.5.squareRoot()).erf() + 1) * 0.5 + x! * density)
        case .geluTanh:
            let c = (2 / Double.pi).squareRoot()
            let t = ((x! + x! * x! * x! * 0.044715) * c).tanh()
            let inner = (x!.square() * (3 * 0.044715) + 1) * c
            return g * ((t + 1) * 0.5 + x! * (1 - t * t) * inner * 0.5)
        case .silu:
            let s = x!.sigmoid()
            return g * (s + x! * s * (1 - s))
        case .leakyRelu(let slope):
            return g
                * Tensor.where(x! .> 0, .ones(like: x!), .full(x!.shape, slope, dtype: x!.dtype, device: x!.device))
        case .elu(let alpha): return g * Tensor.where(x! .> 0, .ones(like: x!), x!.clamped(-.infinity, 0).exp() * alpha)
        case .clamp(let low, let high):
            return g * ((x! .>= low).cast(to: g.dtype) * (x! .<= high).cast(to: g.dtype))
        case .divideInto(let s): return g * -s / x!.square()
        case .power(let s): return s == 0 ? .zeros(like: g) : g * (x!.pow(s - 1) * s)
        case .sign, .floor, .ceil, .round, .not, .isNaN, .isFinite: return .zeros(like: g)
        }
    }
}
