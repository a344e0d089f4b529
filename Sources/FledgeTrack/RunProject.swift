import FledgeCore
import FledgeTrain
import Foundation

/// The runs of a project: a folder of run folders, and beside it `fledge.db` with what they say.
public final class RunProject {
    /// The folder of run folders.
    public let folder: String
    private let database: RunDatabase

    /// Where removed runs go, inside `folder`.
    public static let trash = ".trash"

    /// - Parameter folder: of run folders; `runs` by default of the command.
    /// - Throws: `TrackError` when there is no such folder.
    public init(_ folder: String) throws {
        self.folder = folder
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw TrackError.noRuns(folder)
        }
        let parent = folder.deletingLastPathComponent
        database = try RunDatabase(path: (parent.isEmpty ? "." : parent) + "/fledge.db")
    }

    /// What a person should know about the database; nil for nothing.
    public var note: String? { database.note }

    /// All runs as their folders are now, the newest first. Only folders that changed are read again.
    public func runs() throws -> [RunRecord] {
        try refresh()
        return try database.runs()
    }

    /// One run with the last value of every number it watched.
    /// - Throws: `TrackError` when there is no such run.
    public func run(_ name: String) throws -> (record: RunRecord, last: [String: Double]) {
        let runs = try runs()
        guard let run = runs.first(where: { $0.name == name }) else {
            throw TrackError.noRun(name, folder: folder, among: runs.map(\.name))
        }
        return (run, try database.lastValues(of: name))
    }

    /// The runs that have a number of that name (of the report, else the last one that was watched), best first.
    public func best(_ metric: String, lowest: Bool) throws -> [(record: RunRecord, value: Double)] {
        var found: [(record: RunRecord, value: Double)] = []
        for run in try runs() {
            let value =
                try run.results[metric] ?? run.results["metrics.\(metric)"] ?? database.lastValues(of: run.name)[metric]
            if let value { found.append((run, value)) }
        }
        return found.sorted { lowest ? $0.value < $1.value : $0.value > $1.value }
    }

    /// Moves a run's folder to the trash folder, or deletes it for good.
    /// - Returns: where it is now; nil when it was deleted.
    public func remove(_ name: String, forGood: Bool) throws -> String? {
        let run = try run(name).record
        do {
            if forGood {
                try FileManager.default.removeItem(atPath: run.path)
                try refresh()
                return nil
            }
            let trash = folder + "/" + Self.trash
            try FileManager.default.createDirectory(atPath: trash, withIntermediateDirectories: true)
            var target = trash + "/" + name
            var number = 2
            while FileManager.default.fileExists(atPath: target) {
                target = "\(trash)/\(name)-\(number)"
                number += 1
            }
            try FileManager.default.moveItem(atPath: run.path, toPath: target)
            try refresh()
            return target
        } catch let error as CocoaError {
            throw TrackError.cannotRemove(run.path, reason: error.localizedDescription)
        }
    }

    /// Brings the database up to the folders.
    private func refresh() throws {
        let known = try database.stamps()
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            .filter { !$0.hasPrefix(".") && Self.isFolder(folder + "/" + $0) }
        var changed: [(RunRecord, [MetricsFile.Entry], String)] = []
        for name in names {
            let path = folder + "/" + name
            let stamp = Self.stamp(path)
            if known[name] == stamp { continue }
            let (record, metrics) = RunRecord.read(path)
            changed.append((record, metrics, stamp))
        }
        let gone = Set(known.keys).subtracting(names).sorted()
        if !changed.isEmpty || !gone.isEmpty { try database.update(changed, forgetting: gone) }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }

    /// Changes when one of the files that are read changes.
    private static func stamp(_ path: String) -> String {
        ["run.yaml", "report.json", "environment.json", "metrics.jsonl"].map { name in
            var status = stat()
            guard stat(path + "/" + name, &status) == 0 else { return "-" }
            return "\(status.st_ino):\(status.st_size):\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
        }.joined(separator: " ") + " \(path)"
    }
}

/// A run, or a folder of runs, that is not there.
public enum TrackError: ExplainedError, Equatable {
    case noRuns(String)
    case noRun(String, folder: String, among: [String])
    case cannotRemove(String, reason: String)

    public var what: String {
        switch self {
        case .noRuns: "there is no folder of runs"
        case .noRun(let name, _, _): "there is no run '\(name)'"
        case .cannotRemove: "the run cannot be removed"
        }
    }

    public var place: String? {
        switch self {
        case .noRuns(let path), .noRun(_, let path, _), .cannotRemove(let path, _): path
        }
    }

    public var why: String? {
        if case .cannotRemove(_, let reason) = self { reason } else { nil }
    }

    public var next: String? {
        switch self {
        case .noRuns: "name it with --runs, or make a run with `fledge learn` or `fledge train`"
        case .noRun(let name, _, let names):
            switch Suggestion.nearest(to: name, among: names) {
            case let near where !near.isEmpty: "did you mean \(near.joined(separator: " or "))?"
            default: "`fledge runs ls` lists what there is"
            }
        case .cannotRemove: "check that the folder may be written to"
        }
    }
}
