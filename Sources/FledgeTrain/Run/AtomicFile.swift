import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Writes a whole file so that a reader, a crash or a power cut sees the old content or the new, never a part:
/// a temporary file in the same folder, fsync, rename over the target, fsync of the folder.
public enum AtomicFile {
    /// Replaces or creates the file at `path` with these bytes. The folder must exist.
    public static func write(_ bytes: some Collection<UInt8>, to path: String) throws(StorageError) {
        let folder = self.folder(of: path)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let temporary = "\(folder)/.\(name).\(getpid()).tmp"

        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw StorageError(action: "write", path: path, code: errno) }
        var failure = writeAll(bytes, to: file)
        if failure == 0 && fsync(file) != 0 { failure = errno }
        if close(file) != 0 && failure == 0 { failure = errno }
        if failure == 0 && rename(temporary, path) != 0 { failure = errno }
        guard failure == 0 else {
            unlink(temporary)
            throw StorageError(action: "write", path: path, code: failure)
        }
        try synchronize(folder: folder)
    }

    /// Replaces or creates the file at `path` with this text in UTF-8.
    public static func write(_ text: String, to path: String) throws(StorageError) {
        try write(Array(text.utf8), to: path)
    }

    /// Makes a rename or a new entry in the folder survive a power cut.
    static func synchronize(folder: String) throws(StorageError) {
        let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw StorageError(action: "open the folder", path: folder, code: errno) }
        defer { close(handle) }
        // Some file systems cannot synchronise a folder and say EINVAL; there is nothing better to do on them.
        guard fsync(handle) == 0 || errno == EINVAL else {
            throw StorageError(action: "write the folder", path: folder, code: errno)
        }
    }

    /// The folder that holds `path`.
    static func folder(of path: String) -> String {
        let folder = (path as NSString).deletingLastPathComponent
        return folder.isEmpty ? "." : folder
    }

    /// Writes every byte, whatever the size of the pieces the system takes. Returns 0 or the error number.
    static func writeAll(_ bytes: some Collection<UInt8>, to file: Int32) -> Int32 {
        func put(_ buffer: UnsafeRawBufferPointer) -> Int32 {
            var done = 0
            while done < buffer.count {
                let count = systemWrite(file, buffer.baseAddress! + done, buffer.count - done)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { return count < 0 ? errno : EIO }
                done += count
            }
            return 0
        }
        let result = bytes.withContiguousStorageIfAvailable { put(UnsafeRawBufferPointer($0)) }
        return result ?? Array(bytes).withUnsafeBytes(put)
    }
}

/// `write(2)`, under a name that `AtomicFile.write` does not hide.
private func systemWrite(_ file: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int { write(file, bytes, count) }

/// A file that only grows, a line at a time. Each line is handed to the system in one piece before `append` returns,
/// so the file can be followed while a run goes on and is whole when the process dies.
final class LineFile {
    let path: String
    private let file: Int32

    init(path: String) throws(StorageError) {
        self.path = path
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw StorageError(action: "open for writing", path: path, code: errno) }
    }

    deinit { close(file) }

    /// Appends `line` and a line break. When the disk has room for a part only, the part is taken back.
    func append(_ line: String) throws(StorageError) {
        let before = lseek(file, 0, SEEK_END)
        let failure = AtomicFile.writeAll(Array((line + "\n").utf8), to: file)
        guard failure == 0 else {
            _ = ftruncate(file, before)
            throw StorageError(action: "write", path: path, code: failure)
        }
    }
}
