import FledgeCore
import Foundation

/// NumPy arrays: an npz archive, a folder of npy files, or one npy file. Arrays are told apart by their names.
enum ArrayReader {
    private static let inputs = ["x", "images", "features", "embedding", "embeddings", "data", "arr_0"]
    private static let targets = ["y", "labels", "label", "targets", "target", "arr_1"]
    private static let nameKeys = ["class_names", "classes", "label_names"]
    private static let idKeys = ["id", "ids"]

    static func openFile(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let bytes: [UInt8]
        let arrays: [String: NpyArray]
        if location.name.hasSuffix(".npz") {
            bytes = try DataLocation.bytes(of: location.path, options: options)
            arrays = try reading(location.path) {
                Dictionary(
                    uniqueKeysWithValues: try Npz.read(bytes, limit: options.fileLimit).map { ($0.name, $0.array) })
            }
            return try open(arrays, location, format: .npz, options)
        }
        guard location.name.hasSuffix(".npy") else { return nil }
        bytes = try DataLocation.bytes(of: location.path, options: options)
        arrays = ["x": try reading(location.path) { try NpyArray(npy: bytes) }]
        return try open(arrays, location, format: .npy, options)
    }

    static func openFolder(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let archives = location.files.filter { $0.lowercased().hasSuffix(".npz") }
        if archives.count == 1 { return try openFile(DataLocation(location.child(archives[0])), options) }
        guard archives.isEmpty else { throw DataError.ambiguous(path: location.path, choices: archives) }
        let files = location.files.filter { $0.lowercased().hasSuffix(".npy") }
        guard !files.isEmpty else { return nil }
        if files.count == 1 { return try openFile(DataLocation(location.child(files[0])), options) }
        var arrays: [String: NpyArray] = [:]
        for file in files {
            let path = location.child(file)
            let bytes = try DataLocation.bytes(of: path, options: options)
            arrays[String(file.dropLast(4))] = try reading(path) { try NpyArray(npy: bytes) }
        }
        return try open(arrays, location, format: .npy, options)
    }

    private static func open(
        _ arrays: [String: NpyArray], _ location: DataLocation, format: DataFormat, _ options: DataOptions
    ) throws -> OpenedData {
        let lower = Dictionary(
            arrays.sorted { $0.key < $1.key }.map { ($0.key.lowercased(), $0.value) },
            uniquingKeysWith: { first, _ in first })
        func find(_ names: [String], _ split: String) -> (String, NpyArray)? {
            for name in names {
                let keys = split.isEmpty ? [name] : ["\(name)_\(split)", "\(split)_\(name)", "\(name)\(split)"]
                for key in keys { if let array = lower[key] { return (key, array) } }
            }
            return nil
        }
        guard let (inputKey, input) = find(inputs, "train") ?? find(inputs, "") else {
            throw DataError.missingColumn(
                path: location.path, column: inputs.joined(separator: " or "), available: arrays.keys.sorted())
        }
        let hasTrain = find(inputs, "train") != nil
        let target = hasTrain ? find(targets, "train") : find(targets, "")
        let named = try find(nameKeys, "").map { key, array in try reading(location.path) { try array.strings() } }
        let codes = try target.map { try labelCodes($0.1, name: $0.0, location.path) }
        let table = try ClassIndex.codes(codes ?? [], names: codes == nil ? nil : named, path: location.path)
        var notes =
            codes == nil
            ? ["no labels (looked for \(targets.joined(separator: ", "))): all samples are unlabelled"] : []

        func dataset(_ array: NpyArray, _ name: String, _ codes: [Int]?, ids: [String]?) throws -> any Dataset {
            let count = array.shape.first ?? 0
            guard codes?.count ?? count == count else {
                throw DataError.mismatch(
                    path: location.path, reason: "\(codes?.count ?? 0) labels for the \(count) samples of '\(name)'")
            }
            let labels =
                try codes.map { try table.indices(of: $0, path: location.path) } ?? Array(repeating: nil, count: count)
            return try Self.dataset(
                array, name: name, labels: labels, classNames: table.names, ids: ids?.count == count ? ids : nil,
                path: location.path, notes: &notes)
        }
        func split(_ names: [String]) throws -> (any Dataset)? {
            for name in names {
                guard let (key, array) = find(inputs, name) else { continue }
                let codes = try find(targets, name).map { try labelCodes($0.1, name: $0.0, location.path) }
                return try dataset(array, key, codes, ids: nil)
            }
            return nil
        }
        let ids = try find(idKeys, "").flatMap { _, array in array.dtype.contains("U") ? try array.strings() : nil }
        let train = try dataset(input, inputKey, codes, ids: ids)
        let test = try split(["test"])
        let validation = try split(["val", "valid"])
        return OpenedData(
            source: location.path, format: format,
            reason: "NumPy arrays: '\(inputKey)' has shape \(input.shape)"
                + (target.map { ", labels in '\($0.0)'" } ?? ""),
            notes: notes, train: train, test: test, validation: validation)
    }

    private static func labelCodes(_ array: NpyArray, name: String, _ path: String) throws -> [Int] {
        guard array.shape.count == 1 || (array.shape.count == 2 && array.shape[1] == 1) else {
            throw DataError.malformed(
                path: path, reason: "labels '\(name)' have shape \(array.shape); [N] was expected")
        }
        return try reading(path) { try array.integers() }
    }

    /// [N, D] becomes features, [N, H, W], [N, H, W, C] and [N, C, H, W] become images.
    private static func dataset(
        _ array: NpyArray, name: String, labels: [Int?], classNames: [String], ids: [String]?, path: String,
        notes: inout [String]
    ) throws -> any Dataset {
        let shape = array.shape
        guard (2...4).contains(shape.count), shape.allSatisfy({ $0 > 0 }) else {
            throw DataError.malformed(
                path: path, reason: "'\(name)' has shape \(shape); [N, D], [N, H, W] or [N, H, W, C] was expected")
        }
        if shape.count == 2 {
            let values = try reading(path) { try array.floats() }
            if let bad = values.firstIndex(where: { !$0.isFinite }) {
                throw DataError.notANumber(
                    path: path, row: bad / shape[1] + 1, column: String(bad % shape[1]), text: "\(values[bad])")
            }
            return FeatureDataset(features: values, width: shape[1], labels: labels, classNames: classNames, ids: ids)
        }
        // 1 and 3 are the usual numbers, so 4 at the end counts as channels only where none of these comes first.
        let channelsFirst =
            shape.count == 4 && ![1, 3].contains(shape[3])
            && ([1, 3].contains(shape[1]) || shape[1] == 4 && shape[3] != 4)
        let channels = shape.count == 3 ? 1 : channelsFirst ? shape[1] : shape[3]
        guard [1, 3, 4].contains(channels) else {
            throw DataError.malformed(
                path: path, reason: "'\(name)' has shape \(shape): images need 1, 3 or 4 channels")
        }
        let (height, width) = channelsFirst ? (shape[2], shape[3]) : (shape[1], shape[2])
        var (pixels, whiteLevel) = try pixels(array, name: name, path: path, notes: &notes)
        if channelsFirst {
            let area = height * width
            pixels = (0..<pixels.count).map { i in
                let (sample, rest) = (i / (area * channels), i % (area * channels))
                return pixels[sample * area * channels + rest % channels * area + rest / channels]
            }
            notes.append("'\(name)' has its channels first; they were put last")
        }
        return ImageDataset(
            pixels: pixels, width: width, height: height, channels: channels, labels: labels, classNames: classNames,
            ids: ids, whiteLevel: whiteLevel)
    }

    /// 8-bit pixels and the level of white. Fractions of 0...1 are rounded to 255 levels.
    private static func pixels(
        _ array: NpyArray, name: String, path: String, notes: inout [String]
    ) throws -> ([UInt8], whiteLevel: Int) {
        if let bytes = array.bytes() { return (bytes, 255) }
        let values = try reading(path) { try array.floats() }
        var (low, high, whole) = (Float.infinity, -Float.infinity, true)
        for (i, value) in values.enumerated() {
            guard value.isFinite else {
                throw DataError.notANumber(
                    path: path, row: i / array.shape.dropFirst().reduce(1, *) + 1, column: name, text: "\(value)")
            }
            low = min(low, value)
            high = max(high, value)
            whole = whole && value == value.rounded()
        }
        guard low >= 0, high <= 255 else {
            throw DataError.malformed(
                path: path, reason: "'\(name)' has pixels from \(low) to \(high); 0...1 or 0...255 was expected")
        }
        if whole, high > 1 {
            let level = high <= 16 ? 16 : 255
            if level == 16 { notes.append("'\(name)' has values of 0...16, taken as 16 levels of grey") }
            return (values.map { UInt8($0) }, level)
        }
        guard high <= 1 else {
            throw DataError.malformed(
                path: path, reason: "'\(name)' has fractional pixels up to \(high); fractions must lie in 0...1")
        }
        notes.append("'\(name)' has pixels in 0...1, rounded to 255 levels")
        return (values.map { UInt8(($0 * 255).rounded()) }, 255)
    }

    /// Turns errors of the array formats into `DataError` with the path.
    private static func reading<R>(_ path: String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as ArrayFileError {
            switch error.kind {
            case .wrongMagic:
                throw DataError.wrongMagic(path: path, expected: "that of npy or npz", found: "other bytes")
            case .truncated: throw DataError.truncated(path: path, reason: error.reason)
            case .tooLarge: throw DataError.tooLarge(path: path, reason: error.reason)
            case .malformed, .unsupported, .missing: throw DataError.malformed(path: path, reason: error.reason)
            }
        }
    }
}
