import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// IIC: the cluster of one view should tell as much as possible of the cluster of another: the largest mutual
/// information, which wants clusters that are sure and equally large at once (Ji et al. 2019, "Invariant information
/// clustering for unsupervised image classification and segmentation").
///
/// Beside heads with as many clusters as classes are expected, others have more (overclustering), which teach the
/// network finer differences. The paper trains both kinds in turns, here each step trains both.
public struct IIC: Pretraining {
    /// The paper's lambda is 1 for pictures; the higher one keeps small batches from using few clusters.
    public struct Config: Settings {
        public var batchSize = 128
        public var clusters = 10
        public var overclusters = 50
        public var heads = 3
        public var entropyWeight = 1.5
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {
            views.cropScale = 0.5
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "clusters": "how many groups: the classes that are expected",
            "overclusters": "how many groups in the finer heads, some five times as many",
            "heads": "how many groupings of either kind, each from another start",
            "entropyWeight": "weight of equally large clusters (lambda); above 1 holds off collapse",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "clusters": .within(2...65536), "overclusters": .within(2...65536),
            "heads": .within(1...100), "entropyWeight": .within(0...100),
        ]
    }

    public static let info = MethodInfo(
        "iic", .selfSupervised,
        summary: "The cluster of one view should tell as much as possible of the cluster of another.",
        paper:
            "Ji et al. 2019, Invariant information clustering for unsupervised image classification and segmentation",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        /// Features to clusters, and to more clusters.
        let heads: [Linear]
        let fineHeads: [Linear]
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        private let paired: Bool

        /// - Parameter paired: whether the two views are of one picture; of different ones otherwise.
        init(_ config: Config, _ context: LearningContext, paired: Bool = true) {
            self.config = config
            self.paired = paired
            backbone = context.backbone
            let width = backbone.featureCount
            var random = context.random("projection")
            heads = (0..<config.heads).map { _ in Linear(width, config.clusters, random: &random) }
            fineHeads = (0..<config.heads).map { _ in Linear(width, config.overclusters, random: &random) }
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            // At best clusters are sure and equally large, and both views agree.
            // What knows nothing of the other view gains by equally large clusters alone, if lambda is above 1.
            let entropy = (log(Double(config.clusters)) + log(Double(config.overclusters))) / 2
            let chance = 2 * entropy * min(0, 1 - config.entropyWeight)
            ruler = LossRuler(
                uninformative: chance, floor: min(chance - 1e-9, entropy * (1 - 2 * config.entropyWeight)),
                formula: "2 (1 - lambda) ln K")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            var views = batches["pictures"]!.views
            if !paired { views[1] = views[1].rolled(by: 1, axis: 0) }
            let features = backbone(concatenate(views))
            let pairs = (heads + fineHeads).map { $0(features).softmax().split(2, axis: 0) }
            let losses = pairs.map { mutualInformationLoss($0[0], $0[1], entropyWeight: config.entropyWeight) }
            let same = (pairs[0][0].detached().argmax() .== pairs[0][1].detached().argmax()).cast(to: .float32).mean()
            return StepOutput(
                stack(losses).mean(), [("spread", spread(pairs[0][0])), ("same cluster", same.item())])
        }
    }
}

/// IIC's loss: minus the mutual information of the clusters of two views, -sum P ln(P / (P_a^lambda P_b^lambda)) with
/// the joint distribution P = (p_a^T p_b + p_b^T p_a) / 2B and its margins (Ji et al. 2019, equations 2 and 3; lambda in
/// the paper's appendix).
/// - Parameters:
///   - a, b: [B, K], cluster probabilities of the two views.
///   - entropyWeight: lambda, 1 for the mutual information itself.
public func mutualInformationLoss(_ a: Tensor, _ b: Tensor, entropyWeight: Double = 1) -> Tensor {
    require(a.rank == 2 && a.shape == b.shape, "mutualInformationLoss: views of shapes \(a.shape) and \(b.shape)")
    let product = a.transposed().matmul(b) / Double(a.shape[0])
    let joint = (product + product.transposed()) / 2
    // Of pairs that never occur x ln x is 0.
    func log(_ p: Tensor) -> Tensor { maximum(p, Tensor.full([], 1e-12, dtype: p.dtype, device: p.device)).log() }
    let margins = log(joint.sum(axis: 1, keepDims: true)) + log(joint.sum(axis: 0, keepDims: true))
    return (joint * (margins * entropyWeight - log(joint))).sum()
}
