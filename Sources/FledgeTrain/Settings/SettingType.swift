/// What may stand in a setting.
public indirect enum SettingType: Sendable, Equatable, CustomStringConvertible {
    case bool, integer, number, text
    /// One of these words.
    case choice([String])
    case list(SettingType)
    case optional(SettingType)
    /// Settings below; never set as a whole.
    case group

    init(_ type: Any.Type, isOptional: Bool = false) {
        if isOptional {
            self = .optional(SettingType(type))
        } else if type is Bool.Type {
            self = .bool
        } else if type is any FixedWidthInteger.Type {
            self = .integer
        } else if type is any BinaryFloatingPoint.Type {
            self = .number
        } else if type is String.Type {
            self = .text
        } else if let type = type as? any ArrayMark.Type {
            self = .list(SettingType(type.element))
        } else if let type = type as? any OptionalMark.Type {
            self = .optional(SettingType(type.wrapped))
        } else if let type = type as? any CaseIterable.Type, let words = Self.words(of: type) {
            self = .choice(words)
        } else {
            self = .group
        }
    }

    /// Short name, as in listings: `float`, `int?`, `[string]`, `cosine|step`.
    public var description: String {
        switch self {
        case .bool: "bool"
        case .integer: "int"
        case .number: "float"
        case .text: "string"
        case .choice(let words): words.joined(separator: "|")
        case .list(let element): "[\(element)]"
        case .optional(let wrapped): "\(wrapped)?"
        case .group: "group"
        }
    }

    /// In words, for messages.
    var expectation: String {
        switch self {
        case .bool: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .text: "text"
        case .choice(let words): "one of " + words.joined(separator: ", ")
        case .list(let element): "a list, each entry \(element.expectation)"
        case .optional(let wrapped): "\(wrapped.expectation), or none"
        case .group: "settings below it, not a value"
        }
    }

    /// A value that would do.
    var example: String {
        switch self {
        case .bool: "true"
        case .integer: "100"
        case .number: "3e-4"
        case .text: "name"
        case .choice(let words): words.first ?? "name"
        case .list(let element): "\(element.example),\(element.example)"
        case .optional(let wrapped): wrapped.example
        case .group: ""
        }
    }

    var isSettable: Bool {
        switch self {
        case .bool, .integer, .number, .text: true
        case .choice(let words): !words.isEmpty
        case .list(.list), .list(.optional), .group: false
        case .list(let inner), .optional(let inner): inner.isSettable
        }
    }

    /// The value that `text` stands for; `nil` where it is none of this type.
    /// - Parameter isQuoted: the text stood in quotes, so that it is text even where it reads `none` or `1`.
    func parse(_ text: String, isQuoted: Bool = false) -> PlainValue? {
        if isQuoted {
            switch self {
            case .text, .choice, .optional(.text), .optional(.choice): break
            default: return nil
            }
        }
        switch self {
        case .bool:
            return text == "true" ? .bool(true) : text == "false" ? .bool(false) : nil
        case .integer:
            return Int128(text).map { .integer($0) }
        case .number:
            // Not the hexadecimal and not-a-number forms that Swift reads as well.
            guard text.allSatisfy({ "0123456789+-.eE".contains($0) }) else { return nil }
            return Double(text).flatMap { $0.isFinite ? .number($0) : nil }
        case .text:
            return .text(text)
        case .choice(let words):
            return words.contains(text) ? .text(text) : nil
        case .list(let element):
            var body = Substring(text)
            if body.hasPrefix("[") && body.hasSuffix("]") { body = body.dropFirst().dropLast() }
            if body.allSatisfy(\.isWhitespace) { return .list([]) }
            let items = body.split(separator: ",", omittingEmptySubsequences: false)
                .map { element.parse($0.trimmingWhitespace()) }
            return items.contains(nil) ? nil : .list(items.compactMap(\.self))
        case .optional(let wrapped):
            if !isQuoted && ["none", "null", "~", ""].contains(text) { return .null }
            return wrapped.parse(text, isQuoted: isQuoted)
        case .group:
            return nil
        }
    }

    private static func words<T: CaseIterable>(of type: T.Type) -> [String]? {
        let words = type.allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String }
        return words.isEmpty ? nil : words
    }
}

extension Substring {
    fileprivate func trimmingWhitespace() -> String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}

private protocol ArrayMark { static var element: Any.Type { get } }
extension Array: ArrayMark { fileprivate static var element: Any.Type { Element.self } }
private protocol OptionalMark { static var wrapped: Any.Type { get } }
extension Optional: OptionalMark { fileprivate static var wrapped: Any.Type { Wrapped.self } }
