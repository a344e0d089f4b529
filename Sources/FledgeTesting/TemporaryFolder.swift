import FledgeCore
import Foundation

/// A folder that a test fills and that is removed after it.
public final class TemporaryFolder: Sendable {
    public let path: String

    /// - Parameter inMemory: on a disk in memory where there is one, for tests that sync a lot.
    public init(inMemory: Bool = false) throws {
        let memory = "/dev/shm"
        let base =
            inMemory && FileManager.default.isWritableFile(atPath: memory)
            ? URL(fileURLWithPath: memory) : FileManager.default.temporaryDirectory
        path = base.appendingPathComponent("fledge-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public func folder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: path + "/" + name, withIntermediateDirectories: true)
    }

    /// Writes a file, with the folders it lies in.
    public func write(_ name: String, _ bytes: [UInt8]) throws {
        try folder(name.deletingLastPathComponent)
        try AtomicFile.write(bytes, to: path + "/" + name)
    }

    public func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }
}
