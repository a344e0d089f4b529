import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// MoCo v3: momentum contrast without a queue: both views, through a predictor, must recognise the keys of their
/// partners among those of the batch (Chen, Xie and He 2021, "An empirical study of training self-supervised vision
/// transformers").
///
/// The paper's heads are 4096 wide with 256 outputs, its batches 4096, and the temperature 1.0 for residual networks.
public struct MoCoV3: Pretraining {
    public struct Config: Settings {
        public var batchSize = 256
        public var temperature = 0.2
        public var momentum = 0.98
        public var hiddenSize = 256
        public var projectionSize = 64
        public var projectorLayers = 2
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "temperature": "divides the similarities; lower looks harder at near misses",
            "momentum": "share of itself that the key encoder keeps at the first step; rises to 1 along a cosine",
            "hiddenSize": "width of the projector and of the predictor",
            "projectionSize": "length of the vectors that are compared",
            "projectorLayers": "layers of the projector: 2 for convolutional networks, 3 for transformers in the paper",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "temperature": .within(0.001...1000), "momentum": .within(0...1),
            "hiddenSize": .within(1...65536), "projectionSize": .within(1...65536), "projectorLayers": .within(1...16),
        ]
    }

    public static let info = MethodInfo(
        "moco-v3", .selfSupervised,
        summary: "A predictor on each view must recognise the slowly following encoder's view of the same picture.",
        paper: "Chen, Xie and He 2021, An empirical study of training self-supervised vision transformers",
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
        public let ruler: LossRuler?
        private let config: Config
        public var trained: any Module { online }

        init(_ config: Config, _ context: LearningContext) throws {
            self.config = config
            backbone = context.backbone
            var random = context.random("projection")
            let (hidden, size) = (config.hiddenSize, config.projectionSize)
            func head() -> Sequential {
                projector(
                    [context.backbone.featureCount] + [Int](repeating: hidden, count: config.projectorLayers - 1) + [
                        size
                    ],
                    last: .plainNorm, random: &random)
            }
            online = Encoder(backbone, head())
            teacher = try online.makeTeacher(context, projector: head())
            predictor = projector([size, hidden, size], last: .linear, random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            ruler = .contrastive(
                others: min(config.batchSize, context.data.dataset.count) - 1, width: size,
                temperature: config.temperature, scale: 4 * config.temperature, formula: "4 temperature ln B")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let views = batches["pictures"]!.views
            // A pass for each view: statistics that both shared would tell one of the other.
            let queries = views.map { predictor(online($0)) }
            let keys = noGradient { views.map { teacher($0) } }
            let loss =
                batchContrast(queries[0], keys: keys[1], temperature: config.temperature)
                + batchContrast(queries[1], keys: keys[0], temperature: config.temperature)
            return StepOutput(
                loss, [("spread", spread(queries[0])), ("teacher distance", online.distance(to: teacher))])
        }

        public func didUpdate(_ context: StepContext) {
            teacher.follow(online, decay: risingMomentum(config.momentum, progress: context.progress))
        }
    }
}

/// One direction of MoCo v3's loss (Chen, Xie and He 2021, equation 1 and algorithm 1): each query must pick its key
/// among those of the batch, times 2 * temperature. Averaged over the queries. No gradient reaches the keys.
/// - Parameters:
///   - queries, keys: [B, D] of any length, normalised here.
///   - temperature: divides the similarities.
public func batchContrast(_ queries: Tensor, keys: Tensor, temperature: Double) -> Tensor {
    require(
        queries.rank == 2 && queries.shape == keys.shape, "batchContrast: queries \(queries.shape), keys \(keys.shape)")
    let similarities = queries.l2Normalized(axis: -1).matmul(keys.detached().l2Normalized(axis: -1).transposed())
    let partners = Tensor(Array(0..<queries.shape[0]), device: queries.device)
    return crossEntropy(similarities * (1 / temperature), partners) * (2 * temperature)
}
