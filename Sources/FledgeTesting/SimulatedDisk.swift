import FledgeCore
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A disk in memory that keeps apart what a program sees and what would survive a power cut, and that fails on demand.
///
/// Every call but `close` and `kind` is one operation, numbered from 0. `fail` makes some of them fail; `cutPower` makes
/// all fail from one on, as for a program whose machine is gone. `afterPowerCut` gives what the next start would find.
///
/// `@unchecked Sendable`: tests use it from one thread.
public final class SimulatedDisk: Disk, @unchecked Sendable {
    /// What of the unsynced survives.
    public enum Loss: Sendable, Equatable {
        /// The process died and the machine did not: everything.
        case nothing
        /// Nothing of it.
        case everything
        /// Of each unsynced file, any of its sectors of 512 bytes, the others zero; all names.
        case sectors(seed: UInt64)
        /// All unsynced data, and any of the unsynced changes of names: later ones may survive and earlier ones not.
        case names(seed: UInt64)
        /// Both.
        case sectorsAndNames(seed: UInt64)
    }

    /// How an operation goes wrong.
    public enum Fault: Sendable, Equatable {
        /// With this error number, nothing done.
        case error(Int32)
        /// Half of the bytes are taken (other operations: none) and then this error comes.
        case errorHalfway(Int32)
        /// A write takes one byte only, and says so.
        case shortWrite
    }

    /// Content of a file, as the program sees it and as it was last synced.
    private final class Inode {
        var content: [UInt8] = []
        var synced: [UInt8] = []
    }

    private enum Entry {
        case file(Inode)
        case folder
    }

    /// A change of names that its folder has not synced yet.
    private enum NameChange {
        case put(String, Entry)
        case remove(String)
        case rename(String, String)

        var folder: String {
            switch self {
            case .put(let path, _), .remove(let path), .rename(_, let path): FledgeTesting.folder(of: path)
            }
        }
    }

    private var entries: [String: Entry] = [:]
    private var durable: [String: Entry] = [:]
    private var pending: [NameChange] = []
    private var open: [Int32: Inode] = [:]
    private var lastHandle: Int32 = 100

    /// How many operations were asked for.
    public private(set) var operations = 0
    /// Faults by operation.
    public var faults: [Int: Fault] = [:]
    /// The first operation that does not happen any more.
    public var powerCut = Int.max

    public init() {
        entries["/"] = .folder
        durable["/"] = .folder
    }

    // MARK: After a power cut

    /// The disk as the next start finds it.
    public func afterPowerCut(_ loss: Loss) -> SimulatedDisk {
        let next = SimulatedDisk()
        var random: RandomSource? =
            switch loss {
            case .nothing, .everything: nil
            case .sectors(let seed), .names(let seed), .sectorsAndNames(let seed): RandomSource(seed: seed)
            }
        switch loss {
        case .nothing, .sectors: next.entries = entries
        case .everything: next.entries = durable
        case .names, .sectorsAndNames:
            var names = durable
            for change in pending where random!.uniform() < 0.5 { Self.apply(change, to: &names) }
            next.entries = names
        }
        // What is below a name that is gone, is gone.
        next.entries = next.entries.filter { path, _ in
            var parent = path
            while parent != "/" {
                parent = folder(of: parent)
                guard case .folder = next.entries[parent] else { return false }
            }
            return true
        }
        var copies: [ObjectIdentifier: Inode] = [:]
        for path in next.entries.keys.sorted() {
            guard case .file(let inode) = next.entries[path]! else { continue }
            let copy = copies[ObjectIdentifier(inode)] ?? Inode()
            copies[ObjectIdentifier(inode)] = copy
            switch loss {
            case .nothing, .names: copy.content = inode.content
            case .everything: copy.content = inode.synced
            case .sectors, .sectorsAndNames:
                copy.content =
                    inode.content == inode.synced ? inode.content : Self.torn(inode.content, inode.synced, &random!)
            }
            copy.synced = copy.content
            next.entries[path] = .file(copy)
        }
        next.durable = next.entries
        return next
    }

    private static func torn(_ content: [UInt8], _ synced: [UInt8], _ random: inout RandomSource) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: content.count)
        for start in stride(from: 0, to: content.count, by: 512) {
            let range = start..<min(start + 512, content.count)
            if random.uniform() < 0.5 {
                result.replaceSubrange(range, with: content[range])
            } else if range.upperBound <= synced.count {
                result.replaceSubrange(range, with: synced[range])
            }
        }
        // The length itself may be what is lost.
        return random.uniform() < 0.3 ? Array(result.prefix(random.integer(below: content.count + 1))) : result
    }

    private static func apply(_ change: NameChange, to entries: inout [String: Entry]) {
        switch change {
        case .put(let path, let entry): entries[path] = entry
        case .remove(let path): entries[path] = nil
        case .rename(let old, let new):
            for (path, entry) in entries where path == old || path.hasPrefix(old + "/") {
                entries[path] = nil
                entries[new + path.dropFirst(old.count)] = entry
            }
        }
    }

    // MARK: Operations

    /// Counts an operation. Throws its fault; returns whether a write is to be short.
    private func begin(_ action: String, _ path: String, halfway: (() -> Void)? = nil) throws(StorageError) -> Bool {
        defer { operations += 1 }
        if operations >= powerCut { throw StorageError(action: action, path: path, code: EIO) }
        switch faults[operations] {
        case .error(let code): throw StorageError(action: action, path: path, code: code)
        case .errorHalfway(let code):
            halfway?()
            throw StorageError(action: action, path: path, code: code)
        case .shortWrite: return true
        case nil: return false
        }
    }

    private func change(_ change: NameChange) {
        Self.apply(change, to: &entries)
        pending.append(change)
    }

    private func checkFolder(of path: String, _ action: String) throws(StorageError) {
        guard case .folder = entries[folder(of: path)] else {
            throw StorageError(action: action, path: path, code: ENOENT)
        }
    }

    public func create(_ path: String) throws(StorageError) -> DiskFile {
        _ = try begin("write", path)
        try checkFolder(of: path, "write")
        if case .folder = entries[path] { throw StorageError(action: "write", path: path, code: EISDIR) }
        if case .file(let inode) = entries[path] {
            inode.content = []
            return opened(inode, path)
        }
        let inode = Inode()
        change(.put(path, .file(inode)))
        return opened(inode, path)
    }

    public func openForAppending(_ path: String) throws(StorageError) -> DiskFile {
        if case .file(let inode) = entries[path] {
            _ = try begin("open for writing", path)
            return opened(inode, path)
        }
        return try create(path)
    }

    private func opened(_ inode: Inode, _ path: String) -> DiskFile {
        lastHandle += 1
        open[lastHandle] = inode
        return DiskFile(handle: lastHandle, path: path)
    }

    public func write(_ bytes: UnsafeRawBufferPointer, to file: DiskFile) throws(StorageError) -> Int {
        let inode = open[file.handle]!
        let isShort = try begin("write", file.path) { inode.content += bytes.prefix(bytes.count / 2) }
        let count = isShort ? 1 : bytes.count
        inode.content += bytes.prefix(count)
        return count
    }

    public func sync(_ file: DiskFile) throws(StorageError) {
        _ = try begin("write", file.path)
        let inode = open[file.handle]!
        inode.synced = inode.content
    }

    public func close(_ file: DiskFile) { open[file.handle] = nil }

    public func truncate(_ path: String, to size: Int) throws(StorageError) {
        _ = try begin("shorten", path)
        guard case .file(let inode) = entries[path] else {
            throw StorageError(action: "shorten", path: path, code: ENOENT)
        }
        inode.content = Array(inode.content.prefix(size))
    }

    public func rename(_ path: String, to new: String) throws(StorageError) {
        _ = try begin("rename", path)
        guard let entry = entries[path] else { throw StorageError(action: "rename", path: path, code: ENOENT) }
        try checkFolder(of: new, "rename")
        if case .folder = entry, entries[new] != nil {
            throw StorageError(action: "rename", path: new, code: ENOTEMPTY)
        }
        change(.rename(path, new))
    }

    public func remove(_ path: String) throws(StorageError) {
        _ = try begin("remove", path)
        guard entries[path] != nil else { throw StorageError(action: "remove", path: path, code: ENOENT) }
        if entries.keys.contains(where: { $0.hasPrefix(path + "/") }) {
            throw StorageError(action: "remove", path: path, code: ENOTEMPTY)
        }
        change(.remove(path))
    }

    public func makeFolder(_ path: String) throws(StorageError) {
        _ = try begin("make the folder", path)
        try checkFolder(of: path, "make the folder")
        if entries[path] != nil { throw StorageError(action: "make the folder", path: path, code: EEXIST) }
        change(.put(path, .folder))
    }

    public func syncFolder(_ path: String) throws(StorageError) {
        _ = try begin("write the folder", path)
        guard case .folder = entries[path] else {
            throw StorageError(action: "open the folder", path: path, code: ENOENT)
        }
        for change in pending where change.folder == path { Self.apply(change, to: &durable) }
        pending.removeAll { $0.folder == path }
    }

    public func list(_ folder: String) throws(StorageError) -> [String] {
        _ = try begin("read the folder", folder)
        guard case .folder = entries[folder] else {
            throw StorageError(action: "read the folder", path: folder, code: ENOENT)
        }
        let start = folder == "/" ? "/" : folder + "/"
        return entries.keys.filter { $0 != "/" && $0.hasPrefix(start) && !$0.dropFirst(start.count).contains("/") }
            .map { String($0.dropFirst(start.count)) }.sorted()
    }

    public func read(_ path: String) throws(StorageError) -> [UInt8] {
        _ = try begin("read", path)
        switch entries[path] {
        case .file(let inode): return inode.content
        case .folder: throw StorageError(action: "read", path: path, code: EISDIR)
        case nil: throw StorageError(action: "read", path: path, code: ENOENT)
        }
    }

    public func kind(of path: String) -> DiskEntry? {
        switch entries[path] {
        case .file(let inode): .file(size: inode.content.count)
        case .folder: .folder
        case nil: nil
        }
    }

    /// Changes one bit of a file, as a failing disk does.
    public func flip(bit: Int, of path: String) {
        guard case .file(let inode) = entries[path] else { return }
        inode.content[bit / 8] ^= 1 << UInt8(bit % 8)
    }
}

private func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
