import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// BYOL: from one view of a picture a network predicts what a slowly following copy of itself says of the other;
/// nothing is pushed apart (Grill et al. 2020, "Bootstrap your own latent: a new approach to self-supervised
/// learning").
///
/// The paper's rate of 0.2 for each 256 pictures belongs to LARS and its heads are 4096 wide, for ImageNet. Batches
/// are small here, for more updates from as many pictures.
public struct BYOL: Pretraining {
    public struct Config: Settings {
        public var batchSize = 64
        public var momentum = 0.9
        public var hiddenSize = 256
        public var projectionSize = 64
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "momentum": "share of itself that the teacher keeps at the first step; rises to 1 along a cosine",
            "hiddenSize": "width of the projector and of the predictor",
            "projectionSize": "length of the vectors that are predicted",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "momentum": .within(0...1), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "byol", .selfSupervised,
        summary: "From one view a network predicts what a slowly following copy of itself says of the other view.",
        paper: "Grill et al. 2020, Bootstrap your own latent: a new approach to self-supervised learning",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let online: Encoder
        let predictor: Sequential
        let teacher: Encoder
        public let feeds: [Feed]
        private let momentum: Double
        private let predicts: Bool
        /// Its best value is also that of vectors that are all the same.
        public let ruler: LossRuler? = nil
        public var trained: any Module { online }

        /// - Parameter predicts: off leaves the predictor out, a mistake that tests make on purpose: everything
        ///   collapses.
        init(_ config: Config, _ context: LearningContext, predicts: Bool = true) throws {
            momentum = config.momentum
            self.predicts = predicts
            backbone = context.backbone
            var random = context.random("projection")
            let (hidden, size) = (config.hiddenSize, config.projectionSize)
            func head() -> Sequential {
                projector([context.backbone.featureCount, hidden, size], last: .linear, random: &random)
            }
            online = Encoder(backbone, head())
            teacher = try online.makeTeacher(context, projector: head())
            predictor = projector([size, hidden, size], last: .linear, random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let views = batches["pictures"]!.views
            // A pass for each view: statistics that both shared would tell one of the other.
            let z = views.map { online($0) }
            let p = predicts ? z.map { predictor($0) } : z
            let targets = noGradient { views.map { teacher($0) } }
            return StepOutput(
                regressionLoss(p[0], target: targets[1]) + regressionLoss(p[1], target: targets[0]),
                [("spread", spread(z[0])), ("teacher distance", online.distance(to: teacher))])
        }

        public func didUpdate(_ context: StepContext) {
            teacher.follow(online, decay: risingMomentum(momentum, progress: context.progress))
        }
    }
}

/// The squared distance of unit vectors, 2 - 2 cos (Grill et al. 2020, equation 2), averaged over the samples: 0 to 4.
/// No gradient reaches the target.
/// - Parameters:
///   - prediction, target: [B, D] of any length.
public func regressionLoss(_ prediction: Tensor, target: Tensor) -> Tensor {
    require(
        prediction.rank == 2 && prediction.shape == target.shape,
        "regressionLoss: prediction \(prediction.shape), target \(target.shape)")
    return 2 - cosineSimilarity(prediction, target.detached()).mean() * 2
}
