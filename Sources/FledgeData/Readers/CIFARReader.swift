import FledgeCore
import Foundation

/// The binary version of CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009): records of one label byte (CIFAR-100: a coarse
/// and a fine one) and 3 x 32 x 32 bytes, red plane first. The fine labels are the classes.
enum CIFARReader {
    private static let side = 32
    private static let planes = 3 * side * side

    /// A folder of *.bin files: data_batch* or train* to train, test* to test, with batches.meta.txt or
    /// fine_label_names.txt for the names of the classes.
    static func openFolder(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let binary = location.files.filter { $0.lowercased().hasSuffix(".bin") }
        let train = binary.filter { $0.lowercased().hasPrefix("data_batch") || $0.lowercased().hasPrefix("train") }
        let test = binary.filter { $0.lowercased().hasPrefix("test") }
        guard !train.isEmpty else { return nil }
        return try open(location, folder: location.path, files: location.files, train: train, test: test, options)
    }

    /// One file of records.
    static func openFile(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        guard location.name.hasSuffix(".bin") else { return nil }
        let folder = location.path.deletingLastPathComponent
        let place = folder.isEmpty ? "." : folder
        return try open(
            location, folder: place, files: try DataLocation.list(place).files,
            train: [location.path.lastPathComponent], test: [], options)
    }

    private static func open(
        _ location: DataLocation, folder: String, files: [String], train: [String], test: [String],
        _ options: DataOptions
    ) throws -> OpenedData {
        let fine = files.contains("fine_label_names.txt")
        let nameFile = fine ? "fine_label_names.txt" : "batches.meta.txt"
        let names = files.contains(nameFile) ? try classNames(folder + "/" + nameFile, options) : nil
        let labelBytes = fine ? 2 : 1
        let record = planes + labelBytes

        func split(_ names: [String]) throws -> (pixels: [UInt8], codes: [Int]) {
            var pixels: [UInt8] = []
            var codes: [Int] = []
            for name in names {
                let path = folder + "/" + name
                let bytes = try DataLocation.bytes(of: path, options: options)
                guard !bytes.isEmpty, bytes.count % record == 0 else {
                    throw DataError.truncated(
                        path: path, reason: "\(bytes.count) bytes are not a whole number of records of \(record)")
                }
                append(bytes, labelBytes: labelBytes, to: &pixels, &codes)
            }
            return (pixels, codes)
        }
        let trainPart = try split(train)
        let table = try ClassIndex.codes(trainPart.codes, names: names, path: folder + "/" + train[0])
        func dataset(_ part: (pixels: [UInt8], codes: [Int]), path: String) throws -> any Dataset {
            ImageDataset(
                pixels: part.pixels, width: side, height: side, channels: 3,
                labels: try table.indices(of: part.codes, path: path), classNames: table.names)
        }
        return OpenedData(
            source: location.path, format: .cifar,
            reason: "CIFAR binary: \(train.joined(separator: ", ")) hold records of \(record) bytes",
            notes: names == nil ? ["no \(nameFile): classes are called by their number"] : [],
            train: try dataset(trainPart, path: folder + "/" + train[0]),
            test: test.isEmpty ? nil : try dataset(split(test), path: folder + "/" + test[0]))
    }

    /// Appends records with the three colour planes turned into pixels.
    private static func append(_ bytes: [UInt8], labelBytes: Int, to pixels: inout [UInt8], _ codes: inout [Int]) {
        let record = planes + labelBytes
        let count = bytes.count / record
        let area = side * side
        for r in 0..<count { codes.append(Int(bytes[r * record + labelBytes - 1])) }
        pixels += [UInt8](unsafeUninitializedCapacity: count * planes) { output, initialized in
            bytes.withUnsafeBufferPointer { input in
                for r in 0..<count {
                    let start = r * record + labelBytes
                    for i in 0..<area {
                        for c in 0..<3 { output[r * planes + i * 3 + c] = input[start + c * area + i] }
                    }
                }
            }
            initialized = count * planes
        }
    }

    private static func classNames(_ path: String, _ options: DataOptions) throws -> [String] {
        let text = String(decoding: try DataLocation.bytes(of: path, options: options), as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }.filter {
            !$0.isEmpty
        }
    }
}
