import FledgeCore
import FledgeTrain

/// Plays active learning on samples whose labels are known: which strategy would have needed the fewest? Every strategy
/// begins from the same random samples and is compared with asking at random, over several seeds.
public struct ActiveSimulation: Sendable {
    /// Labels at the beginning, more in each round, and at the end.
    public var start: Int
    public var step: Int
    public var until: Int
    public var seeds: [Int]

    /// Stops for numbers that do not rise.
    public init(start: Int = 20, step: Int = 10, until: Int = 200, seeds: [Int] = [0, 1, 2]) {
        require(
            start > 0 && step > 0 && until >= start && !seeds.isEmpty,
            "ActiveSimulation: \(start) labels, \(step) more until \(until), seeds \(seeds)")
        self.start = start
        self.step = step
        self.until = until
        self.seeds = seeds
    }

    /// One learned model.
    public struct Point: Codable, Sendable, Equatable {
        public let strategy: QueryStrategy
        public let seed: Int
        public let labels: Int
        public let accuracy: Double
    }

    /// - Parameters:
    ///   - labels: of all samples; a strategy sees those that it asked for.
    ///   - testLabels: of the test samples. Each point is measured on them: this is a study, not a way to choose.
    ///   - told: is called after every point.
    public func run<Opinion: QueryOpinion>(
        _ strategies: [QueryStrategy], _ learner: some QueryLearner<Opinion>, labels: [Int], testLabels: [Int],
        classes: Int,
        told: (Point) throws -> Void = { _ in }
    ) throws -> [Point] {
        var points: [Point] = []
        for seed in seeds {
            let random = RandomSource(seed: UInt64(seed)).stream("active")
            var first = random.stream("start")
            let beginning = Array(first.permutation(labels.count).prefix(start))
            for strategy in strategies {
                var labelled = beginning
                var round = 0
                var last: Opinion?
                while true {
                    // The same draws for every strategy, so that they differ by their questions only.
                    let known = labelled.map { (sample: $0, label: labels[$0]) }
                    let draws = random.stream("round").at(round)
                    let opinion =
                        if strategy.goesOn, let last {
                            try learner.fit(known, after: last, random: draws)
                        } else {
                            try learner.fit(known, random: draws)
                        }
                    last = opinion
                    let predicted = Metrics.predictions(scores: try learner.test(opinion), classes: classes)
                    let point = Point(
                        strategy: strategy, seed: seed, labels: labelled.count,
                        accuracy: Metrics.accuracy(predicted: predicted, labels: testLabels))
                    points.append(point)
                    try told(point)
                    let wanted = min(step, until - labelled.count)
                    let isLabelled = Set(labelled)
                    let candidates = labels.indices.filter { !isLabelled.contains($0) }
                    if wanted <= 0 || candidates.isEmpty { break }
                    labelled += try strategy.choose(
                        wanted, of: candidates, labelled: labelled, opinion, random: random.stream("question").at(round)
                    )
                    round += 1
                }
            }
        }
        return points
    }
}

extension [ActiveSimulation.Point] {
    /// The area under the learning curve over the range of labels, divided by its width: the mean accuracy. One value
    /// for each seed.
    public func areas(_ strategy: QueryStrategy) -> [Double] {
        let own = filter { $0.strategy == strategy }
        return Set(own.map(\.seed)).sorted().map { seed in
            let curve = own.filter { $0.seed == seed }.sorted { $0.labels < $1.labels }
            guard let first = curve.first, let last = curve.last, last.labels > first.labels else {
                return curve.first?.accuracy ?? 0
            }
            let area = zip(curve, curve.dropFirst()).reduce(0) {
                $0 + ($1.0.accuracy + $1.1.accuracy) / 2 * Double($1.1.labels - $1.0.labels)
            }
            return area / Double(last.labels - first.labels)
        }
    }

    /// The mean over the seeds at each number of labels.
    public func curve(_ strategy: QueryStrategy) -> [(labels: Int, accuracy: Double)] {
        let own = Dictionary(grouping: filter { $0.strategy == strategy }, by: \.labels)
        return own.keys.sorted().map { labels in
            (labels, own[labels]!.reduce(0) { $0 + $1.accuracy } / Double(own[labels]!.count))
        }
    }

    /// The fewest labels from which the mean accuracy is at least this; nil where it never is.
    public func labelsToReach(_ accuracy: Double, _ strategy: QueryStrategy) -> Int? {
        curve(strategy).first { $0.accuracy >= accuracy }?.labels
    }

    /// A row for each point.
    public var csv: String {
        "strategy,seed,labels,accuracy\n"
            + map { "\($0.strategy.rawValue),\($0.seed),\($0.labels),\($0.accuracy)\n" }.joined()
    }
}
