import ArgumentParser
import Fledge

extension Finding.Kind: ExpressibleByArgument {}

extension DataCommand {
    /// `fledge data check DATA`
    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Look at every sample for damage, copies, and leaks between the splits.",
            discussion: """
                Decodes every picture and compares all of them, scaled and re-encoded copies included; lists every bad \
                cell and row of a table. Changes nothing. The exit status is 3 when there is a problem of a kind that \
                --allow does not name. Problems: \(names(true)). Worth knowing: \(names(false)).
                """)

        @Argument(help: "A path, or the bundled name `digits`.")
        var data: String

        @Option(help: ArgumentHelp("A kind of problem that is no reason to fail; may be repeated.", valueName: "kind"))
        var allow: [Finding.Kind] = []

        @OptionGroup var reading: ReadingOptions

        @OptionGroup var output: OutputOptions

        func validate() throws {
            if reading.labels != nil {
                throw ValidationError("`data check` looks at the labels that the data have; leave --labels out")
            }
        }

        func run() throws {
            let findings = try DataCheck.run(data, options: reading.settings.options())
            if output.json {
                try output.print(json: findings)
            } else {
                try output.print(findings.description)
            }
            if findings.findings.contains(where: { $0.kind.isProblem && !allow.contains($0.kind) }) {
                throw ExitCode(ExitStatus.badData.rawValue)
            }
        }

        private static func names(_ areProblems: Bool) -> String {
            Finding.Kind.allCases.filter { $0.isProblem == areProblems }.map(\.rawValue).joined(separator: ", ")
        }
    }
}
