import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// The context encoder: what was in the hole of a picture must follow from what is around it (Pathak et al. 2016,
/// "Context encoders: feature learning by inpainting"), with the squared error; the paper's second, adversarial loss
/// sharpens pictures and is not for features.
public struct ContextEncoder: Pretraining {
    /// The paper's hole is half as wide as the picture, with 4 of 128 pixels of overlap.
    public struct Config: Settings {
        public var batchSize = 128
        public var hole = 0.5
        public var overlap = 1
        public var overlapWeight = 10.0
        public var width = 16
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 1e-3
        }

        public static let meanings = [
            "batchSize": "pictures for each step",
            "hole": "side of the hole as a share of the picture's",
            "overlap": "pixels along the inner edge of the hole that weigh more, so that it fits its frame",
            "overlapWeight": "how much more those pixels weigh",
            "width": "channels of the decoder",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "hole": .within(0.1...0.9), "overlap": .within(0...64),
            "overlapWeight": .within(0...1000), "width": .within(1...4096),
        ]
    }

    public static let info = MethodInfo(
        "context-encoder", .selfSupervised,
        summary: "Fill a hole in the picture from what is around it.",
        paper: "Pathak et al. 2016, Context encoders: feature learning by inpainting",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let decoder: Decoder
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        /// For tests: the picture is seen without what is around the hole.
        private let hidesFrame: Bool

        init(_ config: Config, _ context: LearningContext, hidesFrame: Bool = false) throws {
            self.config = config
            self.hidesFrame = hidesFrame
            backbone = context.backbone
            var random = context.random("decoder")
            decoder = Decoder(
                backbone.featureCount, sample: context.input.shape, width: config.width, random: &random)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [context.weakView])]
            let values = Double(context.input.shape.reduce(1, *))
            ruler = LossRuler(
                uninformative: try context.squaredDeviation() / values, formula: "the variance of the pixels")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let pictures = batches["pictures"]!.views[0]
            var random = context.random.stream("hole")
            let (hole, weights) = holes(in: pictures, random: &random)
            // Pictures are normalised: 0 is the mean colour.
            let seen = pictures * (hidesFrame ? hole * 0 : 1 - hole)
            return StepOutput(inpaintingLoss(decoder(backbone(seen)), pictures, weights: weights))
        }

        public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? {
            var random = random
            let (hole, _) = holes(in: pictures, random: &random)
            let seen = pictures * (1 - hole)
            return Reconstruction(seen: seen, rebuilt: seen + decoder(backbone(seen)) * hole)
        }

        /// A square hole in each picture, 1 inside: [B, H, W, 1]; and the weights of its pixels.
        private func holes(in pictures: Tensor, random: inout RandomSource) -> (hole: Tensor, weights: Tensor) {
            let (count, height, width) = (pictures.shape[0], pictures.shape[1], pictures.shape[2])
            let side = max(1, Int((Double(min(height, width)) * config.hole).rounded()))
            var hole = [Float](repeating: 0, count: count * height * width), weights = hole
            for picture in 0..<count {
                let top = random.integer(below: height - side + 1), left = random.integer(below: width - side + 1)
                for row in 0..<side {
                    for column in 0..<side {
                        let place = (picture * height + top + row) * width + left + column
                        let depth = min(row, column, side - 1 - row, side - 1 - column)
                        hole[place] = 1
                        weights[place] = depth < config.overlap ? Float(config.overlapWeight) : 1
                    }
                }
            }
            let shape = [count, height, width, 1]
            return (Tensor(hole, shape: shape), Tensor(weights, shape: shape))
        }
    }
}

/// The weighted mean squared error of the pixels in the holes (Pathak et al. 2016, equation 1).
/// - Parameters:
///   - filled, pictures: [B, H, W, C].
///   - weights: [B, H, W, 1], 0 outside of the holes; not all 0.
public func inpaintingLoss(_ filled: Tensor, _ pictures: Tensor, weights: Tensor) -> Tensor {
    require(
        filled.shape == pictures.shape && weights.shape == Array(pictures.shape.dropLast()) + [1],
        "inpaintingLoss: filled \(filled.shape), pictures \(pictures.shape), weights \(weights.shape)")
    return ((filled - pictures).square() * weights).sum() / (weights.sum() * Double(pictures.shape[3]))
}
