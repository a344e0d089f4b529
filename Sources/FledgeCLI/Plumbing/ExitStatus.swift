import Fledge
import Foundation

/// What the command leaves with. Scripts rely on these numbers; they never change their meaning.
enum ExitStatus: Int32 {
    case ok = 0
    case usage = 2
    case badData = 3
    case badModel = 4
    case numeric = 5
    /// Memory or disk.
    case outOfResources = 6
    case internalError = 70
    case stopped = 75
}

/// An error that knows its exit status; conformances stand in `ErrorMapping.swift`.
protocol ExitCoded: Error {
    var exitStatus: ExitStatus { get }
}

/// Why the command could not do what was asked, ready to be shown.
struct CommandFailure: Error, Encodable {
    var status: ExitStatus
    var what: String
    var place: String?
    var why: String?
    var next: String?

    init(status: ExitStatus, what: String, place: String? = nil, why: String? = nil, next: String? = nil) {
        self.status = status
        self.what = what
        self.place = place
        self.why = why
        self.next = next
    }

    /// A wrong argument that the parser could not see.
    static func usage(_ what: String, why: String? = nil, next: String? = nil) -> CommandFailure {
        CommandFailure(status: .usage, what: what, why: why, next: next)
    }

    /// A name that is none of those there are; `kind` is what it should have named: "method".
    static func unknown(_ kind: String, _ name: String, among names: [String], list: String) -> CommandFailure {
        let near = Suggestion.nearest(to: name, among: names).map { "'\($0)'" }
        return usage(
            "there is no \(kind) '\(name)'",
            next: near.isEmpty ? "`\(list)` lists what there is" : "did you mean \(near.joined(separator: " or "))?")
    }

    private enum CodingKeys: String, CodingKey {
        case what, why, next
        case place = "where"
        case status = "exit_code"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(what, forKey: .what)
        try container.encodeIfPresent(place, forKey: .place)
        try container.encodeIfPresent(why, forKey: .why)
        try container.encodeIfPresent(next, forKey: .next)
        try container.encode(status.rawValue, forKey: .status)
    }

    /// As it stands on standard error.
    var message: String {
        var lines = ["error: \(what)"]
        if let place { lines.append("where: \(place)") }
        if let why { lines.append("why:   \(why)") }
        if let next { lines.append("next:  \(next)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Tells the person on standard error and, with `--json`, the script on standard output, as
    /// `{"error": {"what", "where", "why", "next", "exit_code"}}`; then ends the process.
    func exit(asJSON: Bool) -> Never {
        StandardStream.error.tell(message)
        if asJSON, let document = try? CanonicalJSON(["error": self]) {
            StandardStream.output.tell(document.text + "\n")
        }
        Foundation.exit(status.rawValue)
    }
}

extension String {
    var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
