import FledgeCore

/// Words that people put to samples, such as hashtags: none, one or several each.
public struct Tags: Sendable, Equatable {
    /// Every word once, in alphabetic order.
    public let names: [String]
    /// For each sample the indices of its tags, rising, each once.
    public let ofSample: [[Int]]

    /// - Parameter words: for each sample; case and a leading `#` make no difference.
    public init(_ words: [[String]]) {
        let cleaned = words.map { words in
            Set(words.map { ($0.hasPrefix("#") ? String($0.dropFirst()) : $0).lowercased() }.filter { !$0.isEmpty })
        }
        let names = cleaned.reduce(into: Set<String>()) { $0.formUnion($1) }.sorted()
        let places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        self.names = names
        ofSample = cleaned.map { $0.map { places[$0]! }.sorted() }
    }

    /// How many samples each tag has.
    public var counts: [Int] {
        var counts = [Int](repeating: 0, count: names.count)
        for tag in ofSample.joined() { counts[tag] += 1 }
        return counts
    }

    /// Without the tags that have fewer samples.
    public func leavingOut(below least: Int) -> Tags {
        let counts = counts
        return Tags(ofSample.map { tags in tags.filter { counts[$0] >= least }.map { names[$0] } })
    }

    /// Reads a table with a column of words, separated by blanks, commas or semicolons.
    ///
    /// With a first column `id`, rows belong to the samples of that name, in any order, and samples without a row have
    /// no tags. Without one, there is a row for every sample, in their order.
    /// - Parameter ids: the names of the samples, in their order.
    /// - Throws: `DataError` for a file that cannot be read or has other columns, a sample that does not exist or has two
    ///   rows, a row too short or too long, or a file without any tag.
    public static func read(_ path: String, ids: [String]) throws -> Tags {
        let table = try SampleTable(path, ids: ids)
        guard table.columns.count == 1 else {
            throw DataError.malformed(
                path: path, reason: "it has \(table.columns.count) columns of tags beside that of samples, not one")
        }
        var words = [[String]](repeating: [], count: ids.count)
        for (sample, texts) in table.rows {
            words[sample] = texts[0].split { " ,;\t\n\r".contains($0) }.map(String.init)
        }
        let tags = Tags(words)
        guard !tags.names.isEmpty else { throw DataError.malformed(path: path, reason: "no sample has a tag") }
        return tags
    }
}
