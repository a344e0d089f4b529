import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// SimSiam: from one view of a picture a network predicts what it itself says of the other, with no gradient through
/// what is predicted; no negatives and no second network (Chen and He 2021, "Exploring simple siamese representation
/// learning").
///
/// The paper's heads are 2048 wide with three layers, two on CIFAR; its rate is 0.05 for each 256 pictures. Batches
/// are small here, for more updates from as many pictures.
public struct SimSiam: Pretraining {
    public struct Config: Settings {
        public var batchSize = 64
        public var hiddenSize = 256
        public var projectionSize = 256
        public var projectorLayers = 2
        public var predictorSize = 64
        public var constantPredictorRate = true
        public var views = ViewSettings()
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.optimizer = .sgd
            training.learningRate = 0.1
            training.weightDecay = 5e-4
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "hiddenSize": "width of the projector",
            "projectionSize": "length of the vectors that are predicted",
            "projectorLayers": "layers of the projector",
            "predictorSize": "width of the predictor's narrow middle",
            "constantPredictorRate": "the predictor's learning rate does not fall with the schedule, as in the paper",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "hiddenSize": .within(1...65536), "projectionSize": .within(1...65536),
            "projectorLayers": .within(1...16), "predictorSize": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "simsiam", .selfSupervised,
        summary: "From one view a network predicts what it itself says of the other view, which is held fixed.",
        paper: "Chen and He 2021, Exploring simple siamese representation learning",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        let all = task.parameters()
        let decay = training.weightDecay
        return ParameterGroup.decaying(all.filter { !$0.name.hasPrefix("predictor.") }, weightDecay: decay)
            + ParameterGroup.decaying(
                all.filter { $0.name.hasPrefix("predictor.") }, weightDecay: decay,
                isScheduled: !config.constantPredictorRate)
    }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let projection: Sequential
        let predictor: Sequential
        public let feeds: [Feed]
        private let stopsGradient: Bool
        /// Its best value is also that of vectors that are all the same.
        public let ruler: LossRuler? = nil

        /// - Parameter stopsGradient: off is a mistake that tests make on purpose: everything collapses.
        init(_ config: Config, _ context: LearningContext, stopsGradient: Bool = true) {
            self.stopsGradient = stopsGradient
            backbone = context.backbone
            var random = context.random("projection")
            let size = config.projectionSize
            projection = projector(
                projectorWidths(
                    backbone.featureCount, hidden: config.hiddenSize, layers: config.projectorLayers, size),
                last: .plainNorm, random: &random)
            predictor = projector([size, config.predictorSize, size], last: .linear, random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            // A pass for each view: statistics that both shared would tell one of the other.
            let z = batches["pictures"]!.views.map { projection(backbone($0)) }
            let p = z.map { predictor($0) }
            let loss =
                stopsGradient
                ? (negativeCosine(p[0], target: z[1]) + negativeCosine(p[1], target: z[0])) * 0.5
                : (cosineSimilarity(p[0], z[1]).mean() + cosineSimilarity(p[1], z[0]).mean()) * -0.5
            return StepOutput(loss, [("spread", spread(z[0]))])
        }
    }
}

/// The negative cosine of SimSiam (Chen and He 2021, equation 1), averaged over the samples: -1 to 1. No gradient
/// reaches the target.
/// - Parameters:
///   - prediction, target: [B, D] of any length.
public func negativeCosine(_ prediction: Tensor, target: Tensor) -> Tensor {
    require(
        prediction.rank == 2 && prediction.shape == target.shape,
        "negativeCosine: prediction \(prediction.shape), target \(target.shape)")
    return -cosineSimilarity(prediction, target.detached()).mean()
}
