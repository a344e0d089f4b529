import FledgeCore
import FledgeData
import FledgeTrain
import Foundation

/// Spreading the known labels over the features of a network, where that is seen to work: it must find the labels it
/// was not told (half of the known ones from the other half). No test sample and no hidden label takes part.
///
/// It serves twice: the spread labels join the known ones before learning, and afterwards, over the better features,
/// they vote beside the network.
struct SpreadLabels {
    /// The share of the known labels that was found from the other half of them.
    let accuracy: Double
    /// [n, D] of the samples that took part, in the order of the dataset.
    let features: Tensor
    /// These samples, and n * classes label shares.
    private let members: [Int]
    private let shares: [Float]
    private let classes: Int

    /// Below this cross-validated accuracy spread labels would teach too many mistakes.
    static let leastAccuracy = 0.8
    /// At most so many samples take part, since the search for neighbours grows with the square.
    static let limit = 20_000

    /// nil when spreading is not good enough here, or has nowhere to go.
    init?(_ context: LearningContext) throws {
        let training = context.data
        guard training.labelled.count < min(training.dataset.count, Self.limit) else { return nil }
        classes = context.classes
        let isKnown = Set(training.labelled)
        var random = context.random("spreading")
        let others = random.permutation(training.dataset.count).filter { !isKnown.contains($0) }
        members = (training.labelled + others.prefix(max(0, Self.limit - training.labelled.count))).sorted()
        let known = members.map { isKnown.contains($0) ? training.dataset.labels[$0] : nil }
        features = try Inference.features(context.backbone, training.dataset.subset(members), input: training.input)
        let graph = LabelSpreadingGraph(features: features)
        guard let accuracy = graph.crossValidatedAccuracy(known, classes: classes), accuracy >= Self.leastAccuracy
        else {
            return nil
        }
        self.accuracy = accuracy
        shares = ClassShares.imposed(training.labelledShares, on: graph.spread(known, classes: classes))
    }

    /// The training data with every sample that took part labelled: the known ones as before, the others by their
    /// largest share. All of them, since the certain ones alone teach nothing about the hard ones.
    func added(to training: TrainingData) -> TrainingData {
        var labels = [Int?](repeating: nil, count: training.dataset.count)
        for (sample, label) in zip(members, Metrics.predictions(scores: shares, classes: classes)) {
            labels[sample] = label
        }
        for (sample, label) in zip(training.labelled, training.labels) { labels[sample] = label }
        return TrainingData(
            dataset: training.dataset.relabelled(labels, classNames: training.classNames),
            labelled: labels.indices.filter { labels[$0] != nil }, input: training.input)
    }

    /// The model with the spread labels voting beside its head.
    func voting(beside model: FittedModel) -> FittedModel {
        // Labels that flowed far are spread thin. They are as sure of themselves as they were seen to be right.
        let sure = Self.sharpened(shares, classes: classes, confidence: accuracy)
        return FittedModel(
            backbone: model.backbone, head: model.head, bank: features,
            distributions: Tensor(sure, shape: [members.count, classes]), modelName: model.modelName,
            method: model.method, classNames: model.classNames, input: model.input)
    }

    /// Each row raised to the same power and made to sum to 1, so that the mean of the largest shares is `confidence`,
    /// or as near as powers of 1/16 to 256 come.
    /// - Parameter shares: rows * classes, each row summing to 1.
    static func sharpened(_ shares: [Float], classes: Int, confidence: Double) -> [Float] {
        // Relative to the largest of its row, which then is 1 and never nothing, whatever the power.
        var relative = shares
        for start in stride(from: 0, to: shares.count, by: classes) {
            let top = shares[start..<start + classes].max()!
            for i in start..<start + classes { relative[i] /= top }
        }
        func total(_ start: Int, _ power: Float) -> Float {
            (start..<start + classes).reduce(0) { $0 + pow(relative[$1], power) }
        }
        func meanOfLargest(_ power: Float) -> Double {
            let starts = stride(from: 0, to: shares.count, by: classes)
            return starts.reduce(0) { $0 + Double(1 / total($1, power)) } / Double(max(1, shares.count / classes))
        }
        var (low, high) = (-4.0, 8.0)
        for _ in 0..<20 {
            let middle = (low + high) / 2
            if meanOfLargest(Float(exp2(middle))) < confidence { low = middle } else { high = middle }
        }
        let power = Float(exp2(high))
        for start in stride(from: 0, to: shares.count, by: classes) {
            let total = total(start, power)
            for i in start..<start + classes { relative[i] = pow(relative[i], power) / total }
        }
        return relative
    }
}
