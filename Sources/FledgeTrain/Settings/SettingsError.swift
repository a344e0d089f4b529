import FledgeCore

/// A setting that cannot be used: one typed wrong, one that does not exist, or a file that cannot be read.
public struct SettingsError: ExplainedError, Equatable {
    public enum Kind: Sendable, Equatable {
        /// `nearest` holds existing names close to the one given, best first.
        case unknown(name: String, nearest: [String])
        case wrongType(name: String, value: String, type: SettingType)
        case outOfRange(name: String, value: String, range: SettingRange)
        /// An override without `=`.
        case malformed(String)
        /// The value has the right type, but the settings refuse it.
        case refused(String)
        case unreadable(String)
        case syntax(String)
        /// The file is larger or more nested than a settings file can need.
        case limit(String)
    }

    public let kind: Kind
    /// The option or the file and line.
    public let place: String?

    public init(_ kind: Kind, place: String? = nil) {
        self.kind = kind
        self.place = place
    }

    public var what: String {
        switch kind {
        case .unknown(let name, _): "there is no setting '\(name)'"
        case .wrongType(let name, let value, _), .outOfRange(let name, let value, _):
            "setting '\(name)' cannot be '\(value)'"
        case .malformed(let text): "'\(text)' sets nothing"
        case .refused: "the settings contradict each other or are out of range"
        case .unreadable, .syntax, .limit: "cannot read the settings"
        }
    }

    public var why: String? {
        switch kind {
        case .unknown: nil
        case .wrongType(_, _, let type): "it must be \(type.expectation)"
        case .outOfRange(_, _, let range): "it must be \(range)"
        case .malformed: "a setting is given as name=value"
        case .refused(let reason), .unreadable(let reason), .syntax(let reason), .limit(let reason): reason
        }
    }

    public var next: String? {
        switch kind {
        case .unknown(_, let nearest):
            nearest.isEmpty
                ? "`fledge methods` lists all settings"
                : "did you mean \(nearest.map { "'\($0)'" }.joined(separator: " or "))?"
        case .wrongType(_, _, .group): "set one of the settings below it by its full name"
        case .wrongType(let name, _, let type): "write for example \(name)=\(type.example)"
        case .outOfRange: "give a value in this range"
        case .malformed: "write for example learningRate=3e-4"
        case .refused: "change the value"
        case .unreadable: "check the path"
        case .syntax: "correct the line; settings are lines of 'name: value', groups are indented"
        case .limit: "keep only settings in this file"
        }
    }
}
