import FledgeCore
import FledgeData
import FledgeTrain

/// Labels for some of the unlabelled samples, found by spreading the known ones over the features, to start from.
///
/// They are used only where spreading is seen to work: it must find the labels it was not told (half of the known ones
/// from the other half). No test sample and no hidden label takes part.
struct TrustedLabels {
    /// The training data with the trusted labels added.
    let data: TrainingData
    let choice: Report.Choice

    /// Below this cross-validated accuracy spread labels would teach too many mistakes.
    static let leastAccuracy = 0.8
    /// The share of all samples that is trusted: the most certain ones, as many of each class.
    static let share = 0.5

    /// nil when spreading is not good enough here.
    init?(_ context: LearningContext) throws {
        let training = context.data
        let classes = context.classes
        var known = [Int?](repeating: nil, count: training.dataset.count)
        for (index, label) in zip(training.labelled, training.labels) { known[index] = label }
        let graph = LabelSpreadingGraph(
            features: try Inference.features(context.backbone, training.dataset, input: training.input))
        guard let accuracy = graph.crossValidatedAccuracy(known, classes: classes), accuracy >= Self.leastAccuracy else {
            return nil
        }
        let spread = graph.spread(known, classes: classes)
        var labels = known
        var candidates = [[(sample: Int, certainty: Float)]](repeating: [], count: classes)
        for sample in known.indices where known[sample] == nil {
            let row = spread[(sample * classes)..<((sample + 1) * classes)]
            let best = row.indices.max { row[$0] < row[$1] }!
            candidates[best - row.startIndex].append((sample, row[best]))
        }
        let perClass = Int(Double(known.count) * Self.share) / classes
        for (label, list) in candidates.enumerated() {
            for (sample, _) in list.sorted(by: { ($0.certainty, $1.sample) > ($1.certainty, $0.sample) }).prefix(perClass) {
                labels[sample] = label
            }
        }
        let trusted = labels.indices.filter { labels[$0] != nil }
        data = TrainingData(
            dataset: training.dataset.relabelled(labels, classNames: training.classNames), labelled: trusted,
            input: training.input)
        choice = Report.Choice(
            "starting labels", "\(trusted.count - training.labelled.count) more by label spreading",
            why: "it finds \(Int((accuracy * 100).rounded())) % of the known labels from the other half of them")
    }
}
