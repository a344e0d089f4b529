import ArgumentParser
import Fledge

/// What every subcommand offers for its output: `@OptionGroup var output: OutputOptions`.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON document on standard output and nothing else.")
    var json = false

    @Flag(name: .shortAndLong, help: "Show no progress.")
    var quiet = false

    /// For `TrainingProgress`.
    var progressStyle: TrainingProgress.Style { quiet ? .quiet : .automatic }

    /// The one document of a command that was given `--json`. A number that is not finite becomes `null`, with a
    /// warning on standard error.
    func print(json value: some Encodable) throws {
        let document = try CanonicalJSON(value)
        if let warning = document.warning { warn(warning) }
        try StandardStream.output.write(document.text + "\n")
    }

    /// Text for people; nothing with `--json`.
    func print(_ text: String) throws {
        if !json { try StandardStream.output.write(text + "\n") }
    }

    /// What is being done, on standard error, so that `--json` leaves standard output clean; nothing with `--quiet`.
    func tell(_ text: String) {
        if !quiet { StandardStream.error.tell(text + "\n") }
    }

    /// A remark on standard error, which `--json` and `--quiet` leave alone: warnings are always shown.
    func warn(_ text: String) {
        StandardStream.error.tell("warning: \(text)\n")
    }
}
