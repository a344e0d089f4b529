import FledgeCore

/// The values that a number among the settings may take.
public struct SettingRange: Sendable, Equatable, CustomStringConvertible {
    private let lower: Double
    private let upper: Double?
    private let includesLower: Bool
    private let includesUpper: Bool

    private init(_ lower: Double, _ upper: Double?, includesLower: Bool = true, includesUpper: Bool = true) {
        self.lower = lower
        self.upper = upper
        self.includesLower = includesLower
        self.includesUpper = includesUpper
    }

    public static func atLeast(_ lower: Double) -> SettingRange { SettingRange(lower, nil) }
    public static func above(_ lower: Double) -> SettingRange { SettingRange(lower, nil, includesLower: false) }
    public static func within(_ range: ClosedRange<Double>) -> SettingRange {
        SettingRange(range.lowerBound, range.upperBound)
    }
    public static func within(_ range: Range<Double>) -> SettingRange {
        SettingRange(range.lowerBound, range.upperBound, includesUpper: false)
    }
    /// More than the first, at most the second.
    public static func above(_ lower: Double, upTo upper: Double) -> SettingRange {
        SettingRange(lower, upper, includesLower: false)
    }

    public func contains(_ value: Double) -> Bool {
        guard includesLower ? value >= lower : value > lower else { return false }
        return upper.map { includesUpper ? value <= $0 : value < $0 } ?? true
    }

    /// In words, as messages and listings say it: "at least 1", "more than 0 and at most 1".
    public var description: String {
        let below = (includesLower ? "at least " : "more than ") + Self.text(lower)
        return upper.map { "\(below) and \(includesUpper ? "at most" : "less than") \(Self.text($0))" } ?? below
    }

    private static func text(_ value: Double) -> String { Int(exactly: value).map(String.init) ?? "\(value)" }
}

extension Settings {
    /// Every number must lie within its range. `place` says where a name was given.
    /// - Throws: `SettingsError` for the first that does not.
    func checkRanges(place: (_ name: String) -> String?) throws {
        for field in try fields() {
            guard let range = field.range, let value = field.defaultValue.asDouble, !range.contains(value) else {
                continue
            }
            let written = try CanonicalJSON(field.defaultValue, pretty: false).text
            throw SettingsError(.outOfRange(name: field.name, value: written, range: range), place: place(field.name))
        }
    }
}
