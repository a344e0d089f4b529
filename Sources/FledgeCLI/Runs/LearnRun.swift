import Fledge
import Foundation

/// What `fledge learn` was asked beside `LearnSettings`; both together are `run.yaml`.
struct LearnRun: Settings {
    var command = RunCommand.learn
    var data = ""
    /// Where relative paths begin.
    var workingFolder = ""
    var reading = ReadingSettings()

    static let meanings = [
        "command": "the verb", "data": "a path or a bundled name",
        "workingFolder": "where the command was given; relative paths begin there",
    ]

    /// Learns, from the beginning or from where the folder's run stopped, and writes everything into the folder.
    func execute(
        _ settings: LearnSettings, output: OutputOptions, in makeFolder: (OpenedData) throws -> RunFolder
    ) throws -> Report {
        let opened = try reading.open(data, seed: settings.seed)
        output.tell("\(data): \(opened.reason)")
        let folder = try makeFolder(opened)
        folder.warn = output.warn
        try folder.writeSettings(try RunDescription(self, settings: try PlainValue(encoding: settings)))
        try folder.writeEnvironment(Engine.environment)
        var learn = Learn(settings)
        let style = output.progressStyle
        learn.progress = { title, goal in TrainingProgress(title, goal: goal, style: style) }
        learn.say = { output.tell($0) }
        let report = try learn.run(opened, into: folder)
        for warning in report.warnings { output.warn(warning) }
        return report
    }

    func summary(_ report: Report, _ path: String) -> String {
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

            took \(Int(report.seconds.rounded())) s; report: \(path)/report.html
            """
    }
}
