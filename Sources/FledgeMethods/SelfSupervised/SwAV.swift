import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// SwAV: from one view of a picture, predict the cluster of another, where the clusters of a batch are made equally
/// large (Caron et al. 2020, "Unsupervised learning of visual features by contrasting cluster assignments").
public struct SwAV: Pretraining {
    /// The paper has 3000 prototypes, temperature 0.1 and a queue of 3840 for ImageNet. Its projection has no batch
    /// normalisation at the end; with one, small networks learn several times faster.
    public struct Config: Settings {
        public var batchSize = 256
        public var prototypes = 32
        public var temperature = 0.2
        public var epsilon = 0.05
        public var iterations = 3
        public var freeze = 0.02
        public var queueSize = 512
        public var queueStart = 0.2
        public var hiddenSize = 256
        public var projectionSize = 64
        public var localViews = 0
        public var localScale = 0.3
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "prototypes":
                "how many clusters; more than the classes that are expected, and well below the batch and queue",
            "temperature": "divides the scores of the prediction",
            "epsilon": "smoothness of the assignment: small makes nearly every sample a member of one cluster only",
            "iterations": "rounds of Sinkhorn-Knopp, which makes the clusters equally large",
            "freeze": "share of the training at whose start the prototypes stand still",
            "queueSize":
                "past vectors of each view that take part in the assignment, for batches not much larger than the number of prototypes; 0: none",
            "queueStart": "share of the training after which the queue is used",
            "hiddenSize": "width of the projection head",
            "projectionSize": "length of the vectors that are compared",
            "localViews": "small crops in addition, which predict the clusters of the two views (multi-crop)",
            "localScale": "largest share of the area that a small crop keeps",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "prototypes": .within(2...65536), "temperature": .within(0.001...1000),
            "epsilon": .within(0.001...1000), "iterations": .within(1...1000), "freeze": .within(0...1),
            "queueSize": .within(0...1_000_000), "queueStart": .within(0...1), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536), "localViews": .within(0...32), "localScale": .above(0, upTo: 1),
        ]
    }

    public static let info = MethodInfo(
        "swav", .selfSupervised,
        summary: "One view of a picture predicts the cluster of another, among clusters made equally large.",
        paper: "Caron et al. 2020, Unsupervised learning of visual features by contrasting cluster assignments",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let projection: Sequential
        let prototypes: Prototypes
        /// Past projections of either view.
        private let queues: [FeatureQueue]
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        private let assign: (Tensor) -> Tensor

        /// - Parameter assign: codes for scores [M, K]; balanced ones by default.
        init(_ config: Config, _ context: LearningContext, assign: ((Tensor) -> Tensor)? = nil) {
            self.config = config
            backbone = context.backbone
            var random = context.random("projection")
            projection = projector(
                [backbone.featureCount, config.hiddenSize, config.projectionSize], random: &random)
            prototypes = Prototypes(config.prototypes, width: config.projectionSize, random: &random)
            queues =
                config.queueSize > 0
                ? (0..<2).map { _ in FeatureQueue(capacity: config.queueSize, width: config.projectionSize) } : []
            let views =
                context.randomViews(config.views)
                + context.localViews(config.views, count: config.localViews, scale: config.localScale)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            ruler = LossRuler(uninformative: log(Double(config.prototypes)), formula: "ln K")
            self.assign =
                assign ?? { sinkhornCodes($0, epsilon: config.epsilon, iterations: config.iterations) }
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let views = batches["pictures"]!.views
            let batch = views[0].shape[0]
            let z = projection(backbone(concatenate(views))).l2Normalized(axis: -1)
            let scores = prototypes(z, frozen: context.progress < config.freeze).split(views.count, axis: 0)
            let vectors = z.split(views.count, axis: 0)
            // Codes are made from the two large views only, by more samples than the batch has where there is a queue.
            let usesQueue = context.progress >= config.queueStart
            let codes = noGradient {
                (0..<2).map { view in
                    guard usesQueue, let queue = queues.isEmpty ? nil : queues[view], queue.count > 0 else {
                        return assign(scores[view])
                    }
                    return assign(concatenate([scores[view], prototypes(queue.contents)]))[0..<batch]
                }
            }
            let loss = swappedPrediction(scores, codes: codes, temperature: config.temperature)
            for (queue, z) in zip(queues, vectors) { queue.enqueue(z) }
            let agreement = (codes[0].argmax() .== codes[1].argmax()).cast(to: .float32).mean().item()
            return StepOutput(loss, [("spread", spread(vectors[0])), ("same cluster", agreement)])
        }

        /// Prototypes enter each step with length 1.
        public func didUpdate(_ context: StepContext) { prototypes.normalize() }
    }
}

/// SwAV's swapped prediction (Caron et al. 2020, equations 1 and 2): the mean over all pairs of different views of the
/// cross-entropy of the code of one view with the prediction by the other.
/// - Parameters:
///   - scores: [B, K] for each view, products of unit vectors with unit prototypes. The views with codes come first.
///   - codes: [B, K] for each of the first views, rows that sum to 1. No gradient flows into them.
///   - temperature: divides the scores.
public func swappedPrediction(_ scores: [Tensor], codes: [Tensor], temperature: Double) -> Tensor {
    require(
        scores.count > 1 && codes.count <= scores.count && (scores + codes).allSatisfy { $0.shape == scores[0].shape },
        "swappedPrediction: scores \(scores.map(\.shape)), codes \(codes.map(\.shape))")
    var terms: [Tensor] = []
    for (i, code) in codes.enumerated() {
        for (v, score) in scores.enumerated() where v != i {
            terms.append(crossEntropy(score * (1 / temperature), soft: code.detached()))
        }
    }
    return stack(terms).mean()
}
