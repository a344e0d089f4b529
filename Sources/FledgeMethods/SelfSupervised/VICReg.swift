import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// VICReg: two views of a picture get the same vector, while each feature must vary over the batch and no two may vary
/// together (Bardes et al. 2022, "VICReg: variance-invariance-covariance regularization").
///
/// The paper's expander has three layers of 8192.
public struct VICReg: Pretraining {
    public struct Config: Settings {
        public var batchSize = 256
        public var invarianceWeight = 25.0
        public var varianceWeight = 25.0
        public var covarianceWeight = 1.0
        public var hiddenSize = 256
        public var projectionSize = 256
        public var projectorLayers = 2
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "invarianceWeight": "weight of the distance between two views",
            "varianceWeight": "weight of features that vary less than they should; without it all becomes the same",
            "covarianceWeight": "weight of features that vary together",
            "hiddenSize": "width of the projector",
            "projectionSize": "how many features are compared",
            "projectorLayers": "layers of the projector",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "invarianceWeight": .within(0...100_000),
            "varianceWeight": .within(0...100_000), "covarianceWeight": .within(0...100_000),
            "hiddenSize": .within(1...65536), "projectionSize": .within(2...65536), "projectorLayers": .within(1...16),
        ]
    }

    public static let info = MethodInfo(
        "vicreg", .selfSupervised,
        summary: "Two views get the same vector, while each feature must vary and no two may vary together.",
        paper: "Bardes et al. 2022, VICReg: variance-invariance-covariance regularization for self-supervised learning",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let projection: Sequential
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            backbone = context.backbone
            var random = context.random("projection")
            projection = projector(
                projectorWidths(
                    backbone.featureCount, hidden: config.hiddenSize, layers: config.projectorLayers,
                    config.projectionSize),
                last: .linear, random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            // Only the variance term costs anything then, and its root has an epsilon.
            ruler =
                config.varianceWeight > 0
                ? LossRuler(uninformative: 0.99 * config.varianceWeight, formula: "0.99 varianceWeight") : nil
        }

        public func warnings(after trainer: Trainer) -> [String] {
            guard let variance = trainer.lastMean("variance"), variance > 0.9 else { return [] }
            return [
                "collapse: the features hardly vary over the samples (variance term \(String(format: "%.3f", variance)), 1 for constant ones); raise varianceWeight against invarianceWeight"
            ]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let z = batches["pictures"]!.views.map { projection(backbone($0)) }
            let terms = vicReg(z[0], z[1])
            let loss =
                terms.invariance * config.invarianceWeight + terms.variance * config.varianceWeight
                + terms.covariance * config.covarianceWeight
            return StepOutput(
                loss,
                [
                    ("spread", spread(z[0])), ("invariance", terms.invariance.item()),
                    ("variance", terms.variance.item()), ("covariance", terms.covariance.item()),
                ])
        }
    }
}

/// The three terms of VICReg (Bardes et al. 2022, equations 1 to 5), scaled as in the official code: the mean squared
/// difference over samples and features; the mean over features of relu(1 - sqrt(variance + 1e-4)), averaged over the
/// views; and the sum over both views of the squared covariances of different features, divided by their number.
/// Variances and covariances are unbiased. The paper weighs them 25, 25 and 1.
/// - Parameters:
///   - a, b: [B, D], the two views of the same B samples, B > 1. Not normalised.
public func vicReg(_ a: Tensor, _ b: Tensor) -> (invariance: Tensor, variance: Tensor, covariance: Tensor) {
    require(
        a.shape == b.shape && a.rank == 2 && a.shape[0] > 1, "vicReg: views of shapes \(a.shape) and \(b.shape)")
    func spreadOut(_ z: Tensor) -> Tensor { (1 - (z.variance(axis: 0, unbiased: true) + 1e-4).sqrt()).relu().mean() }
    func together(_ z: Tensor) -> Tensor {
        let centred = z - z.mean(axis: 0)
        let c = centred.transposed().matmul(centred) * (1 / Double(z.shape[0] - 1))
        return (c.square().sum() - c.diagonal().square().sum()) * (1 / Double(z.shape[1]))
    }
    return (meanSquaredError(a, b), (spreadOut(a) + spreadOut(b)) * 0.5, together(a) + together(b))
}
