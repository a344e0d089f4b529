import FledgeCore
import FledgeData
import FledgeMethods
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// The bundled digits: 3,823 training and 1,797 test pictures of 8 x 8.
enum Digits {
    static let data = Result { try DataSource.open("digits") }

    /// The same as rows of 64 numbers.
    private static let rows = Result {
        func rows(_ pictures: any Dataset) throws -> FeatureDataset {
            let values = try Inference.rawValues(pictures, input: InputSpec(measuring: pictures))
            return FeatureDataset(
                features: values.floats(), width: values.shape[1], labels: pictures.labels,
                classNames: pictures.classNames)
        }
        return (train: try rows(data.get().train), test: try rows(test()))
    }

    /// What a method is given: `samples` of the training split, with `perClass` labels of each class.
    static func context(
        perClass: Int, seed: UInt64 = 0, samples: Int? = nil, model: String = "small-conv", asRows: Bool = false
    ) throws -> LearningContext {
        let all: any Dataset = asRows ? try rows.get().train : try data.get().train
        // The pictures are sorted by class.
        let train = samples.map { wanted in all.subset((0..<wanted).map { $0 * all.count / wanted }) } ?? all
        let labelled = try train.labelledSplit(perClass: perClass, seed: seed).labelled
        let input = try InputSpec(measuring: train)
        var random = RandomSource(seed: seed).stream("backbone")
        let backbone = try Models.make(model, inputShape: input.shape, random: &random)
        return LearningContext(
            data: TrainingData(dataset: train, labelled: labelled, input: input), backbone: backbone, modelName: model,
            seed: seed)
    }

    /// The share of test pictures that class probabilities [N * 10] get right.
    static func accuracy(_ probabilities: [Float]) throws -> Double {
        let labels = try test().labels.compactMap { $0 }
        return Metrics.accuracy(predicted: Metrics.predictions(scores: probabilities, classes: 10), labels: labels)
    }

    /// Settings without which a method cannot begin: those for the pictures of `context(samples: 200)`. Tests choose
    /// from them what a method has.
    static let needed = Result {
        ["positive=3,5", "votes=\(try votes(samples: 200).path)", "tags=\(try tags(samples: 200))"]
    }

    /// A file of what four made-up sources say of the digits, right in 90, 80, 70 and 60 %, each of a third of them.
    static func votes(samples: Int? = nil) throws -> (path: String, votes: Votes) {
        let train = try context(perClass: 1, samples: samples).data.dataset
        var random = RandomSource(seed: 5)
        let values = train.labels.flatMap { label in
            [0.9, 0.8, 0.7, 0.6].map { accuracy in
                guard random.uniform() < 1.0 / 3 else { return Votes.abstain }
                return random.uniform() < accuracy ? label! : (label! + 1 + random.integer(below: 9)) % 10
            }
        }
        let votes = Votes(values, sources: ["a", "b", "c", "d"], classNames: train.classNames)
        let path =
            NSTemporaryDirectory() + "fledge-votes-\(ProcessInfo.processInfo.processIdentifier)-\(train.count).csv"
        try AtomicFile.write(votes.csv(ids: (0..<train.count).map { train.id(of: $0) }), to: path)
        return (path, votes)
    }

    /// A file of one to three made-up words for each sample: its class in 70 %, and others of 40, some frequent and some
    /// rare.
    /// - Parameter spoilt: whether the words belong to other samples.
    static func tags(samples: Int? = nil, spoilt: Bool = false) throws -> String {
        let train = try context(perClass: 1, samples: samples).data.dataset
        var random = RandomSource(seed: 6)
        var words = train.labels.map { label in
            let others = (0..<1 + random.integer(below: 2)).map { _ in
                let u = random.uniform()
                return "#word\(Int(u * u * 40))"
            }
            return (random.uniform() < 0.7 ? ["#digit\(label!)"] : []) + others
        }
        if spoilt { words = random.permutation(words.count).map { words[$0] } }
        let rows = words.enumerated().map { "\(train.id(of: $0)),\($1.joined(separator: " "))\n" }
        let path =
            NSTemporaryDirectory()
            + "fledge-tags-\(ProcessInfo.processInfo.processIdentifier)-\(train.count)-\(spoilt).csv"
        try AtomicFile.write("id,tags\n" + rows.joined(), to: path)
        return path
    }

    static func test() throws -> any Dataset { try data.get().requireTest() }

    /// As rows for a context of rows.
    static func test(_ context: LearningContext) throws -> any Dataset {
        context.input.isImage ? try test() : try rows.get().test
    }

    /// Accuracy of a vote of neighbours among the labelled samples of `context`, by its backbone's features.
    static func neighbours(_ context: LearningContext) throws -> Double {
        let labelled = context.data.dataset.subset(context.data.labelled)
        func features(_ set: any Dataset) throws -> Tensor {
            try Inference.features(context.backbone, set, input: context.input)
        }
        let probe = KNNProbe(features: try features(labelled), labels: context.data.labels, classes: 10, k: 5)
        return try accuracy(probe.probabilities(features(test(context))))
    }
}
