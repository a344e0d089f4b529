/// A group of settings: a `Codable` struct whose defaults are what `init()` gives. The configuration of every method
/// is one, and so each of its fields is listed by `fledge methods`, set by `--set name=value` or by a YAML file, and
/// written resolved to the run folder, with no code of its own.
///
///     struct Config: Settings {
///         var temperature = 0.5
///         var optimizer = OptimizerSettings()
///         static let meanings = ["temperature": "divides the similarities", "optimizer": "how weights are updated"]
///     }
///
/// Fields are `Bool`, whole numbers, `Double` or `Float`, `String`, enumerations of text (`String`, `Codable`,
/// `CaseIterable`), arrays of these, optionals of these, and other `Settings`, whose fields are named with a dot:
/// `optimizer.learningRate`. Keep the synthesised coding: the names on disk are the names in Swift.
public protocol Settings: Codable, Sendable {
    /// The defaults.
    init()
    /// One phrase for each field. A test fails for a field without one.
    static var meanings: [String: String] { get }
    /// What numbers are allowed, by field; any finite ones where a field has no entry.
    static var ranges: [String: SettingRange] { get }
}

extension Settings {
    public static var ranges: [String: SettingRange] { [:] }
}

/// One setting as it is listed to a person.
public struct SettingField: Sendable, Equatable {
    /// The name with its groups: `optimizer.learningRate`.
    public let name: String
    public let type: SettingType
    public let defaultValue: PlainValue
    /// Empty where the author of the settings forgot it.
    public let meaning: String
    /// Of a number: what is allowed; nil for any.
    public let range: SettingRange?
}

extension SettingField: Encodable {
    private enum CodingKeys: String, CodingKey {
        case name = "field"
        case type
        case defaultValue = "default"
        case meaning, range
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(type.description, forKey: .type)
        try container.encode(defaultValue, forKey: .defaultValue)
        try container.encode(meaning, forKey: .meaning)
        try container.encodeIfPresent(range?.description, forKey: .range)
    }
}

extension Settings {
    /// All settings in order of declaration, with the defaults and meanings. Groups appear as their fields.
    public static func fields() throws -> [SettingField] { try Self().fields() }

    /// Every setting with its present value in the place of the default.
    public func fields() throws -> [SettingField] {
        var found: [SettingField] = []
        collect(try EncodedNode(encoding: self), owner: Self.self, prefix: "", path: "", into: &found)
        return found
    }

    /// What is wrong with the declaration: fields without a meaning, meanings and ranges without a field, fields of a
    /// type that cannot be set, defaults out of range. Empty for sound settings; the test of every method asks for that.
    public static func problems() throws -> [String] {
        let fields = try self.fields()
        var problems: [String] = []
        for field in fields {
            if field.meaning.isEmpty { problems.append("\(field.name) has no meaning") }
            if !field.type.isSettable { problems.append("\(field.name) is of a type that cannot be set") }
            if let range = field.range, field.defaultValue.asDouble.map(range.contains) == false {
                problems.append("the default of \(field.name) is not \(range)")
            }
        }
        let names = Set(fields.map(\.name))
        for name in meanings.keys.sorted() where !names.contains(name) {
            if !names.contains(where: { $0.hasPrefix(name + ".") }) {
                problems.append("\(name) has a meaning but is no field")
            }
        }
        for name in ranges.keys.sorted() where !names.contains(name) {
            problems.append("\(name) has a range but is no field")
        }
        return problems
    }
}

/// Walks the tree of a group. `owner` is the innermost type that declares meanings, `path` the name below it.
private func collect(
    _ node: EncodedNode, owner: any Settings.Type, prefix: String, path: String, into found: inout [SettingField]
) {
    for (name, child) in node.fields {
        let full = prefix.isEmpty ? name : "\(prefix).\(name)"
        let local = path.isEmpty ? name : "\(path).\(name)"
        let type = SettingType(child.type, isOptional: child.isOptional)
        if type == .group {
            if let inner = child.type as? any Settings.Type {
                collect(child, owner: inner, prefix: full, path: "", into: &found)
            } else {
                collect(child, owner: owner, prefix: full, path: local, into: &found)
            }
        } else {
            let meaning = owner.meanings[local] ?? ""
            found.append(
                SettingField(
                    name: full, type: type, defaultValue: child.value, meaning: meaning, range: owner.ranges[local]))
        }
    }
}
