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
        let rows = [
            ("learned from all samples and \(report.labels ?? 0) labels", report.accuracy, report.accuracyInterval),
            ("the same network, the same labels only", report.baselines["supervised"], nil),
            ("linear classifier on raw values", report.baselines["raw_pixels_linear"], nil),
            ("linear classifier on the untrained network", report.baselines["untrained_linear"], nil),
        ]
        let width = rows.map(\.0.count).max()!
        return """

            accuracy on \(report.testSamples ?? 0) test samples, touched once (95 % interval):
            \(rows.map {
                "  " + $0.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + percent($1, interval: $2)
            }.joined(separator: "\n"))

            took \(Int(report.seconds.rounded())) s; report: \(path)/report.html
            """
    }
}
