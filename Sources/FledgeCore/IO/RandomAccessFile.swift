#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Bytes to read at any place: of an open file, or already in memory.
///
/// A file gives what it held when it was opened, even after another was renamed over it. It is read with `pread`
/// instead of a memory map: the bytes are copied into a tensor once either way, and a file that shrinks meanwhile is an
/// error to catch, not a signal that ends the program.
final class RandomAccessFile {
    let path: String
    let size: Int
    private let source: Source

    private enum Source {
        case descriptor(Int32)
        case memory([UInt8])
    }

    init(_ path: String) throws(StorageError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageError(action: "open", path: path, code: errno) }
        var status = stat()
        let code = fstat(descriptor, &status) == 0 ? 0 : errno
        guard code == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            throw StorageError(action: "open", path: path, code: code != 0 ? code : isFolder ? EISDIR : EINVAL)
        }
        self.path = path
        size = Int(status.st_size)
        source = .descriptor(descriptor)
    }

    /// Bytes that were read before. `path` is what messages call them.
    init(_ bytes: [UInt8], path: String) {
        self.path = path
        size = bytes.count
        source = .memory(bytes)
    }

    deinit {
        if case .descriptor(let descriptor) = source { close(descriptor) }
    }

    /// Fills `target` with the bytes from `offset` on. Returns false when there are fewer.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError) -> Bool {
        switch source {
        case .memory(let bytes):
            guard target.count <= bytes.count - offset else { return false }
            target.copyBytes(from: bytes[offset..<(offset + target.count)])
            return true
        case .descriptor(let descriptor):
            var done = 0
            while done < target.count {
                let count = pread(descriptor, target.baseAddress! + done, target.count - done, off_t(offset + done))
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else { throw StorageError(action: "read", path: path, code: errno) }
                if count == 0 { return false }
                done += count
            }
            return true
        }
    }

    /// The bytes of a range, or nil when there are fewer.
    func bytes(at offset: Int, count: Int) throws(StorageError) -> [UInt8]? {
        var complete = false
        var failure: StorageError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(StorageError) {
                complete = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch { failure = error }
            filled = complete ? count : 0
        }
        if let failure { throw failure }
        return complete ? bytes : nil
    }
}
