/// The system calls that change files, and those that look at what they changed: one for each operation, with no more
/// promises than the system makes. A write may take a part of the bytes, and nothing survives a power cut before it is
/// synced. Everything that Fledge writes goes through one of these, so that tests can put a disk in its place that
/// loses, tears, reorders and refuses.
///
/// What is built from it: `writeFile`, `AtomicFile`, `LineFile`.
public protocol Disk: Sendable {
    /// Makes an empty file for writing; empties one that is there.
    func create(_ path: String) throws(StorageError) -> DiskFile
    /// Opens a file to write at its end; makes one where there is none.
    func openForAppending(_ path: String) throws(StorageError) -> DiskFile
    /// Hands over bytes. Returns how many were taken, at least one.
    func write(_ bytes: UnsafeRawBufferPointer, to file: DiskFile) throws(StorageError) -> Int
    /// Makes what was written to the file survive a power cut. Its name is the business of `syncFolder`.
    func sync(_ file: DiskFile) throws(StorageError)
    func close(_ file: DiskFile)
    /// Cuts a file off behind its first `size` bytes.
    func truncate(_ path: String, to size: Int) throws(StorageError)
    /// Gives a file or folder another name; a file that had this name goes.
    func rename(_ path: String, to new: String) throws(StorageError)
    /// Removes a file, or an empty folder.
    func remove(_ path: String) throws(StorageError)
    func makeFolder(_ path: String) throws(StorageError)
    /// Makes new, changed and removed names in the folder survive a power cut.
    func syncFolder(_ path: String) throws(StorageError)
    /// The names in a folder, sorted, without `.` and `..`.
    func list(_ folder: String) throws(StorageError) -> [String]
    /// All bytes of a file.
    func read(_ path: String) throws(StorageError) -> [UInt8]
    /// nil where there is nothing of that name.
    func kind(of path: String) -> DiskEntry?
}

/// An open file.
public struct DiskFile: Sendable {
    public let handle: Int32
    public let path: String

    public init(handle: Int32, path: String) {
        self.handle = handle
        self.path = path
    }
}

/// What a name stands for.
public enum DiskEntry: Sendable, Equatable {
    case file(size: Int)
    case folder
}

extension Disk {
    public func exists(_ path: String) -> Bool { kind(of: path) != nil }

    /// Tries again for as long as signals come in between.
    package func retrying<R>(_ body: @autoclosure () throws(StorageError) -> R) throws(StorageError) -> R {
        while true {
            do { return try body() } catch  where error.cause == .interrupted { continue } catch { throw error }
        }
    }

    /// Writes every byte, whatever the size of the pieces that the system takes.
    package func writeAll(_ bytes: UnsafeRawBufferPointer, to file: DiskFile) throws(StorageError) {
        var rest = bytes
        while rest.count > 0 {
            let piece = rest
            let taken = try retrying(write(piece, to: file))
            rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
        }
    }

    /// Writes a whole file from what `body` hands to its argument, piece by piece, and syncs it. A file that was there
    /// is emptied first, so this is for new names only; `AtomicFile` replaces files. When it throws, the file is gone.
    /// - Parameter watching: is shown every piece, for a checksum.
    package func writeFile(
        _ path: String, watching: ((UnsafeRawBufferPointer) -> Void)? = nil,
        _ body: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        let file = try retrying(create(path))
        do {
            defer { close(file) }
            // Small pieces are collected: a system call for each tensor of a network would be thousands.
            var waiting: [UInt8] = []
            waiting.reserveCapacity(Self.pieceSize)
            func flush() throws(StorageError) {
                var failure: StorageError?
                waiting.withUnsafeBytes { bytes in
                    do throws(StorageError) { try writeAll(bytes, to: file) } catch { failure = error }
                }
                if let failure { throw failure }
                waiting.removeAll(keepingCapacity: true)
            }
            try body { bytes in
                watching?(bytes)
                if waiting.count + bytes.count > Self.pieceSize { try flush() }
                if bytes.count >= Self.pieceSize { try writeAll(bytes, to: file) } else { waiting += bytes }
            }
            try flush()
            try retrying(sync(file))
        } catch {
            try? remove(path)
            throw error
        }
    }

    private static var pieceSize: Int { 4 << 20 }

    /// Makes the folder and those above it. One that is there is fine.
    package func makeFolders(_ path: String) throws(StorageError) {
        switch kind(of: path) {
        case .folder: return
        case .file: throw StorageError(action: "make the folder", path: path, cause: .notAFolder)
        case nil: break
        }
        let parent = folder(of: path)
        if parent != path { try makeFolders(parent) }
        do {
            try retrying(makeFolder(path))
        } catch {
            // Another process may have been faster.
            guard kind(of: path) == .folder else { throw error }
        }
        do {
            try retrying(syncFolder(parent))
        } catch {
            // It must not look as if it were safely there.
            try? remove(path)
            throw error
        }
    }

    /// Removes a file, or a folder with all that is in it.
    package func removeAll(_ path: String) throws(StorageError) {
        if kind(of: path) == .folder {
            for name in try retrying(list(path)) { try removeAll("\(path)/\(name)") }
        }
        try retrying(remove(path))
    }
}

/// The folder that holds `path`.
package func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The last name of `path`.
package func lastName(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
}
