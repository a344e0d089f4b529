import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Elkan and Noto: a classifier of labelled against unlabelled is, up to a constant, one of positive against negative
/// (Elkan and Noto 2008, "Learning classifiers from only positive and unlabeled data").
///
/// Holds where the labelled positives are a random choice of all positives.
public struct ElkanNoto: TrainedMethod {
    public struct Config: Settings {
        public var positive: [String] = []
        public var heldOut = 0.2
        public var reweight = true
        public var batchSize = 64
        public var unlabelledBatch = 256
        public var training = TrainingSettings()

        public init() {
            training.steps = 300
            training.averaging = 0.99
            training.weightDecay = 5e-3
        }

        public static let meanings = [
            "positive": "the class, or the classes, to tell from all others; only their labels are used",
            "heldOut": "share of the labelled positives that measure how often a positive is labelled",
            "reweight":
                "learns anew from unlabelled samples as partly positive (section 3); false: shifts the threshold",
            "batchSize": "labelled positives for each step",
            "unlabelledBatch": "unlabelled samples for each step",
        ]

        public static let ranges: [String: SettingRange] = [
            "heldOut": .within(0.01...0.9), "batchSize": .within(1...65536), "unlabelledBatch": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "elkan-noto", .positiveUnlabelled,
        summary: "Tells labelled from unlabelled samples, and divides by how often a positive is labelled.",
        paper: "Elkan and Noto 2008, Learning classifiers from only positive and unlabeled data",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> LabelledOrNotTask {
        LabelledOrNotTask(
            context, positives: context.data.labelled, share: nil, batchSize: config.batchSize,
            unlabelledBatch: config.unlabelledBatch)
    }

    public func groups(_ task: LabelledOrNotTask) -> [ParameterGroup]? { task.classifier.groups(settings: training) }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let context = try context.positiveUnlabelled(config.positive)
        let positives = context.data.labelled
        var random = context.random("held out")
        let order = random.permutation(positives.count).map { positives[$0] }
        let held = max(1, min(positives.count - 1, Int((Double(positives.count) * config.heldOut).rounded())))
        let start = context.backbone.state()

        // First: is a sample labelled? The held-out positives take no part.
        var first = context
        first.data.labelled = order.dropFirst(held).sorted()
        let task = LabelledOrNotTask(
            first, positives: positives, share: nil, batchSize: config.batchSize,
            unlabelledBatch: config.unlabelledBatch)
        let trainer = try first.train(task, training, title: Self.info.name, groups: groups(task))
        var result = try trainer.finished(
            task.classifier, context, method: Self.info.name, curves: trainer.curves(Self.info.name))
        let found = try result.model.probabilities(of: context.data.dataset)
        let g = (0..<context.data.dataset.count).map { Double(found[$0 * 2 + 1]) }
        // c = p(labelled | positive), estimator e1 of section 2. Above 0, so that it divides; the first classifier saw
        // only the positives that were not held out.
        let c = min(max(order.prefix(held).reduce(0) { $0 + g[$1] } / Double(held), 1e-3), 1)

        if config.reweight {
            let isPositive = Set(positives)
            let shares = g.enumerated().flatMap { sample, g -> [Float] in
                let w = isPositive.contains(sample) ? 1 : positiveWeight(g, c: c)
                return [Float(1 - w), Float(w)]
            }
            try context.backbone.load(start)
            let (second, trainer) = try context.train(
                onShares: shares, of: Array(0..<context.data.dataset.count),
                batchSize: config.batchSize + config.unlabelledBatch, training, title: "\(Self.info.name)-reweighted")
            let curves = result.curves + trainer.curves("\(Self.info.name), reweighted")
            result = try trainer.finished(second.classifier, context, method: Self.info.name, curves: curves)
        } else if let bias = result.model.head?.bias {
            // p(positive) = g / c is one half where g is c / 2.
            bias.value = bias.value - Tensor([0, Float(log(c / 2) - log1p(-c / 2))])
        }
        result.metrics["label_frequency"] = c
        return try context.judge(result, positive: config.positive, prior: nil)
    }
}

/// How much of an unlabelled sample is positive: p(y = 1 | x, unlabelled) = (1 - c) / c * g / (1 - g) (Elkan and Noto
/// 2008, equation 4), at most 1.
/// - Parameters:
///   - g: p(labelled | x).
///   - c: p(labelled | positive).
public func positiveWeight(_ g: Double, c: Double) -> Double {
    require(c > 0 && c <= 1 && g >= 0 && g <= 1, "positiveWeight: g \(g), c \(c)")
    return g >= 1 ? 1 : min(1, (1 - c) / c * g / (1 - g))
}

/// Learns whether a sample is one of the labelled positives.
public final class LabelledOrNotTask: TrainingTask {
    let classifier: Classifier
    public let feeds: [Feed]
    /// The weight of the labelled in the risk, and for every sample whether it counts as unlabelled.
    private let share: Double
    private let isUnlabelled: [Bool]
    public var trained: any Module { classifier }

    /// - Parameters:
    ///   - context: its labelled samples are those to recognise.
    ///   - positives: samples that are not counted as unlabelled.
    ///   - share: the weight of the labelled in the risk; nil: their share of all samples, so that the answer is a
    ///     probability.
    init(
        _ context: LearningContext, positives: [Int], share: Double?, batchSize: Int, unlabelledBatch: Int
    ) {
        classifier = context.makeClassifier()
        var isUnlabelled = [Bool](repeating: true, count: context.data.dataset.count)
        for sample in positives { isUnlabelled[sample] = false }
        self.isUnlabelled = isUnlabelled
        let (labelled, others) = (context.data.labelled.count, isUnlabelled.count { $0 })
        self.share = share ?? Double(labelled) / Double(labelled + others)
        feeds = [
            Feed("positive", from: .labelled, batchSize: batchSize, views: [context.weakView]),
            Feed("unlabelled", from: .everything, batchSize: unlabelledBatch, views: [context.weakView]),
        ]
    }

    public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
        let (p, u) = (batches["positive"]!.views[0], batches["unlabelled"]!)
        let g = decision(classifier(concatenate([p, u.views[0]])))
            .split(sizes: [p.shape[0], u.views[0].shape[0]], axis: 0)
        let counted = Tensor(u.indices.map { isUnlabelled[$0] ? Float(1) : 0 })
        return StepOutput(labelledOrNotRisk(labelled: g[0], unlabelled: g[1], counted: counted, share: share))
    }
}

/// The logistic risk of telling labelled from unlabelled samples that were drawn apart from each other:
/// share E_P log(1 + exp(-g)) + (1 - share) E_U log(1 + exp(g)).
/// - Parameters:
///   - labelled: [P] answers.
///   - unlabelled: [U] answers.
///   - counted: 1 or 0 for each [U].
///   - share: of the labelled among all.
public func labelledOrNotRisk(labelled: Tensor, unlabelled: Tensor, counted: Tensor, share: Double) -> Tensor {
    require(
        unlabelled.shape == counted.shape && labelled.rank == 1,
        "labelledOrNotRisk: answers \(labelled.shape), \(unlabelled.shape), counted \(counted.shape)")
    let number = Swift.max(counted.sum().item(), 1)
    let positive = (-labelled).softplus().mean() * share
    return positive + (unlabelled.softplus() * counted).sum() * ((1 - share) / number)
}
