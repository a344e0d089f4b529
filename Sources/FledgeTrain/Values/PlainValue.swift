/// A tree of plain values that keeps the order of declaration. Settings, reports and JSON documents pass through it.
public indirect enum PlainValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int128)
    case number(Double)
    case text(String)
    case list([PlainValue])
    case group([Field])

    /// One named entry of a group.
    public struct Field: Sendable, Equatable {
        public var name: String
        public var value: PlainValue

        public init(_ name: String, _ value: PlainValue) {
            self.name = name
            self.value = value
        }
    }

    /// The tree that `value` encodes itself as. `nil` properties appear as `null`, so that every document of a type
    /// has the same keys.
    public init(encoding value: some Encodable) throws {
        self = try EncodedNode(encoding: value).value
    }

    /// The entry of that name; `nil` where this is no group or has no such entry.
    public subscript(name: String) -> PlainValue? {
        guard case .group(let fields) = self else { return nil }
        return fields.first { $0.name == name }?.value
    }

    /// The value of a number, whole or not.
    var asDouble: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// Replaces what lies at a path of names. Returns false, changing nothing, where the path does not exist.
    mutating func replace(at path: some Collection<String>, with new: PlainValue) -> Bool {
        guard let name = path.first else {
            self = new
            return true
        }
        guard case .group(var fields) = self, let index = fields.firstIndex(where: { $0.name == name }),
            fields[index].value.replace(at: path.dropFirst(), with: new)
        else { return false }
        self = .group(fields)
        return true
    }
}

extension PlainValue: Encodable {
    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .group(let fields):
            var container = encoder.container(keyedBy: Name.self)
            for field in fields { try container.encode(field.value, forKey: Name(stringValue: field.name)) }
        case .list(let items):
            var container = encoder.unkeyedContainer()
            for item in items { try container.encode(item) }
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .integer(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .number(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        case .text(let value):
            var container = encoder.singleValueContainer()
            try container.encode(value)
        }
    }
}
