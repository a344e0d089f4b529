import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Exemplar networks: each of some pictures is a class of its own, made of changed copies of it (Dosovitskiy et al.
/// 2014, "Discriminative unsupervised feature learning with convolutional neural networks").
public struct Exemplar: Pretraining {
    /// The paper has 8,000 to 16,000 classes of 150 copies each, from pictures that show something.
    public struct Config: Settings {
        public var batchSize = 128
        public var classes = 1000
        public var views = ViewSettings()
        public var training = TrainingSettings()

        public init() {
            training.epochs = 100
            training.learningRate = 2e-3
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "copies for each step",
            "classes":
                "how many samples become classes, drawn at random; more than there are takes all. An epoch shows a copy of each",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "classes": .within(2...1_000_000),
        ]
    }

    public static let info = MethodInfo(
        "exemplar", .selfSupervised,
        summary: "Tell of which single sample this is a changed copy.",
        paper:
            "Dosovitskiy et al. 2014, Discriminative unsupervised feature learning with convolutional neural networks",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let head: Linear
        public let feeds: [Feed]
        public let ruler: LossRuler?
        /// The class of each sample that is one.
        private let classes: [Int: Int]

        init(_ config: Config, _ context: LearningContext) {
            backbone = context.backbone
            var random = context.random("classes")
            let some = random.permutation(context.data.dataset.count).prefix(config.classes)
            classes = Dictionary(uniqueKeysWithValues: zip(some, 0...))
            random = context.random("head")
            head = Linear(backbone.featureCount, some.count, random: &random)
            let view = context.randomView(config.views)
            feeds = [
                Feed(
                    "copies", from: .everything, batchSize: config.batchSize, views: [view], samples: Array(some))
            ]
            ruler = LossRuler(uninformative: log(Double(some.count)), formula: "ln \(some.count)")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["copies"]!
            let labels = Tensor(batch.indices.map { classes[$0]! })
            let logits = head(backbone(batch.views[0]))
            return StepOutput(crossEntropy(logits, labels), [("accuracy", batchAccuracy(logits, labels))])
        }
    }
}
