#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Standard output and standard error. Foundation's file handles end the process when the disk under them is full.
public enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// Writes all of the text now. A closed pipe (`fledge ... | head`) ends the process quietly, as is usual.
    public func write(_ text: String) throws(StorageError) {
        let code = AtomicFile.writeAll(Array(text.utf8), to: rawValue)
        if code != 0 {
            let name = self == .output ? "standard output" : "standard error"
            throw StorageError(action: "write", path: name, code: code)
        }
    }

    /// Writes what can be written: remarks and progress are not worth ending a run for.
    public func tell(_ text: String) { try? write(text) }
}
