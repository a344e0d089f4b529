import FledgeCore

/// Starting values. Fans are counted as in PyTorch: a weight [out, in, ...] has fan-in in * kernel size and fan-out
/// out * kernel size. Everything is float32 on the default device; `Module.convert` changes that.
public enum Init {
    /// Which side's variance is kept: of the signal going forward or of the gradient coming back.
    public enum Fan: String, Codable, Sendable { case input, output }

    /// Uniform in ±gain * sqrt(3 / fan) (He et al. 2015, "Delving deep into rectifiers"). ReLU wants a gain of sqrt(2).
    public static func kaimingUniform(
        _ shape: [Int], gain: Double = 2.0.squareRoot(), fan: Fan = .input, random: inout RandomSource
    ) -> Tensor {
        let bound = gain * (3 / Double(fans(shape)[fan])).squareRoot()
        return .uniform(shape, -bound, bound, random: &random)
    }

    /// Normal with deviation gain / sqrt(fan) (He et al. 2015). ResNets use fan `.output`.
    public static func kaimingNormal(
        _ shape: [Int], gain: Double = 2.0.squareRoot(), fan: Fan = .input, random: inout RandomSource
    ) -> Tensor {
        .normal(shape, deviation: gain / Double(fans(shape)[fan]).squareRoot(), random: &random)
    }

    /// Uniform in ±gain * sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010).
    public static func xavierUniform(_ shape: [Int], gain: Double = 1, random: inout RandomSource) -> Tensor {
        let f = fans(shape)
        let bound = gain * (6 / Double(f.input + f.output)).squareRoot()
        return .uniform(shape, -bound, bound, random: &random)
    }

    /// Normal with deviation gain * sqrt(2 / (fan-in + fan-out)) (Glorot and Bengio 2010).
    public static func xavierNormal(_ shape: [Int], gain: Double = 1, random: inout RandomSource) -> Tensor {
        let f = fans(shape)
        return .normal(shape, deviation: gain * (2 / Double(f.input + f.output)).squareRoot(), random: &random)
    }

    /// Normal, drawn again outside [low, high] (absolute values, not deviations).
    public static func truncatedNormal(
        _ shape: [Int], mean: Double = 0, deviation: Double = 0.02, low: Double = -2, high: Double = 2,
        random: inout RandomSource
    ) -> Tensor {
        require(low < high, "truncatedNormal: the interval [\(low), \(high)] is empty")
        require(
            mean + 4 * deviation > low && mean - 4 * deviation < high,
            "truncatedNormal: [\(low), \(high)] is more than 4 deviations from the mean \(mean)")
        // Draws outside are drawn again: with bounds of many deviations, none.
        var values = Tensor.normal(shape, mean: mean, deviation: deviation, random: &random)
        while values.count > 0, values.min().item() < low || values.max().item() > high {
            let again = Tensor.normal(shape, mean: mean, deviation: deviation, random: &random)
            values = Tensor.where((values .>= low) .& (values .<= high), values, again)
        }
        return values
    }

    /// A random (semi-)orthogonal matrix over [first axis, all others], times `gain` (Saxe et al. 2014).
    public static func orthogonal(_ shape: [Int], gain: Double = 1, random: inout RandomSource) -> Tensor {
        require(shape.count >= 2, "orthogonal: shape \(shape) has no two axes")
        let rows = shape[0]
        let columns = shape.dropFirst().reduce(1, *)
        // Gram-Schmidt on Gaussian vectors, twice so that rounding leaves nothing. Their directions are uniform.
        let (count, length) = (min(rows, columns), max(rows, columns))
        var basis: [[Double]] = []
        for _ in 0..<count {
            var v = (0..<length).map { _ in random.normal() }
            for _ in 0..<2 {
                for b in basis {
                    let dot = zip(v, b).reduce(0) { $0 + $1.0 * $1.1 }
                    for i in v.indices { v[i] -= dot * b[i] }
                }
            }
            let norm = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
            basis.append(v.map { $0 / norm })
        }
        var values = [Float](repeating: 0, count: rows * columns)
        for i in 0..<rows {
            for j in 0..<columns {
                values[i * columns + j] = Float(gain * (rows <= columns ? basis[i][j] : basis[j][i]))
            }
        }
        return Tensor(values, shape: shape)
    }

    public static func zeros(_ shape: [Int]) -> Tensor { .zeros(shape) }
    public static func constant(_ shape: [Int], _ value: Double) -> Tensor { .full(shape, value) }

    /// What PyTorch's Linear and convolutions start from, weight and bias alike: uniform in ±1 / sqrt(fan-in).
    static func standard(_ shape: [Int], fanIn: Int, random: inout RandomSource) -> Tensor {
        let bound = fanIn > 0 ? 1 / Double(fanIn).squareRoot() : 0
        return .uniform(shape, -bound, bound, random: &random)
    }

    private struct Fans {
        let input, output: Int
        subscript(_ fan: Fan) -> Int { fan == .input ? input : output }
    }

    private static func fans(_ shape: [Int]) -> Fans {
        require(shape.count >= 2 && !shape.contains(0), "fans: a weight of shape \(shape) has no fan-in and fan-out")
        let kernel = shape.dropFirst(2).reduce(1, *)
        return Fans(input: shape[1] * kernel, output: shape[0] * kernel)
    }
}
