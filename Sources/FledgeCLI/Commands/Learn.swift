import ArgumentParser
import Fledge
import Foundation

/// `fledge learn DATA --labels-per-class K`
struct LearnCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "learn",
        abstract: "Learn a classifier from all samples and few labels, and measure it honestly.",
        discussion: """
            Keeps so many labels of each class of the training split and hides the rest, pretrains without labels, \
            learns from labelled and unlabelled samples together, and measures once on the test split. Beside the \
            result stand a linear classifier on raw values, one on an untrained network, and the same network trained \
            on the labels alone.

            DATA is a folder or file whose form is detected (`fledge data inspect` says how), or the bundled `digits`.
            """)

    @Argument(help: "A path, or the bundled name `digits`.")
    var data: String

    @OptionGroup var reading: ReadingOptions

    @Option(help: "How many labels of each class to use.")
    var labelsPerClass: Int

    @Option(help: "Decides which labels, starting weights, order and augmentation.")
    var seed = 0

    @Option(help: "Time for all training together, in minutes. Default: steps that suit the data.")
    var minutes: Double?

    @Option(help: "The run's folder. Default: the next free runs/learn-NAME-N.")
    var out: String?

    @Flag(help: "Move a folder that is in the way of --out aside.")
    var overwrite = false

    @Option(name: .customLong("set"), help: ArgumentHelp("Change any setting.", valueName: "name=value"))
    var overrides: [String] = []

    @Option(help: "A YAML file of settings, such as the run.yaml of another run.")
    var settings: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if labelsPerClass < 1 { throw ValidationError("--labels-per-class must be 1 or more") }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if let minutes, !(minutes > 0 && minutes.isFinite) { throw ValidationError("--minutes must be more than 0") }
    }

    func run() throws {
        var resolved = LearnSettings()
        if let settings { resolved = try resolved.applying(yamlFile: settings) }
        resolved.labelsPerClass = labelsPerClass
        resolved.seed = seed
        if let minutes { resolved.minutes = minutes }
        resolved = try resolved.applying(overrides)

        StopSignal.listen()
        let opened = try reading.open(data, seed: resolved.seed)
        output.tell("\(data): \(opened.reason)")
        let folder = try makeFolder(opened)
        var learn = Learn(resolved)
        let style = output.progressStyle
        learn.progress = { title, goal in TrainingProgress(title, goal: goal, style: style) }
        learn.say = { output.tell($0) }
        let report = try learn.run(opened, into: folder)
        for warning in report.warnings { output.warn(warning) }
        if output.json { return try output.print(json: report) }
        try output.print(summary(report, folder))
    }

    private func makeFolder(_ opened: OpenedData) throws -> RunFolder {
        if let out { return try RunFolder.create(at: out, overwrite: overwrite) }
        let name = URL(fileURLWithPath: opened.source).lastPathComponent
        return try RunFolder.create(named: "learn-\(name)")
    }

    private func summary(_ report: Report, _ folder: RunFolder) -> String {
        func percent(_ value: Double?) -> String { value.map { String(format: "%5.1f %%", $0 * 100) } ?? "-" }
        let rows = [
            ("learned from all samples and \(report.labels ?? 0) labels", report.accuracy),
            ("the same network, the same labels only", report.baselines["supervised"]),
            ("linear classifier on raw values", report.baselines["raw_pixels_linear"]),
            ("linear classifier on the untrained network", report.baselines["untrained_linear"]),
        ]
        let width = rows.map(\.0.count).max()!
        return """

            accuracy on \(report.testSamples ?? 0) test samples, touched once:
            \(rows.map { "  " + $0.0.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + percent($0.1) }.joined(separator: "\n"))

            took \(Int(report.seconds.rounded())) s; report: \(folder.reportPagePath)
            """
    }
}
