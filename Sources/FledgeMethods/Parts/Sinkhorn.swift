import FledgeCore
import Foundation

/// Assigns samples to prototypes such that all prototypes get equal shares: the Sinkhorn-Knopp iteration on
/// exp(scores / epsilon), in logarithms so that no epsilon overflows (Cuturi 2013; as SwAV uses it: Caron et al. 2020,
/// equations 3 to 5). No gradient flows through.
/// - Parameters:
///   - scores: [B, K], similarity of each sample to each prototype.
///   - epsilon: smoothness; small gives nearly hard assignments.
///   - iterations: how often columns, then rows are scaled; few leave the columns unequal.
/// - Returns: [B, K]. Each row sums to 1, each column to about B / K.
public func sinkhornCodes(_ scores: Tensor, epsilon: Double, iterations: Int) -> Tensor {
    require(scores.rank == 2 && epsilon > 0, "sinkhornCodes: scores \(scores.shape), epsilon \(epsilon)")
    return noGradient {
        var log = scores.detached() / epsilon
        for _ in 0..<iterations {
            log = log - log.logSumExp(axis: 0, keepDims: true)
            log = log - log.logSumExp(axis: 1, keepDims: true)
        }
        return log.softmax()
    }
}

/// Labels for all samples of a dataset such that all clusters are equally large: optimal transport between samples and
/// clusters at the cost -log p (Asano et al. 2020, "Self-labelling via simultaneous clustering and representation
/// learning", equations 4 to 7).
///
/// The kernel is p^power with the factors found so far taken into it whenever they grow large, in double precision:
/// neither a high power nor a confident network overflows.
public struct BalancedLabels {
    /// The cluster of each sample.
    public let labels: [Int]
    /// How many samples fall to each cluster by the transport plan, before the largest share is taken; N / K when it
    /// has converged.
    public let masses: [Double]
    public let iterations: Int

    /// - Parameters:
    ///   - logProbabilities: [N, K], log p(cluster | sample).
    ///   - power: lambda of the paper; high makes the plan nearly hard.
    ///   - tolerance: stops when the factors of the samples change by less than this share on average. Looked at in
    ///     every tenth iteration. The paper's code bounds the sum over all samples by 0.01, which asks the more of each
    ///     the more there are; this is that of eight samples.
    ///   - limit: the most iterations.
    public init(_ logProbabilities: Tensor, power: Double, tolerance: Double = 1.25e-3, limit: Int = 2000) {
        require(
            logProbabilities.rank == 2 && logProbabilities.count > 0,
            "BalancedLabels: log probabilities \(logProbabilities.shape)")
        let (n, k) = (logProbabilities.shape[0], logProbabilities.shape[1])
        let logs = logProbabilities.detached().doubles()
        // Factors taken into the kernel: of clusters, and of samples, whose largest entry becomes 1.
        var absorbed = [Double](repeating: 0, count: k)
        var kernel = [Double](repeating: 0, count: n * k)
        func makeKernel() {
            for i in 0..<n {
                var top = -Double.infinity
                for y in 0..<k { top = max(top, power * logs[i * k + y] + absorbed[y]) }
                for y in 0..<k { kernel[i * k + y] = exp(power * logs[i * k + y] + absorbed[y] - top) }
            }
        }
        makeKernel()
        var r = [Double](repeating: 1, count: k)
        // The paper's start, c = 1 / N on p^power itself, in terms of the scaled kernel.
        var c = (0..<n).map { i in
            max(exp(power * (0..<k).reduce(-.infinity) { max($0, logs[i * k + $1]) }), 1e-250) / Double(n)
        }
        var count = 0
        while count < limit {
            var mass = [Double](repeating: 0, count: k)
            for i in 0..<n { for y in 0..<k { mass[y] += kernel[i * k + y] * c[i] } }
            for y in 0..<k { r[y] = 1 / (Double(k) * max(mass[y], 1e-290)) }
            var change = 0.0
            for i in 0..<n {
                var sum = 0.0
                for y in 0..<k { sum += kernel[i * k + y] * r[y] }
                let new = 1 / (Double(n) * sum)
                change += abs(c[i] / new - 1)
                c[i] = new
            }
            count += 1
            if (count - 1) % 10 == 0, change < tolerance * Double(n) { break }
            if let low = r.min(), let high = r.max(), high / low > 1e60 {
                for y in 0..<k { absorbed[y] += log(r[y]) }
                r = [Double](repeating: 1, count: k)
                makeKernel()
                for i in 0..<n {
                    var sum = 0.0
                    for y in 0..<k { sum += kernel[i * k + y] }
                    c[i] = 1 / (Double(n) * sum)
                }
            }
        }
        var labels = [Int](repeating: 0, count: n)
        var masses = [Double](repeating: 0, count: k)
        for i in 0..<n {
            var best = 0
            for y in 0..<k {
                let share = kernel[i * k + y] * r[y]
                masses[y] += share * c[i] * Double(n)
                if share > kernel[i * k + best] * r[best] { best = y }
            }
            labels[i] = best
        }
        (self.labels, self.masses, iterations) = (labels, masses, count)
    }
}
