import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Tri-training: three networks, begun on different draws of the labels; what two of them agree on is a label for the
/// third (Zhou and Li 2005, "Tri-training: exploiting unlabeled data using three classifiers").
///
/// Needs no halves and no confidence. In the end one network learns what most of the three say.
public struct TriTraining: Method {
    public struct Config: Settings {
        public var rounds = 2
        public var batchSize = 64
        public var roundLength = 0.4
        public var training = TrainingSettings.semiSupervised

        public init() { training.steps = 500 }

        public static let meanings = [
            "rounds": "how often the networks label for one another; ends before when nothing is gained",
            "batchSize": "samples for each step",
            "roundLength": "how long each of the three trains in a round, as a share of `training`",
            "training": "how the network trains that learns what most of the three say",
        ]

        public static let ranges: [String: SettingRange] = [
            "rounds": .within(1...1000), "batchSize": .within(2...65536), "roundLength": .above(0, upTo: 1),
        ]
    }

    public static let info = MethodInfo(
        "tri-training", .semiSupervised,
        summary: "Of three networks, what two agree on is a label for the third.",
        paper: "Zhou and Li 2005, Tri-training: exploiting unlabeled data using three classifiers",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        try learn(context) { $0 }
    }

    /// - Parameter change: what becomes of the labels that two networks make for the third. Only a test changes them.
    func learn(_ context: LearningContext, changing change: ([Int: Int]) -> [Int: Int]) throws -> LearningResult {
        var supervised = Supervised.Config(
            batchSize: config.batchSize, training: config.training.shortened(to: config.roundLength))
        let retraining = Retraining(context, supervised)
        let known = retraining.known, dataset = context.data.dataset
        var steps = 0
        var part = 0
        func answers(_ labels: [Int: Int], _ samples: [Int]) throws -> [Int] {
            part += 1
            let result = try retraining.learn(labels, samples: samples, part: part)
            steps += result.steps
            let table = try AnswerTable(result.model, of: dataset)
            return (0..<dataset.count).map { table.best($0).label }
        }

        var guesses = try (0..<3).map { try answers(known, draw(context, $0)) }
        var bounds = [TriTrainingBound](repeating: TriTrainingBound(), count: 3)
        var random = context.random("agreed")
        for _ in 0..<config.rounds {
            var next: [(network: Int, labels: [Int: Int])] = []
            for i in 0..<3 {
                let (j, k) = ((i + 1) % 3, (i + 2) % 3)
                let agreed = retraining.unlabelled.filter { guesses[j][$0] == guesses[k][$0] }
                let sure = known.filter { guesses[j][$0.key] == guesses[k][$0.key] }
                let wrong = sure.filter { guesses[j][$0.key] != $0.value }
                let error = sure.isEmpty ? 0.5 : Double(wrong.count) / Double(sure.count)
                guard let count = bounds[i].accepted(agreed.count, error: error) else { continue }
                let chosen =
                    count == agreed.count
                    ? agreed : random.permutation(agreed.count).prefix(count).map { agreed[$0] }.sorted()
                next.append((i, change(Dictionary(uniqueKeysWithValues: chosen.map { ($0, guesses[j][$0]) }))))
            }
            if next.isEmpty { break }
            for (i, labels) in next {
                let all = known.merging(labels) { known, _ in known }
                guesses[i] = try answers(all, all.keys.sorted())
            }
        }

        // What most say is learned by one network; where all three differ, nobody says anything.
        var labels = known
        var unanimous = 0
        for sample in retraining.unlabelled {
            let three = guesses.map { $0[sample] }
            if three[0] == three[1] && three[1] == three[2] { unanimous += 1 }
            if three[0] == three[1] || three[0] == three[2] {
                labels[sample] = three[0]
            } else if three[1] == three[2] {
                labels[sample] = three[1]
            }
        }
        supervised.training = config.training
        let last = Retraining(context, supervised, start: retraining.start)
        var result = try last.learn(labels)
        result.metrics["networks_agree"] = Double(unanimous) / Double(max(1, retraining.unlabelled.count))
        return try result.concluded(Self.info.name, context, steps: steps + result.steps)
    }

    /// As many labelled samples as there are of each class, drawn with repetition: no class is lost.
    private func draw(_ context: LearningContext, _ network: Int) -> [Int] {
        let data = context.data
        var members: [Int: [Int]] = [:]
        for (sample, label) in zip(data.labelled, data.labels) { members[label, default: []].append(sample) }
        var random = context.random("draw").at(network)
        return members.keys.sorted().flatMap { label in
            let samples = members[label]!
            return samples.map { _ in samples[random.integer(below: samples.count)] }
        }
    }
}

/// When a network of tri-training takes the labels of the other two: only while their errors times their number fall, so
/// that more labels outweigh more mistakes (Zhou and Li 2005, algorithm of table 1).
struct TriTrainingBound {
    /// e' and l': the error when labels were last taken, and how many these were.
    private(set) var error = 0.5
    private(set) var count = 0.0

    /// How many of `agreed` labels are taken; nil: none. What is taken is remembered.
    /// - Parameter newError: the share of mistakes among known labels on which the two agree (e).
    mutating func accepted(_ agreed: Int, error newError: Double) -> Int? {
        guard newError < error, agreed > 0 else { return nil }
        if count == 0 { count = (newError / (error - newError) + 1).rounded(.down) }
        guard count < Double(agreed) else { return nil }
        var taken = agreed
        if newError * Double(agreed) >= error * count {
            guard count > newError / (error - newError) else { return nil }
            taken = Int((error * count / newError - 1).rounded(.up))
        }
        (error, count) = (newError, Double(taken))
        return taken
    }
}
