import Fledge
import Foundation

/// What `fledge train` was asked, resolved: with the method's own settings this is `run.yaml`, from which the run can be
/// done again or continued.
struct TrainRun: Settings {
    var command = RunCommand.train
    var method = ""
    var data = ""
    /// Where relative paths begin.
    var workingFolder = ""
    var reading = ReadingSettings()
    var model: String?
    var weights: String?
    var imageSize: Int?
    var labelsPerClass: Int?
    var validation = 0.0
    var seed = 0
    var flip: Bool?
    var recolour: Bool?
    var workers = 1

    static let meanings = [
        "command": "the verb", "method": "of `fledge methods`", "data": "a path or a bundled name",
        "workingFolder": "where the command was given; relative paths begin there", "model": "of `fledge models`",
        "weights": "starting weights", "imageSize": "side that pictures are brought to",
        "labelsPerClass": "how many labels of each class are used; none means all",
        "validation": "share of the labelled samples that is held out to watch training by",
        "seed": "decides labels, starting weights, order and augmentation",
        "flip": "whether a mirrored picture keeps its class",
        "recolour": "whether rough views may stretch, cut and invert levels", "workers": "threads that prepare batches",
    ]

    /// Trains, from the beginning or from where the folder's run stopped, and writes everything into the folder.
    /// - Parameters:
    ///   - makeFolder: opens the folder once the data are known to be usable.
    ///   - settings: of the method, resolved.
    ///   - profiler: watches the first updates.
    func execute(
        _ learner: any Method, _ info: MethodInfo, settings: PlainValue, profiler: Profiler? = nil,
        output: OutputOptions,
        in makeFolder: () throws -> RunFolder
    ) throws -> Report {
        var run = self
        let opened = try reading.open(data, seed: seed)
        output.tell("\(data): \(opened.reason)")
        let labelled = try opened.train.labelledSplit(perClass: labelsPerClass, seed: UInt64(seed)).labelled
        if info.needs.contains(.labels) {
            if labelled.isEmpty { throw MethodError.needsLabels(method) }
            if info.family != .positiveUnlabelled { try opened.requireTwoClasses() }
        }
        let input = try InputSpec(measuring: opened.train, size: imageSize)
        let (modelName, backbone) = try NetworkOptions.make(
            model ?? (weights == nil ? info.network : nil), weights: weights, for: input, seed: UInt64(seed))
        run.model = modelName

        let folder = try makeFolder()
        folder.warn = output.warn
        var training = TrainingData(dataset: opened.train, labelled: labelled, input: input)
        if validation > 0 {
            guard let trained = learner as? any TrainedMethod, trained.classifies else {
                throw CommandFailure.usage(
                    "\(method) cannot be watched on validation samples",
                    why: "it trains no classifier, or several one after another",
                    next: "leave --validation out, and measure with `fledge evaluate`")
            }
            training.holdOut(share: validation, seed: UInt64(seed))
            guard !training.validation.isEmpty else {
                throw CommandFailure.usage(
                    "no label can be spared for --validation", why: "no class has more than one",
                    next: "leave --validation out, or label more samples")
            }
        }
        var context = LearningContext(data: training, backbone: backbone, modelName: modelName, seed: UInt64(seed))
        context.flip = flip ?? context.flip
        run.flip = context.flip
        context.recolour = recolour ?? context.recolour
        run.recolour = context.recolour
        context.workers = workers
        context.folder = folder
        context.profiler = profiler
        let style = output.progressStyle
        context.progress = { title, goal in TrainingProgress(title, goal: goal, style: style) }
        let description = try RunDescription(run, settings: settings)
        try folder.writeSettings(description)
        try folder.writeEnvironment(Engine.environment)
        try folder.writeQuarantine(opened.damaged)

        let start = Date()
        let result = try learner.learn(context)
        try folder.checkIsWritable()
        try result.model.save(to: folder.modelPath)
        let classes = result.model.canClassify ? result.model.classNames : opened.classNames
        var report = Report(
            title: "\(method) on \(opened.source)", data: opened.source, run: folder.path, classNames: classes,
            seed: seed)
        report.labels = labelled.count
        report.labelsPerClass = labelsPerClass
        report.trainSamples = opened.train.count
        report.curves = result.curves
        report.metrics = result.metrics
        report.warnings = result.warnings
        report.recipe = result.choices
        report.sheets = try result.sheets()
        report.setAside(opened.damaged)
        report.settings = description.value
        report.environment = Engine.environment
        if result.model.canClassify, let test = opened.test, test.labelledCount == test.count,
            let labels = result.model.labels(of: test)
        {
            report.measure(probabilities: try result.model.probabilities(of: test), labels: labels.compactMap { $0 })
        }
        report.seconds = Date().timeIntervalSince(start)
        report = try folder.writeReport(report)
        for warning in report.warnings { output.warn(warning) }
        return report
    }

    /// What a person is told at the end.
    func summary(_ report: Report, _ path: String) -> String {
        let result =
            report.accuracy.map {
                "accuracy on \(report.testSamples ?? 0) test samples (95 % interval): "
                    + percent($0, interval: report.accuracyInterval)
            } ?? "trained; `fledge evaluate \(path) --data \(data) --probe linear` measures the features"
        let found = report.recipe.map { "\($0.name): \($0.value) (\($0.why))\n" }.joined()
        return "\(found)\(result)\ntook \(Int(report.seconds.rounded())) s; report: \(path)/report.html"
    }
}
