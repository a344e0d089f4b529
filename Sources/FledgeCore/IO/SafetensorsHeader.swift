/// The JSON header of a safetensors file: where each tensor lies, and what it is.
struct SafetensorsHeader {
    struct Entry: Equatable {
        let type: SafetensorsType
        let shape: [Int]
        /// Within the data part.
        let range: Range<Int>
    }

    var entries: [String: Entry] = [:]
    var metadata: [String: String] = [:]

    // The limits of the format's reference reader, and our own on what it leaves open. The writer keeps them too.
    static let byteLimit = 100_000_000
    static let tensorLimit = 100_000
    static let nameLimit = 1024
    static let rankLimit = 8

    /// Key of the free texts beside the tensors.
    static let metadataKey = "__metadata__"

    /// Reads the header's text and checks it against the `dataSize` bytes that follow it.
    init(parsing text: [UInt8], dataSize: Int, file: String) throws {
        func failure(_ kind: SafetensorsError.Kind, _ tensor: String?, _ reason: String) -> SafetensorsError {
            SafetensorsError(kind, file: file, tensor: tensor, reason)
        }
        guard text.first == UInt8(ascii: "{") else {
            throw failure(.malformedHeader, nil, "the header does not begin with '{'")
        }
        let json: StrictJSON
        do throws(StrictJSON.Failure) {
            json = try StrictJSON.parse(text)
        } catch {
            throw failure(
                error.duplicateKey == nil ? .malformedHeader : .duplicateName, nil,
                "the header is not valid at byte \(error.offset): \(error.reason)")
        }
        // An object, as it begins with a brace.
        let members = json.members ?? []
        guard members.count <= Self.tensorLimit + 1 else {
            throw failure(.limit, nil, "\(members.count) tensors, and \(Self.tensorLimit) are allowed")
        }
        for member in members {
            if member.key == Self.metadataKey {
                for text in member.value.members ?? [] { metadata[text.key] = text.value.text }
                guard member.value.members?.count == metadata.count else {
                    throw failure(.malformedHeader, nil, "\(Self.metadataKey) is not a dictionary of texts")
                }
                continue
            }
            guard member.key.utf8.count <= Self.nameLimit else {
                let start = String(member.key.prefix(40))
                throw failure(
                    .limit, start + "...",
                    "its name has \(member.key.utf8.count) bytes, and \(Self.nameLimit) are allowed")
            }
            entries[member.key] = try Self.entry(member.value) { failure($0, member.key, $1) }
        }
        guard entries.count <= Self.tensorLimit else {
            throw failure(.limit, nil, "\(entries.count) tensors, and \(Self.tensorLimit) are allowed")
        }
        try checkCoverage(dataSize, failure)
    }

    private static func entry(
        _ json: StrictJSON, _ failure: (SafetensorsError.Kind, String) -> SafetensorsError
    ) throws -> Entry {
        guard json.members?.count == 3, let typeName = json["dtype"]?.text, let sides = json["shape"]?.elements,
            let offsets = json["data_offsets"]?.elements
        else { throw failure(.malformedHeader, "it needs exactly dtype, shape and data_offsets") }
        guard let type = SafetensorsType(rawValue: typeName) else {
            throw failure(
                .unsupportedType, "its element type \(StrictJSON.quoted(String(typeName.prefix(40)))) is not known")
        }
        guard sides.count <= rankLimit else {
            throw failure(.limit, "\(sides.count) axes, and \(rankLimit) are allowed")
        }
        let shape = sides.compactMap(\.count)
        guard shape.count == sides.count else { throw failure(.badShape, "its shape is not a list of whole numbers") }
        guard offsets.count == 2, let start = offsets[0].count, let end = offsets[1].count, start <= end else {
            throw failure(.badOffsets, "its data_offsets are not a begin and an end")
        }
        guard let size = byteCount(shape, type) else {
            throw failure(.badShape, "the size of shape \(shape) overflows")
        }
        guard size == end - start else {
            throw failure(.badShape, "shape \(shape) of \(typeName) needs \(size) bytes, \(end - start) are given")
        }
        return Entry(type: type, shape: shape, range: start..<end)
    }

    /// Bytes of a tensor, or nil on overflow. Empty tensors must not overflow beside their axis of length 0 either:
    /// strides are products of the other lengths.
    private static func byteCount(_ shape: [Int], _ type: SafetensorsType) -> Int? {
        var total = type.size
        for side in shape {
            let (product, overflow) = total.multipliedReportingOverflow(by: max(side, 1))
            if overflow { return nil }
            total = product
        }
        return shape.contains(0) ? 0 : total
    }

    /// The tensors must lie one after the other from the first byte of the data to the last.
    private func checkCoverage(
        _ dataSize: Int, _ failure: (SafetensorsError.Kind, String?, String) -> SafetensorsError
    ) throws {
        let ordered = entries.sorted {
            ($0.value.range.lowerBound, $0.value.range.upperBound) < (
                $1.value.range.lowerBound, $1.value.range.upperBound
            )
        }
        var end = 0
        for (name, entry) in ordered {
            guard entry.range.lowerBound == end else {
                let what = entry.range.lowerBound > end ? "leaving a hole" : "overlapping"
                throw failure(
                    .badOffsets, name, "it begins at byte \(entry.range.lowerBound) of the data, \(what) at \(end)")
            }
            end = entry.range.upperBound
            guard end <= dataSize else {
                throw failure(.truncated, name, "it ends at byte \(end) of the data, and the file has \(dataSize)")
            }
        }
        guard end == dataSize else {
            throw failure(.badOffsets, nil, "\(dataSize - end) bytes after the last tensor belong to none")
        }
    }
}

/// The element types of the format, by the names it uses, in the order its reference writer sorts by.
enum SafetensorsType: String, CaseIterable {
    case bool = "BOOL", uint8 = "U8", int8 = "I8", float8e5m2 = "F8_E5M2", float8e4m3 = "F8_E4M3"
    case int16 = "I16", uint16 = "U16", float16 = "F16", bfloat16 = "BF16"
    case int32 = "I32", uint32 = "U32", float32 = "F32"
    case float64 = "F64", int64 = "I64", uint64 = "U64"

    /// Bytes of one element.
    var size: Int {
        switch self {
        case .bool, .uint8, .int8, .float8e5m2, .float8e4m3: 1
        case .int16, .uint16, .float16, .bfloat16: 2
        case .int32, .uint32, .float32: 4
        case .float64, .int64, .uint64: 8
        }
    }

    /// What a tensor of this type is read as; nil for types that have no counterpart here.
    var dtype: DType? {
        switch self {
        case .float32, .float16: .float32
        case .float64: .float64
        case .bfloat16: .bfloat16
        case .int32: .int32
        case .int64: .int64
        case .uint8: .uint8
        case .bool: .bool
        case .int8, .float8e5m2, .float8e4m3, .int16, .uint16, .uint32, .uint64: nil
        }
    }

    init(_ dtype: DType) {
        switch dtype {
        case .float32: self = .float32
        case .float64: self = .float64
        case .bfloat16: self = .bfloat16
        case .int32: self = .int32
        case .int64: self = .int64
        case .uint8: self = .uint8
        case .bool: self = .bool
        }
    }
}
