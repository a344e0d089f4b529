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

    @Option(
        help: ArgumentHelp(
            "Share of the labelled samples that is held out to watch training by, and to keep the best weights with "
                + "--set training.checkpoints.weights=best.", valueName: "share"))
    var validation = 0.0

    @Option(help: "Decides which labels, starting weights, order and augmentation.")
    var seed = 0

    @Option(
        help:
            "Whether a mirrored picture keeps its class (true or false). Default: true for colour, false for grey pictures."
    )
    var flip: Bool?

    @Option(
        help:
            "Whether rough views may stretch, cut and invert the levels of a picture (true or false). Default: true for colour, false for grey pictures, most of which are signs on a black ground."
    )
    var recolour: Bool?

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

    @Option(
        help: ArgumentHelp(
            "Watch so many updates, after the first \(Profiler.warmUp): a table of operations by time and memory, and "
                + "trace.json in the run's folder for chrome://tracing or Perfetto.", valueName: "updates"))
    var profile: Int?

    @OptionGroup var continuing: ContinuingOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let labelsPerClass, labelsPerClass < 1 { throw ValidationError("--labels-per-class must be 1 or more") }
        if !(0..<1).contains(validation) { throw ValidationError("--validation must be at least 0 and below 1") }
        if let profile, profile < 1 { throw ValidationError("--profile must be 1 or more") }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if !(0...64).contains(workers) { throw ValidationError("--workers must be at least 0 and at most 64") }
    }

    func run() throws {
        let entry = try Methods.entry(named: method)
        let (learner, resolved) = try entry.make(settings, overrides)
        StopSignal.listen()
        var run = TrainRun()
        run.method = method
        run.data = source.data
        run.workingFolder = FileManager.default.currentDirectoryPath
        run.reading = source.reading.settings
        run.model = network.model
        run.weights = network.weights
        run.imageSize = network.imageSize
        run.labelsPerClass = labelsPerClass
        run.validation = validation
        run.seed = seed
        run.flip = flip
        run.recolour = recolour
        run.workers = workers
        let profiler = profile.map { Profiler(updates: $0) }
        try output.tellResult {
            let report = try run.execute(learner, entry.info, settings: resolved, profiler: profiler, output: output) {
                try continuing.folder(
                    out: out, overwrite: overwrite,
                    named: "\(method)-\(URL(fileURLWithPath: source.data).lastPathComponent)")
            }
            let found = try profiler.map { try tell($0, in: report.run) + "\n" } ?? ""
            return (report, found + run.summary(report, report.run))
        }
    }

    /// The table of the profile, whose trace goes into the run's folder.
    private func tell(_ profiler: Profiler, in folder: String) throws -> String {
        guard profiler.updates > 0 else {
            output.warn("nothing was watched: the training ended within its first \(Profiler.warmUp) updates")
            return ""
        }
        try AtomicFile.write(try profiler.chromeTrace(), to: folder + "/trace.json")
        var table = TextTable("part", "operation", "calls", "ms", "share", "MiB kept")
        table.rows = profiler.rows.map { row in
            [
                row.part, row.operation ?? "all of it", String(format: "%.0f", row.calls),
                String(format: "%.2f", row.milliseconds), percent(row.share),
                String(format: "%.1f", row.mebibytes),
            ]
        }
        return """
            One update, the mean of \(profiler.updates):
            \(table.text)
            at most \(profiler.peakBytes >> 20) MiB of tensors; trace: \(folder)/trace.json
            """
    }
}
