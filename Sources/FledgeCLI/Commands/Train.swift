import ArgumentParser
import Fledge
import Foundation

/// `fledge train METHOD --data DATA`
struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one method.",
        discussion: """
            `fledge methods` lists the methods and their settings; any of them is changed with --set name=value. The \
            run's folder gets the weights, the numbers and a report; `fledge evaluate` measures it further.
            """)

    @Argument(help: "The method, of `fledge methods`.")
    var method: String

    @OptionGroup var source: DataOptionsGroup
    @OptionGroup var network: NetworkOptions

    @Option(help: "How many labels of each class to use. Default: all there are.")
    var labelsPerClass: Int?

    @Option(help: "Decides which labels, starting weights, order and augmentation.")
    var seed = 0

    @Option(
        help:
            "Whether a mirrored picture keeps its class (true or false). Default: true for colour, false for grey pictures."
    )
    var flip: Bool?

    @Option(help: "Threads that prepare each stream of batches.")
    var workers = 1

    @Option(help: "The run's folder. Default: the next free runs/METHOD-NAME-N.")
    var out: String?

    @Flag(help: "Move a folder that is in the way of --out aside.")
    var overwrite = false

    @Option(name: .customLong("set"), help: ArgumentHelp("Change any setting of the method.", valueName: "name=value"))
    var overrides: [String] = []

    @Option(help: "A YAML file of settings, such as the run.yaml of another run.")
    var settings: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let labelsPerClass, labelsPerClass < 1 { throw ValidationError("--labels-per-class must be 1 or more") }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if !(0...64).contains(workers) { throw ValidationError("--workers must be at least 0 and at most 64") }
    }

    /// What `run.yaml` holds.
    private struct Description: Encodable {
        var method: String
        var data: String
        var model: String
        var weights: String?
        var labelsPerClass: Int?
        var seed: Int
        var flip: Bool
        var settings: PlainValue
    }

    func run() throws {
        let entry = try Methods.entry(named: method)
        let (learner, resolved) = try entry.make(settings, overrides)
        StopSignal.listen()
        let data = try source.open(seed: seed)
        output.tell("\(source.data): \(data.reason)")
        let labelled: [Int]
        if let labelsPerClass {
            labelled = try data.train.labelledSplit(perClass: labelsPerClass, seed: UInt64(seed)).labelled
        } else {
            labelled = data.train.labels.indices.filter { data.train.labels[$0] != nil }
        }
        if entry.info.needs.contains(.labels), labelled.isEmpty { throw MethodError.needsLabels(method) }
        let input = try InputSpec(measuring: data.train, size: network.imageSize)
        let (modelName, backbone) = try network.make(for: input, seed: UInt64(seed))

        let folder =
            try out.map { try RunFolder.create(at: $0, overwrite: overwrite) }
            ?? RunFolder.create(named: "\(method)-\(URL(fileURLWithPath: source.data).lastPathComponent)")
        let training = TrainingData(dataset: data.train, labelled: labelled, input: input)
        var context = LearningContext(data: training, backbone: backbone, modelName: modelName, seed: UInt64(seed))
        context.flip = flip ?? (input.isImage && input.channels == 3)
        context.workers = workers
        context.folder = folder
        let style = output.progressStyle
        context.progress = { title, goal in TrainingProgress(title, goal: goal, style: style) }
        let description = Description(
            method: method, data: source.data, model: modelName, weights: network.weights,
            labelsPerClass: labelsPerClass, seed: seed, flip: context.flip, settings: resolved)
        try folder.writeSettings(description)
        try folder.writeEnvironment(Engine.environment)
        try folder.writeQuarantine(data.damaged)

        let start = Date()
        let result = try learner.learn(context)
        try result.model.save(to: folder.modelPath)
        var report = Report(
            title: "\(method) on \(data.source)", data: data.source, run: folder.path,
            classNames: data.classNames, seed: seed)
        report.labels = labelled.count
        report.labelsPerClass = labelsPerClass
        report.trainSamples = data.train.count
        report.curves = result.curves
        report.warnings = result.warnings
        report.setAside(data.damaged)
        report.settings = try PlainValue(encoding: description)
        report.environment = Engine.environment
        if result.model.canClassify, let test = data.test, test.labelledCount == test.count {
            report.measure(
                probabilities: try result.model.probabilities(of: test), labels: test.labels.compactMap { $0 })
        }
        report.seconds = Date().timeIntervalSince(start)
        try folder.writeReport(report)

        for warning in report.warnings { output.warn(warning) }
        if output.json { return try output.print(json: report) }
        if let accuracy = report.accuracy {
            try output.print(
                String(format: "accuracy on %d test samples: %.1f %%", report.testSamples ?? 0, accuracy * 100))
        } else {
            try output.print(
                "trained; `fledge evaluate \(folder.path) --data \(source.data) --probe linear` measures the features")
        }
        try output.print("took \(Int(report.seconds.rounded())) s; report: \(folder.reportPagePath)")
    }
}
