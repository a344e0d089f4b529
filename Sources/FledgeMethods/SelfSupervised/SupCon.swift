import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Supervised contrastive learning: a view must recognise all views of its class among those of the batch (Khosla et
/// al. 2020, "Supervised contrastive learning"). It looks at labelled samples only; the classifier is fitted to the
/// features afterwards, with the network held fixed, as in the paper.
public struct SupCon: Pretraining {
    public struct Config: Settings {
        public var batchSize = 128
        public var temperature = 0.1
        public var form = SupConForm.out
        public var hiddenSize = 256
        public var projectionSize = 64
        public var views = ViewSettings()
        public var training = TrainingSettings()

        public init() {
            training.steps = 400
            training.learningRate = 2e-3
            training.weightDecay = 1e-4
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "labelled samples for each step; each gives two views",
            "temperature": "divides the similarities; lower looks harder at near misses",
            "form":
                "where the mean over the views of a class stands: out of the logarithm, as the paper advises, or in it",
            "hiddenSize": "width of the projection head",
            "projectionSize": "length of the vectors that are compared",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "temperature": .within(0.001...1000), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "supcon", .selfSupervised,
        summary: "A view must recognise all views of its class among those of the batch; a linear classifier follows.",
        paper: "Khosla et al. 2020, Supervised contrastive learning", needs: [.labels])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task {
        if context.data.labelled.isEmpty { throw MethodError.needsLabels(Self.info.name) }
        return Task(config, context)
    }

    public func fitHead(_ context: LearningContext) throws -> Linear? {
        let labelled = context.data.dataset.subset(context.data.labelled)
        let features = try Inference.features(context.backbone, labelled, input: context.input)
        return LinearProbe(features: features, labels: context.data.labels, classes: context.classes).layer
    }

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
                [backbone.featureCount, config.hiddenSize, config.projectionSize], norms: false, last: .linear,
                random: &random)
            let views = context.randomViews(config.views)
            feeds = [Feed("labelled", from: .labelled, batchSize: config.batchSize, views: views)]
            // At best all views of a class are the same and those of others independent; each then shares its
            // probability with the others of its class.
            let labels = context.data.labels
            let all = Double(2 * config.batchSize)
            let shares = Dictionary(grouping: labels) { $0 }.values.map { Double($0.count) / Double(labels.count) }
            let alike = all * shares.reduce(0) { $0 + $1 * $1 }
            ruler = LossRuler(
                uninformative: log(all - 1),
                floor: log(max(1, alike - 1) + (all - alike) * exp(-1 / config.temperature)), formula: "ln(2B - 1)")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["labelled"]!
            let z = projection(backbone(concatenate(batch.views)))
            let labels = concatenate([batch.labels, batch.labels])
            return StepOutput(
                supCon(z, labels: labels, temperature: config.temperature, form: config.form), [("spread", spread(z))])
        }
    }
}

/// Where SupCon's mean over the positives stands.
public enum SupConForm: String, Codable, Sendable, CaseIterable {
    /// Outside of the logarithm: L_out, equation 2, better in the paper.
    case out
    /// Inside: L_in, equation 3.
    case `in`
}

/// The supervised contrastive loss (Khosla et al. 2020, equations 2 and 3), averaged over the vectors. The vectors of
/// the same label are the positives of each other; one that has none costs nothing.
///
/// The official code multiplies by temperature / 0.07; this does not.
/// - Parameters:
///   - z: [M, D] of any length, normalised here: all views of all samples.
///   - labels: int64 [M].
///   - temperature: divides the similarities.
public func supCon(_ z: Tensor, labels: Tensor, temperature: Double, form: SupConForm = .out) -> Tensor {
    require(
        z.rank == 2 && labels.shape == [z.shape[0]], "supCon: vectors \(z.shape) with labels \(labels.shape)")
    let unit = z.l2Normalized(axis: -1)
    // A vector is not its own candidate.
    let eye = Tensor.eye(z.shape[0], dtype: z.dtype, device: z.device)
    let similarities = (unit.matmul(unit.transposed()) * (1 / temperature)).maskedFill(eye .> 0.5, -1e9)
    let logProbability = similarities.logSoftmax(axis: -1)
    let positive = (labels.unsqueezed(axis: 1) .== labels.unsqueezed(axis: 0)).cast(to: z.dtype) - eye
    let count = positive.sum(axis: 1)
    let losses: Tensor
    switch form {
    case .out:
        losses = (logProbability * positive).sum(axis: 1) / count.clamped(1, .infinity)
    case .in:
        let mean =
            logProbability.maskedFill(positive .< 0.5, -1e9).logSumExp(axis: 1) - count.clamped(1, .infinity).log()
        losses = mean.maskedFill(count .< 0.5, 0)
    }
    return -losses.mean()
}
