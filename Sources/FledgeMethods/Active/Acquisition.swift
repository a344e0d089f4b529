import FledgeCore
import Foundation

/// What makes a sample worth asking about. Scores are of class probabilities p of one sample; all logarithms are natural.
public enum Acquisition {
    /// 1 - max p (Lewis and Gale 1994). Higher is asked first.
    public static func leastConfident(_ p: some Collection<Double>) -> Double { 1 - (p.max() ?? 1) }

    /// The likeliest class's probability less the next one's (Scheffer et al. 2001). Lower is asked first.
    public static func margin(_ p: some Collection<Double>) -> Double {
        let sorted = p.sorted(by: >)
        return sorted.count > 1 ? sorted[0] - sorted[1] : 1
    }

    /// -sum p log p (Shannon 1948). Higher is asked first.
    public static func entropy(_ p: some Collection<Double>) -> Double {
        -p.reduce(0) { $0 + ($1 > 0 ? $1 * log($1) : 0) }
    }

    /// H(mean of the draws) - mean H(draw): what the answer would tell about the weights (Houlsby et al. 2011; with
    /// dropout: Gal et al. 2017, equation 2). Of the members of a committee it is their Jensen-Shannon divergence
    /// (McCallum and Nigam 1998). Higher is asked first.
    /// - Parameter draws: one distribution over the classes for each pass or member.
    public static func bald(_ draws: [[Double]]) -> Double {
        entropy(mean(draws)) - draws.reduce(0) { $0 + entropy($1) } / Double(draws.count)
    }

    /// The parts of AIFT's score of several views of one sample (Zhou et al. 2017, "Fine-tuning convolutional neural
    /// networks for biomedical image analysis: actively and incrementally", equations 1 and 2): the sum of their
    /// entropies, and the sum over pairs of their symmetric divergence.
    public static func aift(_ views: [[Double]]) -> (entropy: Double, diversity: Double) {
        var diversity = 0.0
        for k in views.indices {
            for l in views.indices where l > k {
                for (p, q) in zip(views[k], views[l]) where p > 0 && q > 0 { diversity += (p - q) * log(p / q) }
            }
        }
        return (views.reduce(0) { $0 + entropy($1) }, diversity)
    }

    /// The views that AIFT compares: the share `alpha` of them that are surest of the class that their mean names
    /// (Zhou et al. 2017, section 3.3), one at least.
    public static func majority(_ views: [[Double]], alpha: Double = 0.25) -> [[Double]] {
        let middle = mean(views)
        let top = middle.indices.max { middle[$0] < middle[$1] } ?? 0
        let count = max(1, Int((alpha * Double(views.count)).rounded()))
        return Array(views.sorted { $0[top] > $1[top] }.prefix(count))
    }

    private static func mean(_ draws: [[Double]]) -> [Double] {
        require(!draws.isEmpty, "Acquisition: no draws")
        return draws[0].indices.map { c in draws.reduce(0) { $0 + $1[c] } / Double(draws.count) }
    }

    /// Samples drawn without replacement, each with a chance in proportion to a power of its score (PowerBALD, Kirsch et
    /// al. 2023, "Stochastic batch acquisition: a simple baseline for deep active learning"). The highest scores of many
    /// samples tend to be of samples that are alike: one of them would do.
    /// - Parameters:
    ///   - scores: higher is likelier. Those of 0 or below come last.
    ///   - power: the paper's 1 leaves more to chance; the higher it is, the more the highest are preferred.
    /// - Returns: `count` indices, in the order of drawing; fewer where there are fewer.
    public static func powerDraws(
        _ scores: [Double], count: Int, power: Double = 2, random: inout RandomSource
    ) -> [Int] {
        var weights = scores.map { pow(max($0, 1e-9), power) }
        return (0..<min(count, scores.count)).compactMap { _ in
            let next = random.index(inProportionTo: weights)
            if let next { weights[next] = 0 }
            return next
        }
    }

    /// Greedy k-centre (Sener and Savarese 2018, "Active learning for convolutional neural networks: a core-set
    /// approach", algorithm 1): each pick is the sample farthest from all centres so far. Of equally far ones the first.
    /// - Parameters:
    ///   - features: [N, D] of all samples, labelled ones included.
    ///   - centres: those that are labelled already.
    /// - Returns: `count` indices, in the order of picking; fewer where fewer are left.
    public static func coreSet(_ features: Tensor, centres: [Int], count: Int) -> [Int] {
        let n = features.shape[0]
        let squares = noGradient { features.square().sum(axis: 1) }.floats()
        var distance = [Float](repeating: .infinity, count: n)
        func add(_ centre: Int) {
            let products = noGradient { features.matmul(features[centre]) }.floats()
            for i in 0..<n { distance[i] = min(distance[i], squares[i] + squares[centre] - 2 * products[i]) }
            // Rounding must not make a centre a candidate.
            distance[centre] = -.infinity
        }
        for centre in centres { add(centre) }
        var picked: [Int] = []
        while picked.count < min(count, n - Set(centres).count) {
            var best = 0
            for i in 1..<n where distance[i] > distance[best] { best = i }
            picked.append(best)
            add(best)
        }
        return picked
    }

    /// BADGE (Ash et al. 2020, "Deep batch active learning by diverse, uncertain gradient lower bounds", algorithm 1):
    /// k-means++ over the gradients of the last layer that each sample would give if its likeliest class were right,
    /// (p - onehot) times its features. They are never written out: the product of two is that of their factors.
    /// - Parameters:
    ///   - probabilities: [N, classes] of the samples to choose from.
    ///   - features: [N, D] that the last layer sees.
    /// - Returns: `count` indices, in the order of picking.
    public static func badge(
        probabilities: Tensor, features: Tensor, count: Int, random: inout RandomSource
    ) -> [Int] {
        let (n, classes) = (features.shape[0], probabilities.shape[1])
        let errors = noGradient { probabilities - probabilities.argmax().oneHot(classes: classes) }
        let squares = zip(
            noGradient { errors.square().sum(axis: 1) }.floats(), noGradient { features.square().sum(axis: 1) }.floats()
        ).map { Double($0) * Double($1) }
        var distance = [Double](repeating: .infinity, count: n)
        var picked: [Int] = []
        while picked.count < min(count, n) {
            // The longest gradient first, then by chance in proportion to the squared distance.
            var next = squares.indices.max { squares[$0] < squares[$1] } ?? 0
            if !picked.isEmpty {
                next =
                    random.index(inProportionTo: distance) ?? distance.indices.first { !picked.contains($0) }!
            }
            picked.append(next)
            let (a, b) = (
                noGradient { errors.matmul(errors[next]) }.floats(),
                noGradient { features.matmul(features[next]) }.floats()
            )
            for i in 0..<n {
                let d = squares[i] + squares[next] - 2 * Double(a[i]) * Double(b[i])
                distance[i] = min(distance[i], max(d, 0))
            }
            distance[next] = 0
        }
        return picked
    }
}
