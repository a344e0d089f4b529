import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// A method that trains a backbone for its features. The task is all that a method has to say: training, the look at
/// its health and the result are the same for all.
public protocol Pretraining: TrainedMethod where Task: PretrainingTask {
    /// From the trained features to the classes, for the few methods that look at labels; nil by default.
    func fitHead(_ context: LearningContext) throws -> Linear?
}

/// The training of a backbone without labels.
///
/// A task whose vectors could all become the same logs their `spread` at every step as "spread".
public protocol PretrainingTask: TrainingTask {
    var backbone: any Backbone { get }
    /// The scale of its loss; nil where the value says nothing, as with BYOL, whose best value is also that of
    /// collapse.
    var ruler: LossRuler? { get }
    /// What should be known beforehand of these settings on this data. Augmentations that cannot act are named anyway.
    var warnings: [String] { get }
    /// Whether the network saw pieces or changed colours of pictures only, so that the running statistics of batch
    /// normalisation have to be those of whole ones before it is used.
    var seesPieces: Bool { get }
    /// What the numbers that it logged say to be wrong.
    func warnings(after trainer: Trainer) -> [String]
    /// What the network makes of pictures, for people to look at; nil where it rebuilds nothing.
    /// - Parameters:
    ///   - pictures: [N, H, W, C], normalised.
    ///   - random: decides what is hidden.
    func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction?
}

extension PretrainingTask {
    public var warnings: [String] { [] }
    public var seesPieces: Bool { false }
    public func warnings(after trainer: Trainer) -> [String] { [] }
    public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? { nil }
}

extension Pretraining {
    public func fitHead(_ context: LearningContext) throws -> Linear? { nil }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let needs = Self.info.needs
        if needs.contains(.images), !context.input.isImage { throw MethodError.needsImages(Self.info.name) }
        if needs.contains(.colour), context.input.channels != 3 { throw MethodError.needsColour(Self.info.name) }
        return try learn(context, task: try makeTask(context))
    }

    /// With a task that was made already.
    func learn(_ context: LearningContext, task: Task) throws -> LearningResult {
        let trained = try context.pretrain(task, training, title: Self.info.name, groups: groups(task))
        context.backbone.eval()
        let model = FittedModel(
            backbone: context.backbone, head: try fitHead(context), modelName: context.modelName,
            method: Self.info.name, classNames: context.data.classNames, input: context.input)
        model.eval()
        var result = LearningResult(
            model: model, curves: trained.trainer.curves(Self.info.name), steps: trained.trainer.step,
            metrics: trained.metrics, warnings: trained.warnings)
        result.sheets = {
            try [FeatureSheets.reconstructions(task, context), FeatureSheets.neighbours(context)].compactMap { $0 }
        }
        return result
    }
}

/// What the training of a backbone left beside its weights.
struct Pretrained {
    let trainer: Trainer
    let metrics: [String: Double]
    let warnings: [String]
}

extension LearningContext {
    /// Trains a backbone, with averaged weights in the end, and looks at the health of its features.
    func pretrain(
        _ task: any PretrainingTask, _ settings: TrainingSettings, title: String, groups: [ParameterGroup]? = nil
    ) throws -> Pretrained {
        let trainer = try train(task, settings, title: title, groups: groups)
        try trainer.useAverage()
        if task.seesPieces {
            try Inference.adaptStatistics(task.backbone, data.dataset, input: input, seed: seed)
        }
        let health = try FeatureHealth(of: task, self)
        let loss = trainer.lastMean("loss")
        var metrics = health.metrics
        if let ruler = task.ruler, let loss { metrics["loss_learned"] = ruler.learned(loss) }
        return Pretrained(
            trainer: trainer, metrics: metrics,
            warnings: deadAugmentations(task.feeds.flatMap(\.views)) + task.warnings + task.warnings(after: trainer)
                + health.warnings(loss: loss, ruler: task.ruler, spread: trainer.lastMean("spread")))
    }
}

extension TrainingSettings {
    /// What suits a small network and some thousand samples on a CPU.
    static var pretraining: TrainingSettings {
        var training = TrainingSettings()
        training.epochs = 20
        training.learningRate = 2e-3
        training.weightDecay = 1e-4
        training.warmup = 0.05
        return training
    }
}

/// Where a loss stands between the value of an output that says nothing and the best it can reach.
public struct LossRuler: Sendable {
    /// What an output that is the same for all samples costs.
    public let uninformative: Double
    public let floor: Double
    /// The uninformative value as a formula, for people: "ln(2B - 1)".
    public let formula: String

    public init(uninformative: Double, floor: Double = 0, formula: String) {
        self.uninformative = uninformative
        self.floor = floor
        self.formula = formula
    }

    /// Of cross-entropies that find a partner among it and `others` vectors by cosine similarity. The floor is that of
    /// partners alike and all others independent.
    /// - Parameters:
    ///   - others: how many wrong candidates there are.
    ///   - width: of the vectors.
    ///   - scale: what the cross-entropies are multiplied by in the loss.
    static func contrastive(
        others: Int, width: Int, temperature t: Double, scale: Double = 1, formula: String
    ) -> LossRuler {
        // ln(exp(1/t) + others exp(1/(2 d t^2))) - 1/t, without large numbers.
        let rest = Double(others) * exp(1 / (2 * Double(width) * t * t) - 1 / t)
        return LossRuler(uninformative: scale * log(Double(1 + others)), floor: scale * log1p(rest), formula: formula)
    }

    /// The same of noise-contrastive estimation with `negatives` draws, whose best guess without a partner in sight is
    /// that each of the 1 + K is the own one with probability 1 / (1 + K).
    static func noiseContrastive(negatives: Int, width: Int, temperature: Double) -> LossRuler {
        let formula = "(1 + K) ln(1 + K) - K ln K"
        let chosen = contrastive(others: negatives, width: width, temperature: temperature, formula: formula)
        // The draws are told from the data by ln(1 + 1/K) each, however well the partner is found.
        let draws = Double(negatives) * log1p(1 / Double(negatives))
        return LossRuler(uninformative: chosen.uninformative + draws, floor: chosen.floor + draws, formula: formula)
    }

    /// 0 at the uninformative value, 1 at the floor.
    public func learned(_ loss: Double) -> Double { (uninformative - loss) / (uninformative - floor) }
}

/// How far apart the unit vectors of different samples lie: the deviation of each component, times the square root of
/// their number. 1 for independent directions, 0 when all are the same: collapse.
/// - Parameter z: [B, D] of any length.
public func spread(_ z: Tensor) -> Double {
    noGradient {
        let unit = z.detached().l2Normalized(axis: -1)
        return unit.standardDeviation(axes: [0], unbiased: true).mean().item() * Double(z.shape[1]).squareRoot()
    }
}
