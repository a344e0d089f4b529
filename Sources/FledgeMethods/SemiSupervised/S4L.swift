import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// S4L: beside the classes of the labelled samples, the network learns a task that needs no labels: by how much any
/// picture was turned, or which changed copies are of the same sample (Zhai et al. 2019, "S4L: self-supervised
/// semi-supervised learning").
public struct S4L: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 32
        public var unlabelledRatio = 3
        public var pretext = Pretext.auto
        public var copies = 2
        public var temperature = 1.0
        public var unlabelledWeight = 1.0
        public var backboneRate = 1.0
        public var views = ViewSettings()
        public var training = TrainingSettings.semiSupervised

        public init() { views.cropScale = 0.7 }

        public static let meanings = SharedSettings.meanings(and: [
            "pretext":
                "the task without labels: tell by which right angle a picture was turned, or find the copies of a sample; auto: rotation where a mirrored picture keeps its class, else exemplar, as letters and digits are known by what is up",
            "copies": "changed copies of each sample (exemplar)",
            "temperature": "divides the similarities of copies; lower looks harder at near misses (exemplar)",
            "unlabelledWeight": "weight of the task without labels (w)",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "copies": .within(2...64), "temperature": .within(0.001...1000), "unlabelledWeight": .atLeast(0),
        ])
    }

    /// What is learned without labels.
    public enum Pretext: String, Codable, Sendable, CaseIterable { case auto, rotation, exemplar }

    public static let info = MethodInfo(
        "s4l", .semiSupervised,
        summary: "Learns beside the classes how much pictures were turned, or which copies are of one sample.",
        paper: "Zhai et al. 2019, S4L: self-supervised semi-supervised learning",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    /// - Throws: `MethodError.needsImages` when rows of numbers should be turned.
    public func makeTask(_ context: LearningContext) throws -> Task {
        if config.pretext == .rotation, !context.input.isImage { throw MethodError.needsImages(Self.info.name) }
        return Task(config, context)
    }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        let pretext = task.pretextHead.parameters().map { Named("pretextHead.\($0.name)", $0.item) }
        return task.classifier.groups(settings: training, backboneRate: config.backboneRate)
            + ParameterGroup.decaying(pretext, weightDecay: training.weightDecay)
    }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        /// From the backbone's features to the four turns, or to the vectors that copies are recognised by.
        let pretextHead: Linear
        public let feeds: [Feed]
        private let config: Config
        private let rotates: Bool
        private let turning: @Sendable (Tensor, Int) -> Tensor

        /// - Parameter turning: a picture turned by so many quarters. Only a test turns otherwise.
        init(
            _ config: Config, _ context: LearningContext,
            turning: @escaping @Sendable (Tensor, Int) -> Tensor = { $0.rotated90($1) }
        ) {
            self.config = config
            self.turning = turning
            classifier = context.makeClassifier()
            rotates = config.pretext == .rotation || config.pretext == .auto && context.input.isImage && context.flip
            var random = context.random("pretext")
            pretextHead = Linear(classifier.backbone.featureCount, rotates ? 4 : 128, random: &random)
            let pair = context.randomViews(config.views)
            let views = rotates ? [context.weakView] : (0..<config.copies).map { pair[$0 % 2] }
            feeds = [
                Feed("labelled", from: .labelled, batchSize: config.batchSize, views: views),
                Feed(
                    "unlabelled", from: .everything, batchSize: config.batchSize * config.unlabelledRatio,
                    views: views),
            ]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let views = zip(labelled.views, unlabelled.views).map { concatenate([$0, $1]) }
            let versions = rotates ? (0..<4).map { turning(views[0], $0) } : views
            let features = classifier.backbone(concatenate(versions))

            // Whatever way up or changed, a sample is of its class.
            let (count, n) = (versions[0].shape[0], versions.count)
            let known = concatenate(
                (0..<n).map { features.narrowed(axis: 0, start: $0 * count, length: labelled.indices.count) })
            let supervised = crossEntropy(
                classifier.head(known), concatenate(Array(repeating: labelled.labels, count: n)))

            let answers = pretextHead(features)
            let (unsupervised, log) =
                rotates
                ? turnLoss(answers, count)
                : exemplarLoss(
                    answers, labelled.indices + unlabelled.indices, labelled: labelled.indices.count)
            return StepOutput(
                supervised + unsupervised * config.unlabelledWeight,
                [("labelled loss", supervised.item()), ("unlabelled loss", unsupervised.item()), log])
        }

        private func turnLoss(_ answers: Tensor, _ count: Int) -> (Tensor, log: (String, Double)) {
            let turned = Tensor((0..<4).flatMap { [Int](repeating: $0, count: count) })
            return (crossEntropy(answers, turned), ("turn accuracy", batchAccuracy(answers, turned)))
        }

        /// The paper draws copies together by a triplet loss with the hardest negatives; from scratch, with few samples in
        /// a batch, that stays where all vectors are the same, so all negatives count here.
        private func exemplarLoss(_ z: Tensor, _ samples: [Int], labelled: Int) -> (Tensor, log: (String, Double)) {
            let count = samples.count, copies = z.shape[0] / count
            let labels = Tensor([[Int]](repeating: samples, count: copies).flatMap { $0 })
            let loss = supCon(z, labels: labels, temperature: config.temperature)
            let found: Double = noGradient {
                let unit = z.l2Normalized(axis: -1)
                let isSelf = Tensor.eye(z.shape[0]) .> 0.5
                let nearest = unit.matmul(unit.transposed()).maskedFill(isSelf, -.infinity).argmax(axis: 1)
                let isOwn = (labels.indexSelect(axis: 0, nearest) .== labels).reshaped([copies, count])
                return isOwn.narrowed(axis: 1, start: labelled, length: count - labelled).cast(to: .float32).mean()
                    .item()
            }
            return (loss, ("copies found", found))
        }

        /// Pictures that look the same all ways round teach nothing, and nor do copies that nothing tells apart.
        public func remarks(_ trainer: Trainer, _ context: LearningContext) -> [String] {
            if let accuracy = trainer.lastMean("turn accuracy"), accuracy < 0.3 {
                return [
                    "the turns were not learned: these pictures look alike all ways round, or more steps are needed"
                ]
            }
            if let found = trainer.lastMean("copies found"), found < 0.2 {
                return [
                    "the copies of a sample were not found among others: try a larger views.cropScale, or more steps"
                ]
            }
            return []
        }
    }
}
