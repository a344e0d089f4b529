/// An error of the world (a file, data, a setting) that tells a person everything needed to go on.
///
/// Every part is a sentence or a phrase without a full stop; the command prints them on lines of their own.
public protocol ExplainedError: Error, CustomStringConvertible, Sendable {
    /// What could not be done: "cannot write the checkpoint".
    var what: String { get }
    /// The file, line, option or sample it happened at.
    var place: String? { get }
    /// The cause: "the disk is full".
    var why: String? { get }
    /// What to do now: "free some space, then run the same command again".
    var next: String? { get }
}

extension ExplainedError {
    public var place: String? { nil }
    public var why: String? { nil }
    public var next: String? { nil }

    /// The four parts, each on its own line.
    public var description: String {
        var lines = [what]
        if let place { lines.append("  where: \(place)") }
        if let why { lines.append("  why:   \(why)") }
        if let next { lines.append("  next:  \(next)") }
        return lines.joined(separator: "\n")
    }
}
