import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The folder in which a run keeps everything it made:
///
///     run.yaml            all settings, resolved
///     metrics.jsonl       one JSON object a line, appended as training goes on
///     checkpoints/        to continue from
///     model.safetensors   the weights at the end
///     report.json         what was measured
///     report.html         the same to look at
///     environment.json    versions and machine
///     log.txt             what was said, with times
///     quarantine.jsonl    samples left out as damaged; absent when there are none
///
/// Files are replaced atomically or grow line by line; see `AtomicFile`. One process writes a run.
public final class RunFolder {
    public let path: String
    private var metrics: LineFile?
    private var journal: LineFile?

    private init(path: String) { self.path = path }

    public var settingsPath: String { path + "/run.yaml" }
    public var metricsPath: String { path + "/metrics.jsonl" }
    public var checkpointsPath: String { path + "/checkpoints" }
    public var modelPath: String { path + "/model.safetensors" }
    public var reportPath: String { path + "/report.json" }
    public var reportPagePath: String { path + "/report.html" }
    public var environmentPath: String { path + "/environment.json" }
    public var logPath: String { path + "/log.txt" }

    // MARK: Making and finding

    /// Makes a run at `path`; folders above it are made too.
    /// - Parameter overwrite: a folder that is there and not empty is first moved to `<path>.old-1` (or -2, ...).
    ///   Nothing is ever deleted.
    /// - Throws: `RunError.notEmpty`, `RunError.notAFolder`, `StorageError`.
    public static func create(at path: String, overwrite: Bool = false) throws -> RunFolder {
        let path = trimmed(path)
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            guard isFolder.boolValue else { throw RunError.notAFolder(path) }
            if try !isEmpty(path) {
                guard overwrite else { throw RunError.notEmpty(path) }
                try moveAside(path)
            }
        }
        try makeFolders(path)
        return try prepared(path)
    }

    /// Makes a run with the next free number: `runs/learn-digits-1`, `runs/learn-digits-2`, ... Two processes that
    /// ask at the same time get two folders.
    public static func create(named name: String, under parent: String = "runs") throws -> RunFolder {
        try makeFolders(parent)
        let kept = name.unicodeScalars.map { scalar in
            CharacterSet.alphanumerics.contains(scalar) || "._-".unicodeScalars.contains(scalar)
                ? Character(scalar) : "-"
        }
        for number in 1... {
            let path = "\(trimmed(parent))/\(String(kept))-\(number)"
            if mkdir(path, 0o755) == 0 { return try prepared(path) }
            guard errno == EEXIST else { throw StorageError(action: "make the folder", path: path, code: errno) }
        }
        fatalError("unreachable: the numbers do not end")
    }

    /// The run at `path`, made earlier.
    /// - Throws: `RunError.notARun` where there is no `run.yaml`.
    public static func open(at path: String) throws -> RunFolder {
        let folder = RunFolder(path: trimmed(path))
        guard FileManager.default.fileExists(atPath: folder.settingsPath) else {
            throw RunError.notARun(folder.path, missing: "run.yaml")
        }
        return folder
    }

    // MARK: Writing

    /// Writes `run.yaml`, entries in order of declaration.
    public func writeSettings(_ settings: some Encodable) throws {
        try AtomicFile.write(try YAMLText.write(settings), to: settingsPath)
    }

    /// Appends one object to `metrics.jsonl`. Numbers that are not finite become `null`, with a line in `log.txt`.
    public func appendMetrics(_ record: some Encodable) throws {
        let document = try CanonicalJSON(record, pretty: false)
        let file = try metrics ?? LineFile(path: metricsPath)
        metrics = file
        try file.append(document.text)
        if let warning = document.warning { try log("metrics.jsonl: \(warning)") }
    }

    public func writeEnvironment(_ environment: RunEnvironment) throws {
        try AtomicFile.write(try CanonicalJSON(environment).text + "\n", to: environmentPath)
    }

    /// Writes `report.json` and `report.html`.
    public func writeReport(_ report: Report) throws {
        let document = try CanonicalJSON(report)
        if let warning = document.warning { try log("report.json: \(warning)") }
        try AtomicFile.write(document.text + "\n", to: reportPath)
        try AtomicFile.write(ReportPage(report).html, to: reportPagePath)
    }

    /// Appends a line to `log.txt`, with the time (UTC) before it. Line breaks inside are kept, indented.
    public func log(_ message: String) throws {
        let file = try journal ?? LineFile(path: logPath)
        journal = file
        let text = message.replacingOccurrences(of: "\n", with: "\n    ")
        try file.append("\(Date().formatted(.iso8601)) \(text)")
    }

    // MARK: Folders

    private static func prepared(_ path: String) throws -> RunFolder {
        let folder = RunFolder(path: path)
        try makeFolders(folder.checkpointsPath)
        return folder
    }

    private static func trimmed(_ path: String) -> String {
        var path = (path as NSString).expandingTildeInPath
        while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
        return path
    }

    private static func isEmpty(_ path: String) throws -> Bool {
        guard let folder = opendir(path) else { throw StorageError(action: "read the folder", path: path, code: errno) }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { return false }
        }
        return true
    }

    private static func moveAside(_ path: String) throws {
        for number in 1... {
            let aside = "\(path).old-\(number)"
            if FileManager.default.fileExists(atPath: aside) { continue }
            guard rename(path, aside) == 0 else {
                throw StorageError(action: "move the old run aside to \(aside)", path: path, code: errno)
            }
            try AtomicFile.synchronize(folder: AtomicFile.folder(of: path))
            return
        }
    }

    /// Makes the folder and those above it. One that is there is fine.
    private static func makeFolders(_ path: String) throws {
        if mkdir(path, 0o755) == 0 { return }
        let code = errno
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            if isFolder.boolValue { return }
            throw StorageError(action: "make the folder", path: path, code: ENOTDIR)
        }
        let parent = AtomicFile.folder(of: path)
        guard code == ENOENT, parent != path else {
            throw StorageError(action: "make the folder", path: path, code: code)
        }
        try makeFolders(parent)
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw StorageError(action: "make the folder", path: path, code: errno)
        }
    }
}
