import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// A method that trains a backbone and looks at no label. The task is all that a method has to say: training, the look
/// at its health and the result are the same for all.
public protocol Pretraining: TrainedMethod where Task: PretrainingTask {}

/// The training of a backbone without labels.
///
/// A task whose vectors could all become the same logs their `spread` at every step as "spread".
public protocol PretrainingTask: TrainingTask {
    var backbone: any Backbone { get }
    /// The scale of its loss; nil where the value says nothing, as with BYOL, whose best value is also that of collapse.
    var ruler: LossRuler? { get }
    /// What should be known beforehand, such as augmentations that cannot act.
    var warnings: [String] { get }
}

extension PretrainingTask {
    public var warnings: [String] { [] }
}

extension Pretraining {
    public func learn(_ context: LearningContext) throws -> LearningResult {
        if Self.info.needs.contains(.images), !context.input.isImage { throw MethodError.needsImages(Self.info.name) }
        let (task, trainer) = try train(context)
        if let average = trainer.average { try task.trained.load(average.moduleState()) }
        let health = try FeatureHealth(of: task, context)
        var metrics = health.metrics
        if let ruler = task.ruler, let loss = trainer.lastMean("loss") { metrics["loss_learned"] = ruler.learned(loss) }
        let model = FittedModel(
            backbone: context.backbone, modelName: context.modelName, method: Self.info.name,
            classNames: context.data.classNames, input: context.input)
        model.eval()
        return LearningResult(
            model: model, curves: trainer.curves(Self.info.name), steps: trainer.step, metrics: metrics,
            warnings: task.warnings
                + health.warnings(
                    loss: trainer.lastMean("loss"), ruler: task.ruler, spread: trainer.lastMean("spread")))
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
