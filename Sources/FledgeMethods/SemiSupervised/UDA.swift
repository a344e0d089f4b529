import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// UDA: the sharpened prediction of a gentle view is what the rough view must predict (Xie et al. 2020, "Unsupervised
/// data augmentation for consistency training").
public struct UDA: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var temperature = 0.4
        public var threshold = 0.6
        public var unlabelledWeight = 1.0
        public var annealing = Annealing.none
        public var magnitude = 0.5
        public var cutout = 0.25
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "temperature": "sharpens the predictions that are learned; 1 leaves them as they are",
            "threshold": "confidence, before sharpening, from which a prediction is learned (beta); the paper has 0.8",
            "unlabelledWeight": "weight of the unlabelled loss (lambda)",
            "annealing":
                "training signal annealing: labelled samples known better than a threshold that rises linearly, as exp or as log do not count",
            "magnitude": "strength of the rough views, 0 to 1",
            "cutout": "side of the hole in rough views, as a share of the picture's; 0 cuts none",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "temperature": .above(0, upTo: 100), "threshold": .within(0...1), "unlabelledWeight": .atLeast(0),
            "magnitude": .within(0...1), "cutout": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "uda", .semiSupervised,
        summary: "Sharpened predictions of gentle views are what rough views must predict.",
        paper: "Xie et al. 2020, Unsupervised data augmentation for consistency training",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            let weak = context.weakView
            let strong = context.strongView(magnitude: config.magnitude, cutout: config.cutout)
            feeds = context.feeds(
                labelled: config.batchSize, view: weak, ratio: config.unlabelledRatio, views: [weak, strong])
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            // Gentle views look like what will be classified one day, so only they make the running statistics.
            let weak = noGradient { classifier(unlabelled.views[0]) }
            let counted = (weak.softmax().max(axis: -1) .>= config.threshold).cast(to: .float32)
            let logits = classifier.withoutStatistics {
                classifier(concatenate([labelled.views[0], unlabelled.views[1]]))
                    .split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            }
            let threshold = config.annealing.threshold(context.progress, classes: logits[0].shape[1])
            let supervised = annealedCrossEntropy(logits[0], labelled.labels, threshold: threshold)
            let unsupervised = UDA.loss(
                logits[1], weak: weak, counted: counted, temperature: config.temperature)
            return known.output(
                supervised: supervised, unsupervised: unsupervised, weight: config.unlabelledWeight, guesses: weak,
                counted: counted, indices: unlabelled.indices)
        }
    }

    /// The divergence of the rough views' predictions from the sharpened ones of the gentle views, counted where these
    /// were confident and averaged over all samples. It is the target that the temperature sharpens, not the prediction
    /// (Xie et al. 2020, section 2.2 and their code).
    /// - Parameters:
    ///   - logits: [M, classes], of the rough views.
    ///   - weak: [M, classes], of the gentle views; constants.
    ///   - counted: 1 or 0 for each [M].
    public static func loss(_ logits: Tensor, weak: Tensor, counted: Tensor, temperature: Double) -> Tensor {
        let target = noGradient { (weak.detached() / temperature).softmax() }
        return (klDivergence(logits.logSoftmax(), target, reduction: .none).sum(axis: -1) * counted).mean()
    }
}

/// UDA's training signal annealing: labelled samples that are known well enough already do not count, so that few labels
/// are not learned by heart before the unlabelled samples have spoken (Xie et al. 2020, appendix).
public enum Annealing: String, Codable, Sendable, CaseIterable {
    case none, linear, exp, log

    /// The probability of the label above which a sample does not count; nil for no limit. From 1 / classes to 1.
    func threshold(_ progress: Double, classes: Int) -> Double? {
        let share: Double
        switch self {
        case .none: return nil
        case .linear: share = progress
        case .exp: share = Foundation.exp(5 * (progress - 1))
        case .log: share = 1 - Foundation.exp(-5 * progress)
        }
        return share * (1 - 1 / Double(classes)) + 1 / Double(classes)
    }
}

/// Cross-entropy over the samples whose label has less than `threshold` of the probability; the mean over those, and 0
/// when there are none.
/// - Parameters:
///   - logits: [B, classes].
///   - labels: int64 [B].
///   - threshold: nil counts all.
public func annealedCrossEntropy(_ logits: Tensor, _ labels: Tensor, threshold: Double?) -> Tensor {
    guard let threshold else { return crossEntropy(logits, labels) }
    let losses = crossEntropy(logits, labels, reduction: .none)
    // The cross-entropy is -log p of the label.
    let counted = noGradient { ((-losses.detached()).exp() .< threshold).cast(to: logits.dtype) }
    return (losses * counted).sum() / max(1, counted.sum().item())
}
