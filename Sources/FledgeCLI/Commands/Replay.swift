import ArgumentParser
import Fledge
import Foundation

/// `fledge replay RUN --step N`
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look at one update of a run again, module by module.",
        discussion: """
            Goes on from the last checkpoint before the update, makes the updates in between again, and computes this \
            one with a look at every operation: which module gave the first value that is no finite number, and the \
            norms of weights and gradients of each. Nothing in the run's folder is changed.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
    var path: String

    @Option(help: "The update, as metrics.jsonl counts them, from 1.")
    var step: Int

    @Option(help: "The stage, as metrics.jsonl names it. Default: the one that was saved last.")
    var stage: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if step < 1 { throw ValidationError("--step must be 1 or more") }
    }

    /// What `--json` prints.
    private struct Result: Encodable {
        var stage: String
        var from: Int
        var update: StepExamination
    }

    func run() throws {
        let folder = try RunFolder.open(at: StoredRun.absolute(path), for: .replay(step: step, stage: stage))
        StopSignal.listen()
        do {
            _ = try StoredRun.execute(folder, output: output)
        } catch let seen as ReplayFinished {
            let update = seen.examination
            if output.json {
                return try output.print(json: Result(stage: seen.stage, from: seen.from, update: update))
            }
            var lines = ["\(seen.stage), update \(update.step), gone on from update \(seen.from)"]
            if let failure = update.failure {
                lines.append(
                    "\(failure.what): \(failure.origin.map { "\($0.module): \($0.finding)" } ?? "no cause found")")
            } else {
                lines.append("nothing is wrong with it")
            }
            func short(_ value: Double?) -> String { value.map { String(format: "%.4g", $0) } ?? "-" }
            lines.append("loss \(short(update.loss)), gradient norm \(short(update.gradientNorm))")
            let width = update.modules.map(\.module.count).max() ?? 0
            for row in update.modules {
                let name = row.module.padding(toLength: width, withPad: " ", startingAt: 0)
                lines.append("  \(name)  weights \(short(row.weightNorm))  gradients \(short(row.gradientNorm))")
            }
            try output.print(lines.joined(separator: "\n"))
        }
    }
}
