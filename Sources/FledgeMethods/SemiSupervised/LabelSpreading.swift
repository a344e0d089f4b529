import FledgeCore
import FledgeData
import FledgeTrain

/// Label spreading: labels flow from the few labelled samples over a graph of similar ones (Zhou et al. 2004, "Learning
/// with local and global consistency"). Trains nothing, so it is as good as the
/// features it is given: those of a pretrained network, or with the model `raw` the values of the samples themselves.
public struct LabelSpreading: Method {
    public struct Config: Settings {
        public var neighbours = 10
        public var alpha = 0.99
        public var temperature = 0.1
        public var iterations = 50

        public init() {}

        public static let meanings = [
            "neighbours": "edges of each sample to its most similar ones",
            "alpha": "share of a sample's label that comes from its neighbours",
            "temperature": "how fast the weight of an edge falls with distance",
            "iterations": "rounds of spreading",
        ]

        public static let ranges: [String: SettingRange] = [
            "neighbours": .within(1...10000), "alpha": .within(0..<1), "temperature": .within(0.001...1000),
            "iterations": .within(1...100_000),
        ]
    }

    public static let info = MethodInfo(
        "label-spreading", .semiSupervised,
        summary: "Labels flow over a graph that joins similar samples; nothing is trained.",
        paper: "Zhou et al. 2004, Learning with local and global consistency",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        let data = context.data
        let features = try Inference.features(context.backbone, data.dataset, input: data.input)
        var labels = [Int?](repeating: nil, count: data.dataset.count)
        for (index, label) in zip(data.labelled, data.labels) { labels[index] = label }
        let spread = LabelSpreadingGraph.spread(
            features: features, labels: labels, classes: context.classes, neighbours: config.neighbours,
            alpha: config.alpha, temperature: config.temperature, iterations: config.iterations)
        let model = FittedModel(
            backbone: context.backbone, bank: features,
            distributions: Tensor(spread, shape: [data.dataset.count, context.classes]),
            vote: .init(neighbours: config.neighbours, temperature: config.temperature),
            modelName: context.modelName, method: Self.info.name, classNames: data.classNames, input: data.input)
        return LearningResult(model: model)
    }
}
