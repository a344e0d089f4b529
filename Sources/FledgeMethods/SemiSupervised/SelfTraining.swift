import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// The weights that a network begins with, pretrained or fresh, to begin with them again.
struct StartingPoint {
    private let backbone: any Backbone
    private let head: Linear?
    private let backboneState: [String: Tensor]
    private let headState: [String: Tensor]

    init(_ context: LearningContext) {
        (backbone, head) = (context.backbone, context.head)
        backboneState = context.backbone.state()
        headState = context.head?.state() ?? [:]
    }

    func restore() throws {
        try backbone.load(backboneState)
        try head?.load(headState)
    }
}

/// Training a network again and again, each time from the same weights and with other labels: what self-training,
/// co-training and tri-training do between their decisions.
struct Retraining {
    let context: LearningContext
    let config: Supervised.Config
    let start: StartingPoint
    /// Class of each sample whose label was given, by place.
    let known: [Int: Int]

    /// - Parameter start: nil: the present weights.
    init(_ context: LearningContext, _ config: Supervised.Config, start: StartingPoint? = nil) {
        self.context = context
        self.config = config
        self.start = start ?? StartingPoint(context)
        known = Dictionary(zip(context.data.labelled, context.data.labels)) { first, _ in first }
    }

    /// The samples without a known label, rising.
    var unlabelled: [Int] { (0..<context.data.dataset.count).filter { known[$0] == nil } }

    /// Trains on these samples.
    /// - Parameters:
    ///   - labels: classes by place.
    ///   - samples: which to draw from, some maybe more than once; nil: all that have a label.
    ///   - part: tells trainings apart that differ in nothing but chance.
    ///   - backbone: another network than the context's, trained on from where it stands, with this `head` or a new one.
    func learn(
        _ labels: [Int: Int], samples: [Int]? = nil, part: Int = 0, backbone: (any Backbone)? = nil,
        head: Linear? = nil
    ) throws -> LearningResult {
        var context = context.labelled(labels, samples: samples)
        context.seed = context.random("part").at(part).key
        if let backbone {
            context.backbone = backbone
            context.head = head
        } else {
            try start.restore()
        }
        return try Supervised(config).learn(context)
    }
}

extension LearningContext {
    /// The same samples with these labels in the place of the known ones.
    func labelled(_ labels: [Int: Int], samples: [Int]? = nil) -> LearningContext {
        let dataset = data.dataset
        var all = [Int?](repeating: nil, count: dataset.count)
        for (sample, label) in labels { all[sample] = label }
        for sample in data.validation { all[sample] = dataset.labels[sample] }
        var context = self
        context.data.dataset = dataset.relabelled(all, classNames: data.classNames)
        context.data.labelled = samples ?? labels.keys.sorted()
        return context
    }
}

extension TrainingSettings {
    /// The same training with this share of its length, and one update at least.
    func shortened(to share: Double) -> TrainingSettings {
        var short = self
        if steps > 0 { short.steps = max(1, Int((Double(steps) * share).rounded())) }
        short.epochs = epochs * share
        short.minutes = minutes * share
        return short
    }
}

/// Class probabilities of many samples, row by row.
struct AnswerTable {
    let values: [Float]
    let classes: Int

    init(_ values: [Float], classes: Int) {
        self.values = values
        self.classes = classes
    }

    /// What a model says of every sample, seen plainly.
    init(_ model: FittedModel, of dataset: any Dataset) throws {
        self.init(try model.probabilities(of: dataset), classes: model.classNames.count)
    }

    func row(_ sample: Int) -> ArraySlice<Float> { values[sample * classes..<(sample + 1) * classes] }

    /// The likeliest class of a sample and its probability; of equal ones the first.
    func best(_ sample: Int) -> (label: Int, probability: Float) {
        var best = (label: 0, probability: -Float.infinity)
        for (label, probability) in row(sample).enumerated() where probability > best.probability {
            best = (label, probability)
        }
        return best
    }

    /// For each class, the `count` samples of `pool` that are most surely of it, among those whose likeliest class it is.
    func mostConfident(_ count: Int, of pool: [Int]) -> [Int: Int] {
        var members = [[(sample: Int, probability: Float)]](repeating: [], count: classes)
        for sample in pool {
            let (label, probability) = best(sample)
            members[label].append((sample, probability))
        }
        var chosen: [Int: Int] = [:]
        for (label, candidates) in members.enumerated() {
            let sorted = candidates.sorted { ($1.probability, $0.sample) < ($0.probability, $1.sample) }
            for (sample, _) in sorted.prefix(count) { chosen[sample] = label }
        }
        return chosen
    }
}

extension LearningResult {
    /// This result under the name of the method that led to it, with what its answers say.
    func concluded(_ method: String, _ context: LearningContext, steps: Int) throws -> LearningResult {
        let model = FittedModel(
            backbone: model.backbone, head: model.head, modelName: model.modelName, method: method,
            classNames: model.classNames, input: model.input)
        model.eval()
        let answers = try AnswerHealth(model, context)
        var result = self
        result.model = model
        result.steps = steps
        result.metrics.merge(answers.metrics) { _, new in new }
        result.warnings += answers.warnings
        return result
    }
}
