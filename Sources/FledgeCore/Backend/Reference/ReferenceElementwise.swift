#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Plain Swift in double precision, rounded once at the end. Slow and simple: what every other backend is held against.
struct ReferenceBackend: Backend {
    static let shared = ReferenceBackend()

    func unary(_ operation: UnaryOperation, _ x: Tensor) -> Tensor {
        switch operation {
        case .not, .isNaN, .isFinite:
            let f = Self.function(operation)
            return Reference.make(Reference.doubles(x).map(f), x.shape, .bool, x.device)
        default: break
        }
        if !x.dtype.isFloatingPoint {
            let values = Reference.integers(x).map { Self.integerUnary(operation, $0) }
            return Reference.make(values, x.shape, x.dtype, x.device)
        }
        let f = Self.function(operation)
        return Reference.make(Reference.doubles(x).map(f), x.shape, x.dtype, x.device)
    }

    private static func integerUnary(_ operation: UnaryOperation, _ x: Int64) -> Int64 {
        switch operation {
        case .negate: 0 &- x
        case .absolute: x < 0 ? 0 &- x : x
        case .sign: x.signum()
        case .square: x &* x
        case .relu: max(x, 0)
        case .floor, .ceil, .round: x
        case .add(let s): x &+ Int64(saturating: s)
        case .multiply(let s): x &* Int64(saturating: s)
        case .subtractFrom(let s): Int64(saturating: s) &- x
        case .clamp(let low, let high): max(Int64(saturating: low), min(Int64(saturating: high), x))
        default: stop("\(operation) of an integer tensor: cast it to a floating-point type first")
        }
    }

    private static func function(_ operation: UnaryOperation) -> (Double) -> Double {
        switch operation {
        case .negate: { -$0 }
        case .absolute: { abs($0) }
        case .sign: { $0 > 0 ? 1 : $0 < 0 ? -1 : $0 }
        case .exp: { Glibc.exp($0) }
        case .log: { Glibc.log($0) }
        case .log1p: { Glibc.log1p($0) }
        case .expm1: { Glibc.expm1($0) }
        case .sqrt: { $0.squareRoot() }
        case .rsqrt: { 1 / $0.squareRoot() }
        case .reciprocal: { 1 / $0 }
        case .square: { $0 * $0 }
        case .sin: { Glibc.sin($0) }
        case .cos: { Glibc.cos($0) }
        case .tanh: { Glibc.tanh($0) }
        case .sigmoid: { sigmoid($0) }
        case .softplus: { $0 > 0 ? $0 + Glibc.log1p(Glibc.exp(-$0)) : Glibc.log1p(Glibc.exp($0)) }
        case .relu: { $0 > 0 || $0.isNaN ? $0 : 0 }
        case .erf: { Glibc.erf($0) }
        case .gelu: { 0.5 * $0 * (1 + Glibc.erf($0 * 0.5.squareRoot())) }
        case .geluTanh: { 0.5 * $0 * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
        case .silu: { $0 * sigmoid($0) }
        case .floor: { $0.rounded(.down) }
        case .ceil: { $0.rounded(.up) }
        case .round: { $0.rounded(.toNearestOrEven) }
        case .not: { $0 == 0 ? 1 : 0 }
        case .isNaN: { $0.isNaN ? 1 : 0 }
        case .isFinite: { $0.isFinite ? 1 : 0 }
        case .leakyRelu(let slope): { $0 > 0 ? $0 : slope * $0 }
        case .elu(let alpha): { $0 > 0 ? $0 : alpha * Glibc.expm1($0) }
        case .clamp(let low, let high): { $0.isNaN ? $0 : min(max($0, low), high) }
        case .add(let s): { $0 + s }
        case .multiply(let s): { $0 * s }
        case .subtractFrom(let s): { s - $0 }
        case .divideInto(let s): { s / $0 }
        case .power(let s): { Glibc.pow($0, s) }
        }
    }

    private static func sigmoid(_ x: Double) -> Double {
        if x >= 0 { return 1 / (1 + Glibc.exp(-x)) }
        let e = Glibc.exp(x)
        return e / (1 + e)
    }

    func binary(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor {
        let a = a.broadcastView(to: shape)
        let b = b.broadcastView(to: shape)
        if !a.dtype.isFloatingPoint {
            let x = Reference.integers(a)
            let y = Reference.integers(b)
            return Reference.make(
                x.indices.map { Self.integerBinary(operation, x[$0], y[$0]) }, shape, a.dtype, a.device)
        }
        let f: (Double, Double) -> Double =
            switch operation {
            case .add: { $0 + $1 }
            case .subtract: { $0 - $1 }
            case .multiply: { $0 * $1 }
            case .divide: { $0 / $1 }
            case .power: { Glibc.pow($0, $1) }
            case .maximum: { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }
            case .minimum: { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }
            }
        let x = Reference.doubles(a)
        let y = Reference.doubles(b)
        return Reference.make(x.indices.map { f(x[$0], y[$0]) }, shape, a.dtype, a.device)
    }

    private static func integerBinary(_ operation: BinaryOperation, _ x: Int64, _ y: Int64) -> Int64 {
        switch operation {
        case .add: return x &+ y
        case .subtract: return x &- y
        case .multiply: return x &* y
        case .divide:
            require(y != 0, "integer division by zero")
            return x.dividedReportingOverflow(by: y).partialValue
        case .maximum: return max(x, y)
        case .minimum: return min(x, y)
        case .power:
            require(y >= 0, "power: an integer tensor needs exponents of 0 and more")
            return (0..<y).reduce(1) { product, _ in product &* x }
        }
    }

    func compare(_ operation: Comparison, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor {
        let a = a.broadcastView(to: shape)
        let b = b.broadcastView(to: shape)
        func holds<T: Comparable>(_ x: T, _ y: T) -> Int64 {
            let result =
                switch operation {
                case .equal: x == y
                case .notEqual: x != y
                case .less: x < y
                case .lessOrEqual: x <= y
                case .greater: x > y
                case .greaterOrEqual: x >= y
                }
            return result ? 1 : 0
        }
        let values: [Int64]
        if a.dtype.isFloatingPoint {
            values = zip(Reference.doubles(a), Reference.doubles(b)).map { holds($0, $1) }
        } else {
            values = zip(Reference.integers(a), Reference.integers(b)).map { holds($0, $1) }
        }
        return Reference.make(values, shape, .bool, a.device)
    }

    func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor {
        let c = Reference.integers(condition.broadcastView(to: shape))
        let a = a.broadcastView(to: shape)
        let b = b.broadcastView(to: shape)
        if a.dtype.isFloatingPoint {
            let x = Reference.doubles(a)
            let y = Reference.doubles(b)
            return Reference.make(c.indices.map { c[$0] != 0 ? x[$0] : y[$0] }, shape, a.dtype, a.device)
        }
        let x = Reference.integers(a)
        let y = Reference.integers(b)
        return Reference.make(c.indices.map { c[$0] != 0 ? x[$0] : y[$0] }, shape, a.dtype, a.device)
    }

    func cast(_ x: Tensor, to dtype: DType) -> Tensor {
        if x.dtype.isFloatingPoint { return Reference.make(Reference.doubles(x), x.shape, dtype, x.device) }
        return Reference.make(Reference.integers(x), x.shape, dtype, x.device)
    }

    func copy(_ x: Tensor) -> Tensor {
        let result = Tensor(uninitialized: x.shape, dtype: x.dtype, device: x.device)
        let size = x.dtype.size
        let source = x.storage.pointer
        var target = result.pointer
        Reference.walk(x.shape, x.strides, x.offset) { position in
            target.copyMemory(from: source + position * size, byteCount: size)
            target += size
        }
        return result
    }

    func write(_ source: Tensor, into target: Tensor, strides: [Int], offset: Int) {
        let size = source.dtype.size
        let source = source.contiguous()
        var from = source.pointer
        let memory = target.pointer
        Reference.walk(source.shape, strides, offset) { position in
            (memory + position * size).copyMemory(from: from, byteCount: size)
            from += size
        }
    }
}
