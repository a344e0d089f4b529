import FledgeCore
import FledgeTrain

/// How frequent the classes are among samples without labels. Where the same number of each class was labelled, the
/// labels do not tell.
enum ClassShares {
    /// From what a classifier says of the samples that was trained on others: their class shares are corrected again and
    /// again by its answers until both agree (Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier
    /// to new a priori probabilities").
    /// - Parameters:
    ///   - probabilities: samples * classes numbers, each row summing to 1.
    ///   - prior: class shares among the samples that the classifier was trained on. A class that it was not shown stays
    ///     without a share: its answers about it mean nothing.
    static func estimate(_ probabilities: [Float], trainedOn prior: [Double], iterations: Int = 100) -> [Double] {
        let classes = prior.count
        let samples = probabilities.count / classes
        guard samples > 0 else { return prior }
        var shares = prior
        for _ in 0..<iterations {
            let weights = zip(shares, prior).map { $1 > 0 ? $0 / $1 : 0 }
            var totals = [Double](repeating: 0, count: classes)
            for start in stride(from: 0, to: probabilities.count, by: classes) {
                let row = weights.indices.map { weights[$0] * Double(probabilities[start + $0]) }
                let sum = row.reduce(0, +)
                guard sum > 0 else { continue }
                for c in row.indices { totals[c] += row[c] / sum }
            }
            let sum = totals.reduce(0, +)
            shares = totals.map { $0 / sum }
        }
        return shares
    }

    /// Answers scaled so that every class has its share of them in all (class mass normalisation: Zhu, Ghahramani and Lafferty
    /// 2003, "Semi-supervised learning using Gaussian fields and harmonic functions", section 4).
    /// - Parameter answers: samples * classes numbers, each row summing to 1.
    /// - Returns: the same, each row summing to 1 again.
    static func imposed(_ shares: [Double], on answers: [Float]) -> [Float] {
        let classes = shares.count
        var totals = [Double](repeating: 0, count: classes)
        for (i, answer) in answers.enumerated() { totals[i % classes] += Double(answer) }
        let all = totals.reduce(0, +)
        let scale = zip(shares, totals).map { $1 > 0 ? Float($0 * all / $1) : 0 }
        var result = answers
        for start in stride(from: 0, to: answers.count, by: classes) {
            let row = (0..<classes).map { answers[start + $0] * scale[$0] }
            let sum = row.reduce(0, +)
            for c in 0..<classes where sum > 0 { result[start + c] = row[c] / sum }
        }
        return result
    }

    /// Half the sum of the differences: the share of samples that would have to change their class (total variation).
    static func distance(_ a: [Double], _ b: [Double]) -> Double {
        zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / 2
    }
}

extension TrainingData {
    /// The class shares among the labelled samples.
    var labelledShares: [Double] {
        var counts = [Double](repeating: 0, count: classNames.count)
        for label in labels { counts[label] += 1 }
        return counts.map { $0 / Double(labelled.count) }
    }
}
