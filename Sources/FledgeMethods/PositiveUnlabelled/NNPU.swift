import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// nnPU: the risk of a classifier written with positives and unlabelled samples alone, kept from becoming negative
/// (Kiryo et al. 2017, "Positive-unlabeled learning with non-negative risk estimator"). Without its correction it is
/// uPU (du Plessis et al. 2015, "Convex formulation for learning from positive and unlabeled data").
public struct NNPU: TrainedMethod {
    public struct Config: Settings {
        public var positive: [String] = []
        public var prior = 0.0
        public var correction = true
        public var beta = 0.0
        public var gamma = 1.0
        public var loss = SurrogateLoss.sigmoid
        public var batchSize = 64
        public var unlabelledBatch = 256
        public var training = TrainingSettings()

        public init() {
            training.steps = 1000
            training.averaging = 0.99
            training.weightDecay = 5e-3
        }

        public static let meanings = [
            "positive": "the class, or the classes, to tell from all others; only their labels are used",
            "prior": "share of positives among all samples (pi); 0 estimates it",
            "correction": "keeps the risk of the negatives from going below -beta (nnPU); without it: uPU",
            "beta": "how far below zero the estimated risk of the negatives may be",
            "gamma": "size of the step back, relative to a usual one, where it is lower",
            "loss": "what a wrong answer costs: sigmoid, logistic or double hinge",
            "batchSize": "labelled positives for each step",
            "unlabelledBatch": "unlabelled samples for each step",
        ]

        public static let ranges: [String: SettingRange] = [
            "prior": .within(0..<1), "beta": .atLeast(0), "gamma": .within(0...1), "batchSize": .within(1...65536),
            "unlabelledBatch": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "nnpu", .positiveUnlabelled,
        summary: "The risk of a classifier from positives and unlabelled samples alone, kept from going negative.",
        paper: "Kiryo et al. 2017, Positive-unlabeled learning with non-negative risk estimator; "
            + "uPU: du Plessis et al. 2015",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task {
        Task(config, context, prior: try context.classPrior(given: config.prior))
    }

    public func groups(_ task: Task) -> [ParameterGroup]? { task.classifier.groups(settings: training) }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let context = try context.positiveUnlabelled(config.positive)
        let (task, trainer) = try train(context)
        var warnings: [String] = []
        if !config.correction, let risk = trainer.lastMean("risk"), risk < 0 {
            warnings.append(
                "the estimated risk is below zero, which no risk can be: the network learns the labelled positives "
                    + "by heart; use --set correction=true")
        }
        var result = try trainer.finished(
            task.classifier, context, method: Self.info.name, curves: trainer.curves(Self.info.name),
            warnings: warnings)
        result.metrics["risk"] = trainer.lastMean("risk")
        return try context.judge(result, positive: config.positive, prior: task.prior)
    }

    public final class Task: TrainingTask {
        let classifier: Classifier
        let prior: Double
        public let feeds: [Feed]
        private let config: Config
        public var trained: any Module { classifier }

        init(_ config: Config, _ context: LearningContext, prior: Double) {
            self.config = config
            self.prior = prior
            classifier = context.makeClassifier()
            feeds = [
                Feed("positive", from: .labelled, batchSize: config.batchSize, views: [context.weakView]),
                Feed("unlabelled", from: .everything, batchSize: config.unlabelledBatch, views: [context.weakView]),
            ]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (p, u) = (batches["positive"]!.views[0], batches["unlabelled"]!.views[0])
            // One pass, so that batch normalisation cannot tell the two by their statistics.
            let g = decision(classifier(concatenate([p, u]))).split(sizes: [p.shape[0], u.shape[0]], axis: 0)
            let risks = noGradient {
                puRisks(positive: g[0], unlabelled: g[1], prior: prior, loss: config.loss)
            }
            let loss =
                config.correction
                ? nonNegativeRisk(
                    positive: g[0], unlabelled: g[1], prior: prior, loss: config.loss, beta: config.beta,
                    gamma: config.gamma)
                : unbiasedRisk(positive: g[0], unlabelled: g[1], prior: prior, loss: config.loss)
            let negative = risks.negative.item()
            return StepOutput(
                loss,
                [
                    ("risk", risks.positive.item() + negative), ("negative risk", negative),
                    ("corrected", config.correction && negative < -config.beta ? 1 : 0),
                ])
        }
    }
}

/// What a classifier's answer z costs where the right answer is a positive number; `-z` in its place for a negative one.
public enum SurrogateLoss: String, Codable, Sendable, CaseIterable {
    /// 1 / (1 + exp(z))
    case sigmoid
    /// log(1 + exp(-z))
    case logistic
    /// max(-z, max(0, (1 - z) / 2))
    case doubleHinge = "double-hinge"

    public func callAsFunction(_ z: Tensor) -> Tensor {
        switch self {
        case .sigmoid: (-z).sigmoid()
        case .logistic: (-z).softplus()
        case .doubleHinge: maximum(-z, ((1 - z) * 0.5).relu())
        }
    }
}

/// The two parts of the risk: that of the positives, pi E_P l(g), and that of the negatives written without any,
/// E_U l(-g) - pi E_P l(-g) (du Plessis et al. 2015, equation 4; Kiryo et al. 2017, equation 3).
/// - Parameters:
///   - positive: [P] answers for labelled positives.
///   - unlabelled: [U] answers for unlabelled samples, whose share of positives is `prior`.
public func puRisks(
    positive: Tensor, unlabelled: Tensor, prior: Double, loss: SurrogateLoss = .sigmoid
) -> (positive: Tensor, negative: Tensor) {
    require(
        positive.rank == 1 && unlabelled.rank == 1 && positive.count > 0 && unlabelled.count > 0,
        "puRisks: answers of shapes \(positive.shape) and \(unlabelled.shape)")
    return (
        loss(positive).mean() * prior, loss(-unlabelled).mean() - loss(-positive).mean() * prior
    )
}

/// uPU: the sum of both parts. An unbiased estimate of the risk, and not bounded from below: a flexible network drives
/// it below zero.
public func unbiasedRisk(
    positive: Tensor, unlabelled: Tensor, prior: Double, loss: SurrogateLoss = .sigmoid
) -> Tensor {
    let risks = puRisks(positive: positive, unlabelled: unlabelled, prior: prior, loss: loss)
    return risks.positive + risks.negative
}

/// nnPU (Kiryo et al. 2017, equation 6 and algorithm 1).
///
/// Its value is the reported risk, pi E_P l(g) + max(R_n, -beta). Its gradient is that of the whole while R_n >= -beta;
/// below, it is that of -gamma R_n, a step back from overfitting, which is not the derivative of the value.
public func nonNegativeRisk(
    positive: Tensor, unlabelled: Tensor, prior: Double, loss: SurrogateLoss = .sigmoid, beta: Double = 0,
    gamma: Double = 1
) -> Tensor {
    let risks = puRisks(positive: positive, unlabelled: unlabelled, prior: prior, loss: loss)
    guard risks.negative.item() < -beta else { return risks.positive + risks.negative }
    let back = risks.negative * -gamma
    return risks.positive.detached() - beta + (back - back.detached())
}
