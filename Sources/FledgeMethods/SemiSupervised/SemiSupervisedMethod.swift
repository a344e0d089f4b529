import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// A method that trains one classifier on labelled and unlabelled samples together. The task is all that a method has
/// to say: training, the look at what was guessed and the result are the same for all.
public protocol SemiSupervisedMethod: TrainedMethod where Task: SemiSupervisedTask {
    /// Learning rate of the backbone, relative to the head's.
    var backboneRate: Double { get }
}

/// The training of a classifier on labelled and unlabelled samples.
///
/// Tasks log what people watch under the same names: "labelled loss", "unlabelled loss", "mask rate" (the share of
/// guesses that count), and what `KnownLabels.logs` gives.
public protocol SemiSupervisedTask: ClassifyingTask {
    /// The network that is trained.
    var classifier: Classifier { get }
    /// The network that answers in the end: the trained one, or its teacher.
    var answer: Classifier { get }
    /// What the method itself saw go wrong, for people. Asked after the training.
    func remarks(_ trainer: Trainer, _ context: LearningContext) throws -> [String]
}

extension SemiSupervisedTask {
    public var answer: Classifier { classifier }
    public var trained: any Module { answer }
    public func logits(_ x: Tensor) -> Tensor { answer(x) }
    public func remarks(_ trainer: Trainer, _ context: LearningContext) throws -> [String] { [] }
}

extension SemiSupervisedMethod {
    public func groups(_ task: Task) -> [ParameterGroup]? {
        task.classifier.groups(settings: training, backboneRate: backboneRate)
    }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        if Self.info.needs.contains(.images), !context.input.isImage { throw MethodError.needsImages(Self.info.name) }
        let (task, trainer) = try train(context)
        return try trainer.finished(task, context, method: Self.info.name)
    }
}

extension Trainer {
    /// The network that answers, with averaged weights, and what its training and its answers say about it.
    func finished(
        _ task: any SemiSupervisedTask, _ context: LearningContext, method: String
    ) throws -> LearningResult {
        var result = try finished(task.answer, context, method: method, curves: curves(method))
        let answers = try AnswerHealth(result.model, context)
        result.metrics = answers.metrics
        result.warnings = guessWarnings() + answers.warnings + (try task.remarks(self, context))
        return result
    }

    /// Mean of a logged number over the whole training; nil when no step logged it.
    func mean(_ name: String) -> Double? {
        guard let values = logs[name]?.values, !values.isEmpty else { return nil }
        return values.reduce(0, +) / Double(values.count)
    }

    /// What the numbers of the training say about the guesses.
    private func guessWarnings() -> [String] {
        var warnings: [String] = []
        if let mask = lastMean("mask rate"), mask < 0.05 {
            warnings.append(
                "fewer than 5 % of the unlabelled samples were confident enough at the end; lower the threshold or take more steps"
            )
        }
        if let losses = logs["unlabelled loss"]?.values, losses.allSatisfy({ abs($0) < 1e-9 }) {
            warnings.append("the unlabelled samples taught nothing: their loss was 0 at every step")
        }
        if let agreement = lastMean("agreement"), agreement < 0.8 {
            warnings.append(
                String(
                    format: "negative transfer is likely: where the label of a guessed sample is known, "
                        + "only %.0f %% of the guesses are right", agreement * 100))
        }
        return warnings
    }
}

// MARK: Settings

/// Settings that the methods of this family have in common, described once.
enum SharedSettings {
    static let meanings = [
        "batchSize": "labelled samples for each step",
        "unlabelledRatio": "unlabelled samples for each labelled one in a step (mu)",
        "backboneRate": "learning rate of the backbone, relative to the head's",
    ]
    static let ranges: [String: SettingRange] = [
        "batchSize": .within(2...65536), "unlabelledRatio": .within(1...100), "backboneRate": .atLeast(0),
    ]

    static func meanings(and own: [String: String]) -> [String: String] {
        meanings.merging(own) { _, own in own }
    }
    static func ranges(and own: [String: SettingRange]) -> [String: SettingRange] {
        ranges.merging(own) { _, own in own }
    }
}

extension TrainingSettings {
    /// What suits a small network and some thousand samples on a CPU.
    static var semiSupervised: TrainingSettings {
        var training = TrainingSettings()
        training.steps = 1500
        training.optimizer = .adamw
        training.learningRate = 1e-3
        training.weightDecay = 0.01
        training.averaging = 0.99
        return training
    }
}

// MARK: Data

extension LearningContext {
    /// The two feeds of the family: "labelled", one view each, and "unlabelled", `ratio` times as many.
    func feeds(labelled batchSize: Int, view: Augmentation, ratio: Int, views: [Augmentation]) -> [Feed] {
        [
            Feed("labelled", from: .labelled, batchSize: batchSize, views: [view]),
            Feed("unlabelled", from: .everything, batchSize: batchSize * ratio, views: views),
        ]
    }

    /// A view between gentle and rough: 0 is the gentle one, 1 the roughest.
    func view(roughness: Double) -> Augmentation {
        roughness > 0 ? strongView(magnitude: roughness, cutout: roughness / 2) : weakView
    }
}

/// The labels that are known, by place in the dataset. Guesses about samples of the unlabelled feed are held against
/// them; hidden labels are not looked at.
struct KnownLabels {
    private let labels: [Int: Int]

    init(_ context: LearningContext) {
        let samples = context.given ?? context.data.labelled
        labels = Dictionary(samples.map { ($0, context.data.dataset.labels[$0]!) }) { first, _ in first }
    }

    /// A step that adds the loss of guessed labels to that of given ones, with what is worth watching of it.
    /// - Parameters:
    ///   - weight: of the unlabelled loss.
    ///   - guesses, counted, indices: as for `logs`.
    func output(
        supervised: Tensor, unsupervised: Tensor, weight: Double, guesses: Tensor, counted: Tensor, indices: [Int]
    ) -> StepOutput {
        StepOutput(
            supervised + unsupervised * weight,
            [
                ("mask rate", counted.mean().item()), ("labelled loss", supervised.item()),
                ("unlabelled loss", unsupervised.item()),
            ] + logs(guesses, counted: counted, indices: indices))
    }

    /// What is worth watching of the guesses about a batch: "agreement", the share of counted guesses that are right
    /// where that is known (absent where it is of none), and "guessed classes", how many classes they are spread over:
    /// the exponential of the entropy of their shares (absent where none counts).
    /// - Parameters:
    ///   - guesses: class numbers or one row of probabilities for each sample.
    ///   - counted: 1 or 0 for each; nil counts all.
    func logs(_ guesses: Tensor, counted: Tensor? = nil, indices: [Int]) -> [(name: String, value: Double)] {
        let classes = (guesses.rank == 2 ? guesses.detached().argmax() : guesses).ints()
        let counts = counted?.floats() ?? [Float](repeating: 1, count: classes.count)
        var (right, known) = (0, 0)
        var histogram: [Int: Double] = [:]
        for (place, (guess, counts)) in zip(indices, zip(classes, counts)) where counts > 0 {
            histogram[guess, default: 0] += 1
            guard let label = labels[place] else { continue }
            known += 1
            if label == guess { right += 1 }
        }
        var logs: [(name: String, value: Double)] = []
        if known > 0 { logs.append(("agreement", Double(right) / Double(known))) }
        if !histogram.isEmpty {
            // In order of the classes: sums of floating-point numbers depend on it.
            let shares = histogram.keys.sorted().map { histogram[$0]! }
            logs.append(("guessed classes", effectiveCount(of: shares)))
        }
        return logs
    }
}

/// Over how many things these amounts are spread: the exponential of the entropy of their shares. n for n equal ones.
func effectiveCount(of amounts: [Double]) -> Double {
    let total = amounts.reduce(0, +)
    return exp(-amounts.reduce(0) { $0 + ($1 > 0 ? $1 / total * log($1 / total) : 0) })
}

// MARK: Formulas

/// The weight of the unlabelled loss over the training: exp(-5 (1 - t / T)^2) up to T, then 1 (Laine and Aila 2017,
/// section 3).
/// - Parameters:
///   - progress: t, the share of the training that is done.
///   - share: T, the share after which the weight is full; 0: from the beginning.
func gaussianRamp(_ progress: Double, over share: Double) -> Double {
    guard progress < share else { return 1 }
    let left = 1 - progress / share
    return exp(-5 * left * left)
}

/// 0 up to `start`, then rising evenly to 1 at `end`; at once where that is no later.
func linearRamp(_ progress: Double, _ start: Double, _ end: Double) -> Double {
    progress < start ? 0 : progress >= end ? 1 : (progress - start) / (end - start)
}

/// p^(1 / T), made to sum to 1: with T below 1 the likely classes become likelier (Berthelot et al. 2019, equation 7).
/// - Parameter p: [..., classes], probabilities.
public func sharpen(_ p: Tensor, temperature: Double) -> Tensor {
    require(temperature > 0, "sharpen: a temperature of \(temperature)")
    // Divided by the largest first, so that powers neither vanish all together nor overflow.
    let raised = (p / p.max(axis: -1, keepDims: true)).pow(1 / temperature)
    return raised / raised.sum(axis: -1, keepDims: true)
}

/// The mean entropy of distributions, -sum p log p (Grandvalet and Bengio 2005): low where predictions are certain.
/// - Parameter logits: [M, classes].
public func predictionEntropy(_ logits: Tensor) -> Tensor {
    require(logits.rank == 2, "predictionEntropy: logits \(logits.shape)")
    return -(logits.softmax() * logits.logSoftmax()).sum(axis: -1).mean()
}

/// How two predictions about the same samples are held together.
public struct ConsistencySettings: Settings {
    public enum Reduction: String, Codable, Sendable, CaseIterable { case mean, sum }

    public var weight = 30.0
    public var rampUp = 0.3
    public var reduction = Reduction.mean

    public init() {}

    public static let meanings = [
        "weight": "weight of the unlabelled loss once it has risen",
        "rampUp": "share of the training in which the weight rises",
        "reduction":
            "whether squared distances are averaged or added over the classes; published weights differ by their number",
    ]

    public static let ranges: [String: SettingRange] = ["weight": .atLeast(0), "rampUp": .within(0...1)]

    /// The weight when this share of the training is done.
    func weight(at progress: Double) -> Double { weight * gaussianRamp(progress, over: rampUp) }
}

/// The squared distance of class probabilities, averaged over samples: the consistency of the Pi-model, temporal
/// ensembling and Mean Teacher (Laine and Aila 2017, algorithm 1), and MixMatch's loss of unlabelled samples.
/// - Parameters:
///   - p, q: [M, classes], probabilities.
///   - reduction: over the classes.
public func consistency(_ p: Tensor, _ q: Tensor, reduction: ConsistencySettings.Reduction = .mean) -> Tensor {
    meanSquaredError(p, q, reduction: reduction == .mean ? .mean : .batchMean)
}
