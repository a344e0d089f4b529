import ArgumentParser
import Fledge

/// `fledge methods`
struct MethodsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "methods", abstract: "List the methods of learning, or the settings of one.")

    @Argument(help: "A method whose settings to show.")
    var name: String?

    @OptionGroup var output: OutputOptions

    private struct Listed: Encodable {
        var name: String
        var family: String
        var summary: String
        var paper: String
        var needs: [String]
        var config: [SettingField]

        init(_ entry: MethodEntry) throws {
            name = entry.info.name
            family = entry.info.family.rawValue
            summary = entry.info.summary
            paper = entry.info.paper
            needs = entry.info.needs.map(\.rawValue)
            config = try entry.fields()
        }
    }

    func run() throws {
        let entries = try name.map { [try Methods.entry(named: $0)] } ?? Methods.all
        let listed = try entries.map(Listed.init)
        if output.json { return try output.print(json: listed) }
        if name == nil {
            let width = listed.map(\.name.count).max()!
            for family in MethodInfo.Family.allCases {
                let members = listed.filter { $0.family == family.rawValue }
                if members.isEmpty { continue }
                try output.print("\(family.rawValue)")
                for method in members {
                    try output.print(
                        "  " + method.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + method.summary)
                }
            }
            return try output.print("\n`fledge methods NAME` shows the settings of one.")
        }
        for method in listed {
            try output.print(
                "\(method.name) (\(method.family)): \(method.summary)\npaper: \(method.paper)\nneeds: \(method.needs.joined(separator: ", "))\n\nsettings, for --set name=value:"
            )
            let width = method.config.map(\.name.count).max() ?? 0
            for field in method.config {
                let name = field.name.padding(toLength: width + 2, withPad: " ", startingAt: 0)
                try output.print("  \(name)\(field.meaning) [\(try limits(field))]")
            }
        }
    }

    /// "float, default 0.5, more than 0"
    private func limits(_ field: SettingField) throws -> String {
        let value = try CanonicalJSON(field.defaultValue, pretty: false).text
        return (["\(field.type)", "default \(value)"] + (field.range.map { [$0.description] } ?? [])).joined(
            separator: ", ")
    }
}

/// `fledge models`
struct ModelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "models", abstract: "List the networks.")

    @OptionGroup var output: OutputOptions

    private struct Listed: Encodable {
        var name: String
        var summary: String
        var paper: String
        var input: String
        var parameters: Int?
    }

    func run() throws {
        let listed = Models.all.map {
            Listed(
                name: $0.name, summary: $0.summary, paper: $0.paper, input: $0.input.rawValue,
                parameters: $0.parameterCount())
        }
        if output.json { return try output.print(json: listed) }
        let width = listed.map(\.name.count).max()!
        for model in listed {
            let size =
                model.parameters.map { String(repeating: " ", count: max(0, 10 - String($0).count)) + String($0) } ?? ""
            try output.print(
                model.name.padding(toLength: width + 1, withPad: " ", startingAt: 0) + size + "  " + model.summary)
        }
    }
}

/// `fledge data inspect DATA`
struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Look at data.", subcommands: [Inspect.self, Check.self, Mislabelled.self])

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how data are understood, and what is wrong with them.")

        @Argument(help: "A path, or the bundled name `digits`.")
        var data: String

        @OptionGroup var reading: ReadingOptions

        @OptionGroup var output: OutputOptions

        func run() throws {
            let summary = DataSummary(try reading.open(data))
            if output.json { return try output.print(json: summary) }
            try output.print(summary.description)
        }
    }
}
