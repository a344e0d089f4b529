import FledgeCore
import Foundation

/// Looks at every sample of a data set for damage, copies and leaks between the splits. Changes nothing.
public enum DataCheck {
    /// Opens the data as training would, whatever is damaged, decodes everything, and lists what it finds.
    /// Throws `DataError` for data that cannot be understood at all.
    public static func run(_ name: String, options: DataOptions = DataOptions()) throws -> DataFindings {
        var options = options
        options.maximumDamaged = 1
        // Every file is decoded below, once.
        options.check = .header
        options.cacheLimit = 0
        let data: OpenedData
        do {
            data = try DataSource.open(name, options: options)
        } catch let error as DataError {
            // A table that training refuses for its first bad cell still has the others listed.
            switch error {
            case .notANumber, .mixedWidths:
                if let findings = try TableCheck.scan(name, options: options) { return findings }
            default: break
            }
            throw error
        }
        let samples = Samples(data)
        var findings = data.damaged.map { Finding(.damaged, [.init(id: $0.id)], $0.reason) }
        if data.train is ImageDataset {
            findings += ImageCheck.run(samples, options: options)
            findings += FolderCheck.run(data, known: Set(samples.ids + data.damaged.map(\.id)))
        } else if data.train is FeatureDataset {
            findings += TableCheck.run(samples)
        }
        return DataFindings(
            source: data.source, samples: samples.count + data.damaged.count, findings: findings)
    }
}

/// The samples of all splits in one row.
struct Samples {
    let parts: [(split: String, dataset: any Dataset)]
    private let starts: [Int]
    let count: Int

    init(_ data: OpenedData) {
        let splits: [(String, (any Dataset)?)] = [("train", data.train), ("test", data.test), ("val", data.validation)]
        parts = splits.compactMap { name, dataset in dataset.map { (name, $0) } }
        var starts: [Int] = []
        var count = 0
        for part in parts {
            starts.append(count)
            count += part.dataset.count
        }
        self.starts = starts
        self.count = count
    }

    var ids: [String] { parts.flatMap { part in (0..<part.dataset.count).map { part.dataset.id(of: $0) } } }

    func locate(_ index: Int) -> (part: Int, index: Int) {
        let part = starts.lastIndex { $0 <= index }!
        return (part, index - starts[part])
    }

    func label(_ index: Int) -> Int? {
        let (part, index) = locate(index)
        return parts[part].dataset.labels[index]
    }

    func place(_ index: Int) -> Finding.Place {
        let (part, index) = locate(index)
        let (split, dataset) = parts[part]
        return Finding.Place(
            id: dataset.id(of: index), split: split, label: dataset.labels[index].map { dataset.classNames[$0] })
    }

    /// What a group of copies means: a leak between splits, labels that contradict, or a plain repetition.
    func finding(copies: [Int], reason: String) -> Finding {
        let splits = Set(copies.map { locate($0).part })
        let labels = Set(copies.compactMap(label))
        let contradict = labels.count > 1 ? ", with different labels" : ""
        let kind: Finding.Kind = splits.count > 1 ? .leak : labels.count > 1 ? .conflict : .duplicate
        return Finding(kind, copies.map(place), reason + contradict)
    }
}

/// Pictures: each is decoded once, on several threads.
private enum ImageCheck {
    /// What is kept of a picture.
    private struct Seen: Sendable {
        let place: Finding.Place
        var findings: [Finding] = []
        var digest: Int?
        var print: Fingerprint?
        var shorterSide: Int?

        mutating func add(_ kind: Finding.Kind, _ reason: String) { findings.append(Finding(kind, [place], reason)) }
    }

    private static let smallestForPrints = 16

    static func run(_ samples: Samples, options: DataOptions) -> [Finding] {
        let results = Shared((0..<samples.count).map { Seen(place: samples.place($0)) })
        let images = samples.parts.compactMap { $0.dataset as? ImageDataset }
        let located = (0..<samples.count).map { samples.locate($0) }
        let threads = max(1, min(options.threads, samples.count))
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for index in stride(from: thread, to: located.count, by: threads) {
                let (part, sample) = located[index]
                var seen = Seen(place: samples.place(index))
                look(at: sample, of: images[part], options: options, &seen)
                results.mutex.withLock { [seen] in $0[index] = seen }
            }
        }
        let seen = results.mutex.withLock { $0 }
        return seen.flatMap(\.findings) + tiny(seen) + copies(samples, images, seen)
    }

    private static func look(
        at index: Int, of dataset: ImageDataset, options: DataOptions, _ seen: inout Seen
    ) {
        do {
            guard let path = dataset.path(of: index) else {
                try dataset.withImage(index) { view in
                    let count = view.width * view.height * view.channels
                    inspect(view, digest: digest(UnsafeRawBufferPointer(start: view.pixels, count: count)), &seen)
                }
                return
            }
            let bytes = try FileBytes.read(path, limit: ImageFileStore.fileLimit)
            let image = try ImageCodec.decode(bytes, pixelLimit: options.pixelLimit)
            image.pixels.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return }
                let view = ImageView(
                    pixels: base, width: image.width, height: image.height, channels: image.channels)
                inspect(view, digest: bytes.withUnsafeBytes(digest), &seen)
                // A picture scaled or encoded anew can only be among files. Too small a one holds too little to tell
                // a copy from a likeness.
                if seen.digest != nil, min(view.width, view.height) >= smallestForPrints {
                    seen.print = Fingerprint(view.luma, width: view.width, height: view.height)
                }
            }
            for loss in ImageEncoding.losses(bytes) { seen.add(.encoding, loss) }
            if let format = ImageEncoding.format(of: bytes), !format.isSaid(by: path) {
                seen.add(.misnamed, "it is a \(format.rawValue) file")
            }
        } catch {
            let reason = (error as? FileError)?.reason ?? (error as? DataError)?.what ?? "\(error)"
            seen.findings = [Finding(.damaged, [seen.place], reason)]
        }
    }

    private static func inspect(_ view: ImageView, digest: Int, _ seen: inout Seen) {
        seen.shorterSide = min(view.width, view.height)
        if view.isBlank {
            seen.add(.blank, "all pixels have the colour \((0..<view.channels).map { Int(view.pixels[$0]) })")
            // Blank pictures are alike and no copies.
            return
        }
        seen.digest = digest
        let grey = view.greyRowsBelow
        if grey >= 2, grey * 20 >= view.height {
            seen.add(
                .cut, "the lower \(grey) of \(view.height) rows are grey, as of a file that was cut and saved again")
        }
    }

    private static func digest(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return hasher.finalize()
    }

    private static func tiny(_ seen: [Seen]) -> [Finding] {
        let sides = seen.compactMap(\.shorterSide).sorted()
        guard let median = sides.isEmpty ? nil : sides[sides.count / 2] else { return [] }
        return seen.compactMap { seen in
            guard let side = seen.shorterSide, side < 8, side * 8 < median else { return nil }
            return Finding(.tiny, [seen.place], "its shorter side has \(side) pixels where others have \(median)")
        }
    }

    private static func copies(_ samples: Samples, _ images: [ImageDataset], _ seen: [Seen]) -> [Finding] {
        func content(_ index: Int) -> [UInt8]? {
            let (part, sample) = samples.locate(index)
            guard let path = images[part].path(of: sample) else { return try? images[part].image(sample).pixels }
            return try? FileBytes.read(path, limit: ImageFileStore.fileLimit)
        }
        var groups = Copies.Groups(samples.count)
        Copies.joinExact(seen.map(\.digest), into: &groups) { a, b in
            guard let one = content(a), let other = content(b) else { return false }
            return one == other
        }
        var exact = groups
        Copies.joinNear(seen.map(\.print), into: &groups)
        var found: [Finding] = []
        // A picture has few copies. Where many pictures look alike, as letters on white do, likeness says nothing.
        let crowds = groups.members().filter { $0.count > 10 }.reduce(0) { $0 + $1.count }
        if crowds * 20 > samples.count {
            found.append(
                Finding(
                    .alike, [], "\(crowds) of \(samples.count) pictures look like many others; only exact copies count")
            )
            groups = exact
        }
        return found
            + groups.members().map { members in
                let isExact = Set(members.map { exact.root($0) }).count == 1
                return samples.finding(
                    copies: members, reason: isExact ? "the same bytes" : "the same picture, scaled or encoded anew")
            }
    }
}

/// Files that lie among the pictures and are not read.
private enum FolderCheck {
    static func run(_ data: OpenedData, known: Set<String>) -> [Finding] {
        guard [.classFolders, .imageFolder, .imagesWithTable].contains(data.format),
            let location = try? DataLocation(data.source), location.isFolder
        else { return [] }
        var findings: [Finding] = []
        walk(location.path, "", above: [], known: known, into: &findings)
        return findings
    }

    private static func walk(
        _ root: String, _ folder: String, above: [DataLocation.Identity], known: Set<String>,
        into findings: inout [Finding]
    ) {
        let path = folder.isEmpty ? root : root + "/" + folder
        let identity = DataLocation.Identity(path)
        func add(_ id: String, _ reason: String) { findings.append(Finding(.unread, [.init(id: id)], reason)) }
        guard let identity, !above.contains(identity) else {
            return add(folder, "a link that leads back to a folder above it")
        }
        guard let (files, folders) = try? DataLocation.list(path) else { return add(folder, "it cannot be listed") }
        for name in files {
            let id = folder.isEmpty ? name : folder + "/" + name
            if known.contains(id) { continue }
            if let reason = reason(root + "/" + id) { add(id, reason) }
        }
        for name in folders {
            walk(
                root, folder.isEmpty ? name : folder + "/" + name, above: above + [identity], known: known,
                into: &findings)
        }
    }

    /// Why a file that is no sample is worth a word; nil for notes, tables and the like.
    private static func reason(_ path: String) -> String? {
        guard DataLocation.Identity(path) != nil else { return "a link that leads nowhere" }
        if DataLocation.isImage(path) { return "a picture that is not part of the data" }
        guard let format = ImageEncoding.format(of: FileBytes.head(path, count: 12)) else { return nil }
        return format.isRead
            ? "it is a \(format.rawValue) picture, and its name does not say so"
            : "pictures in \(format.rawValue) format are not read"
    }
}
