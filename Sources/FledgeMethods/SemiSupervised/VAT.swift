import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Virtual adversarial training: the prediction must not change in the direction in which it would change the most
/// (Miyato et al. 2018, "Virtual adversarial training: a regularization method for supervised and semi-supervised
/// learning").
public struct VAT: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var radius = 0.25
        public var xi = 1e-3
        public var powerSteps = 1
        public var unlabelledWeight = 1.0
        public var entropyWeight = 1.0
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "radius":
                "length of the disturbance, where a normalised sample has about 1: the paper's epsilon is this times the square root of the number of values",
            "xi":
                "length of the try from which its direction is found; 1e-6, as in much code, is noise in 32-bit numbers",
            "powerSteps": "how often the direction is improved",
            "unlabelledWeight": "weight of the change of the predictions (lambda)",
            "entropyWeight":
                "weight of the entropy of the predictions, which makes them certain (VAT + EntMin); 0: none",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "radius": .above(0, upTo: 100), "xi": .above(0, upTo: 100), "powerSteps": .within(1...100),
            "unlabelledWeight": .atLeast(0), "entropyWeight": .atLeast(0),
        ])
    }

    public static let info = MethodInfo(
        "vat", .semiSupervised,
        summary: "The prediction must not change where it would change the most.",
        paper:
            "Miyato et al. 2018, Virtual adversarial training: a regularization method for supervised and semi-supervised learning",
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
        private let epsilon: Double
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            epsilon = config.radius * Double(context.input.shape.reduce(1, *)).squareRoot()
            let view = context.weakView
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let x = concatenate([labelled.views[0], unlabelled.views[0]])
            // All passes drop the same units: only the disturbance may change the prediction.
            let dropout = Randomness.current
            let logits = classifier(x)
            let network: (Tensor) -> Tensor = { [classifier] x in
                Randomness.current = dropout
                return classifier.withoutStatistics { classifier(x) }
            }
            var random = dropout.stream("direction")
            let direction = Tensor.normal(x.shape, random: &random)
            let r = virtualAdversarialDisturbance(
                x, logits, direction: direction, xi: config.xi, epsilon: epsilon, steps: config.powerSteps, network)
            let change = virtualAdversarialLoss(logits, network(x + r))
            let parts = logits.split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            let supervised = crossEntropy(parts[0], labelled.labels)
            let entropy = predictionEntropy(parts[1])
            return StepOutput(
                supervised + change * config.unlabelledWeight + entropy * config.entropyWeight,
                [
                    ("labelled loss", supervised.item()), ("unlabelled loss", change.item()),
                    ("entropy", entropy.item()),
                ] + known.logs(parts[1], indices: unlabelled.indices))
        }

        /// A direction that another length of the try would change was drowned in rounding.
        public func remarks(_ trainer: Trainer, _ context: LearningContext) throws -> [String] {
            let data = context.data.dataset, count = min(64, context.data.dataset.count)
            let batch = try Loader(
                data, indices: Array(0..<count), batchSize: count, views: [context.plainView], seed: 0, shuffle: false
            ).batch(at: 0)
            let agreement = directionAgreement(batch.tensor(), random: context.random("direction"))
            guard agreement < VAT.leastAgreement else { return [] }
            return [
                "the adversarial directions are noise: a try only a third longer than xi = \(config.xi) finds others "
                    + "(cosine \((agreement * 100).rounded() / 100)), so xi is too small for 32-bit numbers; 1e-3 suits most"
            ]
        }

        /// Mean cosine of the directions found with xi and with a little more. Rounding differs between the two, and
        /// nothing else does: 1 for sound directions.
        func directionAgreement(_ x: Tensor, random: RandomSource) -> Double {
            var random = random
            let start = Tensor.normal(x.shape, random: &random)
            let logits = noGradient { classifier(x) }
            func direction(_ xi: Double) -> Tensor {
                virtualAdversarialDisturbance(
                    x, logits, direction: start, xi: xi, epsilon: 1, steps: 1, classifier.callAsFunction
                ).reshaped([x.shape[0], -1])
            }
            return (direction(config.xi) * direction(1.37 * config.xi)).sum(axis: -1).mean().item()
        }
    }

    /// Directions that agree less than this are noise.
    static let leastAgreement = 0.9
}

/// The disturbance of length `epsilon` that changes each sample's prediction most, to second order, found from a random
/// direction by power iteration (Miyato et al. 2018, algorithm 1). A constant: no gradient flows through it.
/// - Parameters:
///   - x: [M, ...], the samples.
///   - logits: [M, classes], of x.
///   - direction: of x's shape, normal noise; any length.
///   - xi: length of the try. Too small, and the change of the prediction is lost in rounding.
///   - network: samples to logits, always with the same dropout.
public func virtualAdversarialDisturbance(
    _ x: Tensor, _ logits: Tensor, direction: Tensor, xi: Double, epsilon: Double, steps: Int = 1,
    _ network: (Tensor) -> Tensor
) -> Tensor {
    require(direction.shape == x.shape, "virtualAdversarialDisturbance: direction \(direction.shape), x \(x.shape)")
    var d = unitRows(direction)
    for _ in 0..<steps {
        let r = (d * xi).detached().requiringGradient()
        let change = withGradient { virtualAdversarialLoss(logits.detached(), network(x.detached() + r)) }
        // Where nothing changes there is no direction.
        d = gradients(of: change, for: [r])[0].map(unitRows) ?? d
    }
    return (d * epsilon).detached()
}

/// The mean Kullback-Leibler divergence of disturbed predictions from the undisturbed ones, which are constants (Miyato
/// et al. 2018, equation 5).
/// - Parameters:
///   - logits, disturbed: [M, classes].
public func virtualAdversarialLoss(_ logits: Tensor, _ disturbed: Tensor) -> Tensor {
    klDivergence(disturbed.logSoftmax(), logits.detached().softmax(), reduction: .batchMean)
}

/// Each sample divided by its length. Scaled first: squares of tiny gradients would vanish in 32-bit numbers.
private func unitRows(_ x: Tensor) -> Tensor {
    noGradient {
        let rows = x.detached().reshaped([x.shape[0], -1])
        let scaled = rows / (rows.abs().max(axis: -1, keepDims: true) + 1e-30)
        return scaled.l2Normalized(axis: -1).reshaped(x.shape)
    }
}
