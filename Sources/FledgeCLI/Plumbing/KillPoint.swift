import Fledge
import Foundation
import Synchronization

/// A disk that ends the process, as `kill -9` would, at one operation on a run's checkpoints. It is how tests kill at
/// every point inside a save, and does nothing unless FLEDGE_KILL_POINT is set.
///
/// `FLEDGE_KILL_POINT=00000003:7` dies before the seventh operation that is counted; a write counts twice, and the second
/// time half of it is done. Counting begins with the first path that holds the text before the colon.
struct KillPoint: Disk {
    /// The disk that runs are written to.
    static let disk: any Disk = {
        let parts = ProcessInfo.processInfo.environment["FLEDGE_KILL_POINT"]?.split(separator: ":") ?? []
        guard parts.count == 2, let point = Int(parts[1]) else { return SystemDisk() }
        return KillPoint(after: String(parts[0]), point: point)
    }()

    private let text: String
    private let point: Int
    private let system = SystemDisk()
    private let counter = Counter()

    private final class Counter: Sendable {
        let count = Mutex(0)
    }

    private init(after text: String, point: Int) {
        self.text = text
        self.point = point
    }

    /// Whether the process is to end here.
    private func isHere(_ path: String) -> Bool {
        counter.count.withLock { count in
            guard path.contains("/checkpoints"), count > 0 || path.contains(text) else { return false }
            count += 1
            return count == point
        }
    }

    private func pass(_ path: String) {
        if isHere(path) { die() }
    }

    private func die() -> Never {
        kill(getpid(), SIGKILL)
        while true { pause() }
    }

    func create(_ path: String) throws(StorageError) -> DiskFile {
        pass(path)
        return try system.create(path)
    }
    func openForAppending(_ path: String) throws(StorageError) -> DiskFile {
        pass(path)
        return try system.openForAppending(path)
    }
    func write(_ bytes: UnsafeRawBufferPointer, to file: DiskFile) throws(StorageError) -> Int {
        pass(file.path)
        if isHere(file.path) {
            _ = try system.write(UnsafeRawBufferPointer(rebasing: bytes.prefix((bytes.count + 1) / 2)), to: file)
            die()
        }
        return try system.write(bytes, to: file)
    }
    func sync(_ file: DiskFile) throws(StorageError) {
        pass(file.path)
        try system.sync(file)
    }
    func close(_ file: DiskFile) { system.close(file) }
    func truncate(_ path: String, to size: Int) throws(StorageError) {
        pass(path)
        try system.truncate(path, to: size)
    }
    func rename(_ path: String, to new: String) throws(StorageError) {
        pass(path)
        try system.rename(path, to: new)
    }
    func remove(_ path: String) throws(StorageError) {
        pass(path)
        try system.remove(path)
    }
    func makeFolder(_ path: String) throws(StorageError) {
        pass(path)
        try system.makeFolder(path)
    }
    func syncFolder(_ path: String) throws(StorageError) {
        pass(path)
        try system.syncFolder(path)
    }
    func list(_ folder: String) throws(StorageError) -> [String] { try system.list(folder) }
    func read(_ path: String) throws(StorageError) -> [UInt8] { try system.read(path) }
    func kind(of path: String) -> DiskEntry? { system.kind(of: path) }
}
