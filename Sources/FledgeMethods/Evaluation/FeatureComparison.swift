import FledgeCore
import FledgeData
import FledgeModels
import FledgeTrain

/// What the features of a network are worth with few labels, beside raw values, the same network untrained, and, for
/// fine-tuning, training on the same labels alone. Every draw of labels is the same for all that are compared.
public struct FeatureComparison {
    public enum Probe: String, Codable, Sendable, CaseIterable { case knn, linear, mean, finetune }

    /// The accuracy on the test split of one kind of features with so many labels.
    public struct Row: Encodable, Sendable {
        /// "run", "raw", "untrained" or "supervised".
        public let features: String
        /// nil: all there are.
        public let labelsPerClass: Int?
        public let labels: Int
        /// Neighbours of the knn probe.
        public let k: Int?
        public let accuracy: Spread
        /// The accuracy of each draw.
        public let draws: [Double]

        enum CodingKeys: String, CodingKey {
            case features, labels, k, accuracy, draws
            case labelsPerClass = "labels_per_class"
        }
    }

    private let load: () throws -> FittedModel
    private let train: any Dataset
    private let test: any Dataset
    private let seed: UInt64
    /// Whether fine-tuning may mirror pictures; nil: those in colour.
    public var flip: Bool?
    /// Makes the progress display of a fine-tuning.
    public var progress: (_ title: String, _ goal: TrainingProgress.Goal) -> TrainingProgress? = { _, _ in nil }

    /// - Parameters:
    ///   - load: gives the model; asked again where training would change it.
    ///   - train: with labels for the probe.
    ///   - test: every sample with a label.
    public init(train: any Dataset, test: any Dataset, seed: UInt64, load: @escaping () throws -> FittedModel) {
        self.load = load
        self.train = train
        self.test = test
        self.seed = seed
    }

    /// - Parameters:
    ///   - counts: labels of each class; nil means all there are, which is drawn once.
    ///   - draws: how often labels are drawn, with the seeds from `seed` on.
    ///   - neighbours: of the knn probe; those beyond the number of labels count as that number.
    /// - Throws: `DataError` for too few labels, and what reading samples and training throws.
    public func measure(
        _ probe: Probe, labelsPerClass counts: [Int?], draws: Int, neighbours: [Int] = [20]
    ) throws -> [Row] {
        let known = train.labels.indices.filter { train.labels[$0] != nil }
        guard !known.isEmpty else { throw DataError.noLabels(path: "the training split") }
        let splits = try counts.map { count in
            try count.map { count in
                try (0..<draws).map { try train.labelledSplit(perClass: count, seed: seed + UInt64($0)).labelled }
            } ?? [known]
        }
        guard probe == .finetune else { return try compare(probe, counts, splits, neighbours: neighbours) }
        return try fineTune(counts, splits) + compare(.linear, counts, splits, neighbours: [], withRun: false)
    }

    private var classes: Int { train.classNames.count }

    private func accuracy(_ probabilities: [Float]) -> Double {
        Metrics.accuracy(
            predicted: Metrics.predictions(scores: probabilities, classes: classes),
            labels: test.labels.compactMap { $0 })
    }

    private func labels(_ samples: [Int]) -> [Int] { samples.map { train.labels[$0]! } }

    private func untrained(_ model: FittedModel, seed: UInt64) throws -> any Backbone {
        var random = RandomSource(seed: seed).stream("backbone")
        return try Models.make(model.modelName, inputShape: model.input.shape, random: &random)
    }

    /// knn, linear and mean: features are computed once for all draws.
    private func compare(
        _ probe: Probe, _ counts: [Int?], _ splits: [[[Int]]], neighbours: [Int], withRun: Bool = true
    ) throws -> [Row] {
        let model = try load()
        let samples = Set(splits.joined().joined()).sorted()
        let place = Dictionary(uniqueKeysWithValues: samples.enumerated().map { ($1, $0) })
        let some = train.subset(samples)
        func both(_ body: (any Dataset) throws -> Tensor) rethrows -> (train: Tensor, test: Tensor) {
            (try body(some), try body(test))
        }
        let fresh = try untrained(model, seed: seed)
        let run = withRun ? [("run", try both { try model.features(of: $0) })] : []
        let sets =
            run + [
                ("raw", try both { try Inference.rawValues($0, input: model.input) }),
                ("untrained", try both { try Inference.features(fresh, $0, input: model.input) }),
            ]
        var rows: [Row] = []
        for (name, features) in sets {
            for (count, draws) in zip(counts, splits) {
                func row(k: Int?, _ score: (Tensor, [Int]) -> [Float]) {
                    let values = draws.map { samples in
                        accuracy(
                            score(features.train.indexSelect(axis: 0, samples.map { place[$0]! }), labels(samples)))
                    }
                    rows.append(
                        Row(
                            features: name, labelsPerClass: count, labels: draws[0].count, k: k,
                            accuracy: Spread(values), draws: values))
                }
                switch probe {
                case .knn:
                    for k in Set(neighbours.map { min($0, draws[0].count) }).sorted() {
                        row(k: k) {
                            KNNProbe(features: $0, labels: $1, classes: classes, k: k).probabilities(features.test)
                        }
                    }
                case .mean:
                    row(k: nil) {
                        MeanProbe(features: $0, labels: $1, classes: classes).probabilities(features.test)
                    }
                case .linear, .finetune:
                    row(k: nil) {
                        LinearProbe(features: $0, labels: $1, classes: classes).probabilities(features.test)
                    }
                }
            }
        }
        return rows
    }

    private func fineTune(_ counts: [Int?], _ splits: [[[Int]]]) throws -> [Row] {
        func trained(_ samples: [Int], _ draw: Int, fresh: Bool) throws -> Double {
            let model = try load()
            let seed = seed + UInt64(draw)
            var context = LearningContext(
                data: TrainingData(dataset: train, labelled: samples, input: model.input),
                backbone: fresh ? try untrained(model, seed: seed) : model.backbone, modelName: model.modelName,
                seed: seed)
            context.flip = flip ?? context.flip
            context.progress = progress
            return accuracy(try Supervised(Supervised.Config()).learn(context).model.probabilities(of: test))
        }
        return try [("run", false), ("supervised", true)].flatMap { name, fresh in
            try zip(counts, splits).map { count, draws in
                let values = try draws.enumerated().map { try trained($1, $0, fresh: fresh) }
                return Row(
                    features: name, labelsPerClass: count, labels: draws[0].count, k: nil, accuracy: Spread(values),
                    draws: values)
            }
        }
    }
}
