import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Relative patch location: where does this piece of the picture lie, seen from that one? (Doersch et al. 2015,
/// "Unsupervised visual representation learning by context prediction").
public struct RelativePatch: Pretraining {
    public struct Config: Settings {
        public var batchSize = 32
        public var share = 0.8
        public var colourDropping = true
        public var hiddenSize = 256
        public var training = TrainingSettings()

        public init() {
            training.epochs = 15
            training.learningRate = 1e-3
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives nine pieces and eight questions",
            "share":
                "side of a piece as a share of its cell's in a grid of 3 x 3; below 1 leaves gaps and lets pieces move",
            "colourDropping":
                "leaves each piece one of its three colours, so that the fringes of lenses do not tell where it was",
            "hiddenSize": "width of the layer that compares two pieces",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "share": .within(0.3...1), "hiddenSize": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "relative-patch", .selfSupervised,
        summary: "Tell on which of eight sides of one piece of a picture another piece lies.",
        paper: "Doersch et al. 2015, Unsupervised visual representation learning by context prediction",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let head: Sequential
        public let feeds: [Feed]
        public let seesPieces = true
        public let ruler: LossRuler? = LossRuler(uninformative: log(8), formula: "ln 8")
        private let grid: TileGrid
        private let scaling: PieceScaling
        private let dropsColour: Bool
        /// For tests: the answers have nothing to do with the places.
        private let mismatched: Bool

        init(_ config: Config, _ context: LearningContext, mismatched: Bool = false) throws {
            self.mismatched = mismatched
            backbone = context.backbone
            grid = try TileGrid(context, share: config.share, method: RelativePatch.info.name)
            scaling = PieceScaling(context, side: grid.size)
            dropsColour = config.colourDropping && context.input.isColour
            var random = context.random("head")
            head = projector([2 * backbone.featureCount, config.hiddenSize, 8], last: .linear, random: &random)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [context.weakView])]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            var random = context.random.stream("pieces")
            let pictures = batches["pictures"]!.views[0]
            let count = pictures.shape[0]
            var pieces = concatenate(grid.tiles(pictures, random: &random))
            if dropsColour { pieces = withOneColour(pieces, random: &random) }
            let features = backbone(scaling(pieces)).reshaped([9, count, backbone.featureCount])
            let around = [0, 1, 2, 3, 5, 6, 7, 8].map { concatenate([features[4], features[$0]], axis: 1) }
            let logits = head(concatenate(around))
            let places = Tensor((0..<8 * count).map { mismatched ? $0 % 8 : $0 / count })
            return StepOutput(crossEntropy(logits, places), [("accuracy", batchAccuracy(logits, places))])
        }

        /// One colour of each piece, drawn at random, with faint noise in the place of all other channels (section 3.1).
        private func withOneColour(_ pieces: Tensor, random: inout RandomSource) -> Tensor {
            let count = pieces.shape[0]
            let channels = pieces.shape[3]
            // What comes after three colours, such as transparency, may be the same everywhere.
            let channel = Tensor((0..<count).map { _ in random.integer(below: min(3, channels)) })
            let kept = channel.oneHot(classes: channels).reshaped([count, 1, 1, channels])
            return pieces * kept + Tensor.normal(pieces.shape, deviation: 0.01, random: &random) * (1 - kept)
        }
    }
}
