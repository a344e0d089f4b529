import FledgeCore
import FledgeData
import FledgeTrain

/// What a classifier answers about the training samples, and what is wrong with it. Needs no label but those that are
/// known.
struct AnswerHealth {
    /// Share of the answers for each class.
    let shares: [Double]
    /// Mean largest probability, and its mean distance from the second.
    let confidence: Double
    let margin: Double
    /// The share of the known labels that is answered.
    let fitted: Double
    private let classNames: [String]
    private let knownClasses: Double

    /// So many samples, evenly spread, are asked about.
    static let limit = 2000

    init(_ model: FittedModel, _ context: LearningContext) throws {
        let data = context.data
        classNames = data.classNames
        let classes = classNames.count, count = min(Self.limit, data.dataset.count)
        let some = data.dataset.subset((0..<count).map { $0 * data.dataset.count / count })
        let probabilities = try model.probabilities(of: some)
        var (confidence, margin) = (0.0, 0.0)
        var counts = [Double](repeating: 0, count: classes)
        for row in 0..<count {
            var (best, second, bestClass) = (-Float.infinity, -Float.infinity, 0)
            for c in 0..<classes {
                let p = probabilities[row * classes + c]
                if p > best {
                    (best, second, bestClass) = (p, best, c)
                } else if p > second {
                    second = p
                }
            }
            counts[bestClass] += 1
            confidence += Double(best)
            margin += Double(best - (classes > 1 ? second : 0))
        }
        shares = counts.map { $0 / Double(count) }
        self.confidence = confidence / Double(count)
        self.margin = margin / Double(count)
        let known = data.dataset.subset(context.given ?? data.labelled)
        let given = known.labels.compactMap { $0 }
        fitted = Metrics.accuracy(
            predicted: Metrics.predictions(scores: try model.probabilities(of: known), classes: classes), labels: given)
        var labels = [Double](repeating: 0, count: classes)
        for label in given { labels[label] += 1 }
        knownClasses = effectiveCount(of: labels)
    }

    /// Above so many classes, their shares fill no table that a person reads.
    private static let namedClasses = 20

    /// For the report.
    var metrics: [String: Double] {
        var metrics = [
            "confidence": confidence, "margin": margin, "known_labels_answered": fitted,
            "answered_classes": effectiveCount(of: shares),
        ]
        if classNames.count <= Self.namedClasses {
            for (name, share) in zip(classNames, shares) { metrics["share_of_\(name)"] = share }
        }
        return metrics
    }

    /// What a person should know.
    var warnings: [String] {
        var warnings: [String] = []
        let answered = effectiveCount(of: shares)
        if answered < knownClasses / 2 {
            let (largest, share) = zip(classNames, shares).max { $0.1 < $1.1 }!
            warnings.append(
                "collapse: the answers are spread over \(text(answered)) classes and the labels over "
                    + "\(text(knownClasses)); \(Int((share * 100).rounded())) % are \"\(largest)\"")
        }
        if fitted < 0.9 {
            warnings.append(
                "negative transfer is likely: \(Int((fitted * 100).rounded())) % of the labels that it was given are "
                    + "answered right; compare with supervised, train for longer, or weigh unlabelled samples less")
        }
        return warnings
    }

    private func text(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
