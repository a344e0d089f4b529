import ArgumentParser
import Fledge
import Foundation

/// `fledge resume RUN`
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Go on with a run that was stopped or killed, to the same result.",
        discussion: """
            Everything comes from the run's folder: what was asked from run.yaml, the state of the training from the \
            newest sound checkpoint. The result has the same bytes as if nothing had happened. That needs the same \
            data, settings, version, number of threads and instruction set; anything else is refused and listed, or \
            with --allow-changed accepted, and the run is marked as changed in its report and in changes.txt.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
    var path: String

    @Flag(help: "Go on although settings, data, threads or versions are others, and mark the run as changed.")
    var allowChanged = false

    @OptionGroup var output: OutputOptions

    func run() throws {
        let folder = try RunFolder.open(
            at: StoredRun.absolute(path), for: .resume(allowChanged: allowChanged), on: KillPoint.disk)
        if folder.isFinished {
            return try tellFinished(String(decoding: try FileBytes.read(folder.reportPath), as: UTF8.self), output)
        }
        StopSignal.listen()
        let (report, summary) = try StoredRun.execute(folder, output: output)
        if output.json { return try output.print(json: report) }
        try output.print(summary)
    }
}

/// What is said of a run that has come to its end: its report with `--json`, as ever.
func tellFinished(_ report: String, _ output: OutputOptions) throws {
    if output.json { return try StandardStream.output.write(report) }
    try output.print("this run is finished; there is nothing left to do")
}
