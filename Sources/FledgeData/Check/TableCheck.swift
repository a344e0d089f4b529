import FledgeCore
import Foundation

/// Tables of numbers.
enum TableCheck {
    /// More findings than this say nothing new.
    private static let limit = 10_000

    /// Copies among sound rows, and columns that never change.
    static func run(_ samples: Samples) -> [Finding] {
        let tables = samples.parts.compactMap { $0.dataset as? FeatureDataset }
        func row(_ index: Int) -> ArraySlice<Float> {
            let (part, sample) = samples.locate(index)
            return tables[part].row(sample)
        }
        var groups = Copies.Groups(samples.count)
        let digests: [Int?] = (0..<samples.count).map { index in
            var hasher = Hasher()
            for value in row(index) { hasher.combine(value) }
            return hasher.finalize()
        }
        Copies.joinExact(digests, into: &groups) { row($0) == row($1) }
        let copies = groups.members().map { samples.finding(copies: $0, reason: "the same values") }
        guard let train = tables.first, train.count > 1 else { return copies }
        let constant = (0..<train.width).filter { column in
            let first = train.features[column]
            return (1..<train.count).allSatisfy { train.features[$0 * train.width + column] == first }
        }
        return copies
            + constant.map {
                Finding(
                    .constant, [.init(id: train.featureNames[$0], split: "train")],
                    "every row has \(train.features[$0])")
            }
    }

    /// Every bad cell and row of tables that cannot be opened, or nil where that is not what is wrong.
    static func scan(_ name: String, options: DataOptions) throws -> DataFindings? {
        let location = try DataLocation(name)
        let tables = location.isFolder ? location.files.filter(TableReader.isTable).map(location.child) : [name]
        guard !tables.isEmpty, tables.allSatisfy(TableReader.isTable) else { return nil }
        var findings: [Finding] = []
        var rows = 0
        for table in tables {
            let file = table.lastPathComponent
            do {
                rows += try scan(table, named: file, options: options, into: &findings)
            } catch let error as DataError {
                findings.append(Finding(.damaged, [.init(id: file)], error.what))
            }
        }
        return findings.isEmpty ? nil : DataFindings(source: name, samples: rows, findings: findings)
    }

    /// Reads one table to its end and returns how many rows it has.
    private static func scan(
        _ path: String, named file: String, options: DataOptions, into findings: inout [Finding]
    ) throws -> Int {
        var probe = try CSVReader(path, options: options)
        guard try probe.next() else { throw DataError.emptyFolder(path: path) }
        let first = probe.texts
        let second = try probe.next() ? probe.texts : nil
        let layout = try Table.layout(first, second, options: options, path: path)
        let skipped = layout.dropped.union([layout.label, layout.id].compactMap { $0 })
        var bad: [Int: [(line: Int, text: String)]] = [:]
        var reader = try CSVReader(path, options: options)
        if layout.hasHeader { _ = try reader.next() }
        var rows = 0
        while try reader.next() {
            rows += 1
            guard findings.count < limit else { break }
            guard reader.count == layout.names.count else {
                findings.append(
                    Finding(
                        .ragged, [.init(id: "\(file), row \(reader.line)")],
                        "\(reader.count) cells where the first row has \(layout.names.count)"))
                continue
            }
            for column in layout.names.indices where !skipped.contains(column) {
                if let value = reader.number(column), value.isFinite, Float(value).isFinite { continue }
                bad[column, default: []].append((reader.line, reader.text(column)))
            }
        }
        for (column, cells) in bad.sorted(by: { $0.key < $1.key }) {
            let name = layout.names[column]
            if cells.count * 2 > rows, let text = cells.first(where: { !$0.text.isEmpty })?.text {
                findings.append(
                    Finding(
                        .missing, [.init(id: "\(file), column '\(name)'")],
                        "\(cells.count) of \(rows) cells are no numbers, such as '\(text)'"))
                continue
            }
            findings += cells.prefix(max(0, limit - findings.count)).map { cell in
                Finding(
                    .missing, [.init(id: "\(file), row \(cell.line), column '\(name)'")],
                    cell.text.isEmpty ? "the cell is empty" : "'\(cell.text)' is not a finite number")
            }
        }
        return rows
    }
}
