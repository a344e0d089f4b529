import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// The variational autoencoder: samples are rebuilt from noisy codes that are kept close to a normal distribution
/// (Kingma and Welling 2014, "Auto-encoding variational Bayes"); with `beta` above 1 closer than likelihood asks
/// (Higgins et al. 2017, "beta-VAE").
///
/// What evaluation uses are the backbone's features, of which the mean of the code is a linear function.
public struct VAE: Pretraining {
    public struct Config: Settings {
        public var batchSize = 128
        public var codeSize = 32
        public var width = 16
        public var beta = 1.0
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 3e-3
        }

        public static let meanings = [
            "batchSize": "samples for each step",
            "codeSize": "how many numbers a code has",
            "width": "channels of the decoder",
            "beta": "weight of the divergence against the squared error, both summed over a sample's values",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "codeSize": .within(1...65536), "width": .within(1...4096),
            "beta": .atLeast(0),
        ]
    }

    public static let info = MethodInfo(
        "vae", .selfSupervised,
        summary: "Rebuild each sample from a noisy code that follows a normal distribution.",
        paper: "Kingma and Welling 2014, Auto-encoding variational Bayes; beta: Higgins et al. 2017, beta-VAE",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        /// The mean and the logarithm of the deviation of a sample's code.
        let mean, logDeviation: Linear
        let decoder: Decoder
        public let feeds: [Feed]
        /// A code that says nothing costs no divergence.
        public let ruler: LossRuler?
        private let beta: Double
        /// How many a sample has. Both terms are divided by it, so that one learning rate suits samples of all sizes.
        private let values: Double
        /// For tests: every sample is to be rebuilt from another one.
        private let mismatched: Bool

        init(_ config: Config, _ context: LearningContext, mismatched: Bool = false) throws {
            self.mismatched = mismatched
            beta = config.beta
            backbone = context.backbone
            var random = context.random("decoder")
            mean = Linear(backbone.featureCount, config.codeSize, random: &random)
            logDeviation = Linear(backbone.featureCount, config.codeSize, random: &random)
            decoder = Decoder(config.codeSize, sample: context.input.shape, width: config.width, random: &random)
            feeds = [Feed("samples", from: .everything, batchSize: config.batchSize, views: [context.rebuiltView])]
            values = Double(context.input.shape.reduce(1, *))
            ruler = LossRuler(
                uninformative: try context.squaredDeviation() / values, formula: "the variance of the data")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let samples = batches["samples"]!.views[0]
            let features = backbone(samples)
            let (mean, logDeviation) = (mean(features), logDeviation(features))
            var random = context.random.stream("code")
            let code = mean + logDeviation.exp() * .normal(mean.shape, random: &random)
            let distance = reconstructionLoss(decoder(code), mismatched ? samples.rolled(by: 1, axis: 0) : samples)
            let divergence = divergenceFromNormal(mean: mean, logDeviation: logDeviation)
            return StepOutput(
                (distance + divergence * beta) / values,
                [("squared error", distance.item()), ("nats", divergence.item())])
        }

        public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? {
            Reconstruction(seen: pictures, rebuilt: decoder(mean(backbone(pictures))))
        }

        public func warnings(after trainer: Trainer) -> [String] {
            guard let nats = trainer.lastMean("nats"), nats < 0.1 else { return [] }
            return [
                String(
                    format:
                        "posterior collapse: the codes say %.3f nats about a sample, next to nothing; lower beta, or train longer",
                    nats)
            ]
        }
    }
}

/// The divergence of normal distributions from the standard one, in nats: -1/2 sum(1 + 2 ln sigma - mu^2 - sigma^2),
/// summed over the code and averaged over the batch (Kingma and Welling 2014, appendix B).
/// - Parameters:
///   - mean: [B, D], mu.
///   - logDeviation: [B, D], ln sigma (not that of the variance).
public func divergenceFromNormal(mean: Tensor, logDeviation: Tensor) -> Tensor {
    divergencesFromNormal(mean: mean, logDeviation: logDeviation).mean()
}

/// The same for each distribution: [B].
func divergencesFromNormal(mean: Tensor, logDeviation: Tensor) -> Tensor {
    require(
        mean.shape == logDeviation.shape && mean.rank == 2,
        "divergenceFromNormal: means \(mean.shape), deviations \(logDeviation.shape)")
    let terms = logDeviation * 2 + 1 - mean.square() - (logDeviation * 2).exp()
    return terms.sum(axis: 1) * -0.5
}
