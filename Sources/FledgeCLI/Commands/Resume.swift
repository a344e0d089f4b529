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
        StopSignal.listen()
        try output.tellResult {
            try StoredRun.execute(folder, output: output)
        }
    }
}

extension OutputOptions {
    /// Prints what a run came to: its report with `--json`, else a summary. Of a run that was finished before, the report
    /// that is there.
    func tellResult(_ run: () throws -> (report: Report, summary: String)) throws {
        do {
            let (report, summary) = try run()
            if json { try print(json: report) } else { try print(summary) }
        } catch let finished as RunFinished {
            if json {
                try StandardStream.output.write(String(decoding: FileBytes.read(finished.reportPath), as: UTF8.self))
            } else {
                try print("this run is finished; there is nothing left to do")
            }
        }
    }
}
