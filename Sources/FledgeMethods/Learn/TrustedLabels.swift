import FledgeCore
import FledgeData
import FledgeTrain

/// Spreading the known labels over the features of a network, where that is seen to work: it must find the labels it
/// was not told (half of the known ones from the other half). No test sample and no hidden label takes part.
///
/// It serves twice: the most certain labels join the known ones before learning, and afterwards, over the better
/// features, all of them vote beside the network.
struct TrustedLabels {
    /// The share of the known labels that was found from the other half of them.
    let accuracy: Double
    /// The samples that took part, their features [n, D], and n * classes label shares.
    private let members: [Int]
    private let features: Tensor
    private let spread: [Float]
    private let known: [Int?]
    private let classes: Int

    /// Below this cross-validated accuracy spread labels would teach too many mistakes.
    static let leastAccuracy = 0.8
    /// The share of the samples that is trusted: the most certain ones, as many of each class.
    static let share = 0.5
    /// At most so many samples take part, since the search for neighbours grows with the square.
    static let limit = 10_000

    /// nil when spreading is not good enough here.
    init?(_ context: LearningContext) throws {
        let training = context.data
        classes = context.classes
        let isKnown = Set(training.labelled)
        var random = context.random("spreading")
        let others = random.permutation(training.dataset.count).filter { !isKnown.contains($0) }
        members = (training.labelled + others.prefix(max(0, Self.limit - training.labelled.count))).sorted()
        known = members.map { isKnown.contains($0) ? training.dataset.labels[$0] : nil }
        features = try Inference.features(context.backbone, training.dataset.subset(members), input: training.input)
        let graph = LabelSpreadingGraph(features: features)
        guard let accuracy = graph.crossValidatedAccuracy(known, classes: classes), accuracy >= Self.leastAccuracy else {
            return nil
        }
        self.accuracy = accuracy
        spread = graph.spread(known, classes: classes)
    }

    /// The training data with the most certain labels added.
    func added(to training: TrainingData) -> TrainingData {
        var candidates = [[(sample: Int, certainty: Float)]](repeating: [], count: classes)
        for (place, sample) in members.enumerated() where known[place] == nil {
            let row = spread[(place * classes)..<((place + 1) * classes)]
            let best = row.indices.max { row[$0] < row[$1] }!
            candidates[best - row.startIndex].append((sample, row[best]))
        }
        var labels = [Int?](repeating: nil, count: training.dataset.count)
        for (sample, label) in zip(training.labelled, training.labels) { labels[sample] = label }
        let perClass = Int(Double(members.count) * Self.share) / classes
        for (label, list) in candidates.enumerated() {
            let certain = list.sorted { ($0.certainty, $1.sample) > ($1.certainty, $0.sample) }
            for (sample, _) in certain.prefix(perClass) { labels[sample] = label }
        }
        return TrainingData(
            dataset: training.dataset.relabelled(labels, classNames: training.classNames),
            labelled: labels.indices.filter { labels[$0] != nil }, input: training.input)
    }

    /// The model with the spread labels voting beside its head.
    func voting(beside model: FittedModel) -> FittedModel {
        FittedModel(
            backbone: model.backbone, head: model.head, bank: features,
            distributions: Tensor(spread, shape: [members.count, classes]), modelName: model.modelName,
            method: model.method, classNames: model.classNames, input: model.input)
    }
}
