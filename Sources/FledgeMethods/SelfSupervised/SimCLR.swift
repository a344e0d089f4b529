import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// SimCLR: two random views of a picture must recognise each other among all views of the batch (Chen et al. 2020, "A
/// simple framework for contrastive learning of visual representations").
public struct SimCLR: Method {
    public struct Config: Settings {
        public var batchSize = 256
        public var temperature = 0.5
        public var hiddenSize = 256
        public var projectionSize = 64
        public var cropScale = 0.2
        public var jitter = 0.5
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 2e-3
            training.weightDecay = 1e-4
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "temperature": "divides the similarities; lower looks harder at near misses",
            "hiddenSize": "width of the projection head",
            "projectionSize": "length of the vectors that are compared",
            "cropScale": "smallest share of the area that a random crop keeps",
            "jitter": "strength of the colour jitter",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "temperature": .within(0.001...1000), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536), "cropScale": .above(0, upTo: 1), "jitter": .within(0...1),
        ]
    }

    public static let info = MethodInfo(
        "simclr", .selfSupervised,
        summary: "Two random views of a picture must recognise each other among all others.",
        paper: "Chen et al. 2020, A simple framework for contrastive learning of visual representations",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        guard context.input.isImage else { throw MethodError.needsImages(Self.info.name) }
        let task = Task(config, context)
        let trainer = try context.train(task, config.training, title: "simclr")
        let model = FittedModel(
            backbone: context.backbone, modelName: context.modelName, method: Self.info.name,
            classNames: context.data.classNames, input: context.input)
        model.eval()
        return LearningResult(
            model: model, curves: trainer.curves("simclr"), steps: trainer.step,
            warnings: task.deadSteps.map { "the augmentation \($0) cannot change one-channel pictures" })
    }

    final class Task: TrainingTask {
        let backbone: any Backbone
        let projection: Sequential
        let feeds: [Feed]
        let deadSteps: [String]
        private let temperature: Double

        init(_ config: Config, _ context: LearningContext) {
            backbone = context.backbone
            temperature = config.temperature
            var random = context.random("projection")
            projection = Sequential(
                Linear(backbone.featureCount, config.hiddenSize, bias: false, random: &random),
                BatchNorm(config.hiddenSize), ReLU(),
                Linear(config.hiddenSize, config.projectionSize, bias: false, random: &random),
                BatchNorm(config.projectionSize))
            let isGrey = context.input.channels == 1
            let view = Augmentation.simclr(
                size: context.input.size, strength: config.jitter, scale: config.cropScale...1, flip: context.flip,
                grayscale: !isGrey)
            deadSteps = view.inactiveSteps(channels: context.input.channels)
            let normal = context.input.normalized(view)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [normal, normal])]
        }

        func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let views = batches["pictures"]!.views
            // Both views share one pass, and so the statistics of batch normalisation, as in the official code.
            let z = projection(backbone(concatenate(views))).split(2, axis: 0)
            let loss = ntXent(z[0], z[1], temperature: temperature)
            return StepOutput(loss, [("spread", spread(z[0]))])
        }

        /// How far apart the unit vectors lie, as a share of what independent ones show: near 0 means collapse.
        private func spread(_ z: Tensor) -> Double {
            noGradient {
                let unit = z.detached().l2Normalized(axis: -1)
                return unit.standardDeviation(axes: [0]).mean().item() * Double(z.shape[1]).squareRoot()
            }
        }
    }
}
