import Foundation

/// Measures of a classifier's answers. Scores and probabilities are row-major [N, C]; labels are class numbers of
/// 0..<C. A measure over no samples is NaN: there is nothing to average.
public enum Metrics {
    /// The share of samples whose predicted class is the true one.
    public static func accuracy(predicted: [Int], labels: [Int]) -> Double {
        requireSameCount(predicted.count, labels.count, "accuracy")
        let hits = zip(predicted, labels).count { $0 == $1 }
        return Double(hits) / Double(labels.count)
    }

    /// Where a share that was counted in some samples lies in all samples of their kind, 19 times of 20: the score interval
    /// of Wilson (1927, "Probable inference, the law of succession, and statistical inference").
    /// - Parameter count: how many samples; none know nothing, 0...1.
    /// - Returns: the lower and the upper end.
    public static func interval(of share: Double, count: Int) -> [Double] {
        guard count > 0 else { return [0, 1] }
        let (n, z) = (Double(count), 1.959964)
        let middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        let half = z * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot() / (1 + z * z / n)
        return [max(0, middle - half), min(1, middle + half)]
    }

    /// Whether one classifier is better than another or had luck with the same samples: the exact sign test over those that
    /// one of them gets right and the other wrong (McNemar 1947).
    /// - Returns: how many `predicted` alone gets right, how many `other` alone, and the probability that two equally good
    ///   ones are at least as far apart, in either direction.
    public static func signTest(
        _ predicted: [Int], against other: [Int], labels: [Int]
    ) -> (more: Int, fewer: Int, probability: Double) {
        requireSameCount(predicted.count, labels.count, "signTest")
        requireSameCount(other.count, labels.count, "signTest")
        var (more, fewer) = (0, 0)
        for (index, label) in labels.enumerated() {
            switch (predicted[index] == label, other[index] == label) {
            case (true, false): more += 1
            case (false, true): fewer += 1
            default: break
            }
        }
        // Both tails of the binomial distribution with probability 1/2, in logarithms: n may be thousands.
        let n = Double(more + fewer)
        var tail = 0.0
        for count in 0...min(more, fewer) {
            let k = Double(count)
            let logWays: Double = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
            tail += exp(logWays - n * log(2))
        }
        return (more, fewer, min(1, 2 * tail))
    }

    /// The share of samples whose true class is among the `k` classes with the highest scores. Of equal scores the
    /// lower class number comes first, as in `predictions`; a NaN comes last.
    public static func topK(scores: [Float], classes: Int, labels: [Int], k: Int) -> Double {
        requireRows(scores, classes, labels, "topK")
        var hits = 0
        for (row, label) in labels.enumerated() {
            let base = row * classes
            let own = scores[base + label]
            if own.isNaN { continue }
            var better = 0
            for c in 0..<classes where scores[base + c] > own || (scores[base + c] == own && c < label) { better += 1 }
            if better < k { hits += 1 }
        }
        return Double(hits) / Double(labels.count)
    }

    /// The class with the highest score of each row; of equal scores the lower class number.
    public static func predictions(scores: [Float], classes: Int) -> [Int] {
        precondition(
            classes > 0 && scores.count % classes == 0, "predictions: \(scores.count) scores, \(classes) classes")
        return (0..<scores.count / classes).map { row in
            var best = 0
            for c in 1..<max(classes, 1) {
                let challenger = scores[row * classes + c]
                let champion = scores[row * classes + best]
                if challenger > champion || (champion.isNaN && !challenger.isNaN) { best = c }
            }
            return best
        }
    }

    /// The area under the receiver operating characteristic: the probability that a positive sample scores higher
    /// than a negative one, equal scores counted as half (Mann and Whitney's U). NaN when one of the two is absent.
    public static func auroc(scores: [Float], isPositive: [Bool]) -> Double {
        requireSameCount(scores.count, isPositive.count, "auroc")
        let order = scores.indices.sorted { scores[$0] < scores[$1] }
        var rankSum = 0.0
        var start = 0
        while start < order.count {
            var end = start + 1
            while end < order.count && scores[order[end]] == scores[order[start]] { end += 1 }
            // Ranks start..<end (from 1) are shared: each of the tied samples gets their mean.
            let rank = Double(start + 1 + end) / 2
            for index in order[start..<end] where isPositive[index] { rankSum += rank }
            start = end
        }
        let positives = Double(isPositive.count { $0 })
        let negatives = Double(isPositive.count) - positives
        guard positives > 0 && negatives > 0 else { return .nan }
        return (rankSum - positives * (positives + 1) / 2) / (positives * negatives)
    }

    /// The mean over classes of the area under the curve of this class against all others. Classes that have no
    /// samples, or all of them, have no curve and are left out.
    public static func macroAUROC(scores: [Float], classes: Int, labels: [Int]) -> Double {
        requireRows(scores, classes, labels, "macroAUROC")
        let areas = (0..<classes).map { c in
            auroc(
                scores: stride(from: c, to: scores.count, by: classes).map { scores[$0] },
                isPositive: labels.map { $0 == c })
        }.filter { !$0.isNaN }
        return areas.reduce(0, +) / Double(areas.count)
    }

    static func requireSameCount(_ a: Int, _ b: Int, _ name: StaticString) {
        if a != b { fatalError("\(name): \(a) predictions for \(b) labels") }
    }

    static func requireRows(_ scores: [Float], _ classes: Int, _ labels: [Int], _ name: StaticString) {
        if classes < 1 || scores.count != labels.count * classes {
            fatalError("\(name): \(scores.count) scores are not [\(labels.count), \(classes)]")
        }
        if let wrong = labels.first(where: { !(0..<classes).contains($0) }) {
            fatalError("\(name): label \(wrong) is not of 0..<\(classes)")
        }
    }
}
