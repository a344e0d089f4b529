/// NumPy's npz: a zip archive of npy files, members stored or deflated. Read in place; nothing is ever extracted to
/// disk, so that member names are only keys.
///
/// Zip follows PKWARE's APPNOTE 6.3: the central directory at the end is what counts. Encrypted, split, duplicated and
/// overlapping members are refused.
public enum Npz {
    /// At most this many members are read.
    static let memberLimit = 10_000

    /// The arrays of an archive by name (without ".npy"), in file order. No more than `limit` bytes are inflated in
    /// all.
    public static func read(_ bytes: [UInt8], limit: Int = 8 << 30) throws -> [(name: String, array: NpyArray)] {
        let members = try directory(bytes)
        var budget = limit
        var arrays: [(name: String, array: NpyArray)] = []
        for member in members where member.name.hasSuffix(".npy") {
            guard member.size <= budget else {
                throw ArrayFileError(.tooLarge, "'\(member.name)' would take the archive above \(limit) bytes")
            }
            guard member.size <= Zlib.expansionLimit(packed: member.packedSize, limit: limit) else {
                throw ArrayFileError(
                    .tooLarge, "'\(member.name)' would expand to \(member.size) bytes from \(member.packedSize)")
            }
            let content = try content(of: member, in: bytes)
            budget -= content.count
            do {
                arrays.append((String(member.name.dropLast(4)), try NpyArray(npy: content)))
            } catch let error as ArrayFileError {
                throw ArrayFileError(error.kind, "'\(member.name)': \(error.reason)")
            }
        }
        guard !arrays.isEmpty else { throw ArrayFileError(.missing, "the archive holds no npy array") }
        return arrays
    }

    /// The bytes of an archive of these arrays, deflated or stored. Stops for a repeated name; throws for a member of
    /// 4 GiB or more.
    public static func bytes(_ arrays: [(name: String, array: NpyArray)], compressed: Bool = true) throws -> [UInt8] {
        guard Set(arrays.map(\.name)).count == arrays.count else { fatalError("Npz: two arrays have the same name") }
        var file: [UInt8] = []
        var directory: [UInt8] = []
        for (name, array) in arrays {
            let content = array.npyBytes()
            let packed = compressed ? try Zlib.deflate(content, format: .raw) : content
            guard content.count < Int(UInt32.max), file.count + packed.count < Int(UInt32.max) else {
                throw ArrayFileError(.tooLarge, "'\(name)' takes the archive above 4 GiB")
            }
            let fileName = Array((name + ".npy").utf8)
            // Version 2.0, UTF-8 names, method, time 0 on 1 January 1980 (so that equal arrays give equal bytes),
            // sizes.
            var fields: [UInt8] = []
            fields.appendLittle(UInt16(20))
            fields.appendLittle(UInt16(0x0800))
            fields.appendLittle(UInt16(compressed ? 8 : 0))
            fields.appendLittle(UInt16(0))
            fields.appendLittle(UInt16(0x0021))
            fields.appendLittle(Zlib.crc32(content))
            fields.appendLittle(UInt32(packed.count))
            fields.appendLittle(UInt32(content.count))
            fields.appendLittle(UInt16(fileName.count))
            fields.appendLittle(UInt16(0))
            let offset = UInt32(file.count)
            file.appendLittle(localMagic)
            file += fields + fileName + packed
            directory.appendLittle(centralMagic)
            directory.appendLittle(UInt16(20))
            directory += fields
            directory += [UInt8](repeating: 0, count: 10)  // no comment, disk 0, no attributes
            directory.appendLittle(offset)
            directory += fileName
        }
        let start = UInt32(file.count)
        file += directory
        file.appendLittle(endMagic)
        file.appendLittle(UInt32(0))
        file.appendLittle(UInt16(arrays.count))
        file.appendLittle(UInt16(arrays.count))
        file.appendLittle(UInt32(directory.count))
        file.appendLittle(start)
        file.appendLittle(UInt16(0))
        return file
    }

    private static let localMagic: UInt32 = 0x0403_4B50
    private static let centralMagic: UInt32 = 0x0201_4B50
    private static let endMagic: UInt32 = 0x0605_4B50

    /// Whether the bytes begin like a zip archive.
    public static func isZip(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) }

    private struct Member {
        var name: String
        var method: Int
        var crc: UInt32
        var packedSize: Int
        var size: Int
        /// Where the packed bytes are.
        var range: Range<Int>
    }

    private static func directory(_ bytes: [UInt8]) throws -> [Member] {
        guard bytes.count >= 4, isZip(bytes) || bytes.starts(with: [0x50, 0x4B, 0x05, 0x06]) else {
            throw ArrayFileError(.wrongMagic, "a zip archive begins with PK, this does not")
        }
        // The end record is the last 22 bytes, before a comment of up to 65,535.
        var end = bytes.count - 22
        let earliest = max(0, bytes.count - 22 - 65_535)
        while end >= earliest, bytes.little(end, 4) != Int(endMagic) { end -= 1 }
        guard end >= earliest, let total = bytes.little(end + 10, 2), let at = bytes.little(end + 16, 4) else {
            throw ArrayFileError(.truncated, "the directory at the end of the archive is missing")
        }
        guard total < 0xFFFF, at < 0xFFFF_FFFF, total <= memberLimit else {
            throw ArrayFileError(
                .unsupported, "the archive is of the 64-bit kind or has more than \(memberLimit) members")
        }
        var members: [Member] = []
        var cursor = at
        for _ in 0..<total {
            let (member, next) = try centralEntry(bytes, at: cursor)
            members.append(member)
            cursor = next
        }
        guard Set(members.map(\.name)).count == members.count else {
            throw ArrayFileError(.malformed, "two members of the archive have the same name")
        }
        let ranges = members.map(\.range).sorted { $0.lowerBound < $1.lowerBound }
        for (one, next) in zip(ranges, ranges.dropFirst()) where one.upperBound > next.lowerBound {
            throw ArrayFileError(.malformed, "members of the archive overlap")
        }
        return members
    }

    private static func centralEntry(_ bytes: [UInt8], at: Int) throws -> (Member, next: Int) {
        let broken = ArrayFileError(.malformed, "the directory of the archive is broken")
        guard bytes.little(at, 4) == Int(centralMagic), let flags = bytes.little(at + 8, 2),
            let method = bytes.little(at + 10, 2), let crc = bytes.little(at + 16, 4),
            let packed32 = bytes.little(at + 20, 4), let size32 = bytes.little(at + 24, 4),
            let nameLength = bytes.little(at + 28, 2), let extraLength = bytes.little(at + 30, 2),
            let commentLength = bytes.little(at + 32, 2), let offset32 = bytes.little(at + 42, 4),
            at + 46 + nameLength + extraLength + commentLength <= bytes.count
        else { throw broken }
        let name = String(decoding: bytes[(at + 46)..<(at + 46 + nameLength)], as: UTF8.self)
        guard flags & 1 == 0 else { throw ArrayFileError(.unsupported, "'\(name)' is encrypted") }

        // Sizes of 4 GiB or more are in the zip64 field of the extra area, in this order, each only when needed.
        var (size, packed, offset) = (size32, packed32, offset32)
        var field = at + 46 + nameLength
        while field + 4 <= at + 46 + nameLength + extraLength {
            guard let id = bytes.little(field, 2), let length = bytes.little(field + 2, 2) else { throw broken }
            if id == 1 {
                var value = field + 4
                func take(_ target: inout Int) throws {
                    guard target == 0xFFFF_FFFF else { return }
                    guard value + 8 <= field + 4 + length, let wide = bytes.little(value, 8) else { throw broken }
                    target = wide
                    value += 8
                }
                try take(&size)
                try take(&packed)
                try take(&offset)
            }
            field += 4 + length
        }
        guard bytes.little(offset, 4) == Int(localMagic), let localName = bytes.little(offset + 26, 2),
            let localExtra = bytes.little(offset + 28, 2)
        else { throw broken }
        let start = offset + 30 + localName + localExtra
        guard start <= bytes.count, packed <= bytes.count - start else {
            throw ArrayFileError(.truncated, "'\(name)' reaches beyond the end of the archive")
        }
        let member = Member(
            name: name, method: method, crc: UInt32(crc), packedSize: packed, size: size,
            range: start..<(start + packed))
        return (member, at + 46 + nameLength + extraLength + commentLength)
    }

    private static func content(of member: Member, in bytes: [UInt8]) throws -> [UInt8] {
        let packed = bytes[member.range]
        let content: [UInt8]
        switch member.method {
        case 0: content = Array(packed)
        case 8:
            do {
                content = try Zlib.inflate(packed, format: .raw, limit: member.size)
            } catch let error as ZlibError {
                let kind: ArrayFileError.Kind = error == .truncated ? .truncated : .malformed
                throw ArrayFileError(kind, "'\(member.name)': \(error)")
            }
        default: throw ArrayFileError(.unsupported, "'\(member.name)' is compressed by method \(member.method)")
        }
        guard content.count == member.size, Zlib.crc32(content) == member.crc else {
            throw ArrayFileError(.malformed, "'\(member.name)' does not have the size and checksum of the directory")
        }
        return content
    }
}

extension [UInt8] {
    /// The little-endian unsigned word at an offset, nil where it does not fit in the array or in `Int`.
    fileprivate func little(_ offset: Int, _ size: Int) -> Int? {
        guard offset >= 0, offset <= count - size else { return nil }
        var result: UInt64 = 0
        for k in (0..<size).reversed() { result = result << 8 | UInt64(self[offset + k]) }
        return Int(exactly: result)
    }

    fileprivate mutating func appendLittle(_ word: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: word.littleEndian) { append(contentsOf: $0) }
    }
}
