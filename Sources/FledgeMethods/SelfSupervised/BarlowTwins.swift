import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Barlow Twins: each feature agrees between two views of a picture, and no two features say the same (Zbontar et al.
/// 2021, "Barlow Twins: self-supervised learning via redundancy reduction").
///
/// The paper's projector has three layers of 8192; on small pictures narrower ones do better.
public struct BarlowTwins: Pretraining {
    public struct Config: Settings {
        public var batchSize = 256
        public var redundancyWeight = 0.0051
        public var hiddenSize = 256
        public var projectionSize = 256
        public var projectorLayers = 2
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "redundancyWeight": "weight of what two features have in common, against what one has between views",
            "hiddenSize": "width of the projector",
            "projectionSize": "how many features are compared",
            "projectorLayers": "layers of the projector",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "redundancyWeight": .within(0...1000), "hiddenSize": .within(1...65536),
            "projectionSize": .within(2...65536), "projectorLayers": .within(1...16),
        ]
    }

    public static let info = MethodInfo(
        "barlow-twins", .selfSupervised,
        summary: "Each feature agrees between two views of a picture, and no two features say the same.",
        paper: "Zbontar et al. 2021, Barlow Twins: self-supervised learning via redundancy reduction",
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
        private let redundancyWeight: Double

        init(_ config: Config, _ context: LearningContext) {
            redundancyWeight = config.redundancyWeight
            backbone = context.backbone
            var random = context.random("projection")
            projection = projector(
                projectorWidths(
                    backbone.featureCount, hidden: config.hiddenSize, layers: config.projectorLayers,
                    config.projectionSize),
                last: .linear, random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            // What is the same for all samples is normalised to zeros, which agree with nothing.
            ruler = LossRuler(uninformative: Double(config.projectionSize), formula: "D")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let z = batches["pictures"]!.views.map { projection(backbone($0)) }
            return StepOutput(
                barlowTwins(z[0], z[1], redundancyWeight: redundancyWeight), [("spread", spread(z[0]))])
        }
    }
}

/// The loss of Barlow Twins (Zbontar et al. 2021, equation 1): with C the correlations of the features of one view with
/// those of the other over the batch, sum (1 - C_ii)^2 + redundancyWeight * sum C_ij^2 over i != j.
/// - Parameters:
///   - a, b: [B, D], the two views of the same B samples; each feature is normalised over the batch here (biased
///     variance, epsilon 1e-5).
public func barlowTwins(_ a: Tensor, _ b: Tensor, redundancyWeight: Double) -> Tensor {
    require(a.shape == b.shape && a.rank == 2, "barlowTwins: views of shapes \(a.shape) and \(b.shape)")
    let c = a.batchNorm().y.transposed().matmul(b.batchNorm().y) * (1 / Double(a.shape[0]))
    let diagonal = c.diagonal()
    let others = c.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + others * redundancyWeight
}
