import FledgeCore
import Foundation

/// Images named by a CSV table with a column of file names, a column of labels, and perhaps one of splits.
enum ImageTableReader {
    static let fileColumns = ["file", "filename", "file_name", "image", "image_path", "img", "path", "filepath"]
    static let splitColumns = ["split", "set", "subset", "partition"]

    /// A folder of images (in it, or in a folder of it) with exactly one such table.
    static func openFolder(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let tables = try location.files.filter { TableReader.isTable($0) }.filter {
            try header(of: location.child($0), options) != nil
        }
        guard let table = tables.first else { return nil }
        guard tables.count == 1 else { throw DataError.ambiguous(path: location.path, choices: tables) }
        return try open(location, table: table, folder: location.path, options)
    }

    /// The table itself; images are looked for beside it.
    static func openFile(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        guard TableReader.isTable(location.name), try header(of: location.path, options) != nil else { return nil }
        let folder = location.path.deletingLastPathComponent
        return try open(
            location, table: location.path.lastPathComponent, folder: folder.isEmpty ? "." : folder,
            options)
    }

    /// The header of a table whose first row names a column of files and whose second row has an image file there.
    private static func header(of path: String, _ options: DataOptions) throws -> [String]? {
        var reader = try CSVReader(path, options: options)
        guard try reader.next() else { return nil }
        let header = reader.texts
        guard let column = header.firstIndex(where: { fileColumns.contains($0.lowercased()) }), try reader.next(),
            column < reader.count
        else { return nil }
        return DataLocation.isImage(reader.text(column)) ? header : nil
    }

    private static func open(
        _ location: DataLocation, table: String, folder: String, _ options: DataOptions
    ) throws -> OpenedData {
        let path = folder + "/" + table
        var reader = try CSVReader(path, options: options)
        _ = try reader.next()
        let header = reader.texts
        let lower = header.map { $0.lowercased() }
        guard let fileColumn = lower.firstIndex(where: { fileColumns.contains($0) }) else {
            throw DataError.missingColumn(path: path, column: "file", available: header)
        }
        let splitColumn = lower.firstIndex { splitColumns.contains($0) }
        let labelColumn = try TableReader.labelColumn(
            header, options: options, path: path, fallback: nil, excluding: [fileColumn, splitColumn].compactMap { $0 })

        var splits: [DataLocation.Split: [ImageFiles.Entry]] = [:]
        var seen: Set<String> = []
        // Paths may be relative to the table or to a folder images/ beside it.
        let places = ["", "images/"]
        while try reader.next() {
            guard reader.count == header.count else {
                throw DataError.mixedWidths(path: path, row: reader.line, found: reader.count, expected: header.count)
            }
            let name = reader.text(fileColumn)
            guard !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
                throw DataError.malformed(
                    path: path, reason: "row \(reader.line) names '\(name)', which leads out of the folder")
            }
            guard let place = places.first(where: { FileManager.default.fileExists(atPath: "\(folder)/\($0)\(name)") })
            else {
                throw DataError.mismatch(path: path, reason: "row \(reader.line) names '\(name)', which does not exist")
            }
            guard seen.insert(place + name).inserted else {
                throw DataError.malformed(path: path, reason: "row \(reader.line) names '\(name)' a second time")
            }
            let label = labelColumn.map(reader.text) ?? ""
            let split = splitColumn.flatMap { DataLocation.split(ofName: reader.text($0)) } ?? .train
            splits[split, default: []].append(.init(id: place + name, label: label.isEmpty ? nil : label))
        }
        let train = splits[.train] ?? []
        let names = ClassIndex.sorted(train.compactMap(\.label))
        let order: [DataLocation.Split] = [.train, .test, .validation]
        let files = try ImageFiles.open(
            order.map { splits[$0] ?? [] }, root: folder, classNames: names, options: options)
        var data = OpenedData(
            source: location.path, format: .imagesWithTable,
            reason: "images with a CSV of labels: \(table) names files in column '\(header[fileColumn])'"
                + (labelColumn.map { " and classes in column '\(header[$0])'" } ?? " and no classes"),
            train: files.datasets[0], damaged: files.damaged)
        data.test = splits[.test] == nil ? nil : files.datasets[1]
        data.validation = splits[.validation] == nil ? nil : files.datasets[2]
        return data
    }
}
