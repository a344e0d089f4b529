import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Temporal ensembling: a prediction must agree with the running average of the earlier ones about the same sample, one
/// for each epoch (Laine and Aila 2017, "Temporal ensembling for semi-supervised learning", algorithm 2).
public struct TemporalEnsembling: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var momentum = 0.3
        public var passes = 60
        public var roughness = 0.0
        public var consistency = ConsistencySettings()
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        /// The paper remembers longer (0.6), over 300 passes. Steps are also samples here: fewer would take fewer of them.
        public init() {
            consistency.rampUp = 0.8
            training.steps = 4000
        }

        public static let meanings = SharedSettings.meanings(and: [
            "momentum": "share of the average that stays at each epoch (alpha)",
            "passes":
                "how often each unlabelled sample is seen at least: where `training.steps` are too few for all samples, a random part of them is used",
            "roughness": "how far the views are changed: 0 gently, up to 1 as FixMatch's rough ones",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "momentum": .within(0..<1), "passes": .within(1...100_000), "roughness": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "temporal-ensembling", .semiSupervised,
        summary: "A prediction must agree with the average of earlier ones about the same sample.",
        paper: "Laine and Aila 2017, Temporal ensembling for semi-supervised learning",
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
        private let memory: PredictionMemory
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            memory = PredictionMemory(
                samples: context.data.dataset.count, classes: context.classes, momentum: config.momentum)
            let view = context.view(roughness: config.roughness)
            var feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
            feeds[1].samples = TemporalEnsembling.part(config, context)
            self.feeds = feeds
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let logits = classifier(concatenate([labelled.views[0], unlabelled.views[0]]))
                .split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            let supervised = crossEntropy(logits[0], labelled.labels)
            let p = logits[1].softmax()
            let (target, isKnown) = memory.targets(unlabelled.indices)
            // In the first epoch there is nothing to agree with.
            let unsupervised = FledgeMethods.consistency(
                p * isKnown, target * isKnown, reduction: config.consistency.reduction)
            memory.remember(p, of: unlabelled.indices)
            return StepOutput(
                supervised + unsupervised * config.consistency.weight(at: context.progress),
                [("labelled loss", supervised.item()), ("unlabelled loss", unsupervised.item())]
                    + known.logs(
                        target, counted: isKnown.reshaped([-1]), indices: unlabelled.indices))
        }

        public func remarks(_ trainer: Trainer, _ context: LearningContext) -> [String] {
            guard let used = feeds[1].samples?.count else { return [] }
            return [
                "\(used) of \(context.data.dataset.count) unlabelled samples were used, each at least \(config.passes) times; more steps use more"
            ]
        }
    }

    /// The targets grow by one pass after another. The samples that all `passes` over can be made; nil: all.
    private static func part(_ config: Config, _ context: LearningContext) -> [Int]? {
        let (count, batch) = (context.data.dataset.count, config.batchSize * config.unlabelledRatio)
        let enough = max(batch, config.training.steps * batch / config.passes)
        guard config.training.steps > 0, enough < count else { return nil }
        var random = context.random("part")
        return random.permutation(count).prefix(enough).sorted()
    }
}

/// A running average of the predictions about each sample, corrected for its beginning at zero: Z of temporal
/// ensembling. A part of the state: a checkpoint holds it.
final class PredictionMemory: Module {
    /// [samples, classes], and how often each sample was seen, [samples, 1].
    private let average: Buffer
    private let seen: Buffer
    private let momentum: Double

    init(samples: Int, classes: Int, momentum: Double) {
        average = Buffer(.zeros([samples, classes]))
        seen = Buffer(.zeros([samples, 1]))
        self.momentum = momentum
    }

    /// Z / (1 - alpha^seen) of these samples [M, classes], zero where a sample was never seen, and 1 or 0 for whether it
    /// was, [M, 1].
    func targets(_ indices: [Int]) -> (target: Tensor, isKnown: Tensor) {
        noGradient {
            let count = seen.value.indexSelect(axis: 0, indices)
            let isKnown = (count .> 0).cast(to: .float32)
            let correction = 1 - Tensor.full(count.shape, momentum).pow(count)
            return (average.value.indexSelect(axis: 0, indices) / (correction + (1 - isKnown)), isKnown)
        }
    }

    /// Z = alpha Z + (1 - alpha) p for these samples, each at most once.
    func remember(_ p: Tensor, of indices: [Int]) {
        noGradient {
            let old = average.value.indexSelect(axis: 0, indices)
            average.setRows(at: indices, to: old + (p.detached() - old) * (1 - momentum))
            seen.setRows(at: indices, to: seen.value.indexSelect(axis: 0, indices) + 1)
        }
    }
}
