import FledgeCore
import Foundation

/// IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist): big-endian magic 00 00 TYPE RANK, the sides, the data.
/// Here of unsigned bytes (type 8): images of rank 3 [N, H, W] or 4 [N, H, W, C] and labels of rank 1, gzipped or not.
enum IDXReader {
    /// An array of bytes.
    struct Array8 {
        var shape: [Int]
        var data: ArraySlice<UInt8>
    }

    /// A folder with pairs named as MNIST's: NAME-images-idx3-ubyte[.gz] and NAME-labels-idx1-ubyte[.gz].
    static func openFolder(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let images = location.files.filter(isImageFile)
        guard !images.isEmpty else { return nil }
        var found: [DataLocation.Split: String] = [:]
        for file in images {
            let split = DataLocation.split(ofName: file) ?? .train
            guard found.updateValue(file, forKey: split) == nil else {
                throw DataError.ambiguous(path: location.path, choices: images)
            }
        }
        guard let train = found[.train] else {
            // Only a test or validation part: it is all there is.
            guard images.count == 1 else { throw DataError.ambiguous(path: location.path, choices: images) }
            return try openFile(DataLocation(location.child(images[0])), options)
        }
        return try open(
            location, folder: location.path, files: location.files, train: train, test: found[.test],
            validation: found[.validation], options)
    }

    /// One IDX file of images, with its label file where there is one beside it.
    static func openFile(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        guard isImageFile(location.name) || location.name.withoutGzip.contains("idx") else { return nil }
        let folder = location.path.deletingLastPathComponent
        let place = folder.isEmpty ? "." : folder
        return try open(
            location, folder: place, files: try DataLocation.list(place).files,
            train: location.path.lastPathComponent, test: nil, validation: nil, options)
    }

    /// Reads the given files of one folder. Also used for the bundled set, whose values end at `whiteLevel`.
    static func open(
        _ location: DataLocation, folder: String, files: [String], train: String, test: String?, validation: String?,
        _ options: DataOptions, whiteLevel: Int = 255
    ) throws -> OpenedData {
        let trainPart = try part(train, folder: folder, files: files, options)
        let table = try ClassIndex.codes(trainPart.codes, path: trainPart.labelPath)
        func dataset(_ part: Part) throws -> any Dataset {
            let shape = part.images.shape
            return ImageDataset(
                pixels: Array(part.images.data), width: shape[2], height: shape[1],
                channels: shape.count == 4 ? shape[3] : 1,
                labels: try table.indices(of: part.codes, path: part.labelPath), classNames: table.names,
                whiteLevel: whiteLevel)
        }
        func other(_ name: String?) throws -> (any Dataset)? {
            guard let name else { return nil }
            let found = try part(name, folder: folder, files: files, options)
            guard found.images.shape.dropFirst() == trainPart.images.shape.dropFirst() else {
                throw DataError.mismatch(
                    path: folder + "/" + name,
                    reason:
                        "its images are \(found.images.shape.dropFirst()), those to train "
                        + "\(trainPart.images.shape.dropFirst())"
                )
            }
            return try dataset(found)
        }
        return OpenedData(
            source: location.path, format: .idx,
            reason: "IDX: \(train) is an image file named as MNIST's"
                + (trainPart.labelled ? " with its labels beside it" : ""),
            notes: trainPart.labelled ? [] : ["no label file was found beside \(train): all samples are unlabelled"],
            train: try dataset(trainPart), test: try other(test), validation: try other(validation))
    }

    private struct Part {
        var images: Array8
        var codes: [Int]
        var labelPath: String
        var labelled: Bool
    }

    private static func part(_ name: String, folder: String, files: [String], _ options: DataOptions) throws -> Part {
        let path = folder + "/" + name
        let images = try read(path, ranks: 3...4, options)
        guard images.shape.count == 3 || [1, 3].contains(images.shape[3]) else {
            throw DataError.malformed(path: path, reason: "images of \(images.shape[3]) channels; 1 or 3 are known")
        }
        guard images.shape[0] > 0, images.data.count > 0 else { throw DataError.emptyFolder(path: path) }
        guard let labelName = labelFile(for: name, among: files) else {
            let codes = [Int](repeating: -1, count: images.shape[0])
            return Part(images: images, codes: codes, labelPath: path, labelled: false)
        }
        let labelPath = folder + "/" + labelName
        let labels = try read(labelPath, ranks: 1...1, options)
        guard labels.shape[0] == images.shape[0] else {
            throw DataError.mismatch(
                path: labelPath, reason: "\(labels.shape[0]) labels for the \(images.shape[0]) images of \(name)")
        }
        return Part(images: images, codes: labels.data.map(Int.init), labelPath: labelPath, labelled: true)
    }

    /// Reads one IDX file of unsigned bytes of a rank in `ranks`. Throws `DataError`.
    static func read(_ path: String, ranks: ClosedRange<Int>, _ options: DataOptions) throws -> Array8 {
        let bytes = try DataLocation.bytes(of: path, options: options)
        guard bytes.count >= 4 else { throw DataError.truncated(path: path, reason: "it has \(bytes.count) bytes") }
        let rank = Int(bytes[3])
        guard bytes[0] == 0, bytes[1] == 0, bytes[2] == 8, ranks.contains(rank) else {
            let expected = ranks.map { "00 00 08 0\($0)" }.joined(separator: " or ")
            throw DataError.wrongMagic(path: path, expected: expected, found: hex(bytes.prefix(4)))
        }
        let start = 4 + 4 * rank
        guard bytes.count >= start else { throw DataError.truncated(path: path, reason: "it ends inside the header") }
        var shape: [Int] = []
        var total = 1
        for axis in 0..<rank {
            let side = (0..<4).reduce(0) { $0 << 8 | Int(bytes[4 + 4 * axis + $1]) }
            shape.append(side)
            let (product, overflow) = total.multipliedReportingOverflow(by: side)
            guard !overflow else { throw DataError.malformed(path: path, reason: "the shape \(shape) overflows") }
            total = product
        }
        guard bytes.count - start >= total else {
            throw DataError.truncated(
                path: path, reason: "shape \(shape) needs \(total) bytes, \(bytes.count - start) are there")
        }
        guard bytes.count - start == total else {
            throw DataError.malformed(
                path: path, reason: "\(bytes.count - start - total) bytes follow the \(total) of shape \(shape)")
        }
        return Array8(shape: shape, data: bytes[start...])
    }

    private static func isImageFile(_ name: String) -> Bool {
        let plain = name.lowercased().withoutGzip
        return plain.contains("idx3") || plain.contains("idx4") || plain.hasSuffix(".idx")
    }

    /// The label file that belongs to an image file by its name, gzipped or not.
    private static func labelFile(for name: String, among files: [String]) -> String? {
        let plain = name.withoutGzip
        let wanted = plain.replacingOccurrences(of: "images", with: "labels").replacingOccurrences(
            of: "idx3", with: "idx1"
        )
        .replacingOccurrences(of: "idx4", with: "idx1")
        guard wanted != plain else { return nil }
        return files.first { $0.withoutGzip == wanted }
    }

    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
