import Crypto
import FledgeCore
import Foundation

/// The tensors of a training in progress, and what stands beside them.
public struct Checkpoint {
    /// Its folder.
    public let path: String
    public let record: CheckpointRecord
    public let tensors: [String: Tensor]
}

/// What a checkpoint holds beside tensors: `state.json`.
public struct CheckpointRecord: Codable, Sendable, Equatable {
    /// The stage of the run.
    public var stage: String
    /// Updates that were made.
    public var step: Int
    /// Whether the stage is done: these are its results.
    public var isFinished: Bool
    /// Time trained, in seconds.
    public var seconds: Double
    /// What the run was made with.
    public var identity: RunIdentity
    /// The saved step with the lowest loss so far, where such a step is looked for.
    public var best: BestStep?
}

/// A step and the mean loss of the steps before it.
public struct BestStep: Codable, Sendable, Equatable {
    public var step: Int
    public var loss: Double
}

/// A checkpoint that cannot be used.
public struct DamagedCheckpoint: ExplainedError, Equatable {
    /// The file that is not what it was.
    public let file: String
    public let reason: String

    public var what: String { "a checkpoint is damaged" }
    public var place: String? { file }
    public var why: String? { reason }
    public var next: String? {
        "check the disk; an earlier checkpoint, or the run's beginning, is used where there is one"
    }
}

/// The folder `checkpoints/` of a run:
///
///     STAGE-STEP/state.safetensors    everything that training changes
///     STAGE-STEP/state.json           the stage, the step, what the run was made with
///     STAGE-STEP/MANIFEST             SHA-256 of both, written last
///     LATEST                          the name of the one saved last, and the SHA-256 of its MANIFEST
///
/// A checkpoint is written under a hidden name, synced, and renamed when it is complete. Only after it was read back and
/// found sound are older ones removed. So at every instant the newest one whose saving was reported is there, and sound.
public struct CheckpointStore: Sendable {
    public let path: String
    let disk: any Disk

    public init(_ path: String, on disk: any Disk = SystemDisk()) {
        self.path = path
        self.disk = disk
    }

    static let tensorsName = "state.safetensors"
    static let recordName = "state.json"
    static let latestName = "LATEST"

    private static func name(_ stage: String, _ step: Int) -> String {
        let number = String(step)
        return "\(stage)-\(String(repeating: "0", count: max(0, 8 - number.count)))\(number)"
    }

    /// The steps of a stage that have a folder, in rising order, whatever is in it.
    public func steps(stage: String) throws(StorageError) -> [Int] {
        guard disk.exists(path) else { return [] }
        return try names().compactMap { name in
            guard let dash = name.lastIndex(of: "-"), name[..<dash] == stage[...] else { return nil }
            return Int(name[name.index(after: dash)...])
        }.sorted()
    }

    /// Whether anything was ever saved.
    public func isEmpty() throws(StorageError) -> Bool {
        guard disk.exists(path) else { return true }
        return try names().allSatisfy { $0.hasPrefix(".") }
    }

    private func names() throws(StorageError) -> [String] {
        try disk.retrying(disk.list(path))
    }

    // MARK: Writing

    /// Saves a checkpoint and then removes those of the same stage that are neither among the last `keep` (at least two)
    /// nor in `protected`. When it returns, the checkpoint is on the disk, complete, and was read back.
    /// - Throws: `StorageError`; what was there before is untouched then. `DamagedCheckpoint` when the disk gives back
    ///   other bytes than it was given.
    public func save(
        _ record: CheckpointRecord, _ tensors: [String: Tensor], keep: Int = 2, protected: Set<Int> = []
    ) throws {
        let name = Self.name(record.stage, record.step)
        let temporary = "\(path)/.\(name).tmp"
        let final = "\(path)/\(name)"
        do {
            try disk.makeFolders(path)
            if disk.exists(temporary) { try disk.removeAll(temporary) }
            try disk.retrying(disk.makeFolder(temporary))
            let manifest = try write(record, tensors, into: temporary)
            // Only after a damaged one was passed over, or a roll-back, is there one of this name already.
            if disk.exists(final) { try moveOut(name) }
            try disk.retrying(disk.rename(temporary, to: final))
            try disk.retrying(disk.syncFolder(path))
            try AtomicFile.write("\(name) \(manifest)\n", to: "\(path)/\(Self.latestName)", on: disk)
        } catch {
            try? disk.removeAll(temporary)
            throw error
        }
        for file in [Self.recordName, Self.tensorsName] { _ = try content(file, of: name) }
        for step in try steps(stage: record.stage).filter({ $0 < record.step }).dropLast(max(keep, 2) - 1)
        where !protected.contains(step) {
            try moveOut(Self.name(record.stage, step))
        }
        try removeLeftovers()
    }

    /// Returns the SHA-256 of the manifest.
    private func write(
        _ record: CheckpointRecord, _ tensors: [String: Tensor], into folder: String
    ) throws -> String {
        var digests: [String: String] = [:]
        func put(_ name: String, _ body: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void) throws {
            var hash = SHA256()
            try disk.writeFile("\(folder)/\(name)", watching: { hash.update(bufferPointer: $0) }, body)
            digests[name] = hash.finalize().hexadecimal
        }
        try put(Self.tensorsName) { try Safetensors.encode(tensors, path: "\(folder)/\(Self.tensorsName)", into: $0) }
        let text = try CanonicalJSON(record).text + "\n"
        try put(Self.recordName) { write in try Array(text.utf8).withUnsafeBytes(write) }
        let manifest = Array(CheckpointManifest(digests: digests).text.utf8)
        try disk.writeFile("\(folder)/\(CheckpointManifest.fileName)") { write in try manifest.withUnsafeBytes(write) }
        try disk.retrying(disk.syncFolder(folder))
        return SHA256.hash(data: manifest).hexadecimal
    }

    /// Hides a folder in one step, so that nobody takes a half-removed one for a checkpoint.
    private func moveOut(_ name: String) throws(StorageError) {
        let hidden = "\(path)/.\(name).old"
        if disk.exists(hidden) { try disk.removeAll(hidden) }
        try disk.retrying(disk.rename("\(path)/\(name)", to: hidden))
    }

    /// Removes what an earlier process left when it was killed.
    func removeLeftovers() throws(StorageError) {
        guard disk.exists(path) else { return }
        for name in try names() where name.hasPrefix(".") { try disk.removeAll("\(path)/\(name)") }
    }

    // MARK: Reading

    /// The newest sound checkpoint of a stage.
    /// - Parameter limit: only steps up to this one.
    /// - Returns: nil where there is none; and beside it every damaged file that was met on the way.
    /// - Throws: `StorageError` when the folder itself cannot be read.
    public func newest(
        stage: String, upTo limit: Int = .max
    ) throws -> (checkpoint: Checkpoint?, damaged: [DamagedCheckpoint]) {
        var damaged: [DamagedCheckpoint] = []
        for step in try steps(stage: stage).reversed() where step <= limit {
            do {
                return (try read(Self.name(stage, step)), damaged)
            } catch let damage as DamagedCheckpoint {
                damaged.append(damage)
            }
        }
        return (nil, damaged)
    }

    /// What is wrong with `LATEST`: it must name a checkpoint that is there. nil when all is well, or when the manifest
    /// of that checkpoint is what is damaged.
    public func problemWithLatest() -> DamagedCheckpoint? {
        let file = "\(path)/\(Self.latestName)"
        guard disk.exists(file) else { return nil }
        let problem = DamagedCheckpoint(file: file, reason: "it names no checkpoint that is there")
        guard let text = (try? disk.read(file)).flatMap({ String(validating: $0, as: UTF8.self) }), text.hasSuffix("\n")
        else { return problem }
        let parts = text.dropLast().split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].contains("/"), disk.kind(of: "\(path)/\(parts[0])") == .folder else {
            return problem
        }
        guard let manifest = try? disk.read("\(path)/\(parts[0])/\(CheckpointManifest.fileName)"),
            CheckpointManifest(parsing: manifest) != nil
        else { return nil }
        return SHA256.hash(data: manifest).hexadecimal == parts[1] ? nil : problem
    }

    /// The stage of the checkpoint that was saved last; nil where there is none.
    func latestStage() -> String? {
        (try? disk.read("\(path)/\(Self.latestName)")).flatMap { bytes in
            let name = String(decoding: bytes, as: UTF8.self).prefix { $0 != " " }
            return name.lastIndex(of: "-").map { String(name[..<$0]) }
        }
    }

    /// The file of a checkpoint, if its SHA-256 is the one in the manifest.
    /// - Throws: `DamagedCheckpoint` naming the file.
    private func content(_ file: String, of name: String) throws -> [UInt8] {
        func bytes(_ file: String) throws -> [UInt8] {
            do throws(StorageError) {
                return try disk.retrying(disk.read("\(path)/\(name)/\(file)"))
            } catch {
                throw DamagedCheckpoint(file: "\(path)/\(name)/\(file)", reason: error.why ?? "it cannot be read")
            }
        }
        let manifestName = CheckpointManifest.fileName
        guard let manifest = CheckpointManifest(parsing: try bytes(manifestName)) else {
            throw DamagedCheckpoint(
                file: "\(path)/\(name)/\(manifestName)", reason: "its bytes are not those that were written")
        }
        let content = try bytes(file)
        var hash = SHA256()
        content.withUnsafeBytes { hash.update(bufferPointer: $0) }
        guard manifest.digests[file] == hash.finalize().hexadecimal else {
            throw DamagedCheckpoint(
                file: "\(path)/\(name)/\(file)", reason: "its SHA-256 is not the one in \(manifestName)")
        }
        return content
    }

    /// - Throws: `DamagedCheckpoint` naming the file.
    private func read(_ name: String) throws -> Checkpoint {
        let record: CheckpointRecord
        do {
            record = try JSONDecoder().decode(
                CheckpointRecord.self, from: Data(try content(Self.recordName, of: name)))
        } catch let error as DecodingError {
            throw DamagedCheckpoint(
                file: "\(path)/\(name)/\(Self.recordName)",
                reason: "it was written by another version of Fledge (\(error))")
        }
        guard Self.name(record.stage, record.step) == name else {
            throw DamagedCheckpoint(
                file: "\(path)/\(name)",
                reason: "it holds \(Self.name(record.stage, record.step)): the folder was renamed")
        }
        let tensors = try Safetensors.decode(
            try content(Self.tensorsName, of: name), path: "\(path)/\(name)/\(Self.tensorsName)")
        return Checkpoint(path: "\(path)/\(name)", record: record, tensors: tensors)
    }
}
