import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Learning from the labelled samples alone: the baseline, and with a pretrained backbone fine-tuning.
///
/// Options for fine-tuning: a frozen backbone, lower rates for earlier layers, and L2-SP, which pulls the weights to
/// where they started instead of to zero (Li et al. 2018, "Explicit inductive bias for transfer learning").
public struct Supervised: TrainedMethod {
    public struct Config: Settings {
        public enum View: String, Codable, Sendable, CaseIterable { case plain, weak, strong }

        public var batchSize = 64
        public var view = View.weak
        public var labelSmoothing = 0.0
        public var freezeBackbone = false
        public var backboneRate = 1.0
        public var layerDecay = 1.0
        public var l2sp = 0.0
        public var training = TrainingSettings()

        public init() {
            training.steps = 600
            training.averaging = 0.99
        }

        /// For the methods that train on labels within: gentle views, and their own training.
        init(batchSize: Int, backboneRate: Double = 1, training: TrainingSettings) {
            (self.batchSize, self.backboneRate, self.training) = (batchSize, backboneRate, training)
        }

        public static let meanings = [
            "batchSize": "labelled samples for each step; batch normalisation needs two",
            "view": "augmentation of the samples: none, gentle or rough",
            "labelSmoothing": "share of the target that is spread over all classes",
            "freezeBackbone": "trains the head only",
            "backboneRate": "learning rate of the backbone, relative to the head's",
            "layerDecay": "further factor of the rate for each block below the last; 1 trains all alike",
            "l2sp": "strength of the pull of the backbone to its starting weights",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "labelSmoothing": .within(0..<1), "backboneRate": .atLeast(0),
            "layerDecay": .above(0, upTo: 1), "l2sp": .atLeast(0),
        ]
    }

    public static let info = MethodInfo(
        "supervised", .supervised, summary: "Learns from the labelled samples alone; fine-tunes a pretrained network.",
        paper: "LeCun et al. 1998, Gradient-based learning applied to document recognition; L2-SP: Li et al. 2018",
        needs: [.labels])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        task.classifier.groups(
            settings: training, backboneRate: config.backboneRate, layerDecay: config.layerDecay)
    }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let (task, trainer) = try train(context)
        return try trainer.finished(
            task.classifier, context, method: Self.info.name, curves: trainer.curves(Self.info.name))
    }

    public final class Task: ClassifyingTask {
        let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        /// L2-SP's term of the loss. A function, because a module may not hold parameters inside a struct.
        private let pull: (() -> Tensor)?
        public var trained: any Module { classifier }

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            let view: Augmentation =
                switch config.view {
                case .plain: context.plainView
                case .weak: context.weakView
                case .strong: context.strongView
                }
            feeds = [Feed("labelled", from: .labelled, batchSize: config.batchSize, views: [view])]
            let weights = context.backbone.parameters()
            pull =
                config.l2sp > 0 && !weights.isEmpty
                ? DistanceFromStart(strength: config.l2sp, of: weights).callAsFunction : nil
            if config.freezeBackbone { context.backbone.freeze() }
        }

        public func logits(_ x: Tensor) -> Tensor { classifier(x) }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["labelled"]!
            let logits = classifier(batch.views[0])
            var loss = crossEntropy(logits, batch.labels, labelSmoothing: config.labelSmoothing)
            if let pull { loss = loss + pull() }
            return StepOutput(loss, [("accuracy", batchAccuracy(logits, batch.labels))])
        }
    }
}
