#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file that could not be read, with the reason the system gave.
public struct FileError: ExplainedError, Equatable {
    /// What was tried, such as "read".
    public var operation: String
    public var path: String
    public var reason: String

    public init(operation: String, path: String, reason: String) {
        self.operation = operation
        self.path = path
        self.reason = reason
    }

    public var what: String { "cannot \(operation) the file" }
    public var place: String? { path }
    public var why: String? { reason }
    public var next: String? { "check the path and its permissions" }
}

/// Whole files as bytes.
public enum FileBytes {
    /// The bytes of a file. Throws `FileError` when it cannot be read, is not a regular file, or has more than `limit`
    /// bytes; the size is checked before memory is taken.
    public static func read(_ path: String, limit: Int = 8 << 30) throws -> [UInt8] {
        func failure(_ reason: String) -> FileError { FileError(operation: "read", path: path, reason: reason) }
        // Without O_NONBLOCK a pipe of that name would keep us waiting for someone to write to it.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("it is not a regular file") }
        let size = Int(status.st_size)
        guard size <= limit else { throw failure("it has \(size) bytes and the limit is \(limit)") }
        var failed: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size, let base = buffer.baseAddress {
                let got = systemRead(descriptor, base + count, size - count)
                if got > 0 {
                    count += got
                } else if got == 0 {
                    break
                } else if errno != EINTR {
                    failed = errno
                    break
                }
            }
        }
        guard failed == 0 else { throw failure(String(cString: strerror(failed))) }
        guard bytes.count == size else { throw failure("it became shorter while it was read") }
        return bytes
    }

    /// The first bytes of a file, fewer where it is shorter, none where it cannot be read.
    package static func head(_ path: String, count: Int) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(0, systemRead(descriptor, buffer.baseAddress!, count))
        }
    }
}

// Inside `FileBytes` the plain names mean its own functions.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
