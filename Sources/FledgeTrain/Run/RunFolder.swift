import FledgeCore
import Foundation

/// The folder in which a run keeps everything it made:
///
///     run.yaml            all settings, resolved: enough to do the same again, or to go on
///     metrics.jsonl       one JSON object a line, appended as training goes on
///     checkpoints/        to continue from; see `CheckpointStore`
///     model.safetensors   the weights at the end
///     report.json         what was measured; there when the run is finished
///     report.html         the same to look at
///     environment.json    versions and machine
///     changes.txt         only of a run that went on with something changed: what
///     log.txt             what was said, with times
///     quarantine.jsonl    samples left out as damaged; absent when there are none
///
/// Files are replaced atomically or grow line by line; see `AtomicFile`. One process writes a run.
public final class RunFolder {
    /// What the folder is opened for.
    public enum Purpose: Sendable, Equatable {
        case new
        /// Going on where the run stopped.
        case resume(allowChanged: Bool)
        /// Looking at one update (counted from 1) again. Nothing is written. A stage of nil means the one the run was in.
        case replay(step: Int, stage: String?)
    }

    public let path: String
    public let purpose: Purpose
    public let checkpoints: CheckpointStore
    /// Told what a person should know, such as a damaged checkpoint. It goes to `log.txt` anyway.
    public var warn: (String) -> Void = { _ in }
    /// What was allowed to change when the run was continued.
    public private(set) var changes: [String] = []
    /// Seconds between two looks whether a full disk has room again.
    public var fullDiskPause = 30.0

    let disk: any Disk
    private var metrics: LineFile?
    private var journal: LineFile?
    /// The settings in `run.yaml`, by full name.
    private(set) var settings: [String: String] = [:]
    private var stages: [String: Int] = [:]

    private init(path: String, purpose: Purpose, disk: any Disk) {
        self.path = path
        self.purpose = purpose
        self.disk = disk
        checkpoints = CheckpointStore(path + "/checkpoints", on: disk)
    }

    public var settingsPath: String { path + "/run.yaml" }
    public var metricsPath: String { path + "/metrics.jsonl" }
    public var checkpointsPath: String { path + "/checkpoints" }
    public var modelPath: String { path + "/model.safetensors" }
    public var reportPath: String { path + "/report.json" }
    public var reportPagePath: String { path + "/report.html" }
    public var environmentPath: String { path + "/environment.json" }
    public var changesPath: String { path + "/changes.txt" }
    public var logPath: String { path + "/log.txt" }

    /// Whether the run came to its end.
    public var isFinished: Bool { disk.exists(reportPath) }
    /// Whether nothing is written: the run is only looked at again.
    public var isReadOnly: Bool { if case .replay = purpose { true } else { false } }

    // MARK: Making and finding

    /// Makes a run at `path`; folders above it are made too.
    /// - Parameter overwrite: a folder that is there and not empty is first moved to `<path>.old-1` (or -2, ...).
    ///   Nothing is ever deleted.
    /// - Throws: `RunError.notEmpty`, `RunError.notAFolder`, `StorageError`.
    public static func create(
        at path: String, overwrite: Bool = false, on disk: any Disk = SystemDisk()
    ) throws -> RunFolder {
        let path = trimmed(path)
        switch disk.kind(of: path) {
        case .file: throw RunError.notAFolder(path)
        case .folder where try !isUnused(path, disk):
            guard overwrite else { throw RunError.notEmpty(path) }
            try moveAside(path, disk)
        case .folder, nil: break
        }
        return try prepared(path, disk)
    }

    /// Makes a run with the next free number: `runs/learn-digits-1`, `runs/learn-digits-2`, ... Two processes that
    /// ask at the same time get two folders.
    public static func create(
        named name: String, under parent: String = "runs", on disk: any Disk = SystemDisk()
    ) throws -> RunFolder {
        try disk.makeFolders(parent)
        let kept = name.unicodeScalars.map { scalar in
            CharacterSet.alphanumerics.contains(scalar) || "._-".unicodeScalars.contains(scalar)
                ? Character(scalar) : "-"
        }
        for number in 1... {
            let path = "\(trimmed(parent))/\(String(kept))-\(number)"
            if disk.exists(path) { continue }
            do throws(StorageError) {
                try disk.makeFolder(path)
            } catch {
                if disk.exists(path) { continue }
                throw error
            }
            return try prepared(path, disk)
        }
        fatalError("unreachable: the numbers do not end")
    }

    /// The run at `path`, made earlier.
    /// - Throws: `RunError.notARun` where there is no `run.yaml`.
    public static func open(
        at path: String, for purpose: Purpose = .resume(allowChanged: false), on disk: any Disk = SystemDisk()
    ) throws -> RunFolder {
        let folder = RunFolder(path: trimmed(path), purpose: purpose, disk: disk)
        guard disk.exists(folder.settingsPath) else {
            throw RunError.notARun(folder.path, missing: "run.yaml")
        }
        if let bytes = try? disk.read(folder.changesPath) {
            folder.changes = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }
        return folder
    }

    /// The run at `path` to go on with, or a new one where there is none.
    public static func openOrCreate(
        at path: String, allowChanged: Bool, on disk: any Disk = SystemDisk()
    ) throws -> RunFolder {
        disk.exists(trimmed(path) + "/run.yaml")
            ? try open(at: path, for: .resume(allowChanged: allowChanged), on: disk) : try create(at: path, on: disk)
    }

    // MARK: Writing

    /// Writes `run.yaml`, entries in order of declaration. A run that goes on must have the same settings as before.
    /// - Throws: `ChangedRun` when it has not and may not change; `RunFinished` when there is nothing left to do;
    ///   `StorageError`.
    public func writeSettings(_ settings: some Encodable) throws {
        let text = try YAMLText.write(settings)
        self.settings = try YAMLText.flattened(text, name: settingsPath)
        if purpose == .new { return try AtomicFile.write(text, to: settingsPath, on: disk) }
        try removeLeftovers()
        let before = try YAMLText.flattened(
            String(decoding: try disk.read(settingsPath), as: UTF8.self), name: settingsPath)
        let differences = RunIdentity.differences(from: before, to: self.settings)
        // Nothing more is done in a finished run, so nothing can change in it.
        if isFinished, !differences.isEmpty { throw ChangedRun(run: path, differences: differences) }
        // Before the first checkpoint nothing depends on the settings yet.
        if try !checkpoints.isEmpty() { try accept(differences) }
        if case .resume = purpose, isFinished { throw RunFinished(reportPath: reportPath) }
        if !isReadOnly { try AtomicFile.write(text, to: settingsPath, on: disk) }
    }

    /// Appends one object to `metrics.jsonl`. Numbers that are not finite become `null`, with a line in `log.txt`.
    public func appendMetrics(_ record: some Encodable) throws {
        if isReadOnly { return }
        let document = try CanonicalJSON(record, pretty: false)
        let file = try metrics ?? LineFile(path: metricsPath, on: disk)
        metrics = file
        try file.append(document.text)
        if let warning = document.warning { try log("metrics.jsonl: \(warning)") }
    }

    /// Makes the lines of `metrics.jsonl` so far survive a power cut.
    func syncMetrics() throws { try metrics?.sync() }

    /// Removes the lines that a stage wrote after an update: it will make these updates again.
    func dropMetrics(stage: String, after step: Int) throws {
        guard !isReadOnly, let bytes = try? disk.read(metricsPath) else { return }
        struct Line: Decodable {
            let stage: String?
            let step: Double?
        }
        let decoder = JSONDecoder()
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        let kept = lines.filter { line in
            // A line that was torn by a power cut goes too: it was not synced, so its update is made again.
            guard let line = try? decoder.decode(Line.self, from: Data(line)) else { return false }
            return line.stage != stage || line.step ?? 0 <= Double(step)
        }
        guard kept.count < lines.count else { return }
        metrics = nil
        try AtomicFile.write(kept.flatMap { $0 + [UInt8(ascii: "\n")] }, to: metricsPath, on: disk)
    }

    public func writeEnvironment(_ environment: RunEnvironment) throws {
        if isReadOnly { return }
        try AtomicFile.write(try CanonicalJSON(environment).text + "\n", to: environmentPath, on: disk)
    }

    /// Writes `report.html` and then `report.json`, with which the run is finished.
    /// - Returns: the report with what was changed on the way.
    @discardableResult
    public func writeReport(_ report: Report) throws -> Report {
        var report = report
        report.changes = changes
        if isReadOnly { return report }
        let document = try CanonicalJSON(report)
        if let warning = document.warning { try log("report.json: \(warning)") }
        try AtomicFile.write(ReportPage(report).html, to: reportPagePath, on: disk)
        try AtomicFile.write(document.text + "\n", to: reportPath, on: disk)
        return report
    }

    /// Appends a line to `log.txt`, with the time (UTC) before it. Line breaks inside are kept, indented.
    public func log(_ message: String) throws {
        if isReadOnly { return }
        let file = try journal ?? LineFile(path: logPath, on: disk)
        journal = file
        let text = message.replacingOccurrences(of: "\n", with: "\n    ")
        try file.append("\(Date().formatted(.iso8601)) \(text)")
    }

    /// Warns, and keeps the warning in `log.txt`.
    func note(_ message: String) throws {
        warn(message)
        try log(message)
    }

    /// Whether `writeSettings` was called.
    public var hasSettings: Bool { !settings.isEmpty }

    /// A replay ends in the stage it looks at; coming to results means that there was no such stage.
    public func checkIsWritable() throws(RunError) {
        if case .replay(let step, let stage) = purpose { throw .noSuchUpdate(path, step: step, stage: stage) }
    }

    // MARK: Going on

    /// A stage's name within the run: a second stage of the same title gets a number.
    func beginStage(_ title: String) -> String {
        stages[title, default: 0] += 1
        let count = stages[title]!
        return count == 1 ? title : "\(title)-\(count)"
    }

    /// Goes on in spite of differences where that was allowed, and marks the run.
    /// - Throws: `ChangedRun` where it was not.
    func accept(_ differences: [String]) throws {
        let new = differences.filter { !changes.contains($0) }
        guard !new.isEmpty else { return }
        guard purpose == .resume(allowChanged: true) else { throw ChangedRun(run: path, differences: new) }
        changes += new
        try AtomicFile.write(changes.map { $0 + "\n" }.joined(), to: changesPath, on: disk)
        for change in new { try note("continued although \(change)") }
    }

    /// Removes temporary files of a process that was killed.
    private func removeLeftovers() throws {
        if isReadOnly { return }
        for name in try disk.list(path) where name.hasPrefix(".") && name.hasSuffix(".tmp") {
            try disk.removeAll("\(path)/\(name)")
        }
        try checkpoints.removeLeftovers()
    }

    // MARK: Folders

    private static func prepared(_ path: String, _ disk: any Disk) throws -> RunFolder {
        let folder = RunFolder(path: path, purpose: .new, disk: disk)
        try disk.makeFolders(folder.checkpointsPath)
        return folder
    }

    private static func trimmed(_ path: String) -> String {
        var path = (path as NSString).expandingTildeInPath
        while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// Whether a folder holds nothing, or only what a run makes before its `run.yaml`: it was killed there.
    private static func isUnused(_ path: String, _ disk: any Disk) throws -> Bool {
        let names = try disk.list(path).filter { !($0.hasPrefix(".") && $0.hasSuffix(".tmp")) }
        return try names.isEmpty || (names == ["checkpoints"] && disk.list(path + "/checkpoints").isEmpty)
    }

    private static func moveAside(_ path: String, _ disk: any Disk) throws {
        for number in 1... {
            let aside = "\(path).old-\(number)"
            if disk.exists(aside) { continue }
            try disk.rename(path, to: aside)
            return try disk.syncFolder(folder(of: path))
        }
    }
}
