import FledgeCore
import Foundation

/// A CSV table of numbers with one column of classes. Missing or non-finite cells are refused, never guessed.
enum TableReader {
    static let labelNames = ["label", "class", "target", "diagnosis", "species", "type", "category", "y"]
    static let idNames = ["id", "index", "idx", "unnamed: 0", "sample_id", "row", ""]

    static func isTable(_ name: String) -> Bool {
        let lower = name.lowercased().withoutGzip
        return lower.hasSuffix(".csv") || lower.hasSuffix(".tsv") || lower.hasSuffix(".data")
    }

    /// A folder with one table, or with one pair NAME-train / NAME-test.
    static func openFolder(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let tables = location.files.filter(isTable)
        guard !tables.isEmpty else { return nil }
        let train = tables.filter { DataLocation.split(ofName: $0) == .train }
        let single = tables.count == 1 ? tables[0] : train.count == 1 ? train[0] : nil
        guard let name = single, tables.allSatisfy({ $0 == name || DataLocation.split(ofName: $0) != nil }) else {
            throw DataError.ambiguous(path: location.path, choices: tables)
        }
        var data = try openFile(DataLocation(location.child(name)), options)
        data?.source = location.path
        return data
    }

    /// A table; where its name contains "train" and the same name with "test" lies beside it, that is the test split.
    static func openFile(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        guard isTable(location.name) else { return nil }
        let train = try Table(location.path, options: options, layout: nil)
        let names = ClassIndex.sorted(train.labels.compactMap { $0 })
        try refuseNumbersToPredict(train, names: names)
        func dataset(_ table: Table) throws -> any Dataset {
            FeatureDataset(
                features: table.features, width: table.featureNames.count,
                labels: try ClassIndex.indices(of: table.labels, in: names, path: table.path), classNames: names,
                featureNames: table.featureNames, ids: table.ids)
        }
        var data = OpenedData(
            source: location.path, format: .table,
            reason:
                "CSV table: \(train.layout.hasHeader ? "a header and " : "no header, ")\(train.labels.count) rows of "
                + "\(train.featureNames.count) numbers"
                + (train.layout.label.map { ", classes in column '\(train.layout.names[$0])'" } ?? ""),
            notes: train.notes, train: try dataset(train))
        if let path = testSibling(of: location.path) {
            data.test = try dataset(Table(path, options: options, layout: train.layout))
            data.notes.append("test split: \(path.lastPathComponent) beside it")
        }
        return data
    }

    private static func testSibling(of path: String) -> String? {
        let name = path.lastPathComponent
        guard let range = name.range(of: "train", options: [.caseInsensitive, .backwards]) else { return nil }
        let word = name[range] == "TRAIN" ? "TEST" : name[range] == "Train" ? "Test" : "test"
        let sibling = name.replacingCharacters(in: range, with: word)
        let folder = path.deletingLastPathComponent
        let full = folder.isEmpty ? sibling : folder + "/" + sibling
        return FileManager.default.fileExists(atPath: full) ? full : nil
    }

    /// The column of classes: the one asked for, one with a usual name, or `fallback`.
    static func labelColumn(
        _ header: [String], options: DataOptions, path: String, fallback: Int?, excluding: [Int] = []
    ) throws -> Int? {
        switch options.labelColumn {
        case .none: return nil
        case .named(let name):
            guard let column = header.firstIndex(of: name) else {
                throw DataError.missingColumn(path: path, column: name, available: header)
            }
            return column
        case .automatic:
            let lower = header.map { $0.lowercased() }
            for name in labelNames {
                if let column = lower.firstIndex(of: name), !excluding.contains(column) { return column }
            }
            return fallback
        }
    }

    /// A column with nearly as many values as rows holds numbers to predict, or identifiers, but not classes.
    private static func refuseNumbersToPredict(_ table: Table, names: [String]) throws {
        guard let column = table.layout.label, table.labels.count > 20, names.count > table.labels.count / 2 else {
            return
        }
        throw DataError.malformed(
            path: table.path,
            reason: "column '\(table.layout.names[column])' was taken for the classes but has \(names.count) different "
                + "values in \(table.labels.count) rows; name the class column")
    }
}

/// One CSV table in memory.
struct Table {
    /// What the columns are. The test table is read with the layout of the training table.
    struct Layout {
        var hasHeader: Bool
        var names: [String]
        var label: Int?
        var id: Int?
        var dropped: Set<Int>
    }

    let path: String
    var layout: Layout
    var featureNames: [String] = []
    var features: [Float] = []
    var labels: [String?] = []
    var ids: [String]?
    var notes: [String] = []

    /// Columns whose cells did not parse: how many, and the first.
    private struct Failures {
        var count = 0
        var line = 0
        var text = ""
    }

    init(_ path: String, options: DataOptions, layout given: Layout?) throws {
        self.path = path
        var reader = try CSVReader(path, options: options)
        guard try reader.next() else { throw DataError.emptyFolder(path: path) }
        let first = reader.texts
        if let given {
            guard first.count == given.names.count else {
                throw DataError.mismatch(
                    path: path, reason: "\(first.count) columns where the training table has \(given.names.count)")
            }
            layout = given
        } else {
            // A second reader, as two copies of one would share the position in the file.
            var probe = try CSVReader(path, options: options)
            _ = try probe.next()
            let second = try probe.next() ? probe.texts : nil
            layout = try Self.layout(first, second, options: options, path: path)
        }
        var more = true
        if layout.hasHeader { more = try reader.next() }
        guard more else { throw DataError.emptyFolder(path: path) }

        let columns = layout.names.count
        var texts = [String]()  // of the first column, while it may be an identifier
        var failures = [Failures](repeating: Failures(), count: columns)
        let skipped = layout.dropped.union([layout.label, layout.id].compactMap { $0 })
        let kept = (0..<columns).filter { !skipped.contains($0) }
        var ids: [String] = []
        while more {
            guard reader.count == columns else {
                throw DataError.mixedWidths(path: path, row: reader.line, found: reader.count, expected: columns)
            }
            for column in kept {
                let value = reader.number(column)
                if let value, value.isFinite, Float(value).isFinite {
                    features.append(Float(value))
                    if column == 0, !texts.isEmpty { texts.append(reader.text(0)) }
                    continue
                }
                let text = reader.text(column)
                // An empty cell or a written-out "nan" is a missing value, whatever the other rows hold.
                guard value == nil, !text.isEmpty, !["na", "n/a", "null", "none", "?"].contains(text.lowercased())
                else {
                    throw DataError.notANumber(
                        path: path, row: reader.line, column: layout.names[column], text: text)
                }
                features.append(.nan)
                if column == 0 { texts.append(text) }
                if failures[column].count == 0 { failures[column] = Failures(count: 0, line: reader.line, text: text) }
                failures[column].count += 1
            }
            if let label = layout.label {
                labels.append(try Self.label(reader, label, layout, path))
            } else {
                labels.append(nil)
            }
            if let id = layout.id { ids.append(reader.text(id)) }
            more = try reader.next()
        }
        try settle(kept, failures: failures, firstColumn: texts)
        if layout.id != nil, ids.count == labels.count { self.ids = ids }
        guard !featureNames.isEmpty else {
            throw DataError.malformed(path: path, reason: "no column of numbers is left besides the classes")
        }
    }

    private static func label(_ reader: CSVReader, _ column: Int, _ layout: Layout, _ path: String) throws -> String? {
        let text = reader.text(column)
        if text.isEmpty { return nil }
        if ["nan", "inf", "-inf"].contains(text.lowercased()) {
            throw DataError.notANumber(path: path, row: reader.line, column: layout.names[column], text: text)
        }
        return text
    }

    /// Decides about columns that did not parse as numbers: a first column of nearly unique texts names the samples, a
    /// few bad cells are errors, and any other text is refused.
    private mutating func settle(_ kept: [Int], failures: [Failures], firstColumn: [String]) throws {
        let rows = labels.count
        var dropped: Int?
        for column in kept where failures[column].count > 0 {
            let failed = failures[column]
            if column == 0, layout.id == nil, failed.count == rows, kept.count > 1,
                Set(firstColumn).count * 10 >= rows * 9
            {
                dropped = 0
                ids = firstColumn
                layout.dropped.insert(0)
                notes.append("column '\(layout.names[0])' names the samples and is no feature")
            } else if layout.dropped.contains(column) {
                continue
            } else if failed.count * 2 < rows {
                throw DataError.notANumber(
                    path: path, row: failed.line, column: layout.names[column], text: failed.text)
            } else {
                throw DataError.textColumn(path: path, column: layout.names[column], example: failed.text)
            }
        }
        featureNames = kept.filter { $0 != dropped }.map { layout.names[$0] }
        if dropped != nil {
            let width = kept.count
            features = features.indices.filter { $0 % width != 0 }.map { features[$0] }
        }
        if let id = layout.id { notes.append("column '\(layout.names[id])' names the samples and is no feature") }
    }

    /// Finds out whether there is a header and what the columns are, from the first two rows.
    static func layout(
        _ first: [String], _ second: [String]?, options: DataOptions, path: String
    ) throws -> Layout {
        let hasHeader = isHeader(first, second)
        let names = hasHeader ? first : (1...first.count).map { "column \($0)" }
        let label = try TableReader.labelColumn(names, options: options, path: path, fallback: first.count - 1)
        var dropped: Set<Int> = []
        for name in options.dropColumns {
            guard let column = names.firstIndex(of: name) else {
                throw DataError.missingColumn(path: path, column: name, available: names)
            }
            dropped.insert(column)
        }
        let id =
            hasHeader
            ? names.indices.first {
                $0 != label && !dropped.contains($0) && TableReader.idNames.contains(names[$0].lowercased())
            } : nil
        return Layout(hasHeader: hasHeader, names: names, label: label, id: id, dropped: dropped)
    }

    /// The first row is a header when a cell of it is text above a number, when it has a usual name of a label column,
    /// or when it counts the columns 0, 1, 2, ...
    private static func isHeader(_ first: [String], _ second: [String]?) -> Bool {
        guard let second, second.count == first.count else {
            return first.allSatisfy { Double($0) == nil } && first.count > 1
        }
        if first.count > 3, first.dropLast().enumerated().allSatisfy({ $1 == String($0) }) { return true }
        if first.contains(where: { TableReader.labelNames.contains($0.lowercased()) }) { return true }
        return zip(first, second).contains { Double($0) == nil && !$0.isEmpty && Double($1) != nil }
    }
}
