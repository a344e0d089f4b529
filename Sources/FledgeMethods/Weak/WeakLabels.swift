import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Learning from votes: a label model makes class shares of what several sources say, and a network learns those shares,
/// which lets it answer where no source does (Ratner et al. 2016, "Data programming: creating large training sets,
/// quickly"). The majority vote is always reported beside it.
///
/// True labels, where there are some, only judge the votes; nothing learns from them.
public struct WeakLabels: Method {
    public struct Config: Settings {
        public enum Source: String, Codable, Sendable, CaseIterable {
            case automatic, labelModel = "label-model", majority
        }

        public var votes = ""
        public var fit = LabelModel.Fit.em
        public var balance: [Double] = []
        public var labels = Source.automatic
        public var batchSize = 128
        public var training = TrainingSettings()

        public init() {
            training.steps = 600
            training.averaging = 0.99
        }

        public static let meanings = [
            "votes":
                "a CSV file: a column for each source, a row for each training sample (or a first column id); cells hold a class name or nothing",
            "fit": "how the sources' error rates are found",
            "balance": "share of each class, in their order; none: as the votes suggest",
            "labels":
                "what the network learns: the label model's shares, the majority's, or the model's unless the known labels show the majority to be better",
            "batchSize": "samples for each step",
        ]

        public static let ranges: [String: SettingRange] = ["batchSize": .within(2...65536)]
    }

    public static let info = MethodInfo(
        "label-model", .weak,
        summary:
            "Learns how far rules and other sources can be trusted from how they agree, and what they say together.",
        paper: "Ratner et al. 2016, Data programming; triplets: Fu et al. 2020; em: Dawid and Skene 1979",
        needs: [.votes, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let data = context.data
        guard !config.votes.isEmpty else { throw VotesError.notGiven }
        let votes = try Votes.read(
            config.votes, ids: (0..<data.dataset.count).map { data.dataset.id(of: $0) }, classNames: data.classNames)
        let balance = config.balance
        guard balance.isEmpty || (balance.count == votes.classes && balance.allSatisfy { $0 > 0 && $0.isFinite }) else {
            throw VotesError.unusableBalance(balance, classes: votes.classes)
        }
        let total = balance.reduce(0, +)
        let judged = JudgedVotes(
            votes, by: config.fit, balance: balance.isEmpty ? nil : balance.map { $0 / total },
            known: zip(data.labelled, data.labelled.isEmpty ? [] : data.labels).map { (sample: $0, label: $1) })
        let usesMajority = config.labels == .majority || (config.labels == .automatic && judged.prefersMajority)
        let shares = usesMajority ? votes.shares() : judged.posterior.map { Float($0) }

        var context = context
        context.head = data.classNames == votes.classNames ? context.head : nil
        context.data.dataset = data.dataset.relabelled(
            [Int?](repeating: nil, count: votes.count), classNames: votes.classNames)
        context.data.classNames = votes.classNames
        let (task, trainer) = try context.train(
            onShares: shares, of: votes.covered, batchSize: config.batchSize, config.training, title: Self.info.name)
        var result = try trainer.finished(
            task.classifier, context, method: Self.info.name, curves: trainer.curves(Self.info.name),
            warnings: judged.warnings)
        result.metrics = judged.metrics
        result.choices =
            judged.choices + [
                .init(
                    "Labels", usesMajority ? "the majority of the votes" : "the label model's shares",
                    why: config.labels == .automatic ? judged.why : "as set")
            ]
        return result
    }
}

/// Votes that cannot be learned from.
public enum VotesError: ExplainedError, Equatable {
    case notGiven
    case unusableBalance([Double], classes: Int)

    public var what: String {
        switch self {
        case .notGiven: "there are no votes to learn from"
        case .unusableBalance(let shares, let classes): "the balance \(shares) is not one of \(classes) classes"
        }
    }
    public var why: String? { nil }
    public var next: String? {
        switch self {
        case .notGiven: "name the file of votes: --set votes=FILE.csv"
        case .unusableBalance: "give each class a share above 0"
        }
    }
}

/// Votes, the label model of them, and how both do on the labels that are known.
struct JudgedVotes {
    let votes: Votes
    let model: LabelModel
    let posterior: [Double]
    /// Shares of the known, covered samples that are named rightly. A tie counts its share. nil without known labels.
    private(set) var majorityAccuracy: Double?
    private(set) var modelAccuracy: Double?
    private let known: [(sample: Int, label: Int)]

    init(_ votes: Votes, by fit: LabelModel.Fit, balance: [Double]?, known: [(sample: Int, label: Int)]) {
        self.votes = votes
        model = LabelModel(votes, by: fit, balance: balance)
        posterior = model.posterior(votes)
        let covered = Set(votes.covered)
        self.known = known.filter { covered.contains($0.sample) }
        if !self.known.isEmpty {
            majorityAccuracy = accuracy(votes.shares().map(Double.init))
            modelAccuracy = accuracy(posterior)
        }
    }

    /// The mean over known samples of the chance that the largest share, drawn among equals, is at the true class.
    private func accuracy(_ shares: [Double]) -> Double {
        known.reduce(0) { $0 + chance(shares, $1.sample, $1.label) } / Double(known.count)
    }

    private func chance(_ shares: [Double], _ sample: Int, _ label: Int) -> Double {
        let row = shares[(sample * votes.classes)..<((sample + 1) * votes.classes)]
        let top = row.max()!
        let best = row.indices.filter { row[$0] >= top - 1e-9 }.map { $0 - row.startIndex }
        return best.contains(label) ? 1 / Double(best.count) : 0
    }

    /// Whether the label model should not be believed: it has too few sources to learn from, or the known labels show the
    /// majority to be better by more than chance explains (a standard error of the paired difference).
    var prefersMajority: Bool {
        if votes.sources.count < 3 { return true }
        guard known.count > 1, let majorityAccuracy, let modelAccuracy else { return false }
        let shares = votes.shares().map(Double.init)
        let gains = known.map { chance(shares, $0.sample, $0.label) - chance(posterior, $0.sample, $0.label) }
        let mean = majorityAccuracy - modelAccuracy
        let variance = gains.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gains.count - 1)
        return mean > (variance / Double(gains.count)).squareRoot() && mean > 0
    }

    var why: String {
        if votes.sources.count < 3 { return "a label model needs three sources" }
        guard let majorityAccuracy, let modelAccuracy else {
            return "no true label is known that could tell which is better"
        }
        return String(
            format: "on %d known labels the majority is right in %.1f %%, the label model in %.1f %%", known.count,
            majorityAccuracy * 100, modelAccuracy * 100)
    }

    /// Agreement of the label model's choice with the majority's, both as one class.
    private var agreement: Double {
        let covered = votes.covered
        let (a, b) = (
            Metrics.predictions(scores: votes.shares(), classes: votes.classes),
            Metrics.predictions(scores: posterior.map { Float($0) }, classes: votes.classes)
        )
        return Double(covered.count { a[$0] == b[$0] }) / Double(max(1, covered.count))
    }

    var metrics: [String: Double] {
        var metrics = ["coverage": Double(votes.covered.count) / Double(max(1, votes.count)), "agreement": agreement]
        metrics["majority_vote_accuracy"] = majorityAccuracy
        metrics["label_model_accuracy"] = modelAccuracy
        return metrics
    }

    /// What each source is worth, for people.
    var choices: [Report.Choice] {
        let m = votes.sources.count
        let isKnown = Dictionary(known.map { ($0.sample, $0.label) }, uniquingKeysWith: { first, _ in first })
        return zip(votes.sources, model.accuracies).enumerated().map { i, source in
            let given = (0..<votes.count).filter { votes.values[$0 * m + i] != Votes.abstain }
            let told = given.filter { isKnown[$0] != nil }
            let measured =
                told.isEmpty
                ? ""
                : String(
                    format: "; %.1f %% on %d known labels",
                    100 * Double(told.count { votes.values[$0 * m + i] == isKnown[$0] }) / Double(told.count),
                    told.count)
            return .init(
                "Source \(source.0)", String(format: "%.1f %% right", source.1 * 100),
                why: String(
                    format: "as the label model estimates; votes on %.1f %% of the samples%@",
                    100 * Double(given.count) / Double(max(1, votes.count)), measured))
        }
    }

    var warnings: [String] {
        var warnings: [String] = []
        if votes.sources.count < 3 {
            warnings.append("fewer than three sources: the label model cannot learn from them")
        }
        let predicted = Set(
            votes.covered.map { s in
                (0..<votes.classes).max { posterior[s * votes.classes + $0] < posterior[s * votes.classes + $1] }!
            })
        let voted = Set(votes.values).subtracting([Votes.abstain])
        if predicted.count == 1, voted.count > 1 {
            warnings.append(
                "the label model gives every sample the class \(votes.classNames[predicted.first!]); set the balance "
                    + "of the classes, or leave out sources that vote for nearly everything")
        }
        if covered < 0.5 { warnings.append("no source votes on \(Int(100 - covered * 100)) % of the samples") }
        return warnings
    }

    private var covered: Double { Double(votes.covered.count) / Double(max(1, votes.count)) }
}
