import FledgeCore
import Foundation

extension Settings {
    /// These settings with some replaced: `["temperature=0.1", "optimizer.learningRate=3e-4", "layers=64,32"]`.
    /// - Throws: `SettingsError` for a name that does not exist, a value of the wrong type, or a value that the
    ///   settings refuse.
    public func applying(_ overrides: [String]) throws -> Self {
        try applying(
            overrides.map { text in
                guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                    throw SettingsError(.malformed(text))
                }
                let value = String(text[text.index(after: equals)...])
                return SettingAssignment(name: String(text[..<equals]), value: .text(value), place: "'\(text)'")
            })
    }

    func applying(_ assignments: [SettingAssignment]) throws -> Self {
        guard !assignments.isEmpty else { return self }
        let fields = try self.fields()
        var tree = try PlainValue(encoding: self)
        for assignment in assignments {
            let field = try assignment.field(among: fields)
            let value = try assignment.converted(to: field.type)
            // The name came from this very tree, so the path exists.
            _ = tree.replace(at: field.name.split(separator: ".").map(String.init), with: value)
        }
        let changed: Self
        do {
            changed = try JSONDecoder().decode(Self.self, from: Data(try CanonicalJSON(tree, pretty: false).text.utf8))
        } catch let error as DecodingError {
            throw Self.explain(error, place: assignments.count == 1 ? assignments[0].place : nil)
        }
        try changed.checkRanges { name in assignments.last { $0.name == name }?.place }
        return changed
    }

    /// A type's own `init(from:)` may refuse values, and small integers have limits of their own.
    private static func explain(_ error: DecodingError, place: String?) -> SettingsError {
        switch error {
        case .dataCorrupted(let context), .typeMismatch(_, let context), .valueNotFound(_, let context),
            .keyNotFound(_, let context):
            let name = context.codingPath.map(\.stringValue).joined(separator: ".")
            let reason = context.debugDescription
            return SettingsError(.refused(name.isEmpty ? reason : "\(name): \(reason)"), place: place)
        @unknown default:
            return SettingsError(.refused("\(error)"), place: place)
        }
    }
}

/// A setting that somebody gave, and where.
struct SettingAssignment {
    enum Value {
        case text(String)
        case quoted(String)
        case list([Value])
    }

    let name: String
    let value: Value
    let place: String

    func field(among fields: [SettingField]) throws -> SettingField {
        if let field = fields.first(where: { $0.name == name }) { return field }
        if fields.contains(where: { $0.name.hasPrefix(name + ".") }) {
            throw SettingsError(.wrongType(name: name, value: written(value), type: .group), place: place)
        }
        let nearest = Suggestion.nearest(to: name, among: fields.map(\.name))
        throw SettingsError(.unknown(name: name, nearest: nearest), place: place)
    }

    func converted(to type: SettingType) throws -> PlainValue {
        guard let converted = convert(value, to: type) else {
            throw SettingsError(.wrongType(name: name, value: written(value), type: type), place: place)
        }
        return converted
    }

    private func convert(_ value: Value, to type: SettingType) -> PlainValue? {
        switch (value, type) {
        case (.text(let text), _): return type.parse(text)
        case (.quoted(let text), _): return type.parse(text, isQuoted: true)
        case (.list(let items), .list(let element)), (.list(let items), .optional(.list(let element))):
            let converted = items.map { convert($0, to: element) }
            return converted.contains(nil) ? nil : .list(converted.compactMap(\.self))
        case (.list, _): return nil
        }
    }

    private func written(_ value: Value) -> String {
        switch value {
        case .text(let text), .quoted(let text): text
        case .list(let items): "[" + items.map(written).joined(separator: ", ") + "]"
        }
    }
}
