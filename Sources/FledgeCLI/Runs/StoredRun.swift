import ArgumentParser
import Fledge
import Foundation

/// The verbs that make a run.
enum RunCommand: String, Codable, Sendable, CaseIterable { case train, learn }

/// The content of `run.yaml`: what was asked, and below `settings` those of the method or of `learn`.
struct RunDescription: Encodable {
    let value: PlainValue

    init(_ run: some Settings, settings: PlainValue) throws {
        guard case .group(let fields) = try PlainValue(encoding: run) else {
            fatalError("a run's settings are a group")
        }
        value = .group(fields + [.init(RunDescription.section, settings)])
    }

    /// The entry that holds the settings.
    static let section = "settings"

    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}

/// Options of the verbs that make a run.
struct ContinuingOptions: ParsableArguments {
    enum Choice: String, ExpressibleByArgument, CaseIterable { case auto }

    @Option(help: "auto: go on with the run in --out where there is one, else begin it.")
    var resume: Choice?

    @Flag(help: "Go on although settings, data, threads or versions are others, and mark the run as changed.")
    var allowChanged = false

    /// The folder to write into.
    /// - Parameter name: of a new run without `--out`.
    func folder(out: String?, overwrite: Bool, named name: String) throws -> RunFolder {
        guard let out else {
            guard resume == nil else { throw CommandFailure.usage("--resume needs --out, the run to go on with") }
            return try RunFolder.create(named: name, on: KillPoint.disk)
        }
        return resume == .auto
            ? try RunFolder.openOrCreate(at: out, allowChanged: allowChanged, on: KillPoint.disk)
            : try RunFolder.create(at: out, overwrite: overwrite, on: KillPoint.disk)
    }
}

/// Does what a run's `run.yaml` says, from where it stopped or to look at it again.
enum StoredRun {
    /// What `run.yaml` says.
    enum Content {
        /// The method's settings are in the file still.
        case train(TrainRun)
        case learn(LearnRun, LearnSettings)

        /// Whether the run was told, or found, that a mirrored picture keeps its class; nil: as its kind of pictures does.
        var flip: Bool? {
            switch self {
            case .train(let run): run.flip
            case .learn(_, let settings): settings.flip == .auto ? nil : settings.flip == .yes
            }
        }
    }

    /// nil for a model file, and for a run that was not made by a verb.
    static func content(of reference: String) throws -> Content? {
        guard let file = (try? RunFolder.open(at: reference))?.settingsPath, (try? command(file)) != nil else {
            return nil
        }
        return try content(file)
    }

    private static func content(_ file: String) throws -> Content {
        let section = RunDescription.section
        switch try command(file) {
        case .train: return .train(try TrainRun().applying(yamlFile: file, omitting: [section]))
        case .learn:
            return .learn(
                try LearnRun().applying(yamlFile: file, omitting: [section]),
                try LearnSettings().applying(yamlFile: file, section: section))
        }
    }

    /// - Returns: the report, and what to tell a person.
    static func execute(_ folder: RunFolder, output: OutputOptions) throws -> (report: Report, summary: String) {
        let file = folder.settingsPath
        switch try content(file) {
        case .train(let run):
            let entry = try Methods.entry(named: run.method)
            let (learner, settings) = try entry.make(file, [])
            enter(run.workingFolder)
            let report = try run.execute(learner, entry.info, settings: settings, output: output) { folder }
            return (report, run.summary(report, folder.path))
        case .learn(let run, let settings):
            enter(run.workingFolder)
            let report = try run.execute(settings, output: output) { _ in folder }
            return (report, run.summary(report, folder.path))
        }
    }

    private static func command(_ file: String) throws -> RunCommand {
        // Only the entries that both kinds of run have.
        struct Head: Settings {
            var command = RunCommand.train
            static let meanings = ["command": "the verb"]
        }
        let names = Set(try TrainRun.fields().map(\.name) + LearnRun.fields().map(\.name) + [RunDescription.section])
        let others = Set(names.map { String($0.prefix { $0 != "." }) }).subtracting(["command"])
        return try Head().applying(yamlFile: file, omitting: others).command
    }

    /// What a run held out, and from what.
    struct HeldOut {
        /// Absolute paths, as the run knew them; that of the labels is nil where they are the data's own.
        var data: String
        var labels: String?
        var share: Double
        var seed: Int

        func isOf(_ name: String) -> Bool { StoredRun.absolute(name) == data }
    }

    /// nil for a model file, for a run that was not made by a verb, and for one that held nothing out.
    static func heldOut(by reference: String) throws -> HeldOut? {
        func found(_ data: String, _ workingFolder: String, _ reading: ReadingSettings, _ seed: Int) -> HeldOut? {
            func path(_ name: String) -> String { absolute(name, in: workingFolder) }
            return reading.holdOut.map {
                HeldOut(data: path(data), labels: reading.labels.map(path), share: $0, seed: seed)
            }
        }
        switch try content(of: reference) {
        case .train(let run)?: return found(run.data, run.workingFolder, run.reading, run.seed)
        case .learn(let run, let settings)?: return found(run.data, run.workingFolder, run.reading, settings.seed)
        case nil: return nil
        }
    }

    /// Relative paths of the run mean what they meant when it began. Where that folder is gone, they begin here.
    private static func enter(_ folder: String) { _ = FileManager.default.changeCurrentDirectoryPath(folder) }

    /// The path that stays right when the working folder changes.
    static func absolute(_ path: String) -> String { absolute(path, in: FileManager.default.currentDirectoryPath) }

    private static func absolute(_ path: String, in folder: String) -> String {
        let path = (path as NSString).expandingTildeInPath
        return path.hasPrefix("/") ? path : folder + "/" + path
    }
}
