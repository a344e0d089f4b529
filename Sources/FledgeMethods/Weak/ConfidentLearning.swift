import FledgeCore
import Foundation

/// Finds samples whose label is probably wrong (Northcutt et al. 2021, "Confident learning: estimating uncertainty in
/// dataset labels"): a sample that is confidently of another class, by the standard of that class, counts against its
/// label.
public struct ConfidentLearning: Sendable {
    /// A label that is probably wrong.
    public struct Suspect: Codable, Sendable, Equatable {
        public let sample: Int
        public let label: Int
        /// The class that it looks like.
        public let suggested: Int
        /// Probabilities of the given and of the suggested class.
        public let ofLabel: Double
        public let ofSuggested: Double

        enum CodingKeys: String, CodingKey {
            case sample, label, suggested
            case ofLabel = "label_probability"
            case ofSuggested = "suggested_probability"
        }
    }

    /// The confidence from which a sample counts as of a class: the mean of that class's probability over the samples
    /// labelled so (equation 2). A class without samples has 1.
    public let thresholds: [Double]
    /// classes * classes, in rows: how many samples labelled i count as of class j (equation 1).
    public let counts: [Int]
    /// The estimated share of all samples that are labelled i and are j, in rows: the counts, scaled to the number of
    /// labels of each class (equation 3).
    public let joint: [Double]
    /// The samples outside of the diagonal of the counts, the surest first.
    public let suspects: [Suspect]

    /// The estimated share of labels that are wrong.
    public var noise: Double {
        let k = thresholds.count
        return 1 - (0..<k).reduce(0) { $0 + joint[$1 * k + $1] }
    }

    /// A class with a single label is left out: whoever judged it has not seen the class, and nothing is known of how sure
    /// of it to be.
    /// - Parameters:
    ///   - probabilities: labels.count * classes, from models that did not learn from the sample they judge.
    ///   - labels: a class index for each sample.
    public init(probabilities: [Float], labels: [Int], classes k: Int) {
        let n = labels.count
        require(probabilities.count == n * k && n > 0, "ConfidentLearning: \(probabilities.count) for \(n) labels")
        var sums = [Double](repeating: 0, count: k)
        var sizes = [Int](repeating: 0, count: k)
        for (i, label) in labels.enumerated() {
            sums[label] += Double(probabilities[i * k + label])
            sizes[label] += 1
        }
        let thresholds = (0..<k).map { sizes[$0] > 0 ? sums[$0] / Double(sizes[$0]) : 1 }
        self.thresholds = thresholds
        var counts = [Int](repeating: 0, count: k * k)
        var suspects: [Suspect] = []
        for (i, label) in labels.enumerated() where sizes[label] > 1 {
            let row = probabilities[(i * k)..<((i + 1) * k)].map(Double.init)
            // Of several classes that it reaches, the likeliest.
            let reached = (0..<k).filter { sizes[$0] > 1 && row[$0] >= thresholds[$0] - 1e-7 }
            guard let found = reached.max(by: { (row[$0], -$0) < (row[$1], -$1) }) else { continue }
            counts[label * k + found] += 1
            if found != label {
                suspects.append(
                    Suspect(
                        sample: i, label: label, suggested: found, ofLabel: row[label], ofSuggested: row[found]))
            }
        }
        self.counts = counts
        // By the normalised margin, p(label) - p(other).
        self.suspects = suspects.sorted {
            ($0.ofLabel - $0.ofSuggested, $0.sample) < ($1.ofLabel - $1.ofSuggested, $1.sample)
        }
        joint = (0..<k).flatMap { i -> [Double] in
            let row = counts[(i * k)..<((i + 1) * k)]
            let total = row.reduce(0, +)
            let share = Double(sizes[i]) / Double(n)
            return (0..<k).map { j in
                total > 0 ? Double(row[row.startIndex + j]) / Double(total) * share : (i == j ? share : 0)
            }
        }
    }

    /// Judges the labels by a linear classifier on features, fitted to all folds but the sample's own.
    /// - Parameters:
    ///   - features: [N, D].
    ///   - folds: at most N.
    ///   - seed: decides the folds.
    /// - Returns: beside the finding, how often the classifier agrees with the labels: below about a half, the features say
    ///   too little for the suspects to be believed.
    public static func find(
        features: Tensor, labels: [Int], classes: Int, folds: Int = 5, seed: UInt64 = 0
    ) -> (found: ConfidentLearning, agreement: Double) {
        let probabilities = OutOfFold.probabilities(
            features, labels: labels, classes: classes, folds: min(folds, labels.count),
            random: RandomSource(seed: seed).stream("folds"))
        let predicted = (0..<labels.count).map { i in
            (0..<classes).max { probabilities[i * classes + $0] < probabilities[i * classes + $1] }!
        }
        let agreement = Double(zip(predicted, labels).count { $0 == $1 }) / Double(labels.count)
        return (ConfidentLearning(probabilities: probabilities, labels: labels, classes: classes), agreement)
    }
}
