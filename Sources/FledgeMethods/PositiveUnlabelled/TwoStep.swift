import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Two steps with spies: some positives hide among the unlabelled; what scores below nearly all of them is reliably
/// negative; then an ordinary classifier is learned (Liu et al. 2002, "Partially supervised classification of text
/// documents").
public struct TwoStep: TrainedMethod {
    public struct Config: Settings {
        public var positive: [String] = []
        public var spies = 0.15
        public var quantile = 0.05
        public var rounds = 2
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
            "spies": "share of the labelled positives that hide among the unlabelled",
            "quantile": "share of the spies that may score below the reliable negatives' threshold; 0 takes the lowest",
            "rounds":
                "classifiers learned from positives and reliable negatives; each adds to the negatives of the next",
            "batchSize": "labelled positives for each step of the first classifier",
            "unlabelledBatch": "unlabelled samples for each step of the first classifier",
        ]

        public static let ranges: [String: SettingRange] = [
            "spies": .within(0.01...0.9), "quantile": .within(0...0.5), "rounds": .within(1...100),
            "batchSize": .within(1...65536), "unlabelledBatch": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "two-step", .positiveUnlabelled,
        summary: "Positives that hide as spies show which unlabelled samples are reliably negative.",
        paper: "Liu et al. 2002, Partially supervised classification of text documents",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> LabelledOrNotTask {
        LabelledOrNotTask(
            context, positives: context.data.labelled, share: 0.5, batchSize: config.batchSize,
            unlabelledBatch: config.unlabelledBatch)
    }

    public func groups(_ task: LabelledOrNotTask) -> [ParameterGroup]? { task.classifier.groups(settings: training) }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let context = try context.positiveUnlabelled(config.positive)
        let positives = context.data.labelled
        let isPositive = Set(positives)
        let start = context.backbone.state()
        var random = context.random("spies")
        let order = random.permutation(positives.count).map { positives[$0] }
        let count = max(1, min(positives.count - 1, Int((Double(positives.count) * config.spies).rounded())))

        // Step one: the spies count as unlabelled.
        var first = context
        first.data.labelled = order.dropFirst(count).sorted()
        let task = makeTask(first)
        let trainer = try first.train(task, training, title: "\(Self.info.name)-spies", groups: groups(task))
        var result = try trainer.finished(
            task.classifier, context, method: Self.info.name, curves: trainer.curves("\(Self.info.name), spies"))
        var scores = try positiveScores(result.model, context)
        let threshold = spyThreshold(order.prefix(count).map { scores[$0] }, quantile: config.quantile)
        var candidates = (0..<scores.count).filter { !isPositive.contains($0) }
        var negatives = candidates.filter { scores[$0] < threshold }
        var warnings: [String] = []
        if negatives.count < max(2, candidates.count / 100) {
            warnings.append(
                "only \(negatives.count) unlabelled samples score below the spies, so the lowest tenth are taken for "
                    + "negative; the features tell positives badly from the rest")
            let lowest = candidates.sorted { (scores[$0], $0) < (scores[$1], $1) }
            negatives = Array(lowest.prefix(max(2, candidates.count / 10)))
        }
        result.metrics["spy_threshold"] = Double(threshold)
        let metrics = result.metrics
        let reliable = negatives.count

        // Step two: positives against reliable negatives; what is then called negative joins them.
        var curves = result.curves
        for round in 1...config.rounds {
            let isNegative = Set(negatives)
            candidates.removeAll { isNegative.contains($0) }
            var shares = [Float](repeating: 0.5, count: 2 * scores.count)
            for sample in negatives { (shares[2 * sample], shares[2 * sample + 1]) = (1, 0) }
            for sample in positives { (shares[2 * sample], shares[2 * sample + 1]) = (0, 1) }
            // The fewer side is repeated until both weigh alike.
            let repeats = max(1, negatives.count / positives.count)
            let inverse = max(1, positives.count / negatives.count)
            let samples =
                Array(repeating: positives, count: repeats).flatMap(\.self)
                + Array(repeating: negatives, count: inverse).flatMap(\.self)
            try context.backbone.load(start)
            let (task, trainer) = try context.train(
                onShares: shares, of: samples, batchSize: 2 * config.batchSize, training,
                title: "\(Self.info.name)-round-\(round)")
            curves += trainer.curves("\(Self.info.name), round \(round)")
            result = try trainer.finished(
                task.classifier, context, method: Self.info.name, curves: curves, warnings: warnings)
            guard round < config.rounds else { break }
            scores = try positiveScores(result.model, context)
            let added = candidates.filter { scores[$0] < 0.5 }
            if added.isEmpty { break }
            negatives = (negatives + added).sorted()
        }
        result.metrics = metrics
        result.metrics["reliable_negatives"] = Double(reliable)
        return try context.judge(result, positive: config.positive, prior: nil)
    }

    private func positiveScores(_ model: FittedModel, _ context: LearningContext) throws -> [Float] {
        let found = try model.probabilities(of: context.data.dataset)
        return (0..<context.data.dataset.count).map { found[$0 * 2 + 1] }
    }
}

/// The score below which so small a share of the spies lies (Liu et al. 2002, section 3.1): their lowest for
/// `quantile` 0.
public func spyThreshold(_ scores: [Float], quantile: Double) -> Float {
    require(!scores.isEmpty && quantile >= 0 && quantile < 1, "spyThreshold: \(scores.count) spies, \(quantile)")
    return scores.sorted()[Int((quantile * Double(scores.count)).rounded(.down))]
}
