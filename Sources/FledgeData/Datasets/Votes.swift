import FledgeCore
import Foundation

/// What several sources say of the class of each sample, or that they say nothing: rules, word lists, other models,
/// people. A label model makes labels of them.
public struct Votes: Sendable, Equatable {
    /// The value of a source that says nothing.
    public static let abstain = -1

    public let sources: [String]
    public let classNames: [String]
    /// `count * sources.count` class indices or `abstain`, sample after sample.
    public let values: [Int]

    /// Stops when the numbers do not agree.
    public init(_ values: [Int], sources: [String], classNames: [String]) {
        guard !sources.isEmpty, values.count % sources.count == 0,
            values.allSatisfy({ $0 == Self.abstain || classNames.indices.contains($0) })
        else {
            fatalError("Votes: \(values.count) values of \(sources.count) sources, \(classNames.count) classes")
        }
        self.values = values
        self.sources = sources
        self.classNames = classNames
    }

    /// The votes of functions.
    public init<Sample>(of functions: [LabellingFunction<Sample>], on samples: [Sample], classNames: [String]) {
        let values = samples.flatMap { sample in functions.map { $0.vote(sample) ?? Self.abstain } }
        self.init(values, sources: functions.map(\.name), classNames: classNames)
    }

    public var count: Int { values.count / sources.count }
    public var classes: Int { classNames.count }

    /// The votes on one sample, in the order of the sources.
    public subscript(sample: Int) -> ArraySlice<Int> {
        values[(sample * sources.count)..<((sample + 1) * sources.count)]
    }

    /// The samples of which at least one source says something.
    public var covered: [Int] { (0..<count).filter { self[$0].contains { $0 != Self.abstain } } }

    /// The share of its votes that each class has, `count * classes` numbers; the same for all classes where nobody
    /// votes. Its largest is the majority vote, and equal ones are ties.
    public func shares() -> [Float] {
        var result = [Float](repeating: 1 / Float(classes), count: count * classes)
        for sample in 0..<count {
            let given = self[sample].filter { $0 != Self.abstain }
            guard !given.isEmpty else { continue }
            for c in 0..<classes { result[sample * classes + c] = 0 }
            for vote in given { result[sample * classes + vote] += 1 / Float(given.count) }
        }
        return result
    }
}

/// A rule that names the class of some samples and says nothing of others: "the text holds 'refund'", "the picture is
/// dark".
public struct LabellingFunction<Sample> {
    public let name: String
    /// A class index, or nil to say nothing.
    public let vote: (Sample) -> Int?

    public init(_ name: String, vote: @escaping (Sample) -> Int?) {
        self.name = name
        self.vote = vote
    }
}

extension Votes {
    /// Reads a table of votes: one column for each source, one row for each sample, and in each cell the name of a
    /// class, or nothing (or `-1`) where the source says nothing.
    ///
    /// With a first column `id`, rows belong to the samples of that name, in any order, and samples without a row have
    /// no votes. Without one, there is a row for every sample, in their order.
    /// - Parameters:
    ///   - ids: the names of the samples, in their order.
    ///   - classNames: the classes; empty: those that are voted for.
    /// - Throws: `DataError` for a file that cannot be read, a class or sample that does not exist, a row too short or too
    ///   long, a sample with two rows, or a file without any vote.
    public static func read(_ path: String, ids: [String], classNames: [String]) throws -> Votes {
        let table = try SampleTable(path, ids: ids)
        guard !table.columns.isEmpty else { throw DataError.malformed(path: path, reason: "it has no column of votes") }
        return try votes(of: table.rows, count: ids.count, sources: table.columns, classNames: classNames, path: path)
    }

    private static func votes(
        of cells: [(sample: Int, texts: [String])], count: Int, sources: [String], classNames: [String], path: String
    ) throws -> Votes {
        func isVote(_ text: String) -> Bool { !text.isEmpty && (text != "-1" || classNames.contains("-1")) }
        let named = Set(cells.flatMap(\.texts).filter(isVote))
        guard !named.isEmpty else { throw DataError.malformed(path: path, reason: "no source says anything") }
        let classes = classNames.isEmpty ? ClassIndex.sorted(named) : classNames
        guard classes.count > 1 else { throw DataError.oneClass(path: path, name: classes[0]) }
        let indices = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        var values = [Int](repeating: abstain, count: count * sources.count)
        for (sample, texts) in cells {
            for (source, text) in texts.enumerated() where isVote(text) {
                guard let index = indices[text] else {
                    throw DataError.labelOutOfRange(
                        path: path, sample: sample, label: "'\(text)' (column '\(sources[source])')",
                        allowed: classes.prefix(12).joined(separator: ", ") + (classes.count > 12 ? ", ..." : ""))
                }
                values[sample * sources.count + source] = index
            }
        }
        return Votes(values, sources: sources, classNames: classes)
    }

    /// As a table that `read` takes.
    public func csv(ids: [String]) -> String {
        guard ids.count == count else { fatalError("Votes: \(ids.count) names for \(count) samples") }
        let rows = (0..<count).map { sample in
            ([ids[sample]] + self[sample].map { $0 == Self.abstain ? "" : classNames[$0] }).map(CSVReader.cell)
        }
        return ([["id"] + sources.map(CSVReader.cell)] + rows).map { $0.joined(separator: ",") + "\n" }.joined()
    }
}
