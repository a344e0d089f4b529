/// Something that `fledge data check` found.
public struct Finding: Codable, Equatable, Sendable {
    public enum Kind: String, Codable, CaseIterable, Sendable {
        /// A file that cannot be read or decoded: empty, cut short, broken, of another kind, beyond the size limits.
        case damaged
        /// A picture whose lower part is the flat grey that decoders put in the place of missing data.
        case cut
        /// A picture of one colour.
        case blank
        /// A picture far smaller than the others.
        case tiny
        /// The same sample in two splits: what is tested was learned.
        case leak
        /// The same sample with two labels.
        case conflict
        /// The same sample several times in one split.
        case duplicate
        /// A table's cell that is empty or no finite number.
        case missing
        /// A table's row with another number of cells.
        case ragged
        /// A picture whose name does not say what it is.
        case misnamed
        /// A file or link beside the samples that is not read.
        case unread
        /// A picture stored in a way that loses something when it is read.
        case encoding
        /// Pictures that look so much alike that copies encoded anew cannot be told from them.
        case alike
        /// A table's column that never changes.
        case constant

        /// Whether the data should be mended; the others are worth knowing.
        public var isProblem: Bool {
            switch self {
            case .damaged, .cut, .blank, .tiny, .leak, .conflict, .duplicate, .missing, .ragged: true
            case .misnamed, .unread, .encoding, .alike, .constant: false
            }
        }

        /// One phrase for many of them.
        var title: String {
            switch self {
            case .damaged: "files that cannot be used"
            case .cut: "pictures that end in flat grey"
            case .blank: "pictures of one colour"
            case .tiny: "pictures far smaller than the others"
            case .leak: "samples in two splits"
            case .conflict: "samples with two labels"
            case .duplicate: "samples that occur several times"
            case .missing: "cells without a number"
            case .ragged: "rows of another width"
            case .misnamed: "pictures with a wrong name"
            case .unread: "files that are not read"
            case .encoding: "pictures that lose something when read"
            case .alike: "remark on likeness"
            case .constant: "columns that never change"
            }
        }
    }

    /// A sample, or a file that is none.
    public struct Place: Codable, Equatable, Sendable {
        /// The sample's name: a path relative to the data, or its index.
        public var id: String
        /// "train", "test" or "val"; nil for what belongs to none.
        public var split: String?
        /// The name of its class.
        public var label: String?

        public init(id: String, split: String? = nil, label: String? = nil) {
            self.id = id
            self.split = split
            self.label = label
        }
    }

    public var kind: Kind
    /// What it is about: one place, or all copies of a sample.
    public var places: [Place]
    public var reason: String

    public init(_ kind: Kind, _ places: [Place], _ reason: String) {
        self.kind = kind
        self.places = places
        self.reason = reason
    }

    /// One line for people.
    var line: String {
        let names = places.prefix(6).map { ($0.split.map { "\($0) " } ?? "") + $0.id }
        let more = places.count > 6 ? " = and \(places.count - 6) more" : ""
        return (names.isEmpty ? "" : names.joined(separator: " = ") + more + ": ") + reason
    }
}

/// All that a check found, for people and, as JSON, for programs (`fledge data check --json`).
public struct DataFindings: Codable, Sendable, CustomStringConvertible {
    public var source: String
    /// Samples that were looked at, damaged ones included.
    public var samples: Int
    /// In the order of `Finding.Kind`, then of the data.
    public var findings: [Finding]
    /// How many findings there are of each kind that occurs.
    public var counts: [String: Int]
    /// Whether there is no problem; see `Finding.Kind.isProblem`.
    public var ok: Bool

    init(source: String, samples: Int, findings: [Finding]) {
        self.source = source
        self.samples = samples
        let order = Finding.Kind.allCases
        self.findings = order.flatMap { kind in findings.filter { $0.kind == kind } }
        counts = Dictionary(findings.map { ($0.kind.rawValue, 1) }, uniquingKeysWith: +)
        ok = !findings.contains { $0.kind.isProblem }
    }

    public var description: String {
        var lines = ["\(source): \(samples) samples checked"]
        for kind in Finding.Kind.allCases {
            let members = findings.filter { $0.kind == kind }
            guard !members.isEmpty else { continue }
            lines.append("\(kind.isProblem ? "x" : "-") \(kind.rawValue): \(members.count) \(kind.title)")
            lines += members.prefix(20).map { "    \($0.line)" }
            if members.count > 20 { lines.append("    and \(members.count - 20) more; --json lists all") }
        }
        lines.append(
            findings.isEmpty ? "Nothing was found." : ok ? "No problem was found." : "Mend what is marked x.")
        return lines.joined(separator: "\n")
    }
}
