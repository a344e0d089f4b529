import FledgeCore
import Foundation

/// How to open data. The defaults fit most data.
public struct DataOptions: Sendable {
    /// How image files are checked when they are opened.
    public enum Check: String, Codable, Sendable {
        /// Every file is decoded once, so that no damage shows up later.
        case decode
        /// Only headers are read: faster for very large folders; damage then stops training when it is met.
        case header
    }

    public enum LabelColumn: Hashable, Sendable {
        /// A column with a usual name (label, class, target, diagnosis, species, type, ...), else the last one.
        case automatic
        case named(String)
        case none
    }

    /// The column of a CSV table that holds the class.
    public var labelColumn = LabelColumn.automatic
    /// Columns of a CSV table that are left out.
    public var dropColumns: [String] = []
    /// 1 for grey, 3 for RGB, nil for grey where all files are grey and RGB otherwise.
    public var channels: Int?
    /// JPEG files are decoded at the smallest eighth of their size whose shorter side is not below this; nil: full
    /// size.
    public var shortestSide: Int?
    public var check = Check.decode
    /// Opening fails when more than this part of the image files is damaged.
    public var maximumDamaged = 0.01
    /// Where the data has no test split, this part of the training split becomes one (stratified). Of samples with and
    /// without labels, those with labels.
    public var holdOut: Double?
    /// Labels that take the place of all those that the training samples have.
    public var labels: GivenLabels?
    /// The seed of the held-out part.
    public var seed: UInt64 = 0
    /// Decoded image files kept in memory, in bytes.
    public var cacheLimit = 1 << 30
    /// The largest image, in pixels.
    public var pixelLimit = ImageCodec.defaultPixelLimit
    /// The largest file read as a whole, and the most that a compressed file may expand to, in bytes.
    public var fileLimit = 4 << 30
    /// Threads that decode image files while opening.
    public var threads = min(8, max(1, ProcessInfo.processInfo.activeProcessorCount))

    public init() {}
}

/// The forms of data that are understood.
public enum DataFormat: String, Codable, Sendable, CaseIterable {
    case classFolders = "class folders"
    case imagesWithTable = "images with a CSV of labels"
    case imageFolder = "folder of images without labels"
    case idx = "IDX"
    case cifar = "CIFAR binary"
    case npz, npy
    case table = "CSV table"
}

/// Data as it was understood.
public struct OpenedData: Sendable {
    /// The path or bundled name that was given.
    public var source: String
    public var format: DataFormat
    /// Why it was read this way, in one sentence.
    public var reason: String
    /// What a user should know: files left out, choices made.
    public var notes: [String] = []
    public var train: any Dataset
    public var test: (any Dataset)?
    public var validation: (any Dataset)?
    /// Files that were left out because they cannot be used.
    public var damaged: [DamagedSample] = []

    public var classNames: [String] { train.classNames }

    /// Throws `DataError.oneClass` where all labels of the training split are the same.
    public func requireTwoClasses() throws {
        let present = zip(classNames, train.classCounts).filter { $1 > 0 }
        if present.count == 1 { throw DataError.oneClass(path: source, name: present[0].0) }
    }

    /// The test split. Throws `DataError.noTestSplit` where there is none.
    public func requireTest() throws -> any Dataset {
        guard let test else { throw DataError.noTestSplit(path: source) }
        return test
    }
}

/// Opens data by path or bundled name.
public enum DataSource {
    /// Names of the sets that come with Fledge.
    public static let bundledNames = ["digits"]

    /// Opens a folder, a file or a bundled set. The form is detected; `OpenedData.reason` says why. Samples are in a
    /// fixed order: that of the file, or of sorted paths. Throws `DataError`.
    public static func open(_ name: String, options: DataOptions = DataOptions()) throws -> OpenedData {
        var data: OpenedData
        if bundledNames.contains(name) && !FileManager.default.fileExists(atPath: name) {
            data = try BundledReader.open(name, options: options)
        } else {
            let location = try DataLocation(name)
            data = try detect(location, options)
        }
        if let labels = options.labels { data = try labels.applied(to: data) }
        try check(data)
        if data.test == nil, let fraction = options.holdOut {
            var held = data.train.holdOut(fraction: fraction, seed: options.seed).heldOut
            // Nothing can be measured on a sample without a label.
            if data.train.labelledCount > 0 { held.removeAll { data.train.labels[$0] == nil } }
            let isHeld = Set(held)
            let rest = data.train.labels.indices.filter { !isHeld.contains($0) }
            data.notes.append(
                "no test split: \(held.count) training samples were held out as one (seed \(options.seed))")
            data.test = data.train.subset(held)
            data.train = data.train.subset(rest)
        }
        return data
    }

    /// A reader returns nil when the location is not in its form, and throws when it is but cannot be used.
    private typealias Reader = (DataLocation, DataOptions) throws -> OpenedData?

    /// Asks the readers in turn; the more particular forms come first.
    private static func detect(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData {
        let readers: [Reader] =
            location.isFolder
            ? [
                IDXReader.openFolder, CIFARReader.openFolder, ClassFolderReader.open, ImageTableReader.openFolder,
                ImageFolderReader.open, ArrayReader.openFolder, TableReader.openFolder,
            ]
            : [
                IDXReader.openFile, CIFARReader.openFile, ArrayReader.openFile, ImageTableReader.openFile,
                TableReader.openFile,
            ]
        for reader in readers {
            if let data = try reader(location, options) { return data }
        }
        if location.isFolder, try location.holdsNoFile() { throw DataError.emptyFolder(path: location.path) }
        throw DataError.unknownFormat(path: location.path, found: location.summary)
    }

    /// What holds for data of every form: there are samples, and at least two classes, or one and samples without a label,
    /// which may be of another.
    private static func check(_ data: OpenedData) throws {
        guard data.train.count > 0 else { throw DataError.emptyFolder(path: data.source) }
        if data.train.labelledCount == data.train.count { try data.requireTwoClasses() }
    }
}
