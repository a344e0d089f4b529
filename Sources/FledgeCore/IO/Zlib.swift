import CFledgeZlib

/// Why bytes could not be inflated.
public enum ZlibError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Not such a stream, or its checksum is wrong.
    case damaged
    /// The input ends before the stream does.
    case truncated
    /// More than `limit` bytes would come out.
    case tooLarge(limit: Int)
    case outOfMemory

    public var description: String {
        switch self {
        case .damaged: "the compressed data is damaged"
        case .truncated: "the compressed data ends too early"
        case .tooLarge(let limit): "the compressed data expands to more than \(limit) bytes"
        case .outOfMemory: "out of memory while inflating or deflating"
        }
    }
}

/// Inflate, deflate and CRC-32 (zlib).
public enum Zlib {
    public enum Format: Int32, Sendable { case raw = 0, zlib = 1, gzip = 2 }

    /// The bytes of a compressed stream, at most `limit` of them. For gzip, members that follow one another are joined.
    public static func inflate(_ bytes: some Collection<UInt8>, format: Format, limit: Int) throws -> [UInt8] {
        try withBytes(bytes) { input in
            var output: UnsafeMutablePointer<UInt8>?
            var length = 0
            let status = fledge_inflate(
                input.baseAddress, input.count, format.rawValue, max(0, limit), &output, &length)
            return try take(status: status, output, length, limit: limit)
        }
    }

    /// How many bytes a stream may expand to: `limit`, or less where that many would be no data but a bomb, more than
    /// 128 MiB at more than 200 to 1.
    package static func expansionLimit(packed: Int, limit: Int) -> Int {
        min(limit, max(128 << 20, packed.multipliedReportingOverflow(by: 200).overflow ? .max : packed * 200))
    }

    /// Compresses at `level` 0 (stored) to 9 (smallest).
    public static func deflate(_ bytes: some Collection<UInt8>, format: Format, level: Int = 6) throws -> [UInt8] {
        try withBytes(bytes) { input in
            var output: UnsafeMutablePointer<UInt8>?
            var length = 0
            let status = fledge_deflate(
                input.baseAddress, input.count, format.rawValue, Int32(min(9, max(0, level))), &output, &length)
            return try take(status: status, output, length, limit: 0)
        }
    }

    /// CRC-32 as zip, gzip and PNG use it.
    public static func crc32(_ bytes: some Collection<UInt8>) -> UInt32 {
        withBytes(bytes) { fledge_crc32($0.baseAddress, $0.count) }
    }

    /// Whether the bytes begin like a gzip file.
    public static func isGzip(_ bytes: [UInt8]) -> Bool { bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B }

    private static func withBytes<R>(
        _ bytes: some Collection<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) throws -> R
    ) rethrows -> R {
        if let result = try bytes.withContiguousStorageIfAvailable(body) { return result }
        return try Array(bytes).withUnsafeBufferPointer(body)
    }

    private static func take(
        status: Int32, _ output: UnsafeMutablePointer<UInt8>?, _ length: Int, limit: Int
    ) throws -> [UInt8] {
        defer { fledge_zlib_free(output) }
        switch Int(status) {
        case Int(FLEDGE_ZLIB_OK.rawValue): return Array(UnsafeBufferPointer(start: output, count: length))
        case Int(FLEDGE_ZLIB_DAMAGED.rawValue): throw ZlibError.damaged
        case Int(FLEDGE_ZLIB_TRUNCATED.rawValue): throw ZlibError.truncated
        case Int(FLEDGE_ZLIB_TOO_LARGE.rawValue): throw ZlibError.tooLarge(limit: limit)
        default: throw ZlibError.outOfMemory
        }
    }
}
