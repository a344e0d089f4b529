import Dispatch
import FledgeCore
import Synchronization

/// Image files of one or more splits on the way to datasets: each is read and checked once, in parallel.
struct ImageFiles {
    /// One sample: a path relative to the data, and the class name where there is a label.
    struct Entry {
        var id: String
        var label: String?
    }

    var datasets: [any Dataset]
    var damaged: [DamagedSample]

    /// Opens the entries of each split. Grey and colour are decided over all splits together. Throws `DataError`; when
    /// more files are damaged than `options.maximumDamaged` allows, none is used.
    static func open(
        _ splits: [[Entry]], root: String, classNames: [String], options: DataOptions
    ) throws -> ImageFiles {
        let results = splits.map { check($0, root: root, options: options) }
        var damaged: [DamagedSample] = []
        var total = 0
        var gray = true
        for (entries, checked) in zip(splits, results) {
            for (entry, result) in zip(entries, checked) {
                total += 1
                switch result {
                case .success(let image): gray = gray && image.channels == 1
                case .failure(let error):
                    damaged.append(DamagedSample(id: entry.id, reason: reason(error)))
                }
            }
        }
        guard Double(damaged.count) <= Double(total) * options.maximumDamaged else {
            // One bad file is named by its own error: it says more than a list of one.
            if damaged.count == 1, case .failure(let error)? = results.joined().first(where: \.isFailure) {
                throw error
            }
            throw DataError.tooManyDamaged(
                path: root, damaged: damaged, total: total, allowed: options.maximumDamaged)
        }
        let channels = options.channels ?? (gray ? 1 : 3)
        let datasets = try zip(splits, results).map { entries, checked in
            try dataset(entries, checked, channels: channels, root: root, classNames: classNames, options: options)
        }
        return ImageFiles(datasets: datasets, damaged: damaged)
    }

    /// What the check learned of a sound file; `image` is nil when it was not decoded or did not fit in memory.
    private struct Checked: Sendable {
        var width: Int
        var height: Int
        var channels: Int
        var image: ImageBuffer?
    }

    private struct Progress {
        var results: [Result<Checked, DataError>?]
        var bytes = 0
    }

    private static func check(
        _ entries: [Entry], root: String, options: DataOptions
    ) -> [Result<Checked, DataError>] {
        let progress = Shared(Progress(results: [Result<Checked, DataError>?](repeating: nil, count: entries.count)))
        let paths = entries.map { root + "/" + $0.id }
        // A stride of its own for each thread; what is found does not depend on their number.
        let threads = max(1, min(options.threads, entries.count))
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for index in stride(from: thread, to: paths.count, by: threads) {
                let result = checkFile(paths[index], options: options)
                progress.mutex.withLock { progress in
                    progress.results[index] = result
                    guard case .success(var checked) = result, let image = checked.image else { return }
                    if progress.bytes + image.pixels.count <= options.cacheLimit {
                        progress.bytes += image.pixels.count
                    } else {
                        checked.image = nil
                        progress.results[index] = .success(checked)
                    }
                }
            }
        }
        return progress.mutex.withLock { $0.results.compactMap { $0 } }
    }

    private static func checkFile(_ path: String, options: DataOptions) -> Result<Checked, DataError> {
        do throws(DataError) {
            switch options.check {
            case .decode:
                let image = try decode(path, options)
                return .success(
                    Checked(width: image.width, height: image.height, channels: image.channels, image: image))
            case .header:
                let header = try readHeader(path, options)
                return .success(Checked(width: header.width, height: header.height, channels: header.channels))
            }
        } catch {
            return .failure(error)
        }
    }

    private static func decode(_ path: String, _ options: DataOptions) throws(DataError) -> ImageBuffer {
        do {
            return try ImageFileStore.load(
                path, channels: options.channels, shortestSide: options.shortestSide, pixelLimit: options.pixelLimit)
        } catch let error as DataError {
            throw error
        } catch {
            throw .undecodable(path: path, reason: "\(error)")
        }
    }

    private static func readHeader(_ path: String, _ options: DataOptions) throws(DataError) -> ImageHeader {
        do {
            let bytes = try FileBytes.read(path, limit: ImageFileStore.fileLimit)
            return try ImageCodec.header(
                of: bytes, shortestSide: options.shortestSide, pixelLimit: options.pixelLimit)
        } catch {
            throw .undecodable(path: path, reason: "\(error)")
        }
    }

    private static func reason(_ error: DataError) -> String {
        switch error {
        case .undecodable(_, let reason), .unreadable(_, let reason), .tooLarge(_, let reason): reason
        default: error.what
        }
    }

    private static func dataset(
        _ entries: [Entry], _ checked: [Result<Checked, DataError>], channels: Int, root: String, classNames: [String],
        options: DataOptions
    ) throws -> any Dataset {
        var kept: [Entry] = []
        var sound: [Checked] = []
        for (entry, result) in zip(entries, checked) {
            guard case .success(let one) = result else { continue }
            kept.append(entry)
            sound.append(one)
        }
        let labels = try ClassIndex.indices(of: kept.map(\.label), in: classNames, path: root)
        let images = sound.map { $0.image?.converted(toChannels: channels) }
        let storage: ImageDataset.Storage
        if let first = sound.first, sound.allSatisfy({ $0.width == first.width && $0.height == first.height }),
            images.allSatisfy({ $0 != nil })
        {
            var block: [UInt8] = []
            block.reserveCapacity(sound.count * first.width * first.height * channels)
            for case .some(let image) in images { block += image.pixels }
            storage = .block(block, width: first.width, height: first.height)
        } else {
            let files = zip(kept, sound).map {
                ImageFileStore.File(path: root + "/" + $0.id, width: $1.width, height: $1.height)
            }
            storage = .files(
                ImageFileStore(
                    files: files, channels: channels, shortestSide: options.shortestSide,
                    pixelLimit: options.pixelLimit, cacheLimit: options.cacheLimit, decoded: images))
        }
        return ImageDataset(
            storage: storage, positions: Array(kept.indices), channels: channels, whiteLevel: 255, labels: labels,
            classNames: classNames, ids: kept.map(\.id))
    }
}

/// A value behind a lock that several threads may hold.
final class Shared<Value: Sendable>: Sendable {
    let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }
}

extension Result {
    fileprivate var isFailure: Bool {
        if case .failure = self { return true }
        return false
    }
}

extension ImageBuffer {
    /// The image with grey copied into three channels, or unchanged.
    fileprivate func converted(toChannels wanted: Int) -> ImageBuffer {
        guard channels == 1, wanted == 3 else { return self }
        var colored: [UInt8] = []
        colored.reserveCapacity(pixels.count * 3)
        for value in pixels {
            colored.append(value)
            colored.append(value)
            colored.append(value)
        }
        return ImageBuffer(width: width, height: height, channels: 3, pixels: colored)
    }
}
