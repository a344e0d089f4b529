import Foundation

/// The one way JSON is written: keys sorted, slashes left alone, the shortest decimal of every number, and `null` for
/// a number that is not finite, because JSON has no other word for it. The same value gives the same bytes.
public struct CanonicalJSON: Sendable, Equatable {
    /// The document, without a final line break.
    public let text: String
    /// Where a NaN or an infinity became `null`, as paths such as `curves[0].values[12]`; a caller warns about them.
    public let nonFinite: [String]

    /// - Parameter pretty: two spaces of indentation and a line per entry; otherwise all in one line.
    public init(_ value: some Encodable, pretty: Bool = true) throws {
        var writer = Writer(pretty: pretty)
        writer.write(try PlainValue(encoding: value), depth: 0, path: "")
        text = writer.text
        nonFinite = writer.nonFinite
    }

    /// A sentence about the numbers that became `null`; `nil` when there were none.
    public var warning: String? {
        guard let first = nonFinite.first else { return nil }
        let rest = nonFinite.count > 1 ? " and \(nonFinite.count - 1) more" : ""
        return "not a finite number, written as null: \(first)\(rest)"
    }
}

private struct Writer {
    let pretty: Bool
    var text = ""
    var nonFinite: [String] = []

    mutating func write(_ value: PlainValue, depth: Int, path: String) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += "\(value)"
        case .number(let value):
            if !value.isFinite { nonFinite.append(path.isEmpty ? "the value" : path) }
            text += value.isFinite ? "\(value)" : "null"
        case .text(let value): quote(value)
        case .list(let items):
            // Numbers stay side by side: a matrix row or a curve is read across, not down.
            let inline = !items.contains {
                if case .list = $0 { true } else if case .group = $0 { true } else { false }
            }
            sequence("[", items, "]", depth: depth, inline: inline) { writer, item, index in
                writer.write(item, depth: depth + 1, path: "\(path)[\(index)]")
            }
        case .group(let fields):
            let sorted = fields.sorted { $0.name < $1.name }
            sequence("{", sorted, "}", depth: depth, inline: false) { writer, field, _ in
                writer.quote(field.name)
                writer.text += writer.pretty ? ": " : ":"
                writer.write(field.value, depth: depth + 1, path: path.isEmpty ? field.name : "\(path).\(field.name)")
            }
        }
    }

    private mutating func sequence<T>(
        _ open: String, _ items: [T], _ close: String, depth: Int, inline: Bool,
        _ body: (inout Writer, T, Int) -> Void
    ) {
        text += open
        for (index, item) in items.enumerated() {
            if index > 0 { text += inline && pretty ? ", " : "," }
            if pretty && !inline { text += "\n" + String(repeating: "  ", count: depth + 1) }
            body(&self, item, index)
        }
        if pretty && !inline && !items.isEmpty { text += "\n" + String(repeating: "  ", count: depth) }
        text += close
    }

    mutating func quote(_ string: String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
