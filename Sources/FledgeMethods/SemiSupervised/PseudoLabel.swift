import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Pseudo-label: the network's own confident predictions are its labels, with a weight that grows (Lee 2013,
/// "Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks").
public struct PseudoLabel: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var threshold = 0.7
        public var unlabelledWeight = 3.0
        public var rampStart = 0.1
        public var rampEnd = 0.6
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "threshold": "confidence from which a prediction becomes a label; the paper has 0",
            "unlabelledWeight": "weight of the unlabelled loss once it has risen (alpha)",
            "rampStart": "share of the training after which the unlabelled loss begins to count",
            "rampEnd": "share of the training after which it counts in full",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "threshold": .within(0...1), "unlabelledWeight": .atLeast(0), "rampStart": .within(0...1),
            "rampEnd": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "pseudo-label", .semiSupervised,
        summary: "The network's confident predictions become its labels, with growing weight.",
        paper:
            "Lee 2013, Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            let view = context.weakView
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let logits = classifier(concatenate([labelled.views[0], unlabelled.views[0]]))
                .split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            let supervised = crossEntropy(logits[0], labelled.labels)
            let (unsupervised, counted) = pseudoLabelLoss(logits[1], threshold: config.threshold)
            let weight = config.unlabelledWeight * linearRamp(context.progress, config.rampStart, config.rampEnd)
            return known.output(
                supervised: supervised, unsupervised: unsupervised, weight: weight, guesses: logits[1],
                counted: counted, indices: unlabelled.indices)
        }
    }
}

/// Cross-entropy of predictions against their own largest class, counted where it has `threshold` of the probability and
/// averaged over all samples (Lee 2013, equation 15). The labels are constants: the gradient makes the likely likelier.
/// - Parameter logits: [M, classes].
/// - Returns: the loss, and which samples count: 1 or 0, [M].
public func pseudoLabelLoss(_ logits: Tensor, threshold: Double) -> (loss: Tensor, counted: Tensor) {
    require(logits.rank == 2, "pseudoLabelLoss: logits \(logits.shape)")
    let guess = noGradient { logits.detached().softmax() }
    let counted = (guess.max(axis: -1) .>= threshold).cast(to: logits.dtype)
    return ((crossEntropy(logits, guess.argmax(), reduction: .none) * counted).mean(), counted)
}
