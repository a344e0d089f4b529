import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Co-training: two networks see two halves of each sample, and each labels for the other what it is surest of (Blum and
/// Mitchell 1998, "Combining labeled and unlabeled data with co-training").
///
/// The halves must each be enough to tell the classes apart, and their mistakes must not be the same. In the end one
/// network learns from whole samples: the given labels and those on which both halves agree.
public struct CoTraining: Method {
    public struct Config: Settings {
        public var rounds = 6
        public var perClass = 5
        public var poolFactor = 10
        public var halves = Halves.sides
        public var batchSize = 64
        public var roundLength = 0.15
        public var training = TrainingSettings.semiSupervised

        public init() {
            training.steps = 500
            training.averaging = 0.95
        }

        public static let meanings = [
            "rounds": "how often each network labels samples for the other",
            "perClass": "samples of each class that are labelled in a round (k)",
            "poolFactor": "these are the surest of a random pool of this times k times the number of classes",
            "halves":
                "sides: left and right, of rows of numbers the first and the last; random: half of the values drawn at random",
            "batchSize": "samples for each step",
            "roundLength": "how long the two networks train in each round, as a share of `training`",
            "training": "how the network trains that learns from whole samples in the end",
        ]

        public static let ranges: [String: SettingRange] = [
            "rounds": .within(1...1000), "perClass": .within(1...100_000), "poolFactor": .within(1...100_000),
            "batchSize": .within(2...65536), "roundLength": .above(0, upTo: 1),
        ]
    }

    public enum Halves: String, Codable, Sendable, CaseIterable { case sides, random }

    public static let info = MethodInfo(
        "co-training", .semiSupervised,
        summary: "Two networks see two halves of each sample and label for each other what they are sure of.",
        paper: "Blum and Mitchell 1998, Combining labeled and unlabeled data with co-training",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        try learn(context) { $0 }
    }

    /// - Parameter change: what becomes of the labels that one network makes for the other. Only a test changes them.
    func learn(_ context: LearningContext, changing change: ([Int: Int]) -> [Int: Int]) throws -> LearningResult {
        var supervised = Supervised.Config(
            batchSize: config.batchSize, training: config.training.shortened(to: config.roundLength))
        let retraining = Retraining(context, supervised)
        let data = context.data, classes = context.classes
        let networks = try masks(context).map { mask in HalfBlind(try context.makeTwin(), seeing: mask) }
        for network in networks { network.unfreeze() }
        var labels = [retraining.known, retraining.known]
        var answers: [AnswerTable] = []
        var steps = 0
        var heads: [Linear?] = [nil, nil]
        for round in 0...config.rounds {
            answers = []
            for (index, network) in networks.enumerated() {
                let result = try retraining.learn(
                    labels[index], part: 2 * round + index, backbone: network, head: heads[index])
                heads[index] = result.model.head
                answers.append(try AnswerTable(result.model, of: data.dataset))
                steps += result.steps
            }
            guard round < config.rounds else { break }
            let free = retraining.unlabelled.filter { labels[0][$0] == nil || labels[1][$0] == nil }
            var random = context.random("pool").at(round)
            let pool = random.permutation(free.count)
                .prefix(config.poolFactor * config.perClass * classes).map { free[$0] }.sorted()
            for (index, table) in answers.enumerated() {
                let new = change(table.mostConfident(config.perClass, of: pool))
                labels[1 - index].merge(new) { old, _ in old }
            }
        }

        // What both halves say is learned from whole samples.
        var agreed = retraining.known
        for sample in retraining.unlabelled {
            let guesses = answers.map { $0.best(sample).label }
            if guesses[0] == guesses[1] { agreed[sample] = guesses[0] }
        }
        supervised.training = config.training
        let last = Retraining(context, supervised, start: retraining.start)
        var result = try last.learn(agreed)
        steps += result.steps
        let share = Double(agreed.count - retraining.known.count) / Double(max(1, retraining.unlabelled.count))
        result.metrics["halves_agree"] = share
        if share < 0.5, !retraining.unlabelled.isEmpty {
            result.warnings.append(
                "the two halves agree on \(Int((share * 100).rounded())) % of the unlabelled samples only: "
                    + "one of them is not enough to tell the classes apart")
        }
        return try result.concluded(Self.info.name, context, steps: steps)
    }

    /// What each network sees: 1 or 0 for each value of a sample.
    private func masks(_ context: LearningContext) -> [Tensor] {
        let shape = context.input.shape
        let count = shape.reduce(1, *), half = (shape.count == 1 ? shape[0] : shape[1]) / 2
        var first = [Float](repeating: 0, count: count)
        switch config.halves {
        case .sides:
            for i in 0..<count {
                let column = shape.count == 1 ? i : i / shape[2] % shape[1]
                first[i] = column < half ? 1 : 0
            }
        case .random:
            // All channels of a pixel go together.
            let channels = shape.count == 1 ? 1 : shape[2]
            var random = context.random("halves")
            for place in random.permutation(count / channels).prefix(count / channels / 2) {
                for channel in 0..<channels { first[place * channels + channel] = 1 }
            }
        }
        let mask = Tensor(first, shape: shape)
        return [mask, 1 - mask]
    }
}

/// A network that sees a part of each sample; the rest is at the mean.
final class HalfBlind: Backbone {
    let network: any Backbone
    /// Of a sample's shape: 1 where it is seen. No part of the weights.
    private let mask: Tensor

    init(_ network: any Backbone, seeing mask: Tensor) {
        self.network = network
        self.mask = mask
    }

    var featureCount: Int { network.featureCount }
    func callAsFunction(_ x: Tensor) -> Tensor { network(x * mask) }
}
