import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Learning to count: what is counted in a picture must be the sum of what is counted in its four quarters (Noroozi et
/// al. 2017, "Representation learning by learning to count").
///
/// The sum alone is also right for a network that counts nothing; another picture's counts must be far from it. The
/// paper's margin is 10 with a thousand counters; with fewer, 3 leaves features that classes can be told by.
public struct Counting: Pretraining {
    public struct Config: Settings {
        public var batchSize = 64
        public var counters = 64
        public var margin = 3.0
        public var training = TrainingSettings()

        public init() {
            training.epochs = 15
            training.learningRate = 3e-4
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each is seen small and in quarters",
            "counters": "how many things are counted",
            "margin": "squared distance from which another picture's counts are far enough",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "counters": .within(1...65536), "margin": .atLeast(0),
        ]
    }

    public static let info = MethodInfo(
        "counting", .selfSupervised,
        summary: "Count so that a picture has as much of everything as its four quarters together.",
        paper: "Noroozi et al. 2017, Representation learning by learning to count",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let counter: Linear
        public let feeds: [Feed]
        public let seesPieces = true
        /// Counts that are the same for all cost the margin.
        public let ruler: LossRuler?
        private let margin: Double
        private let size: Int
        private let scaling: PieceScaling
        /// For tests: the counts are to be those of another picture's quarters.
        private let mismatched: Bool

        /// - Throws: `MethodError.picturesTooSmall` below 4 pixels.
        init(_ config: Config, _ context: LearningContext, mismatched: Bool = false) throws {
            guard context.input.size >= 4 else {
                throw MethodError.picturesTooSmall(Counting.info.name, side: context.input.size, least: 4)
            }
            self.mismatched = mismatched
            backbone = context.backbone
            margin = config.margin
            size = context.input.size / 2
            scaling = PieceScaling(context, side: size)
            var random = context.random("counter")
            counter = Linear(backbone.featureCount, config.counters, random: &random)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [context.weakView])]
            ruler = LossRuler(uninformative: config.margin, formula: "the margin")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let pictures = batches["pictures"]!.views[0]
            let small = pictures.resized(to: (size, size), mode: .bilinear, antialias: true)
            let quarters = [(0, 0), (0, size), (size, 0), (size, size)].map { row, column in
                pictures[0..., row..<row + size, column..<column + size]
            }
            let counts = counter(backbone(scaling(concatenate([small] + quarters)))).relu().split(5, axis: 0)
            var total = counts[1] + counts[2] + counts[3] + counts[4]
            if mismatched { total = total.rolled(by: 1, axis: 0) }
            return StepOutput(
                countingLoss(counts[0], total, margin: margin),
                [("spread", spread(total)), ("count", total.sum(axis: 1).mean().item())])
        }
    }
}

/// The contrastive loss of counting (Noroozi et al. 2017, equation 3): |whole - parts|^2, and what the squared distance
/// to the whole of another picture lacks of the margin, max(0, margin - |other whole - parts|^2). The other picture is
/// the next in the batch. Averaged over the batch.
/// - Parameters:
///   - whole: [B, D], counts of the small whole pictures; B > 1.
///   - parts: [B, D], summed counts of their quarters.
public func countingLoss(_ whole: Tensor, _ parts: Tensor, margin: Double) -> Tensor {
    require(
        whole.shape == parts.shape && whole.rank == 2 && whole.shape[0] > 1,
        "countingLoss: counts \(whole.shape) and \(parts.shape)")
    let same = (whole - parts).square().sum(axis: 1)
    let other = (whole.rolled(by: -1, axis: 0) - parts).square().sum(axis: 1)
    return (same + (margin - other).relu()).mean()
}
