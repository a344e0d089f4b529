import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// The autoencoder: what passes a narrow gate must be enough to rebuild the sample (Hinton and Salakhutdinov 2006,
/// "Reducing the dimensionality of data with neural networks"). With `noise` or `mask` it is the denoising autoencoder,
/// which sees a damaged sample and must rebuild the sound one (Vincent et al. 2008, "Extracting and composing robust
/// features with denoising autoencoders").
public struct Autoencoder: Pretraining {
    public struct Config: Settings {
        public var batchSize = 128
        public var codeSize = 32
        public var width = 16
        public var noise = 0.0
        public var mask = 0.0
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 1e-3
        }

        public static let meanings = [
            "batchSize": "samples for each step",
            "codeSize": "how many numbers a sample must pass through between the features and the decoder",
            "width": "channels of the decoder",
            "noise":
                "deviation of the noise on the samples that are seen, in units of the data's own; above 0 makes a denoising autoencoder",
            "mask": "share of the values that are not seen, likewise; of a pixel all channels together",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "codeSize": .within(1...65536), "width": .within(1...4096),
            "noise": .within(0...100), "mask": .within(0..<1),
        ]
    }

    public static let info = MethodInfo(
        "autoencoder", .selfSupervised,
        summary: "Rebuild each sample from a short code, or from a damaged copy of it.",
        paper:
            "Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks; denoising: Vincent et al. 2008, Extracting and composing robust features with denoising autoencoders",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let code: Linear
        let decoder: Decoder
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        /// How many a sample has. The loss is for each of them, so that one learning rate suits samples of all sizes.
        private let values: Double
        /// For tests: every sample is to be rebuilt from another one.
        private let mismatched: Bool

        init(_ config: Config, _ context: LearningContext, mismatched: Bool = false) throws {
            self.config = config
            self.mismatched = mismatched
            backbone = context.backbone
            var random = context.random("decoder")
            code = Linear(backbone.featureCount, config.codeSize, random: &random)
            decoder = Decoder(config.codeSize, sample: context.input.shape, width: config.width, random: &random)
            feeds = [Feed("samples", from: .everything, batchSize: config.batchSize, views: [context.rebuiltView])]
            values = Double(context.input.shape.reduce(1, *))
            ruler = LossRuler(
                uninformative: try context.squaredDeviation() / values, formula: "the variance of the data")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let sound = batches["samples"]!.views[0]
            var random = context.random.stream("corruption")
            let seen = corrupted(sound, noise: config.noise, mask: config.mask, random: &random)
            let rebuilt = decoder(code(backbone(seen)))
            let distance = reconstructionLoss(rebuilt, mismatched ? sound.rolled(by: 1, axis: 0) : sound)
            return StepOutput(distance / values)
        }

        public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? {
            var random = random
            let seen = corrupted(pictures, noise: config.noise, mask: config.mask, random: &random)
            return Reconstruction(seen: seen, rebuilt: decoder(code(backbone(seen))))
        }
    }
}

/// Damaged samples of a denoising autoencoder (Vincent et al. 2008, section 2.3; the Gaussian kind: Vincent et al.
/// 2010, "Stacked denoising autoencoders", section 3.3).
/// - Parameters:
///   - samples: [B, H, W, C] or [B, D], normalised: 0 is the mean.
///   - noise: deviation of the normal noise that is added; 0 adds none.
///   - mask: the probability that a pixel, or a value of a row, becomes 0.
func corrupted(_ samples: Tensor, noise: Double, mask: Double, random: inout RandomSource) -> Tensor {
    var seen = samples
    if noise > 0 { seen = seen + .normal(samples.shape, deviation: noise, random: &random) }
    if mask > 0 {
        let places = samples.rank == 4 ? Array(samples.shape.dropLast()) + [1] : samples.shape
        seen = seen * (Tensor.uniform(places, random: &random) .>= mask).cast(to: samples.dtype)
    }
    return seen
}
