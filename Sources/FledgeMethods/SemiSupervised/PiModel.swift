import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Pi-model: two random views of a sample, and two draws of dropout, must give the same prediction (Laine and Aila 2017,
/// "Temporal ensembling for semi-supervised learning", algorithm 1).
public struct PiModel: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var roughness = 0.0
        public var consistency = ConsistencySettings()
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "roughness": "how far the views are changed: 0 gently, up to 1 as FixMatch's rough ones"
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "roughness": .within(0...1)
        ])
    }

    public static let info = MethodInfo(
        "pi-model", .semiSupervised,
        summary: "Two random views of a sample must give the same prediction.",
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
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            let view = context.view(roughness: config.roughness)
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view, view])
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let count = unlabelled.indices.count
            let logits = classifier(concatenate([labelled.views[0]] + unlabelled.views))
                .split(sizes: [labelled.indices.count, count, count], axis: 0)
            let supervised = crossEntropy(logits[0], labelled.labels)
            // Both sides are pulled, as in the authors' code; others stop the gradient of one.
            let unsupervised = FledgeMethods.consistency(
                logits[1].softmax(), logits[2].softmax(), reduction: config.consistency.reduction)
            return StepOutput(
                supervised + unsupervised * config.consistency.weight(at: context.progress),
                [("labelled loss", supervised.item()), ("unlabelled loss", unsupervised.item())]
                    + known.logs(logits[1], indices: unlabelled.indices))
        }
    }
}
