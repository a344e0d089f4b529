import ArgumentParser
import Fledge
import Foundation

/// `fledge evaluate RUN --data DATA --probe knn|linear|finetune`
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a run on the test split, beside its baselines.",
        discussion: """
            Without --probe, the classes the run has learned. With one, what its features are worth: a k-nearest-\
            neighbour vote, a linear classifier, or fine-tuning, each given the same labels and compared with raw \
            values and with the untrained network.
            """)

    enum Probe: String, ExpressibleByArgument, CaseIterable { case knn, linear, finetune }

    @Argument(help: ArgumentHelp("The run's folder, or its model.safetensors.", valueName: "run"))
    var reference: String

    @OptionGroup var source: DataOptionsGroup

    @Option(help: "How the features are measured.")
    var probe: Probe?

    @Option(help: "How many labels of each class the probe gets. Default: all there are.")
    var labelsPerClass: Int?

    @Option(help: "Neighbours of the knn probe.")
    var k = 20

    @Option(help: "Decides which labels the probe gets.")
    var seed = 0

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let labelsPerClass, labelsPerClass < 1 { throw ValidationError("--labels-per-class must be 1 or more") }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if k < 1 { throw ValidationError("--k must be 1 or more") }
    }

    private struct Result: Encodable {
        var run: String
        var data: String
        var probe: String
        var accuracy: Double
        var labels: Int
        var test_samples: Int
        var seed: Int
        var baselines: [String: Double]
    }

    func run() throws {
        let model = try RunReference.model(reference)
        let data = try source.open(seed: seed, for: model.input)
        let test = try data.requireTest()
        let labels = test.labels.compactMap { $0 }
        guard labels.count == test.count else { throw DataError.noLabels(path: "the test split of \(data.source)") }
        let classes = data.classNames.count
        func accuracy(_ probabilities: [Float]) -> Double {
            Metrics.accuracy(predicted: Metrics.predictions(scores: probabilities, classes: classes), labels: labels)
        }

        var result: Result
        if let probe {
            let known = data.train.labels.indices.filter { data.train.labels[$0] != nil }
            let chosen =
                try labelsPerClass.map {
                    try data.train.labelledSplit(perClass: $0, seed: UInt64(seed)).labelled
                } ?? known
            guard !chosen.isEmpty else { throw DataError.noLabels(path: data.source) }
            let labelled = data.train.subset(chosen)
            let targets = labelled.labels.compactMap { $0 }
            func score(_ train: Tensor, _ test: Tensor) -> Double {
                switch probe {
                case .knn:
                    accuracy(KNNProbe(features: train, labels: targets, classes: classes, k: k).probabilities(test))
                case .linear, .finetune:
                    accuracy(LinearProbe(features: train, labels: targets, classes: classes).probabilities(test))
                }
            }
            func fresh() throws -> any Backbone {
                var random = RandomSource(seed: UInt64(seed)).stream("backbone")
                return try Models.make(model.modelName, inputShape: model.input.shape, random: &random)
            }
            func trained(_ backbone: any Backbone) throws -> Double {
                let training = TrainingData(dataset: data.train, labelled: chosen, input: model.input)
                var context = LearningContext(
                    data: training, backbone: backbone, modelName: model.modelName, seed: UInt64(seed))
                context.flip = model.input.isImage && model.input.channels == 3
                let style = output.progressStyle
                context.progress = { title, goal in TrainingProgress(title, goal: goal, style: style) }
                return accuracy(try Supervised(Supervised.Config()).learn(context).model.probabilities(of: test))
            }
            let untrained = try fresh()
            let baselines = [
                "raw": score(
                    try Inference.rawValues(labelled, input: model.input),
                    try Inference.rawValues(test, input: model.input)),
                "untrained": score(
                    try Inference.features(untrained, labelled, input: model.input),
                    try Inference.features(untrained, test, input: model.input)),
            ]
            result = Result(
                run: reference, data: source.data, probe: probe.rawValue, accuracy: 0, labels: chosen.count,
                test_samples: test.count, seed: seed, baselines: baselines)
            if probe == .finetune {
                result.baselines["supervised"] = try trained(fresh())
                result.accuracy = try trained(model.backbone)
            } else {
                result.accuracy = score(try model.features(of: labelled), try model.features(of: test))
            }
        } else {
            guard model.canClassify else {
                throw CommandFailure.usage(
                    "this run has learned no classes", why: "\(model.method) does not look at labels",
                    next: "measure its features: add --probe linear")
            }
            guard model.classNames == data.classNames else {
                throw CommandFailure.usage(
                    "the classes differ",
                    why:
                        "the run knows \(model.classNames.joined(separator: ", ")); the data have \(data.classNames.joined(separator: ", "))",
                    next: "give data of the same classes")
            }
            result = Result(
                run: reference, data: source.data, probe: "none", accuracy: accuracy(try model.probabilities(of: test)),
                labels: 0, test_samples: test.count, seed: seed, baselines: [:])
        }
        if output.json { return try output.print(json: result) }
        func line(_ name: String, _ value: Double) -> String {
            name.padding(toLength: 28, withPad: " ", startingAt: 0) + String(format: "%5.1f %%", value * 100)
        }
        try output.print(line(probe.map { "\($0.rawValue) probe of the run" } ?? "accuracy", result.accuracy))
        for (name, value) in result.baselines.sorted(by: { $0.key < $1.key }) {
            try output.print(line("  \(name)", value))
        }
    }
}
