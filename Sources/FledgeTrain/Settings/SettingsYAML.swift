import Foundation
import Yams

extension Settings {
    /// These settings with those of a YAML file in their place. Names the file does not mention stay as they are.
    /// - Parameters:
    ///   - section: the name of the top-level entry that holds the settings; `nil` for the whole file.
    ///   - omitting: top-level entries that are somebody else's.
    /// - Throws: `SettingsError`, with the line.
    public func applying(yamlFile path: String, section: String? = nil, omitting: Set<String> = []) throws -> Self {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw SettingsError(.unreadable("there is no such file, or it cannot be read"), place: path)
        }
        guard bytes.count <= YAMLText.largest else {
            throw SettingsError(.limit("the file is larger than 1 MB"), place: path)
        }
        guard let text = String(data: bytes, encoding: .utf8) else {
            throw SettingsError(.syntax("the file is not UTF-8 text"), place: path)
        }
        return try applying(yaml: text, section: section, omitting: omitting, name: path)
    }

    /// The same from text. `name` is what messages call it.
    public func applying(
        yaml text: String, section: String? = nil, omitting: Set<String> = [], name: String = "settings"
    ) throws -> Self {
        guard var root = try YAMLText.parse(text, name: name) else { return self }
        if let mapping = root.mapping, !omitting.isEmpty {
            root = Node(mapping.filter { !omitting.contains($0.key.string ?? "") }.map { ($0.key, $0.value) })
        }
        if let section {
            guard let inner = root.mapping?[Node(section)] else {
                throw SettingsError(.syntax("there is no entry '\(section)'"), place: name)
            }
            root = inner
        }
        var assignments: [SettingAssignment] = []
        try Self.flatten(root, prefix: "", depth: 0, name: name, into: &assignments)
        return try applying(assignments)
    }

    private static func flatten(
        _ node: Node, prefix: String, depth: Int, name: String, into found: inout [SettingAssignment]
    ) throws {
        guard depth < YAMLText.deepest else {
            let place = YAMLText.place(name, node.mark?.line)
            throw SettingsError(.limit("nested deeper than \(YAMLText.deepest) levels"), place: place)
        }
        guard let mapping = node.mapping else {
            if node.scalar?.string.isEmpty == true { return }  // "optimizer:" with nothing below it
            throw SettingsError(
                .syntax("expected lines of 'name: value'"), place: YAMLText.place(name, node.mark?.line))
        }
        for (key, value) in mapping {
            let full = prefix.isEmpty ? key.string ?? "" : "\(prefix).\(key.string ?? "")"
            if value.mapping != nil {
                try flatten(value, prefix: full, depth: depth + 1, name: name, into: &found)
            } else {
                found.append(
                    SettingAssignment(
                        name: full, value: assigned(value), place: YAMLText.place(name, key.mark?.line)))
            }
        }
    }

    private static func assigned(_ node: Node) -> SettingAssignment.Value {
        if let sequence = node.sequence { return .list(sequence.map(assigned)) }
        guard let scalar = node.scalar else { return .text("{...}") }
        let isQuoted = scalar.style == .singleQuoted || scalar.style == .doubleQuoted
        return isQuoted ? .quoted(scalar.string) : .text(scalar.string)
    }
}

/// YAML in and out, within limits. The parser below has its own limit of 1,000 levels, so that its recursion is safe.
public enum YAMLText {
    static let largest = 1 << 20
    static let deepest = 64

    /// The file's text for a value: resolved settings, in order of declaration.
    public static func write(_ value: some Encodable) throws -> String {
        try Yams.serialize(node: node(try PlainValue(encoding: value)), width: -1, allowUnicode: true)
    }

    /// Every value of a document as one line of text, by its full name.
    package static func flattened(_ text: String, name: String) throws -> [String: String] {
        var found: [String: String] = [:]
        func visit(_ node: Node, _ path: String, _ depth: Int) throws {
            guard depth < deepest else {
                throw SettingsError(.limit("nested deeper than \(deepest) levels"), place: name)
            }
            if let mapping = node.mapping {
                for (key, value) in mapping {
                    try visit(value, path.isEmpty ? key.string ?? "" : "\(path).\(key.string ?? "")", depth + 1)
                }
            } else {
                let items = node.sequence.map { $0.map { $0.scalar?.string ?? "..." }.joined(separator: ", ") }
                found[path] = node.scalar?.string ?? items.map { "[\($0)]" } ?? ""
            }
        }
        if let root = try parse(text, name: name) { try visit(root, "", 0) }
        return found
    }

    /// Reads a document; `nil` where the text holds none.
    static func parse(_ text: String, name: String) throws -> Node? {
        guard text.utf8.count <= largest else {
            throw SettingsError(.limit("the text is larger than 1 MB"), place: name)
        }
        try refuseAliases(text, name: name)
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw explain(error, name: name)
        }
    }

    static func place(_ name: String, _ line: Int?) -> String { line.map { "\(name), line \($0)" } ?? name }

    private static func explain(_ error: YamlError, name: String) -> SettingsError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            SettingsError(.syntax(problem), place: place(name, mark.line))
        case .duplicatedKeysInMapping(let duplicates, let context):
            SettingsError(
                .syntax("'\(duplicates.joined(separator: "', '"))' is given twice"),
                place: place(name, context.mark.line))
        case .reader(let problem, _, _, _):
            SettingsError(.syntax(problem), place: name)
        default:
            SettingsError(.syntax("\(error)"), place: name)
        }
    }

    /// Refuses aliases before the parser sees the text: a few lines of them can unfold to gigabytes. Quotes and
    /// comments are skipped.
    private static func refuseAliases(_ text: String, name: String) throws {
        var quote: UInt8?
        var isEscaped = false
        var isComment = false
        var previous = UInt8(ascii: "\n")
        var line = 1
        let bytes = Array(text.utf8)
        for (index, byte) in bytes.enumerated() {
            defer { previous = byte }
            if byte == UInt8(ascii: "\n") {
                line += 1
                isComment = false
                // A quote that YAML does not see as one must not hide the rest of the file from this check.
                quote = nil
                continue
            }
            if isComment { continue }
            if let open = quote {
                if byte == open && !isEscaped { quote = nil }
                isEscaped = open == UInt8(ascii: "\"") && byte == UInt8(ascii: "\\") && !isEscaped
                continue
            }
            guard " \n\t[{,".utf8.contains(previous) else { continue }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
            case UInt8(ascii: "#"): isComment = true
            case UInt8(ascii: "*") where index + 1 < bytes.count && !" \n\t\r".utf8.contains(bytes[index + 1]):
                throw SettingsError(.limit("aliases (*name) are not read"), place: place(name, line))
            default: break
            }
        }
    }

    private static func node(_ value: PlainValue) -> Node {
        switch value {
        case .null: plain("null")
        case .bool(let value): plain(value ? "true" : "false")
        case .integer(let value): plain("\(value)")
        case .number(let value):
            plain(value.isNaN ? ".nan" : value.isInfinite ? (value < 0 ? "-.inf" : ".inf") : "\(value)")
        case .text(let value):
            isPlain(value) ? plain(value) : Node(value, Tag(.implicit), .doubleQuoted)
        case .list(let items):
            Node(items.map(node), Tag(.implicit), items.contains { $0.isCollection } ? .block : .flow)
        case .group(let fields):
            Node(fields.map { (node(.text($0.name)), node($0.value)) }, Tag(.implicit), .block)
        }
    }

    private static func plain(_ text: String) -> Node { Node(text, Tag(.implicit), .plain) }

    /// Text that no YAML reader can take for anything but text, without quotes.
    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.last != UInt8(ascii: " ") else { return false }
        let isLetter = (first | 0x20) >= UInt8(ascii: "a") && (first | 0x20) <= UInt8(ascii: "z")
        let words = ["true", "false", "null", "none", "yes", "no", "on", "off", "y", "n"]
        return isLetter && !words.contains(text.lowercased())
            && text.utf8.allSatisfy {
                ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z")
                    || $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") || "_-./ ".utf8.contains($0)
            }
    }
}

extension PlainValue {
    fileprivate var isCollection: Bool {
        switch self {
        case .list, .group: true
        default: false
        }
    }
}
