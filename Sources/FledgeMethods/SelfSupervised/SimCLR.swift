import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// SimCLR: two random views of a picture must recognise each other among all views of the batch (Chen et al. 2020, "A
/// simple framework for contrastive learning of visual representations").
///
/// With `headLayers` 3 and `keepHeadLayer` it is version 2 (Chen et al. 2020, "Big self-supervised models are strong
/// semi-supervised learners"): a deeper head, whose first layer stays with the network, so that fine-tuning starts from
/// the middle of the head. `distillation` is that paper's last step.
public struct SimCLR: Pretraining {
    public struct Config: Settings {
        public var batchSize = 256
        public var temperature = 0.5
        public var hiddenSize = 256
        public var projectionSize = 64
        public var headLayers = 2
        public var keepHeadLayer = false
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "temperature": "divides the similarities; lower looks harder at near misses",
            "hiddenSize": "width of the projection head",
            "projectionSize": "length of the vectors that are compared",
            "headLayers": "layers of the projection head; version 2 has 3",
            "keepHeadLayer":
                "keeps the head's first layer as the network's last, of hiddenSize features, as version 2 does",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "temperature": .within(0.001...1000), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536), "headLayers": .within(2...16),
        ]
    }

    public static let info = MethodInfo(
        "simclr", .selfSupervised,
        summary: "Two random views of a picture must recognise each other among all others.",
        paper:
            "Chen et al. 2020, A simple framework for contrastive learning of visual representations; version 2: Chen et al. 2020, Big self-supervised models are strong semi-supervised learners",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        guard config.keepHeadLayer else { return try learn(context, task: makeTask(context)) }
        var context = context
        var random = context.random("kept layer")
        context.backbone = HeadedBackbone(context.backbone, width: config.hiddenSize, random: &random)
        context.modelName = HeadedBackbone.name(context.modelName, width: config.hiddenSize)
        return try learn(context, task: makeTask(context))
    }

    /// - Parameter context: with `keepHeadLayer`, its network ends in the head's first layer already.
    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let projection: Sequential
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let temperature: Double

        init(_ config: Config, _ context: LearningContext) {
            backbone = context.backbone
            temperature = config.temperature
            var random = context.random("projection")
            let layers = config.keepHeadLayer ? config.headLayers - 1 : config.headLayers
            projection = projector(
                projectorWidths(
                    backbone.featureCount, hidden: config.hiddenSize, layers: layers, config.projectionSize),
                random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            let batch = min(config.batchSize, context.data.dataset.count)
            ruler = .contrastive(
                others: 2 * batch - 2, width: config.projectionSize, temperature: temperature, formula: "ln(2B - 1)")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let views = batches["pictures"]!.views
            // Both views share one pass, and so the statistics of batch normalisation, as in the official code.
            let z = projection(backbone(concatenate(views))).split(2, axis: 0)
            return StepOutput(ntXent(z[0], z[1], temperature: temperature), [("spread", spread(z[0]))])
        }
    }
}

/// The normalised temperature-scaled cross-entropy of SimCLR (Chen et al. 2020, equation 1), averaged over both views.
///
/// Each view must pick its partner among all other views of the batch by cosine similarity.
/// - Parameters:
///   - a, b: [B, D], the two views of the same B samples; any length, normalised here.
///   - temperature: divides the similarities.
public func ntXent(_ a: Tensor, _ b: Tensor, temperature: Double) -> Tensor {
    require(a.shape == b.shape && a.rank == 2, "ntXent: views of shapes \(a.shape) and \(b.shape)")
    let batch = a.shape[0]
    let z = concatenate([a, b]).l2Normalized(axis: -1)
    // A view is not its own candidate.
    let itself = Tensor.eye(2 * batch, dtype: z.dtype, device: z.device) .> 0.5
    let similarities = (z.matmul(z.transposed()) * (1 / temperature)).maskedFill(itself, -1e9)
    let partners = Tensor((0..<2 * batch).map { ($0 + batch) % (2 * batch) }, device: z.device)
    return crossEntropy(similarities, partners)
}
