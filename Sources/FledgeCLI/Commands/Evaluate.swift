import ArgumentParser
import Fledge
import Foundation

/// `fledge evaluate RUN --data DATA --probe knn|linear|mean|finetune`
struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a run on the test split, beside its baselines.",
        discussion: """
            Without --probe, the classes the run has learned. With one, what its features are worth: a k-nearest-\
            neighbour vote, a linear classifier, the nearest mean of a class, or fine-tuning, each given the same labels \
            and compared with raw values and the untrained network; fine-tuning also with training on the same labels \
            alone.

            With --labels-per-class 1,5,10,100 the labels are drawn several times for each number; means and standard \
            deviations over the draws are shown.
            """)

    @Argument(help: ArgumentHelp("The run's folder, or its model.safetensors.", valueName: "run"))
    var reference: String

    @OptionGroup var source: DataOptionsGroup

    @Option(help: ArgumentHelp("How the features are measured: knn, linear, mean or finetune.", valueName: "probe"))
    var probe: FeatureComparison.Probe?

    @Option(
        help: ArgumentHelp(
            "How many labels of each class the probe gets; several numbers with commas. Default: all there are.",
            valueName: "counts"))
    var labelsPerClass: Numbers?

    @Option(help: "How often labels are drawn. Default: 5 with --labels-per-class, 1 for fine-tuning.")
    var draws: Int?

    @Option(help: ArgumentHelp("Neighbours of the knn probe; several numbers with commas.", valueName: "counts"))
    var k = Numbers([20])

    @Option(help: "Decides which labels the probe gets, and which samples --hold-out takes.")
    var seed = 0

    @OptionGroup var output: OutputOptions

    /// Whole numbers with commas between them.
    struct Numbers: ExpressibleByArgument {
        let values: [Int]

        init(_ values: [Int]) { self.values = values }

        init?(argument: String) {
            let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
            let values = parts.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
            guard values.count == parts.count, Set(values).count == values.count else { return nil }
            self.values = values
        }

        var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
    }

    func validate() throws {
        if let labelsPerClass, labelsPerClass.values.contains(where: { $0 < 1 }) {
            throw ValidationError("--labels-per-class must be 1 or more")
        }
        if let draws, !(1...1000).contains(draws) { throw ValidationError("--draws must be at least 1, at most 1000") }
        if draws != nil, labelsPerClass == nil {
            throw ValidationError("--draws needs --labels-per-class: all labels can only be drawn once")
        }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if k.values.contains(where: { $0 < 1 }) { throw ValidationError("--k must be 1 or more") }
    }

    private struct Result: Encodable {
        var run: String
        var data: String
        var probe: String
        /// Of the run, with the most labels; the baselines likewise.
        var accuracy: Double
        /// Of the run's own answers; null with a probe.
        var accuracy_interval: [Double]?
        var labels: Int
        var test_samples: Int
        var seed: Int
        var baselines: [String: Double]
        var rows: [FeatureComparison.Row]
    }

    func run() throws {
        let model = try RunReference.model(reference)
        let data = try opened(for: model)
        let test = try data.requireTest()
        guard test.labelledCount == test.count else {
            throw DataError.noLabels(path: "the test split of \(data.source)")
        }
        guard let probe else { return try measureClasses(model, data, test) }

        var comparison = FeatureComparison(train: data.train, test: test, seed: UInt64(seed)) {
            try RunReference.model(reference)
        }
        if probe == .finetune { comparison.flip = try StoredRun.content(of: reference)?.flip }
        let style = output.progressStyle
        comparison.progress = { title, goal in TrainingProgress(title, goal: goal, style: style) }
        let rows = try comparison.measure(
            probe, labelsPerClass: labelsPerClass?.values ?? [nil],
            draws: draws ?? (probe == .finetune ? 1 : 5), neighbours: k.values)
        guard output.json else { return try output.print(Self.table(probe, rows)) }
        let most = rows.map(\.labels).max()
        let last = rows.filter { $0.labels == most }
        var baselines: [String: Double] = [:]
        for row in last where row.features != "run" { baselines[row.features] = row.accuracy.mean }
        try output.print(
            json: Result(
                run: reference, data: source.data, probe: probe.rawValue,
                accuracy: last.last { $0.features == "run" }?.accuracy.mean ?? 0, labels: most ?? 0,
                test_samples: test.count, seed: seed, baselines: baselines, rows: rows))
    }

    /// The data. Where a run that learned classes held samples of the same data out, these are the test split: all others
    /// it has seen with their labels.
    private func opened(for model: FittedModel) throws -> OpenedData {
        var (reading, seed) = (source.reading.settings, seed)
        if model.canClassify, let run = try StoredRun.heldOut(by: reference), run.isOf(source.data) {
            guard reading.holdOut ?? run.share == run.share,
                reading.labels.map(StoredRun.absolute) ?? run.labels == run.labels
            else {
                throw CommandFailure.usage(
                    "the run was tested on other samples",
                    why:
                        "it held out \(run.share) of the data; another share or other labels would take samples it learned from",
                    next: "leave --hold-out and --labels out")
            }
            (reading.holdOut, reading.labels, seed) = (run.share, run.labels, run.seed)
        }
        return try reading.open(source.data, seed: seed, for: model.input)
    }

    /// One line for each kind of features, one column for each number of labels.
    private static func table(_ probe: FeatureComparison.Probe, _ rows: [FeatureComparison.Row]) -> String {
        var counts: [Int?] = []
        for row in rows where !counts.contains(row.labelsPerClass) { counts.append(row.labelsPerClass) }
        let names = [
            "run": "the run", "raw": "raw values", "untrained": "untrained network",
            "supervised": "the same labels alone",
        ]
        var lines: [(name: String, cells: [Int?: String])] = []
        for row in rows {
            // Where there are fewer labels than neighbours, columns differ in k.
            let k = row.k.map { ", k \($0)" } ?? ""
            let name = names[row.features]! + k
            let deviation = row.accuracy.deviation.map { String(format: " ± %.1f", $0 * 100) } ?? ""
            let cell = percent(row.accuracy.mean) + deviation
            if let index = lines.firstIndex(where: { $0.name == name }) {
                lines[index].cells[row.labelsPerClass] = cell
            } else {
                lines.append((name, [row.labelsPerClass: cell]))
            }
        }
        let header = counts.map { $0.map { "\($0) per class" } ?? "all labels" }
        let table = TextTable(
            header: ["\(probe.rawValue) probe"] + header,
            rows: lines.map { line in [line.name] + counts.map { line.cells[$0] ?? "-" } })
        let draws = rows.map(\.draws.count).max() ?? 1
        return table.text + (draws > 1 ? "\nmeans and standard deviations over \(draws) draws of labels" : "")
    }

    private func measureClasses(_ model: FittedModel, _ data: OpenedData, _ test: any Dataset) throws {
        guard model.canClassify else {
            throw CommandFailure.usage(
                "this run has learned no classes", why: "\(model.method) does not look at labels",
                next: "measure its features: add --probe linear")
        }
        guard let labels = model.labels(of: test)?.compactMap({ $0 }) else {
            throw CommandFailure.usage(
                "the classes differ",
                why:
                    "the run knows \(model.classNames.joined(separator: ", ")); the data have \(data.classNames.joined(separator: ", "))",
                next: "give data of the same classes")
        }
        let predicted = Metrics.predictions(
            scores: try model.probabilities(of: test), classes: model.classNames.count)
        let accuracy = Metrics.accuracy(predicted: predicted, labels: labels)
        let interval = Metrics.interval(of: accuracy, count: test.count)
        if output.json {
            return try output.print(
                json: Result(
                    run: reference, data: source.data, probe: "none", accuracy: accuracy, accuracy_interval: interval,
                    labels: 0, test_samples: test.count, seed: seed, baselines: [:], rows: []))
        }
        try output.print(
            "accuracy on \(test.count) test samples (95 % interval): \(percent(accuracy, interval: interval))")
    }
}

extension FeatureComparison.Probe: ExpressibleByArgument {}
