import Glibc

/// What the operating system refused, and why.
struct SystemFailure: Error, Equatable, Sendable {
    let operation: String
    let code: Int32

    /// For the call that just failed.
    init(_ operation: String) {
        self.operation = operation
        code = errno
    }

    var description: String { "\(operation): \(String(cString: strerror(code)))" }
}

/// Files that appear whole or not at all, also when the machine loses power while they are written.
enum AtomicFile {
    /// Writes the file `path` from what `body` hands to its argument, piece by piece.
    ///
    /// The bytes go to a temporary file in the same folder, which is synced and renamed over `path`; the folder is
    /// synced last. Whoever has the old file open keeps reading the old bytes. When `body` or a system call throws, the
    /// old file is untouched and the temporary one is gone.
    static func write(to path: String, _ body: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void) throws {
        let temporary = "\(path).\(getpid()).tmp"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard file >= 0 else { throw SystemFailure("create \(temporary)") }
        do {
            defer { close(file) }
            try body { try writeAll($0, to: file) }
            guard fsync(file) == 0 else { throw SystemFailure("sync") }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let failure = SystemFailure("rename \(temporary)")
            unlink(temporary)
            throw failure
        }
        try syncFolder(of: path)
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer, to file: Int32) throws {
        var rest = bytes
        while rest.count > 0 {
            let written = Glibc.write(file, rest.baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw SystemFailure("write") }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// The new name is durable only when the folder that holds it is.
    private static func syncFolder(of path: String) throws {
        let slash = path.lastIndex(of: "/")
        let name = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw SystemFailure("open folder \(name)") }
        defer { close(folder) }
        // Some network file systems cannot sync folders and say EINVAL; they have nothing to sync.
        guard fsync(folder) == 0 || errno == EINVAL else { throw SystemFailure("sync folder \(name)") }
    }
}

/// A file open for reading at any place. Reads what the file held when it was opened, even after another was renamed
/// over it.
///
/// Read with `pread` instead of a memory map: the bytes are copied into a tensor once either way, and a file that
/// shrinks meanwhile is an error to catch, not a signal that ends the program.
final class RandomAccessFile {
    let path: String
    let size: Int
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let failure = SystemFailure("inspect")
            close(descriptor)
            throw failure
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            errno = status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL
            throw SystemFailure("open")
        }
        self.path = path
        size = Int(status.st_size)
    }

    deinit { close(descriptor) }

    /// Fills `target` with the bytes from `offset` on. Returns false when the file ends before.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Bool {
        var done = 0
        while done < target.count {
            let count = pread(descriptor, target.baseAddress! + done, target.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemFailure("read") }
            if count == 0 { return false }
            done += count
        }
        return true
    }

    /// The bytes of a range, or nil when the file ends before.
    func bytes(at offset: Int, count: Int) throws -> [UInt8]? {
        var complete = false
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            complete = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            filled = complete ? count : 0
        }
        return complete ? bytes : nil
    }
}
