import ArgumentParser
import Fledge
import FledgeTrack
import Foundation

/// `fledge runs ls|show|diff|best|rm|tensorboard`
struct RunsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "List, compare and remove runs.",
        discussion: """
            The numbers come from the files in the run folders; fledge.db beside the folder of runs is an index of \
            them that can be deleted at any time.
            """,
        subcommands: [List.self, Show.self, Diff.self, Best.self, Remove.self, TensorBoard.self])

    /// Where the runs are.
    struct Project: ParsableArguments {
        @Option(name: .customLong("runs"), help: ArgumentHelp("The folder of run folders.", valueName: "folder"))
        var folder = "runs"

        func open(_ output: OutputOptions) throws -> RunProject {
            let project = try RunProject(folder)
            if let note = project.note { output.warn(note) }
            return project
        }

        /// A run by its name, or by the path of its folder.
        func run(_ reference: String, _ output: OutputOptions) throws -> (record: RunRecord, last: [String: Double]) {
            var path = reference
            while path.count > 1, path.hasSuffix("/") { path.removeLast() }
            guard path.contains("/") else { return try open(output).run(path) }
            var other = self
            other.folder = path.deletingLastPathComponent
            return try other.open(output).run(path.lastPathComponent)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "List the runs, newest first.")

        @OptionGroup var project: Project
        @OptionGroup var output: OutputOptions

        func run() throws {
            let runs = try project.open(output).runs()
            if output.json { return try output.print(json: runs) }
            var table = TextTable("run", "method", "data", "status", "accuracy", "began")
            for run in runs {
                table.rows.append([
                    run.name, run.method, run.data ?? "", run.status.rawValue, percent(run.results["accuracy"]),
                    run.started ?? "",
                ])
            }
            try output.print(runs.isEmpty ? "There are no runs in \(project.folder)." : table.text)
            for run in runs { for problem in run.problems { output.warn("\(run.path): \(problem)") } }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the settings and numbers of a run.")

        @Argument(help: "A run's name, or its folder.")
        var name: String

        @OptionGroup var project: Project
        @OptionGroup var output: OutputOptions

        private struct Document: Encodable {
            var run: RunRecord
            /// The last value of every number that was watched.
            var last: [String: Double]
        }

        func run() throws {
            let (record, last) = try project.run(name, output)
            if output.json { return try output.print(json: Document(run: record, last: last)) }
            var lines = ["\(record.path): \(record.title ?? record.method), \(record.status.rawValue)"]
            if let started = record.started { lines.append("began \(started)") }
            lines += record.problems.map { "problem: \($0)" }
            func section(_ title: String, _ entries: [(String, String)]) {
                guard !entries.isEmpty else { return }
                let width = entries.map(\.0.count).max() ?? 0
                lines += ["", title]
                lines += entries.map { "  " + $0.0.padding(toLength: width + 2, withPad: " ", startingAt: 0) + $0.1 }
            }
            section("settings", record.settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
            section("last values", last.sorted { $0.key < $1.key }.map { ($0.key, rounded($0.value)) })
            section("report", record.results.sorted { $0.key < $1.key }.map { ($0.key, rounded($0.value)) })
            try output.print(lines.joined(separator: "\n"))
        }
    }

    struct Diff: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show in what settings and numbers two runs differ.")

        @Argument(help: "A run's name, or its folder.")
        var first: String

        @Argument(help: "Another.")
        var second: String

        @OptionGroup var project: Project
        @OptionGroup var output: OutputOptions

        private struct Difference: Encodable {
            /// "setting" or "result".
            var kind: String
            var name: String
            /// null where the run has no such entry.
            var first: String?
            var second: String?
        }

        func run() throws {
            let (a, b) = (try project.run(first, output).record, try project.run(second, output).record)
            func compare(_ kind: String, _ a: [String: String], _ b: [String: String]) -> [Difference] {
                Set(a.keys).union(b.keys).sorted().filter { a[$0] != b[$0] }
                    .map { Difference(kind: kind, name: $0, first: a[$0], second: b[$0]) }
            }
            let differences =
                compare("setting", a.settings, b.settings)
                + compare("result", a.results.mapValues { "\($0)" }, b.results.mapValues { "\($0)" })
            if output.json { return try output.print(json: differences) }
            var table = TextTable("", a.name, b.name)
            for difference in differences {
                func short(_ text: String?) -> String {
                    guard let text else { return "-" }
                    return difference.kind == "result" ? Double(text).map(rounded) ?? text : text
                }
                table.rows.append([difference.name, short(difference.first), short(difference.second)])
            }
            try output.print(differences.isEmpty ? "The runs have the same settings and numbers." : table.text)
        }
    }

    struct Best: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the runs by a number, best first.",
            discussion: "The number is one of the report, or else the last value of one that was watched (stage/name).")

        @Option(help: "Which number; `fledge runs show` lists them.")
        var metric = "accuracy"

        @Flag(help: "The lowest is the best.")
        var lowest = false

        @OptionGroup var project: Project
        @OptionGroup var output: OutputOptions

        private struct Row: Encodable {
            var run: String
            var path: String
            var value: Double
        }

        func run() throws {
            let best = try project.open(output).best(metric, lowest: lowest)
            if output.json {
                return try output.print(
                    json: best.map { Row(run: $0.record.name, path: $0.record.path, value: $0.value) })
            }
            var table = TextTable("run", "method", "data", metric)
            for (run, value) in best { table.rows.append([run.name, run.method, run.data ?? "", rounded(value)]) }
            try output.print(best.isEmpty ? "No run has the number '\(metric)'." : table.text)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Move runs to the trash folder (.trash beside them).")

        @Argument(help: "Names of runs.")
        var names: [String]

        @Flag(help: "Delete them for good instead.")
        var delete = false

        @OptionGroup var project: Project
        @OptionGroup var output: OutputOptions

        private struct Removed: Encodable {
            var run: String
            /// Where it is now; null when it was deleted.
            var path: String?
        }

        func run() throws {
            let runs = try project.open(output)
            // All names are checked before the first is removed.
            for name in names { _ = try runs.run(name) }
            let removed = try names.map { Removed(run: $0, path: try runs.remove($0, forGood: delete)) }
            if output.json { return try output.print(json: removed) }
            for one in removed {
                try output.print(one.path.map { "\(one.run) is now \($0)" } ?? "\(one.run) is deleted")
            }
        }
    }

    struct TensorBoard: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tensorboard", abstract: "Write event files for TensorBoard into the run folders.",
            discussion: "Then `tensorboard --logdir runs` shows them. Write them again to see what is new.")

        @Argument(help: "Names of runs. Default: all.")
        var names: [String] = []

        @OptionGroup var project: Project
        @OptionGroup var output: OutputOptions

        func run() throws {
            let runs = try project.open(output)
            let records = try names.isEmpty ? runs.runs() : names.map { try runs.run($0).record }
            let files = try records.filter { $0.status != .unreadable }.map { try RunEvents.write($0.path) }
            if output.json { return try output.print(json: files) }
            for file in files { try output.print(file) }
        }
    }
}

private func rounded(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e9 ? String(Int(value)) : String(format: "%.4g", value)
}
