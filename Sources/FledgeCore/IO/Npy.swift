/// An npy or npz file that is not what it says, or more than is allowed.
public struct ArrayFileError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Sendable { case wrongMagic, malformed, truncated, tooLarge, unsupported, missing }
    public var kind: Kind
    /// What is wrong, with the numbers.
    public var reason: String

    public init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    public var description: String { reason }
}

/// An array as NumPy's npy format stores it: raw bytes, an element type, a shape and an order.
///
/// Format versions 1.0 to 3.0 of "numpy.lib.format". Object arrays, which hold pickled Python code, are refused.
public struct NpyArray: Equatable, Sendable {
    /// NumPy's type string, such as "<f4", "|u1", "<i8", "<U12".
    public var dtype: String
    public var shape: [Int]
    /// True when the first axis varies fastest in `data`.
    public var fortranOrder: Bool
    /// The elements, `count * itemSize` bytes.
    public var data: [UInt8]

    /// Stops when the byte count does not agree with the shape and the type.
    public init(dtype: String, shape: [Int], fortranOrder: Bool = false, data: [UInt8]) {
        let wanted = Self.byteCount(dtype: dtype, shape: shape)
        guard wanted == data.count else {
            fatalError("NpyArray: \(data.count) bytes for dtype \(dtype) and shape \(shape)")
        }
        self.dtype = dtype
        self.shape = shape
        self.fortranOrder = fortranOrder
        self.data = data
    }

    /// The number of elements.
    public var count: Int { shape.reduce(1, *) }

    /// The header may have this many bytes; NumPy pads to 64 and writes a few dozen characters.
    static let headerLimit = 64 << 10

    /// Bytes of one element of a type string, or nil for a type that is not supported.
    static func itemSize(_ dtype: String) -> Int? {
        let characters = Array(dtype.utf8)
        guard characters.count >= 3, [UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "|")].contains(characters[0]),
            let size = Int(String(decoding: characters[2...], as: UTF8.self)), size > 0, size <= 1 << 20
        else { return nil }
        switch characters[1] {
        case UInt8(ascii: "f"): return [2, 4, 8].contains(size) ? size : nil
        case UInt8(ascii: "i"), UInt8(ascii: "u"): return [1, 2, 4, 8].contains(size) ? size : nil
        case UInt8(ascii: "b"): return size == 1 ? 1 : nil
        case UInt8(ascii: "U"): return size * 4
        case UInt8(ascii: "S"): return size
        default: return nil
        }
    }

    /// Bytes of the whole array, or nil when the type is not supported or the product overflows.
    static func byteCount(dtype: String, shape: [Int]) -> Int? {
        guard var total = itemSize(dtype) else { return nil }
        for side in shape {
            guard side >= 0 else { return nil }
            let (product, overflow) = total.multipliedReportingOverflow(by: side)
            if overflow { return nil }
            total = product
        }
        return total
    }
}

// MARK: Reading and writing

extension NpyArray {
    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    /// Reads one array. The header may have 64 KiB at most, and all the bytes it announces must be there.
    public init(npy bytes: [UInt8]) throws {
        guard bytes.count >= 10, bytes.starts(with: Self.magic) else {
            throw ArrayFileError(.wrongMagic, "an npy file begins with \\x93NUMPY, this does not")
        }
        let major = bytes[6]
        let lengthBytes = major == 1 ? 2 : 4
        guard (1...3).contains(major), bytes.count >= 8 + lengthBytes else {
            throw ArrayFileError(.unsupported, "npy format version \(major) is not known (1 to 3 are)")
        }
        var headerLength = 0
        for i in (0..<lengthBytes).reversed() { headerLength = headerLength << 8 | Int(bytes[8 + i]) }
        guard headerLength <= Self.headerLimit else {
            throw ArrayFileError(.tooLarge, "the npy header has \(headerLength) bytes; \(Self.headerLimit) are allowed")
        }
        let start = 8 + lengthBytes + headerLength
        guard start <= bytes.count else { throw ArrayFileError(.truncated, "the file ends inside the npy header") }
        let header = try NpyHeader(Array(bytes[(8 + lengthBytes)..<start]))
        guard Self.itemSize(header.dtype) != nil else {
            let objects = header.dtype.contains("O")
            throw ArrayFileError(
                .unsupported,
                objects
                    ? "it holds Python objects (pickled code), which are never loaded"
                    : "arrays of type '\(header.dtype)' are not supported")
        }
        guard let wanted = Self.byteCount(dtype: header.dtype, shape: header.shape) else {
            throw ArrayFileError(.tooLarge, "shape \(header.shape) overflows")
        }
        guard bytes.count - start >= wanted else {
            throw ArrayFileError(
                .truncated,
                "shape \(header.shape) of '\(header.dtype)' needs \(wanted) bytes, \(bytes.count - start) are there"
            )
        }
        self.init(
            dtype: header.dtype, shape: header.shape, fortranOrder: header.fortranOrder,
            data: Array(bytes[start..<(start + wanted)]))
    }

    /// The bytes of an npy file (version 1.0) of this array; the data begins at a multiple of 64.
    public func npyBytes() -> [UInt8] {
        let sides = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var header = "{'descr': '\(dtype)', 'fortran_order': \(fortranOrder ? "True" : "False"), 'shape': (\(sides)), }"
        let unpadded = 10 + header.utf8.count + 1
        header += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
        let length = header.utf8.count
        return Self.magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(header.utf8) + data
    }
}

/// The three entries of the Python dictionary in an npy header, read by a small parser of our own: the header is data,
/// and is never evaluated.
private struct NpyHeader {
    var dtype = ""
    var fortranOrder = false
    var shape: [Int] = []

    init(_ bytes: [UInt8]) throws {
        var cursor = 0
        func skipSpace() {
            while cursor < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[cursor]) { cursor += 1 }
        }
        func malformed() -> ArrayFileError { ArrayFileError(.malformed, "the npy header is not understood") }
        func expect(_ character: Character) throws {
            skipSpace()
            guard cursor < bytes.count, bytes[cursor] == character.asciiValue else { throw malformed() }
            cursor += 1
        }
        func peek(_ character: Character) -> Bool {
            skipSpace()
            return cursor < bytes.count && bytes[cursor] == character.asciiValue
        }
        func quoted() throws -> String {
            skipSpace()
            guard cursor < bytes.count, bytes[cursor] == 0x27 || bytes[cursor] == 0x22 else { throw malformed() }
            let quote = bytes[cursor]
            let start = cursor + 1
            guard let end = bytes[start...].firstIndex(of: quote) else { throw malformed() }
            cursor = end + 1
            return String(decoding: bytes[start..<end], as: UTF8.self)
        }
        func word() -> String {
            skipSpace()
            let start = cursor
            while cursor < bytes.count, bytes[cursor] >= 0x30, bytes[cursor] < 0x7B { cursor += 1 }
            return String(decoding: bytes[start..<cursor], as: UTF8.self)
        }
        var seen: Set<String> = []
        try expect("{")
        while !peek("}") {
            let key = try quoted()
            try expect(":")
            switch key {
            case "descr":
                // A list here is a structured type: several named fields in one element.
                guard !peek("[") else {
                    throw ArrayFileError(.unsupported, "structured arrays (several fields) are not supported")
                }
                dtype = try quoted()
            case "fortran_order":
                let value = word()
                guard value == "True" || value == "False" else { throw malformed() }
                fortranOrder = value == "True"
            case "shape":
                try expect("(")
                while !peek(")") {
                    guard let side = Int(word()), side >= 0, shape.count < 32 else { throw malformed() }
                    shape.append(side)
                    if peek(",") { cursor += 1 }
                }
                try expect(")")
            default: throw malformed()
            }
            guard seen.insert(key).inserted else { throw malformed() }
            if peek(",") { cursor += 1 }
        }
        guard seen.count == 3 else { throw malformed() }
    }
}
