#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Files that appear whole or not at all, also when the machine loses power while they are written.
public enum AtomicFile {
    /// Writes the file `path` from what `body` hands to its argument, piece by piece.
    ///
    /// The bytes go to a temporary file in the same folder, which is synced and renamed over `path`; the folder is
    /// synced last. Whoever has the old file open keeps reading the old bytes. When `body` throws or the disk refuses
    /// (`StorageError`), the old file is untouched and the temporary one is gone.
    public static func write(
        to path: String, on disk: any Disk = SystemDisk(),
        _ body: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        let folder = folder(of: path)
        let temporary = "\(folder)/.\(lastName(of: path)).\(getpid()).tmp"
        do {
            try disk.writeFile(temporary, body)
            do {
                try disk.retrying(disk.rename(temporary, to: path))
            } catch {
                try? disk.remove(temporary)
                throw error
            }
            try disk.retrying(disk.syncFolder(folder))
        } catch let error as StorageError {
            // The person knows the file by its own name.
            throw StorageError(action: "write", path: path, cause: error.cause)
        }
    }

    /// Replaces or creates the file at `path` with these bytes. The folder must exist.
    public static func write(
        _ bytes: [UInt8], to path: String, on disk: any Disk = SystemDisk()
    ) throws(StorageError) {
        do {
            try write(to: path, on: disk) { put in try bytes.withUnsafeBytes { try put($0) } }
        } catch let error as StorageError {
            throw error
        } catch {
            stop("AtomicFile: \(error)")
        }
    }

    /// Replaces or creates the file at `path` with this text in UTF-8.
    public static func write(_ text: String, to path: String, on disk: any Disk = SystemDisk()) throws(StorageError) {
        try write(Array(text.utf8), to: path, on: disk)
    }
}

/// A file that only grows, a line at a time. Each line is handed to the system in one piece before `append` returns,
/// so the file can be followed while a run goes on and is whole when the process dies.
public final class LineFile {
    public let path: String
    /// How many bytes it has.
    public private(set) var size: Int
    private let disk: any Disk
    private let file: DiskFile

    public init(path: String, on disk: any Disk = SystemDisk()) throws(StorageError) {
        self.path = path
        self.disk = disk
        file = try disk.retrying(disk.openForAppending(path))
        size = if case .file(let size) = disk.kind(of: path) { size } else { 0 }
    }

    deinit { disk.close(file) }

    /// Appends `line` and a line break. When the disk has room for a part only, the part is taken back.
    public func append(_ line: String) throws(StorageError) {
        let bytes = Array((line + "\n").utf8)
        var failure: StorageError?
        bytes.withUnsafeBytes { bytes in
            do throws(StorageError) { try disk.writeAll(bytes, to: file) } catch { failure = error }
        }
        if let failure {
            try? disk.truncate(path, to: size)
            throw failure
        }
        size += bytes.count
    }

    /// Makes all lines so far survive a power cut.
    public func sync() throws(StorageError) { try disk.retrying(disk.sync(file)) }
}
