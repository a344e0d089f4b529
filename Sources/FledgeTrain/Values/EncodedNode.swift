import Foundation

/// What an `Encodable` value encodes itself as, with the Swift type of every entry. The types are what Foundation's
/// encoders throw away and the settings system needs: whether a `1` is a `Bool`, an `Int` or a `Double`, and what an
/// absent optional would have been.
final class EncodedNode {
    /// The Swift type; the wrapped one for an optional.
    let type: Any.Type
    let isOptional: Bool
    private(set) var fields: [(name: String, node: EncodedNode)] = []
    private var items: [EncodedNode] = []
    private var leaf: PlainValue?
    private var shape = Shape.leaf

    private enum Shape { case leaf, group, list }

    private init(type: Any.Type, isOptional: Bool = false) {
        self.type = type
        self.isOptional = isOptional
    }

    convenience init<T: Encodable>(encoding value: T) throws {
        self.init(type: T.self)
        try fill(with: value, at: [])
    }

    var value: PlainValue {
        switch shape {
        case .leaf: leaf ?? .null
        case .list: .list(items.map(\.value))
        case .group: .group(fields.map { PlainValue.Field($0.name, $0.node.value) })
        }
    }

    fileprivate func becomeGroup() { shape = .group }
    fileprivate func becomeList() { shape = .list }
    fileprivate var count: Int { items.count }
    fileprivate func set(_ value: PlainValue) {
        shape = .leaf
        leaf = value
    }

    fileprivate func child(_ name: String, type: Any.Type, isOptional: Bool = false) -> EncodedNode {
        let node = EncodedNode(type: type, isOptional: isOptional)
        if let index = fields.firstIndex(where: { $0.name == name }) {
            fields[index].node = node
        } else {
            fields.append((name, node))
        }
        return node
    }

    fileprivate func item(type: Any.Type) -> EncodedNode {
        let node = EncodedNode(type: type)
        items.append(node)
        return node
    }

    /// Encodes `value` as this node. The few types that do not describe themselves well are written as text.
    fileprivate func fill<T: Encodable>(with value: T, at path: [any CodingKey]) throws {
        switch value {
        case let value as PlainValue: set(value)
        case let value as Bool: set(.bool(value))
        case let value as String: set(.text(value))
        // Through its shortest decimal, so that 0.1 as a Float is written 0.1.
        case let value as Float: set(.number(Double(value.description) ?? Double(value)))
        case let value as Double: set(.number(value))
        case let value as any FixedWidthInteger & Encodable: set(.integer(Int128(value)))
        case let value as URL: set(.text(value.isFileURL ? value.path : value.absoluteString))
        case let value as Date: set(.text(value.formatted(.iso8601)))
        case let value as Data: set(.text(value.base64EncodedString()))
        default:
            try value.encode(to: NodeEncoder(node: self, codingPath: path))
            // The order of a dictionary changes from run to run.
            if value is any DictionaryMark { fields.sort { $0.name < $1.name } }
        }
    }
}

private protocol DictionaryMark {}
extension Dictionary: DictionaryMark {}

private struct NodeEncoder: Encoder {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeGroup()
        return KeyedEncodingContainer(GroupContainer<Key>(node: node, codingPath: codingPath))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeList()
        return ListContainer(node: node, codingPath: codingPath)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer {
        LeafContainer(node: node, codingPath: codingPath)
    }
}

private struct GroupContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: EncodedNode
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) { node.child(key.stringValue, type: Never.self).set(.null) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        try node.child(key.stringValue, type: T.self).fill(with: value, at: codingPath + [key])
    }
    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws { try optional(value, key) }
    // The standard library's versions for its own types leave an absent value out.
    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try optional(value, key) }

    private func optional<T: Encodable>(_ value: T?, _ key: Key) throws {
        let child = node.child(key.stringValue, type: T.self, isOptional: true)
        if let value { try child.fill(with: value, at: codingPath + [key]) } else { child.set(.null) }
    }

    func nestedContainer<Nested: CodingKey>(keyedBy: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        nested(key).container(keyedBy: Nested.self)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { nested(key).unkeyedContainer() }
    func superEncoder() -> any Encoder {
        NodeEncoder(node: node.child("super", type: Never.self), codingPath: codingPath)
    }
    func superEncoder(forKey key: Key) -> any Encoder { nested(key) }

    private func nested(_ key: Key) -> NodeEncoder {
        NodeEncoder(node: node.child(key.stringValue, type: Never.self), codingPath: codingPath + [key])
    }
}

private struct ListContainer: UnkeyedEncodingContainer {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    var count: Int { node.count }

    func encodeNil() { node.item(type: Never.self).set(.null) }
    func encode<T: Encodable>(_ value: T) throws { try node.item(type: T.self).fill(with: value, at: codingPath) }
    func nestedContainer<Nested: CodingKey>(keyedBy: Nested.Type) -> KeyedEncodingContainer<Nested> {
        nested().container(keyedBy: Nested.self)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { nested().unkeyedContainer() }
    func superEncoder() -> any Encoder { nested() }

    private func nested() -> NodeEncoder { NodeEncoder(node: node.item(type: Never.self), codingPath: codingPath) }
}

private struct LeafContainer: SingleValueEncodingContainer {
    let node: EncodedNode
    let codingPath: [any CodingKey]

    func encodeNil() { node.set(.null) }
    func encode<T: Encodable>(_ value: T) throws { try node.fill(with: value, at: codingPath) }
}
