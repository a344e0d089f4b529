import ArgumentParser
import Fledge
import Foundation

/// The `fledge` command. How a subcommand joins:
///
/// 1. One file in `Commands/`, a `ParsableCommand` with `@OptionGroup var output: OutputOptions`, and its type in one
///    of the groups below.
/// 2. `run()` throws typed errors of the rooms below and never prints them; `Plumbing/ErrorMapping.swift` gives each
///    type its exit status. A wrong argument that the parser cannot see is `CommandFailure.usage`.
/// 3. Results go to standard output: `output.print(json:)` when `output.json`, else text for people. Everything else,
///    progress included, goes to standard error (`TrainingProgress` with `output.progressStyle`).
@main
struct FledgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fledge",
        abstract: "Deep learning from few labels.",
        discussion: """
            Exit status: 0 done, 2 wrong usage, 3 bad data, 4 bad model file, 5 numeric failure, 6 out of memory or \
            disk, 75 stopped by a signal, 70 internal error.
            """,
        version: FledgeVersion.current,
        groupedSubcommands: [
            CommandGroup(
                name: "Learn",
                subcommands: [
                    LearnCommand.self, Train.self, LabelCommand.self, ActiveCommand.self, Resume.self, Replay.self,
                ]),
            CommandGroup(name: "Use what was learned", subcommands: [Evaluate.self, Embed.self, Predict.self]),
            CommandGroup(
                name: "Look around",
                subcommands: [
                    RunsCommand.self, DataCommand.self, MethodsCommand.self, ModelsCommand.self, Doctor.self,
                    Bench.self,
                ]),
        ])

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let wantsJSON = arguments.prefix { $0 != "--" }.contains("--json")
        // A file that outgrows a limit is an error to report, not a signal that ends the program without a word.
        signal(SIGXFSZ, SIG_IGN)
        MemoryPool.outOfMemoryHandler.withLock { handler in
            handler = { CommandFailure($0).exit(asJSON: wantsJSON) }
        }
        var command: any ParsableCommand
        do {
            try UnknownSubcommand.check(arguments, under: FledgeCommand.self)
            command = try parseAsRoot(arguments)
        } catch let failure as CommandFailure {
            failure.exit(asJSON: wantsJSON)
        } catch {
            leave(afterParsing: error, asJSON: wantsJSON)
        }
        do {
            try command.run()
        } catch {
            // Help asked for by a command without a verb, and exit codes thrown on purpose, are no failures.
            if error is CleanExit || error is ExitCode || exitCode(for: error) == .success { exit(withError: error) }
            CommandFailure(error).exit(asJSON: wantsJSON)
        }
    }

    /// Help and version are answers; anything else the parser throws is wrong usage.
    private static func leave(afterParsing error: any Error, asJSON: Bool) -> Never {
        if exitCode(for: error) == .success { exit(withError: error) }
        let text = message(for: error)
        let usage = fullMessage(for: error).split(separator: "\n").first { $0.hasPrefix("Usage:") }
        let next = usage.map { String($0.dropFirst("Usage:".count)).trimmed } ?? "fledge --help"
        CommandFailure(status: .usage, what: text, next: next).exit(asJSON: asJSON)
    }
}
