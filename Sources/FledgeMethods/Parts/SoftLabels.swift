import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Learns from shares of classes in the place of labels: what a label model, a teacher or an estimate says of a sample.
/// The loss is the cross-entropy with that distribution.
final class SoftLabelTask: TrainingTask {
    let classifier: Classifier
    let feeds: [Feed]
    /// [samples of the dataset, classes]. Never changes.
    private let targets: Tensor
    var trained: any Module { classifier }

    /// - Parameter targets: for every sample of the dataset and every class; only those of `labelled` are looked at.
    init(_ context: LearningContext, targets: [Float], batchSize: Int) {
        classifier = context.makeClassifier()
        self.targets = Tensor(targets, shape: [context.data.dataset.count, context.classes])
        feeds = [Feed("samples", from: .labelled, batchSize: batchSize, views: [context.weakView])]
    }

    func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
        let batch = batches["samples"]!
        let wanted = targets.indexSelect(axis: 0, batch.indices)
        let logits = classifier(batch.views[0])
        return StepOutput(
            crossEntropy(logits, soft: wanted), [("agreement", batchAccuracy(logits, wanted.argmax()))])
    }
}

/// One row of class shares for each sample: 1/k for each of its k classes, nothing for one without.
/// - Returns: samples * classes numbers.
func evenShares(_ classesOfSamples: [[Int]], classes: Int) -> [Float] {
    var shares = [Float](repeating: 0, count: classesOfSamples.count * classes)
    for (sample, own) in classesOfSamples.enumerated() {
        for label in own { shares[sample * classes + label] = 1 / Float(own.count) }
    }
    return shares
}

extension LearningContext {
    /// Trains the network, from where it stands, on `targets` of `samples`.
    /// - Parameters:
    ///   - targets: one row of class shares for every sample of the dataset.
    ///   - samples: those that take part; one that is named twice counts twice.
    func train(
        onShares targets: [Float], of samples: [Int], batchSize: Int, _ settings: TrainingSettings, title: String
    ) throws -> (task: SoftLabelTask, trainer: Trainer) {
        let likeliest = Metrics.predictions(scores: targets, classes: classes)
        var labels = [Int?](repeating: nil, count: data.dataset.count)
        for sample in samples { labels[sample] = likeliest[sample] }
        var context = self
        context.data = TrainingData(
            dataset: data.dataset.relabelled(labels, classNames: data.classNames), labelled: samples,
            input: data.input)
        let task = SoftLabelTask(context, targets: targets, batchSize: batchSize)
        let groups = task.classifier.groups(settings: settings)
        return (task, try context.train(task, settings, title: title, groups: groups))
    }
}
