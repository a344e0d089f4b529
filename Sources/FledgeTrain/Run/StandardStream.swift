import FledgeCore

/// Standard output and standard error. Foundation's file handles end the process when the disk under them is full.
public enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// Writes all of the text now. A closed pipe (`fledge ... | head`) ends the process quietly, as is usual.
    public func write(_ text: String) throws(StorageError) {
        let file = DiskFile(handle: rawValue, path: self == .output ? "standard output" : "standard error")
        var failure: StorageError?
        Array(text.utf8).withUnsafeBytes { bytes in
            do throws(StorageError) { try SystemDisk().writeAll(bytes, to: file) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Writes what can be written: remarks and progress are not worth ending a run for.
    public func tell(_ text: String) { try? write(text) }
}
