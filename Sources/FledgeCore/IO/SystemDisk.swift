#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The disks of this machine.
public struct SystemDisk: Disk {
    public init() {}

    public func create(_ path: String) throws(StorageError) -> DiskFile {
        try opened(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, "write")
    }

    public func openForAppending(_ path: String) throws(StorageError) -> DiskFile {
        try opened(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, "open for writing")
    }

    public func write(_ bytes: UnsafeRawBufferPointer, to file: DiskFile) throws(StorageError) -> Int {
        let count = systemWrite(file.handle, bytes)
        guard count > 0 else {
            throw StorageError(action: "write", path: file.path, code: count < 0 ? errno : EIO)
        }
        return count
    }

    public func sync(_ file: DiskFile) throws(StorageError) {
        try check(fsync(file.handle), "write", file.path)
    }

    public func close(_ file: DiskFile) { systemClose(file.handle) }

    public func truncate(_ path: String, to size: Int) throws(StorageError) {
        try check(systemTruncate(path, off_t(size)), "shorten", path)
    }

    public func rename(_ path: String, to new: String) throws(StorageError) {
        try check(systemRename(path, new), "rename to \(new)", path)
    }

    public func remove(_ path: String) throws(StorageError) {
        if unlink(path) == 0 { return }
        let code = errno
        // A folder: Linux says EISDIR, POSIX EPERM.
        guard code == EISDIR || code == EPERM else { throw StorageError(action: "remove", path: path, code: code) }
        try check(rmdir(path), "remove", path)
    }

    public func makeFolder(_ path: String) throws(StorageError) {
        try check(mkdir(path, 0o755), "make the folder", path)
    }

    public func syncFolder(_ path: String) throws(StorageError) {
        let folder = try opened(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, "open the folder")
        defer { systemClose(folder.handle) }
        // Some network file systems cannot sync folders and say EINVAL; they have nothing to sync.
        guard fsync(folder.handle) == 0 || errno == EINVAL else {
            throw StorageError(action: "write the folder", path: path, code: errno)
        }
    }

    public func list(_ folder: String) throws(StorageError) -> [String] {
        guard let handle = opendir(folder) else {
            throw StorageError(action: "read the folder", path: folder, code: errno)
        }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    public func read(_ path: String) throws(StorageError) -> [UInt8] {
        let file = try RandomAccessFile(path)
        guard let bytes = try file.bytes(at: 0, count: file.size) else {
            throw StorageError(action: "read", path: path, code: EIO)
        }
        return bytes
    }

    public func kind(of path: String) -> DiskEntry? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mode & S_IFMT == S_IFDIR ? .folder : .file(size: Int(status.st_size))
    }

    private func opened(_ path: String, _ flags: Int32, _ action: String) throws(StorageError) -> DiskFile {
        let handle = open(path, flags, 0o644)
        guard handle >= 0 else { throw StorageError(action: action, path: path, code: errno) }
        return DiskFile(handle: handle, path: path)
    }

    private func check(_ result: Int32, _ action: String, _ path: String) throws(StorageError) {
        if result != 0 { throw StorageError(action: action, path: path, code: errno) }
    }
}

// The plain names mean the functions of `SystemDisk` inside it.
private func systemWrite(_ file: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(file, bytes.baseAddress, bytes.count)
}
private func systemClose(_ file: Int32) { _ = close(file) }
private func systemTruncate(_ path: String, _ size: off_t) -> Int32 { truncate(path, size) }
private func systemRename(_ path: String, _ new: String) -> Int32 { rename(path, new) }
