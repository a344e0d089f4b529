import ArgumentParser
import Fledge
import Foundation

/// `fledge active DATA --strategy margin,random`
struct ActiveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "active",
        abstract: "Play which samples should have been labelled, on data whose labels are known.",
        discussion: """
            Begins with a few random labels, asks for more by each strategy, learns anew after every round and measures \
            on the test split: learning curves against asking at random, over several seeds. Without --method a small \
            network learns on features that stay as they are: those of --weights, or the values of the samples. \
            Strategies: \(QueryStrategy.allCases.map(\.rawValue).joined(separator: ", ")).
            """)

    @Argument(help: "A path, or the bundled name `digits`.")
    var data: String

    @OptionGroup var reading: ReadingOptions
    @OptionGroup var network: NetworkOptions

    @Option(help: "Strategies, separated by commas; random always takes part.")
    var strategy = "margin"

    @Option(help: "Labels at the beginning.")
    var start = 20

    @Option(help: "Labels that are asked for in each round.")
    var step = 10

    @Option(help: "Labels at the end.")
    var until = 200

    @Option(help: "How many times all is repeated, with seeds 0, 1, ...")
    var seeds = 3

    @Option(help: "A method, of `fledge methods`, that learns in each round in the place of the small network.")
    var method: String?

    @Option(
        name: .customLong("set"), help: ArgumentHelp("Change any setting of the method.", valueName: "name=value"))
    var overrides: [String] = []

    @Option(help: "The folder for curves.csv and the report. Default: the next free runs/active-NAME-N.")
    var out: String?

    @Flag(help: "Move a folder that is in the way of --out aside.")
    var overwrite = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if start < 1 { throw ValidationError("--start must be 1 or more") }
        if step < 1 { throw ValidationError("--step must be 1 or more") }
        if until < start { throw ValidationError("--until must be at least --start") }
        if !(1...100).contains(seeds) { throw ValidationError("--seeds must be at least 1 and at most 100") }
        if method == nil, !overrides.isEmpty { throw ValidationError("--set needs --method") }
        _ = try strategies()
    }

    private func strategies() throws -> [QueryStrategy] {
        var found: [QueryStrategy] = []
        for name in strategy.split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces) }) {
            guard let one = QueryStrategy(rawValue: name) else {
                let nearest = Suggestion.nearest(to: name, among: QueryStrategy.allCases.map(\.rawValue))
                let hint = nearest.isEmpty ? "" : "; did you mean \(nearest.joined(separator: ", "))?"
                throw ValidationError("there is no strategy \"\(name)\"\(hint)")
            }
            if !found.contains(one) { found.append(one) }
        }
        return found.contains(.random) ? found : found + [.random]
    }

    private struct Row: Encodable {
        var strategy: String
        /// Mean and deviation over the seeds of the mean accuracy along the curve.
        var area: Spread
        /// Mean accuracy at the end.
        var final: Double
    }

    private struct Result: Encodable {
        var out: String
        var strategies: [Row]
        var points: [ActiveSimulation.Point]
    }

    func run() throws {
        let strategies = try strategies()
        let opened = try reading.open(data)
        let test = try opened.requireTest()
        let known = opened.train.labels.indices.filter { opened.train.labels[$0] != nil }
        guard !known.isEmpty else { throw DataError.noLabels(path: opened.source) }
        try opened.requireTwoClasses()
        guard known.count > start else {
            throw CommandFailure.usage(
                "\(opened.source) has \(known.count) labelled samples, and --start takes \(start)",
                why: "a simulation asks for labels that are known", next: "give a lower --start")
        }
        let testLabels = test.labels.compactMap { $0 }
        guard testLabels.count == test.count else {
            throw DataError.noLabels(path: "the test split of \(opened.source)")
        }
        let pool = opened.train.subset(known)
        let input = try InputSpec(measuring: opened.train, size: network.imageSize)
        let folder =
            try out.map { try RunFolder.create(at: $0, overwrite: overwrite) }
            ?? RunFolder.create(named: "active-\(URL(fileURLWithPath: opened.source).lastPathComponent)")
        StopSignal.listen()

        let began = Date()
        let labels = pool.labels.compactMap { $0 }
        let classes = opened.classNames.count
        let simulation = ActiveSimulation(start: start, step: step, until: until, seeds: Array(0..<seeds))
        let rounds = (min(until, labels.count) - start + step - 1) / step + 1
        let progress = TrainingProgress(
            "asking", goal: .steps(rounds * seeds * strategies.count), style: output.progressStyle)
        var done = 0
        func told(_ point: ActiveSimulation.Point) throws {
            try StopSignal.check()
            done += 1
            progress.update(step: done, [("accuracy", point.accuracy)])
        }
        let points: [ActiveSimulation.Point]
        if let method {
            let entry = try Methods.entry(named: method)
            guard entry.info.needs.contains(.labels), entry.info.family != .positiveUnlabelled else {
                throw CommandFailure.usage(
                    "\(method) cannot be asked for classes",
                    why: "its answers are not the classes of the data, which a simulation is about",
                    next: "take a method of the supervised or semi-supervised family, such as fixmatch")
            }
            let (learner, _) = try entry.make(nil, overrides)
            let (name, backbone) = try network.make(for: input, seed: 0)
            let training = TrainingData(dataset: pool, labelled: [], input: input)
            let context = LearningContext(data: training, backbone: backbone, modelName: name, seed: 0)
            points = try simulation.run(
                strategies, MethodLearner(learner, context, testing: test), labels: labels, testLabels: testLabels,
                classes: classes, told: told)
        } else {
            func features(_ set: any Dataset) throws -> Tensor {
                guard network.weights != nil || network.model != nil else {
                    return try Inference.rawValues(set, input: input)
                }
                return try Inference.features(network.make(for: input, seed: 0).backbone, set, input: input)
            }
            let learner = HeadLearner(pool: try features(pool), testing: try features(test), classes: classes)
            points = try simulation.run(
                strategies, learner, labels: labels, testLabels: testLabels, classes: classes, told: told)
        }
        progress.finish()

        try AtomicFile.write(points.csv, to: folder.path + "/curves.csv")
        try report(points, strategies, opened, folder.path, seconds: Date().timeIntervalSince(began), folder)
        let rows = strategies.map { strategy in
            Row(
                strategy: strategy.rawValue, area: Spread(points.areas(strategy)),
                final: points.curve(strategy).last?.accuracy ?? 0)
        }
        if output.json {
            return try output.print(json: Result(out: folder.path, strategies: rows, points: points))
        }
        let levels = [0.8, 0.9, 0.95]
        var table = TextTable("strategy", "mean accuracy", "at \(until) labels", "labels for 80 %", "90 %", "95 %")
        table.rows = zip(strategies, rows).map { strategy, row in
            [
                row.strategy,
                percent(row.area.mean) + (row.area.deviation.map { " ± " + percent($0) } ?? ""), percent(row.final),
            ] + levels.map { points.labelsToReach($0, strategy).map(String.init) ?? "-" }
        }
        try output.print(table.text)
        try output.print("curves: \(folder.path)/curves.csv; report: \(folder.path)/report.html")
    }

    private func report(
        _ points: [ActiveSimulation.Point], _ strategies: [QueryStrategy], _ opened: OpenedData, _ path: String,
        seconds: Double, _ folder: RunFolder
    ) throws {
        var report = Report(
            title: "Active learning on \(opened.source)", data: opened.source, run: path,
            classNames: opened.classNames, seed: 0)
        report.trainSamples = opened.train.count
        report.testSamples = opened.test?.count
        report.seconds = seconds
        report.environment = Engine.environment
        report.curves = strategies.map { strategy in
            let curve = points.curve(strategy)
            var drawn = Report.Curve(
                chart: "Accuracy on the test split, mean of \(seeds) seeds", name: strategy.rawValue,
                steps: curve.map { Double($0.labels) }, values: curve.map(\.accuracy))
            drawn.axis = "labels"
            return drawn
        }
        let random = Spread(points.areas(.random)).mean
        for strategy in strategies {
            let area = Spread(points.areas(strategy))
            report.metrics["mean_accuracy_\(strategy.rawValue)"] = area.mean
            let gain = (area.mean - random) * 100
            report.recipe.append(
                .init(
                    strategy.rawValue, percent(area.mean),
                    why: strategy == .random
                        ? "mean accuracy over the curve; what the others are compared with"
                        : String(format: "%+.1f points against random", gain)))
            if strategy != .random, gain <= 0 {
                report.warnings.append("\(strategy.rawValue) is not better than asking at random here")
            }
        }
        report = try folder.writeReport(report)
        for warning in report.warnings { output.warn(warning) }
    }
}
