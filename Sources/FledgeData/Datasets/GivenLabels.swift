import FledgeCore

/// Labels that come from elsewhere than the data: of `fledge label`, or of a table that a person wrote.
public struct GivenLabels: Sendable, Equatable {
    /// The file they come from, for messages.
    public let source: String
    /// The name of a sample, as `Dataset.id` has it, and its class; in the order of the file.
    public let labels: [(sample: String, className: String)]
    /// Whether samples that are not named keep the label that they have in the data.
    public let keepsOthers: Bool

    public init(_ labels: [(sample: String, className: String)], source: String, keepsOthers: Bool = false) {
        self.labels = labels
        self.source = source
        self.keepsOthers = keepsOthers
    }

    public static func == (a: GivenLabels, b: GivenLabels) -> Bool {
        a.source == b.source && a.keepsOthers == b.keepsOthers && a.labels.elementsEqual(b.labels, by: ==)
    }

    /// The labels that the training samples of data have.
    public init(of data: OpenedData) {
        self.init(
            data.train.labels.enumerated().compactMap { sample, label in
                label.map { (data.train.id(of: sample), data.classNames[$0]) }
            }, source: data.source)
    }

    private static let sampleNames = Set(["id", "sample", "name"] + ImageTableReader.fileColumns)

    /// Reads a table with a column of samples (`id`, `file`, ...) and one of classes (`label`, `class`, ...; else the
    /// last). A row without a class says nothing.
    /// - Throws: `DataError` for a file that cannot be read, a missing column, a row too short or too long, a sample with
    ///   two rows, or a file without any label.
    public static func read(_ path: String) throws -> GivenLabels {
        let options = DataOptions()
        var reader = try CSVReader(path, options: options)
        guard try reader.next() else { throw DataError.malformed(path: path, reason: "it is empty") }
        let header = reader.texts
        guard let sample = header.firstIndex(where: { sampleNames.contains($0.lowercased()) }) else {
            throw DataError.missingColumn(path: path, column: "id", available: header)
        }
        let fallback = header.count == 2 ? 1 - sample : nil
        guard
            let label = try TableReader.labelColumn(
                header, options: options, path: path, fallback: fallback, excluding: [sample])
        else { throw DataError.missingColumn(path: path, column: "label", available: header) }
        var labels: [(sample: String, className: String)] = []
        var rows: [String: Int] = [:]
        while try reader.next() {
            guard reader.count == header.count else {
                throw DataError.mixedWidths(path: path, row: reader.line, found: reader.count, expected: header.count)
            }
            let name = reader.text(sample)
            if let before = rows.updateValue(reader.line, forKey: name) {
                throw DataError.mismatch(
                    path: path, reason: "rows \(before) and \(reader.line) are both of sample '\(name)'")
            }
            if !reader.text(label).isEmpty { labels.append((name, reader.text(label))) }
        }
        guard !labels.isEmpty else { throw DataError.noLabels(path: path) }
        return GivenLabels(labels, source: path)
    }

    /// As a table that `read` takes.
    /// - Parameter column: what the column of samples is called: `file` for files, so that images beside the table can be
    ///   read with it.
    public func csv(column: String) -> String {
        "\(column),label\n" + labels.map { "\(CSVReader.cell($0.sample)),\(CSVReader.cell($0.className))\n" }.joined()
    }

    /// The data with these labels on the training samples. Classes that the data do not have come after
    /// those that they have.
    /// - Throws: `DataError` for a sample that the training split does not have, or has twice.
    public func applied(to data: OpenedData) throws -> OpenedData {
        var places: [String: Int] = [:]
        var twice: Set<String> = []
        for index in 0..<data.train.count {
            if places.updateValue(index, forKey: data.train.id(of: index)) != nil {
                twice.insert(data.train.id(of: index))
            }
        }
        let new = ClassIndex.sorted(Set(labels.map(\.className)).subtracting(data.classNames))
        let classNames = data.classNames + new
        let classes = Dictionary(uniqueKeysWithValues: classNames.enumerated().map { ($1, $0) })
        var found = keepsOthers ? data.train.labels : [Int?](repeating: nil, count: data.train.count)
        for (name, className) in labels {
            guard let place = places[name] else {
                throw DataError.mismatch(
                    path: source, reason: "it has a label for '\(name)', which is no training sample of \(data.source)")
            }
            guard !twice.contains(name) else {
                throw DataError.mismatch(
                    path: source,
                    reason: "it has a label for '\(name)', and \(data.source) has two samples of that name")
            }
            found[place] = classes[className]
        }
        var data = data
        var note = "\(labels.count) labels of training samples come from \(source)"
        if !keepsOthers { note += ", and no others count" }
        if !data.classNames.isEmpty, !new.isEmpty { note += "; only there are classes \(new.joined(separator: ", "))" }
        data.notes.append(note)
        data.train = data.train.relabelled(found, classNames: classNames)
        data.test = data.test.map { $0.relabelled($0.labels, classNames: classNames) }
        data.validation = data.validation.map { $0.relabelled($0.labels, classNames: classNames) }
        return data
    }
}
