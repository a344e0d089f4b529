import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Auto-SSL: tries several methods for a short time and takes the one whose answers about unlabelled samples are farthest
/// from doubt, among those that cross-validation finds no worse than the labels alone (Li et al. 2019, "Towards automated
/// semi-supervised learning"). When none is, the labels alone it is.
///
/// Looks at no label but those it was given. The number of trainings is (1 + folds) times the number of candidates.
public struct AutoSSL: Method {
    public struct Config: Settings {
        public var candidates = [Candidate.pseudoLabel, .meanTeacher, .fixMatch]
        public var folds = 3
        public var searchLength = 0.15
        public var batchSize = 64
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = [
            "candidates": "the methods that are tried beside supervised, with their own defaults",
            "folds": "parts of the labels, each of which is once left out; fewer where a class has fewer labels",
            "searchLength": "length of each try, as a share of `training`",
            "batchSize": "labelled samples for each step",
            "training": "how the chosen method trains, and the tries for a shorter time",
        ]

        public static let ranges: [String: SettingRange] = [
            "folds": .within(2...100), "searchLength": .above(0, upTo: 1), "batchSize": .within(2...65536),
        ]
    }

    public enum Candidate: String, Codable, Sendable, CaseIterable {
        case pseudoLabel = "pseudo-label"
        case piModel = "pi-model"
        case temporalEnsembling = "temporal-ensembling"
        case meanTeacher = "mean-teacher"
        case vat, uda
        case mixMatch = "mixmatch"
        case fixMatch = "fixmatch"
    }

    public static let info = MethodInfo(
        "auto-ssl", .semiSupervised,
        summary: "Tries several methods and takes the surest that is no worse than the labels alone.",
        paper: "Li et al. 2019, Towards automated semi-supervised learning",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let start = StartingPoint(context)
        let search = config.training.shortened(to: config.searchLength)
        var steps = 0
        func run(
            _ candidate: Candidate?, _ data: TrainingData, _ training: TrainingSettings
        ) throws -> LearningResult {
            var context = context
            context.data = data
            try start.restore()
            let result = try method(candidate, training).learn(context)
            steps += result.steps
            return result
        }

        let folds = foldsOfLabels(context)
        var trials: [Trial] = []
        for candidate in [nil] + config.candidates.map(Optional.some) where !folds.isEmpty {
            var right: [Bool] = []
            for fold in folds {
                let rest = context.data.labelled.filter { !fold.contains($0) }
                let known = Dictionary(zip(context.data.labelled, context.data.labels)) { first, _ in first }
                let part = context.labelled(known.filter { !fold.contains($0.key) }, samples: rest).data
                let table = try AnswerTable(run(candidate, part, search).model, of: context.data.dataset.subset(fold))
                right += fold.indices.map { table.best($0).label == known[fold[$0]]! }
            }
            let whole = try run(candidate, context.data, search)
            trials.append(
                Trial(candidate: candidate, right: right, margin: try AnswerHealth(whole.model, context).margin))
        }
        let chosen = Trial.choice(among: trials)
        var result = try run(chosen, context.data, config.training)
        for trial in trials {
            result.metrics["validated_\(trial.name)"] = trial.accuracy
            result.metrics["margin_\(trial.name)"] = trial.margin
        }
        if trials.isEmpty {
            result.warnings.append(
                "a class has one label only, so nothing can be validated: the labels alone were learned")
        } else if chosen == nil {
            result.warnings.append(
                "no method with unlabelled samples was surer than the labels alone and no worse: these alone were learned"
            )
        }
        return try result.concluded(Self.info.name, context, steps: steps)
    }

    /// A method with its own settings but for the batch and the training.
    private func method(_ candidate: Candidate?, _ training: TrainingSettings) -> any Method {
        func settings<C: Settings>(
            _ batchSize: WritableKeyPath<C, Int>, _ own: WritableKeyPath<C, TrainingSettings>
        ) -> C {
            var settings = C()
            settings[keyPath: batchSize] = config.batchSize
            let averaging = settings[keyPath: own].averaging
            settings[keyPath: own] = training
            // Where a teacher is the average, it stays so.
            if averaging == 0 { settings[keyPath: own].averaging = 0 }
            return settings
        }
        return switch candidate {
        case nil: Supervised(settings(\.batchSize, \.training))
        case .pseudoLabel: PseudoLabel(settings(\.batchSize, \.training))
        case .piModel: PiModel(settings(\.batchSize, \.training))
        case .temporalEnsembling: TemporalEnsembling(settings(\.batchSize, \.training))
        case .meanTeacher: MeanTeacher(settings(\.batchSize, \.training))
        case .vat: VAT(settings(\.batchSize, \.training))
        case .uda: UDA(settings(\.batchSize, \.training))
        case .mixMatch: MixMatch(settings(\.batchSize, \.training))
        case .fixMatch: FixMatch(settings(\.batchSize, \.training))
        }
    }

    /// The labelled samples in parts, each class spread over all; none when a class has one label only.
    private func foldsOfLabels(_ context: LearningContext) -> [[Int]] {
        let (samples, labels) = (context.data.labelled, context.data.labels)
        let fewest = Dictionary(grouping: labels) { $0 }.values.map(\.count).min() ?? 0
        let count = min(config.folds, fewest)
        guard count > 1 else { return [] }
        let fold = OutOfFold.assignment(labels, folds: count, random: context.random("folds"))
        return (0..<count).map { part in zip(samples, fold).filter { $0.1 == part }.map(\.0).sorted() }
    }

    /// How a method did in the search.
    struct Trial {
        /// nil: the labels alone.
        let candidate: Candidate?
        var name: String { candidate?.rawValue ?? "supervised" }
        /// Whether each left-out label was found.
        let right: [Bool]
        /// Mean distance of the first from the second probability over unlabelled samples.
        let margin: Double

        var accuracy: Double { Double(right.count { $0 }) / Double(max(1, right.count)) }
        /// Of the accuracy.
        var standardError: Double { (accuracy * (1 - accuracy) / Double(max(1, right.count))).squareRoot() }

        /// The largest margin among the methods whose accuracy is at most one standard error below that of the first,
        /// supervised learning, which itself is the answer when none has a larger margin than it.
        static func choice(among trials: [Trial]) -> Candidate? {
            guard let safe = trials.first else { return nil }
            let sound = trials.filter { $0.accuracy >= safe.accuracy - safe.standardError }
            return sound.reduce(safe) { $1.margin > $0.margin ? $1 : $0 }.candidate
        }
    }
}
