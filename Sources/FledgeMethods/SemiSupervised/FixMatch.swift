import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// FixMatch: what the network says with confidence of a gently changed sample is the label of the roughly changed one
/// (Sohn et al. 2020, "FixMatch: simplifying semi-supervised learning with consistency and confidence").
public struct FixMatch: TrainedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var threshold = 0.95
        public var unlabelledWeight = 1.0
        public var magnitude = 1.0
        public var cutout = 0.5
        public var distributionAlignment = true
        public var backboneRate = 1.0
        public var training = TrainingSettings()

        public init() {
            training.steps = 1500
            training.optimizer = .sgd
            training.learningRate = 0.03
            training.weightDecay = 5e-4
            training.averaging = 0.99
        }

        public static let meanings = [
            "batchSize": "labelled samples for each step",
            "unlabelledRatio": "unlabelled samples for each labelled one in a step (mu)",
            "threshold": "confidence from which a prediction becomes a label (tau)",
            "unlabelledWeight": "weight of the unlabelled loss (lambda)",
            "magnitude": "strength of the rough views, 0 to 1",
            "cutout": "side of the hole in rough views, as a share of the picture's; 0 cuts none",
            "distributionAlignment":
                "brings the predicted class shares towards those of the labels (ReMixMatch, Berthelot et al. 2020)",
            "backboneRate": "learning rate of the backbone, relative to the head's",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(1...65536), "unlabelledRatio": .within(1...100), "threshold": .within(0...1),
            "unlabelledWeight": .atLeast(0), "backboneRate": .atLeast(0), "magnitude": .within(0...1),
            "cutout": .within(0...1),
        ]
    }

    public static let info = MethodInfo(
        "fixmatch", .semiSupervised,
        summary: "Confident predictions on gentle views become the labels of rough views.",
        paper: "Sohn et al. 2020, FixMatch: simplifying semi-supervised learning with consistency and confidence",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        task.classifier.groups(settings: training, backboneRate: config.backboneRate)
    }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let (task, trainer) = try train(context)
        var warnings: [String] = []
        if let mask = trainer.lastMean("mask rate"), mask < 0.05 {
            warnings.append(
                "fewer than 5 % of the unlabelled samples were confident enough at the end; try --set threshold=0.8 or more steps"
            )
        }
        return try trainer.finished(
            task.classifier, context, method: Self.info.name, curves: trainer.curves(Self.info.name),
            warnings: warnings)
    }

    public final class Task: ClassifyingTask {
        let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        /// Running mean of the predictions, and the class shares of the labels, for distribution alignment.
        private let predicted: Buffer
        private let wanted: Tensor
        public var trained: any Module { classifier }

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            let weak = context.weakView
            let strong = context.strongView(magnitude: config.magnitude, cutout: config.cutout)
            feeds = [
                Feed("labelled", from: .labelled, batchSize: config.batchSize, views: [weak]),
                Feed(
                    "unlabelled", from: .everything, batchSize: config.batchSize * config.unlabelledRatio,
                    views: [weak, strong]),
            ]
            let classes = context.classes
            predicted = Buffer(.full([classes], 1 / Double(classes)))
            wanted = Tensor(context.data.labels).oneHot(classes: classes).mean(axis: 0)
        }

        public func logits(_ x: Tensor) -> Tensor { classifier(x) }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let labelled = batches["labelled"]!
            let (weak, strong) = (batches["unlabelled"]!.views[0], batches["unlabelled"]!.views[1])

            // Labels for the unlabelled, from a pass that no gradient flows through and none is computed for. Gentle
            // views look like what will be classified one day, so only they make the running statistics.
            let guess = noGradient { classifier(weak).softmax() }
            let target = config.distributionAlignment ? aligned(guess) : guess
            let confident = (target.max(axis: -1) .>= config.threshold).cast(to: .float32)

            let (logits, rough) = withoutStatistics { (classifier(labelled.views[0]), classifier(strong)) }
            let supervised = crossEntropy(logits, labelled.labels)
            let unsupervised = FixMatch.loss(rough, labels: target.argmax(), confident: confident)
            return StepOutput(
                supervised + unsupervised * config.unlabelledWeight,
                [
                    ("mask rate", confident.mean().item()), ("labelled loss", supervised.item()),
                    ("unlabelled loss", unsupervised.item()),
                ])
        }

        /// Normalises by the batch without touching the running statistics.
        private func withoutStatistics<Result>(_ body: () -> Result) -> Result {
            let norms = classifier.modules().compactMap { $0.item as? BatchNorm }
            for norm in norms { norm.updatesStatistics = false }
            defer { for norm in norms { norm.updatesStatistics = true } }
            return body()
        }

        /// p * wanted / mean prediction, made to sum to 1.
        private func aligned(_ p: Tensor) -> Tensor {
            predicted.value = predicted.value * 0.99 + p.mean(axis: 0) * 0.01
            let shifted = p * (wanted / (predicted.value + 1e-6))
            return shifted / shifted.sum(axis: -1, keepDims: true)
        }
    }

    /// Cross-entropy of the rough views against the guessed labels, counted where the guess was confident and averaged
    /// over all samples (equation 4).
    /// - Parameters:
    ///   - logits: [M, classes] of the rough views.
    ///   - labels: int64 [M].
    ///   - confident: 1 or 0 for each [M].
    public static func loss(_ logits: Tensor, labels: Tensor, confident: Tensor) -> Tensor {
        (crossEntropy(logits, labels, reduction: .none) * confident).mean()
    }
}
