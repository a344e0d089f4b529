import ArgumentParser
import Fledge
import Foundation

/// `fledge learn DATA`
struct LearnCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "learn",
        abstract: "Learn a classifier from all samples and few labels, and measure it honestly.",
        discussion: """
            Pretrains without labels, learns from labelled and unlabelled samples together, and measures once on the \
            test split. Beside the result stand a linear classifier on raw values, one on an untrained network, and \
            the same network trained on the labels alone. With --labels-per-class it keeps so many labels of each \
            class of the training split and hides the rest.

            DATA is a folder or file whose form is detected (`fledge data inspect` says how), or the bundled `digits`.
            """)

    @Argument(help: "A path, or the bundled name `digits`.")
    var data: String

    @OptionGroup var reading: ReadingOptions

    @Option(help: "How many labels of each class to use. Default: all there are.")
    var labelsPerClass: Int?

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

    @OptionGroup var continuing: ContinuingOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let labelsPerClass, labelsPerClass < 1 { throw ValidationError("--labels-per-class must be 1 or more") }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if let minutes, !(minutes > 0 && minutes.isFinite) { throw ValidationError("--minutes must be more than 0") }
    }

    func run() throws {
        var resolved = LearnSettings()
        if let settings { resolved = try resolved.applying(learnSettingsOf: settings) }
        if let labelsPerClass { resolved.labelsPerClass = labelsPerClass }
        resolved.seed = seed
        if let minutes { resolved.minutes = minutes }
        resolved = try resolved.applying(overrides)

        StopSignal.listen()
        var run = LearnRun()
        run.data = data
        run.workingFolder = FileManager.default.currentDirectoryPath
        run.reading = reading.settings
        try output.tellResult {
            let report = try run.execute(resolved, output: output) { opened in
                try continuing.folder(
                    out: out, overwrite: overwrite,
                    named: "learn-\(URL(fileURLWithPath: opened.source).lastPathComponent)")
            }
            return (report, run.summary(report, report.run))
        }
    }
}

extension LearnSettings {
    /// From a file of settings, or the `run.yaml` of another run, where they stand in a section of their own.
    fileprivate func applying(learnSettingsOf path: String) throws -> LearnSettings {
        do {
            return try applying(yamlFile: path, section: RunDescription.section)
        } catch let error as SettingsError {
            if case .syntax = error.kind { return try applying(yamlFile: path) }
            throw error
        }
    }
}
