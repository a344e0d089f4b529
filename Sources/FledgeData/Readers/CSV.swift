import FledgeCore
import Foundation

/// Rows of a delimited text file, one at a time (RFC 4180: quotes, doubled quotes, line ends of any kind inside and
/// outside of them). Reads in pieces, so a large table is never in memory as a whole.
///
/// A row may have 16 MiB and 1,000,000 cells at most.
struct CSVReader {
    /// Bytes of the cells of the current row, each closed by a zero byte so that `strtod` stops there.
    private var cells: [UInt8] = []
    private var starts: [Int] = []
    /// The line on which the current row begins, from 1.
    private(set) var line = 0

    let path: String
    let separator: UInt8
    private var source: Source
    private var nextLine = 1

    static let rowLimit = 16 << 20
    static let cellLimit = 1_000_000

    init(_ path: String, options: DataOptions) throws {
        self.path = path
        source = try Source(path, options: options)
        separator = source.guessSeparator()
    }

    /// The number of cells of the current row.
    var count: Int { starts.count }

    /// The text of a cell, without the spaces around it.
    func text(_ column: Int) -> String {
        let end = column + 1 < starts.count ? starts[column + 1] : cells.count
        return String(decoding: cells[starts[column]..<(end - 1)], as: UTF8.self).trimmingCharacters(in: .whitespaces)
    }

    /// All cells as text.
    var texts: [String] { (0..<count).map(text) }

    /// Text as a cell that is read as this text. By bytes: a comma with an accent over it is another character to Swift.
    static func cell(_ text: String) -> String {
        guard text.utf8.contains(where: { ",;\t\"\n\r".utf8.contains($0) }) else { return text }
        let quote = UInt8(ascii: "\"")
        let inner = text.utf8.flatMap { $0 == quote ? [quote, quote] : [$0] }
        return String(decoding: [quote] + inner + [quote], as: UTF8.self)
    }

    /// The number in a cell, or nil when the cell is not wholly a number. May be infinite or not a number ("nan").
    func number(_ column: Int) -> Double? {
        cells.withUnsafeBufferPointer { buffer -> Double? in
            guard let base = buffer.baseAddress else { return nil }
            let start = UnsafeRawPointer(base + starts[column]).assumingMemoryBound(to: CChar.self)
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            guard var rest = end.map({ UnsafePointer($0) }), rest != start else { return nil }
            while rest.pointee == 32 || rest.pointee == 9 { rest += 1 }
            return rest.pointee == 0 ? value : nil
        }
    }

    /// Moves to the next row that is not blank; false at the end. Throws `DataError`.
    mutating func next() throws -> Bool {
        while true {
            guard try readRow() else { return false }
            if !(count == 1 && cells.count == 1) { return true }
        }
    }

    private mutating func readRow() throws -> Bool {
        cells.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
        starts.append(0)
        line = nextLine
        var quoted = false
        var atStart = true
        var any = false
        while let byte = try source.next() {
            any = true
            if quoted {
                if byte == UInt8(ascii: "\"") {
                    if try source.peek() == byte { cells.append(try source.next() ?? byte) } else { quoted = false }
                } else {
                    if byte == 10 { nextLine += 1 }
                    cells.append(byte)
                }
            } else if byte == UInt8(ascii: "\""), atStart {
                quoted = true
                atStart = false
            } else if byte == separator {
                cells.append(0)
                starts.append(cells.count)
                atStart = true
                guard starts.count <= Self.cellLimit else {
                    throw DataError.tooLarge(path: path, reason: "row \(line) has more than \(Self.cellLimit) cells")
                }
            } else if byte == 10 || byte == 13 {
                if byte == 13, try source.peek() == 10 { _ = try source.next() }
                nextLine += 1
                cells.append(0)
                return true
            } else {
                if byte == 0 {
                    throw DataError.malformed(
                        path: path, reason: "row \(line) holds a zero byte; this is not a text file")
                }
                cells.append(byte)
                atStart = false
            }
            guard cells.count <= Self.rowLimit else {
                throw DataError.tooLarge(path: path, reason: "row \(line) has more than \(Self.rowLimit) bytes")
            }
        }
        guard !quoted else {
            throw DataError.malformed(path: path, reason: "a quote opened in row \(line) is never closed")
        }
        cells.append(0)
        return any
    }
}

/// The bytes of a text file, plain or gzipped, piece by piece.
private struct Source {
    private let path: String
    private var buffer: [UInt8]
    private var position = 0
    private var file: OpenFile?

    // Below the size from which the allocator asks the system for each piece.
    private static let pieceSize = 1 << 16

    init(_ path: String, options: DataOptions) throws {
        self.path = path
        file = try OpenFile(path)
        buffer = []
        try fill()
        if Zlib.isGzip(buffer) {
            buffer = try DataLocation.bytes(of: path, options: options)
            file = nil
        }
        if buffer.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    private mutating func fill() throws {
        guard let file else { return }
        let piece = try file.read(Self.pieceSize)
        if piece.isEmpty {
            self.file = nil
        } else {
            buffer = piece
            position = 0
        }
    }

    mutating func peek() throws -> UInt8? {
        if position == buffer.count { try fill() }
        return position < buffer.count ? buffer[position] : nil
    }

    mutating func next() throws -> UInt8? {
        guard let byte = try peek() else { return nil }
        position += 1
        return byte
    }

    /// The separator that is most frequent in the first line: comma, tab or semicolon.
    func guessSeparator() -> UInt8 {
        var counts: [UInt8: Int] = [:]
        for byte in buffer[position...].prefix(while: { $0 != 10 && $0 != 13 }) { counts[byte, default: 0] += 1 }
        let candidates = [UInt8(ascii: ","), UInt8(ascii: "\t"), UInt8(ascii: ";")]
        return candidates.max { (counts[$0] ?? 0, $1) < (counts[$1] ?? 0, $0) } ?? UInt8(ascii: ",")
    }
}

/// A file open for reading from its beginning to its end.
private final class OpenFile {
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        // Without O_NONBLOCK a pipe of that name would keep us waiting for someone to write to it.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw DataError.unreadable(path: path, reason: reason)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw DataError.unreadable(path: path, reason: "it is not a regular file")
        }
    }

    deinit { close(descriptor) }

    /// At most so many bytes; none at the end.
    func read(_ count: Int) throws -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var got = systemRead(descriptor, buffer.baseAddress!, count)
            while got < 0, errno == EINTR { got = systemRead(descriptor, buffer.baseAddress!, count) }
            if got < 0 { failure = errno }
            filled = max(0, got)
        }
        guard failure == 0 else { throw DataError.unreadable(path: path, reason: String(cString: strerror(failure))) }
        return bytes
    }
}

// Inside `OpenFile` the plain name means its own function.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
