import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// S4L: beside the classes of the labelled pictures, the network learns to tell by how much any picture was turned (Zhai
/// et al. 2019, "S4L: self-supervised semi-supervised learning").
public struct S4L: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 32
        public var unlabelledRatio = 3
        public var turns = Turns.auto
        public var unlabelledWeight = 1.0
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "turns":
                "quarter turns to tell apart; two (none and one) for digits and letters, since half a turn makes a 9 of a 6; auto: four where a mirrored picture keeps its class, else two",
            "unlabelledWeight": "weight of telling the turns (w)",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "unlabelledWeight": .atLeast(0)
        ])
    }

    public static let info = MethodInfo(
        "s4l", .semiSupervised,
        summary: "Tells beside the classes by how much a picture was turned.",
        paper: "Zhai et al. 2019, S4L: self-supervised semi-supervised learning",
        needs: [.labels, .unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    /// - Throws: `MethodError.needsImages` for rows of numbers, which cannot be turned.
    public func makeTask(_ context: LearningContext) throws -> Task {
        guard context.input.isImage else { throw MethodError.needsImages(Self.info.name) }
        return Task(config, context)
    }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        let turns = task.turnHead.parameters().map { Named("turnHead.\($0.name)", $0.item) }
        return task.classifier.groups(settings: training, backboneRate: config.backboneRate)
            + ParameterGroup.decaying(turns, weightDecay: training.weightDecay)
    }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        /// From the backbone's features to the number of quarter turns.
        let turnHead: Linear
        public let feeds: [Feed]
        private let config: Config
        private let turns: Int
        private let turning: @Sendable (Tensor, Int) -> Tensor

        /// - Parameter turning: a picture turned by so many quarters. Only a test turns otherwise.
        init(
            _ config: Config, _ context: LearningContext,
            turning: @escaping @Sendable (Tensor, Int) -> Tensor = { $0.rotated90($1) }
        ) {
            self.config = config
            self.turning = turning
            classifier = context.makeClassifier()
            turns = config.turns.count(isPhoto: context.flip)
            var random = context.random("turns")
            turnHead = Linear(classifier.backbone.featureCount, turns, random: &random)
            let view = context.weakView
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let pictures = concatenate([labelled.views[0], unlabelled.views[0]])
            // Whatever way up, a picture is of its class.
            let features = classifier.backbone(concatenate((0..<turns).map { turning(pictures, $0) }))
            let (count, b) = (pictures.shape[0], labelled.indices.count)
            let known = concatenate(
                (0..<turns).map { features.narrowed(axis: 0, start: $0 * count, length: b) })
            let supervised = crossEntropy(
                classifier.head(known), concatenate(Array(repeating: labelled.labels, count: turns)))
            let turned = Tensor((0..<turns).flatMap { [Int](repeating: $0, count: count) })
            let answers = turnHead(features)
            let unsupervised = crossEntropy(answers, turned)
            return StepOutput(
                supervised + unsupervised * config.unlabelledWeight,
                [
                    ("labelled loss", supervised.item()), ("unlabelled loss", unsupervised.item()),
                    ("turn accuracy", batchAccuracy(answers, turned)),
                ])
        }

        /// Pictures that look the same all ways round teach nothing.
        public func remarks(_ trainer: Trainer, _ context: LearningContext) -> [String] {
            guard let accuracy = trainer.lastMean("turn accuracy"), accuracy < 1.2 / Double(turns) else { return [] }
            return ["the turns were not learned: these pictures look alike all ways round, or more steps are needed"]
        }
    }

    /// How many quarter turns are told apart.
    public enum Turns: String, Codable, Sendable, CaseIterable {
        case auto, two, four

        func count(isPhoto: Bool) -> Int {
            switch self {
            case .auto: isPhoto ? 4 : 2
            case .two: 2
            case .four: 4
            }
        }
    }
}
