import FledgeCore

/// A table that says something of samples of other data: one row for each, in their order, or by their names, which the
/// first column holds then.
struct SampleTable {
    /// Without that of the names.
    let columns: [String]
    let rows: [(sample: Int, texts: [String])]

    private static let idNames: Set<String> = ["id", "sample", "name", "file", "path"]

    /// - Parameter ids: the names of the samples, in their order.
    /// - Throws: `DataError` for a file that cannot be read, a sample that does not exist or has two rows, or a row too short
    ///   or too long; without names for another number of rows than samples.
    init(_ path: String, ids: [String]) throws {
        var reader = try CSVReader(path, options: DataOptions())
        guard try reader.next() else { throw DataError.malformed(path: path, reason: "it is empty") }
        let header = reader.texts
        let isNamed = Self.idNames.contains(header[0].lowercased())
        columns = Array(header.dropFirst(isNamed ? 1 : 0))

        let places = Dictionary(ids.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var rows: [(sample: Int, texts: [String])] = []
        var seen: [Int: Int] = [:]
        while try reader.next() {
            guard reader.count == header.count else {
                throw DataError.mixedWidths(
                    path: path, row: reader.line, found: reader.count, expected: header.count)
            }
            var sample = rows.count
            if isNamed {
                guard let place = places[reader.text(0)] else {
                    throw DataError.mismatch(
                        path: path,
                        reason: "row \(reader.line) is of sample '\(reader.text(0))', which the data do not have")
                }
                sample = place
            }
            if let before = seen.updateValue(reader.line, forKey: sample) {
                throw DataError.mismatch(
                    path: path, reason: "rows \(before) and \(reader.line) are of the same sample")
            }
            rows.append((sample, Array(reader.texts.dropFirst(isNamed ? 1 : 0))))
        }
        guard isNamed || rows.count == ids.count else {
            throw DataError.mismatch(
                path: path, reason: "it has \(rows.count) rows for \(ids.count) samples and no column 'id'")
        }
        self.rows = rows
    }
}
