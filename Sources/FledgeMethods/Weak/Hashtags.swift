import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Weakly supervised pretraining: a network learns to foretell the words that people put to pictures, hashtags for
/// example, and is then fine-tuned on the labels (Mahajan et al. 2018, "Exploring the limits of weakly supervised
/// pretraining").
///
/// A sample with k tags has 1/k of each as its target. Samples of rare tags come more often: as the square root of what
/// would make all tags equally frequent, by their rarest tag.
public struct Hashtags: Method {
    public struct Config: Settings {
        public var tags = ""
        public var leastSamples = 2
        public var batchSize = 64
        public var tuningLength = 0.5
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() { training.steps = 600 }

        public static let meanings = [
            "tags":
                "a CSV file with the columns id and tags: a row for each training sample that has some, its words separated by blanks, commas or semicolons",
            "leastSamples": "tags of fewer samples are left out",
            "batchSize": "samples for each step",
            "tuningLength": "length of the fine-tuning on the labels, relative to the training on the tags",
            "backboneRate": "learning rate of the backbone, relative to the head's, in fine-tuning",
        ]

        public static let ranges: [String: SettingRange] = [
            "leastSamples": .atLeast(1), "batchSize": .within(2...65536), "tuningLength": .above(0, upTo: 100),
            "backboneRate": .atLeast(0),
        ]
    }

    public static let info = MethodInfo(
        "hashtags", .weak,
        summary: "Learns to foretell the words that people put to samples, then the labels.",
        paper: "Mahajan et al. 2018, Exploring the limits of weakly supervised pretraining",
        needs: [.tags, .labels])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let data = context.data
        guard !config.tags.isEmpty else { throw TagsError.notGiven }
        guard !data.labelled.isEmpty else { throw MethodError.needsLabels(Self.info.name) }
        let tags = try Tags.read(config.tags, ids: (0..<data.dataset.count).map { data.dataset.id(of: $0) })
            .leavingOut(below: config.leastSamples)
        guard tags.names.count > 1 else { throw TagsError.tooFew(tags.names.count, least: config.leastSamples) }

        var tagging = context
        tagging.head = nil
        tagging.data.classNames = tags.names
        let (_, trainer) = try tagging.train(
            onShares: evenShares(tags.ofSample, classes: tags.names.count), of: tags.samplesByRarity(),
            batchSize: config.batchSize, config.training,
            title: "tags")
        try trainer.useAverage()

        let supervised = Supervised.Config(
            batchSize: config.batchSize, backboneRate: config.backboneRate,
            training: config.training.shortened(to: config.tuningLength))
        let tuned = try Supervised(supervised).learn(context)
        var result = try tuned.concluded(Self.info.name, context, steps: trainer.step + tuned.steps)
        result.curves = trainer.curves("tags") + tuned.curves
        result.choices.append(
            .init(
                "tags", "\(tags.names.count) on \(tags.ofSample.count { !$0.isEmpty }) samples",
                why: "words with \(config.leastSamples) samples at least"))
        return result
    }
}

extension Tags {
    /// The samples with tags, each as often as its rarest tag asks for: sqrt(f / f(tag)) times, rounded, where f is the
    /// count of the most frequent tag.
    func samplesByRarity() -> [Int] {
        let most = Double(counts.max() ?? 0)
        return ofSample.indices.flatMap { sample in
            guard let rarest = ofSample[sample].map({ counts[$0] }).min() else { return [Int]() }
            return [Int](repeating: sample, count: Int((most / Double(rarest)).squareRoot().rounded()))
        }
    }
}

/// Tags that cannot be learned from.
public enum TagsError: ExplainedError, Equatable {
    case notGiven
    case tooFew(Int, least: Int)

    public var what: String {
        switch self {
        case .notGiven: "there are no tags to learn from"
        case .tooFew(let count, let least):
            "\(count == 0 ? "no tag has" : "only one tag has") \(least) samples or more"
        }
    }
    public var why: String? {
        switch self {
        case .notGiven: nil
        case .tooFew: "with fewer than two there is nothing to tell apart"
        }
    }
    public var next: String? {
        switch self {
        case .notGiven: "name the file of tags: --set tags=FILE.csv"
        case .tooFew: "lower leastSamples, or give more tags"
        }
    }
}
