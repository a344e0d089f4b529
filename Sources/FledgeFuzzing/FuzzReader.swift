import FledgeCore
import FledgeData
import FledgeTrain
import Foundation

/// A reader of files from elsewhere, as a fuzzer sees it: bytes in, and neither a crash nor a long wait nor much memory,
/// whatever they are. Errors that the reader throws are its answer.
public struct FuzzReader: Sendable {
    public let name: String
    /// Longer inputs bring nothing new.
    public let longest: Int
    /// Sound inputs to begin from.
    public let seeds: @Sendable () throws -> [[UInt8]]
    private let body: @Sendable ([UInt8]) throws -> Void

    init(
        _ name: String, longest: Int = 4096, seeds: @escaping @Sendable () throws -> [[UInt8]],
        read body: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.longest = longest
        self.seeds = seeds
        self.body = body
    }

    /// Reads the bytes. Returns whether they were taken for sound.
    @discardableResult
    public func read(_ bytes: [UInt8]) -> Bool {
        do {
            try body(bytes)
            return true
        } catch {
            // The message is part of the reader.
            return "\(error)".isEmpty
        }
    }

    /// For readers of paths: a file of that name, in memory where the system offers it.
    static func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = folder + "/" + name
        guard let file = fopen(path, "w") else { throw FileError(operation: "write", path: path, reason: "fopen") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
        return path
    }

    private static let folder: String = {
        let parent = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        let path = parent + "/fledge-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: FuzzReader.folder) }
        return path
    }()
}

extension FuzzReader {
    /// Every reader, by name.
    public static let all: [FuzzReader] = arrays + tables + images + texts

    private static let arrays = [
        FuzzReader("safetensors", seeds: Seeds.safetensors) { bytes in
            let file = try SafetensorsFile(try Self.file("x.safetensors", bytes))
            for name in file.names { _ = try file.tensor(name) }
        },
        FuzzReader("safetensors-index", longest: 1024, seeds: Seeds.index) { bytes in
            _ = try SafetensorsFile(try Self.file("x.safetensors.index.json", bytes))
        },
        FuzzReader("npy", seeds: Seeds.npy) { bytes in
            let array = try NpyArray(npy: bytes)
            if array.count < 1 << 16 {
                _ = try? array.floats()
                _ = try? array.integers()
                _ = try? array.strings()
            }
        },
        FuzzReader("npz", seeds: Seeds.npz) { bytes in _ = try Npz.read(bytes, limit: 4 << 20) },
        FuzzReader("gzip", seeds: Seeds.gzip) { bytes in _ = try Zlib.inflate(bytes, format: .gzip, limit: 4 << 20) },
    ]

    private static let tables = [
        FuzzReader("idx", seeds: Seeds.idx) { bytes in _ = try open("x-idx3-ubyte", bytes) },
        FuzzReader("cifar", longest: 3 * 3073, seeds: Seeds.cifar) { bytes in _ = try open("data_batch_1.bin", bytes) },
        FuzzReader("csv", seeds: Seeds.csv) { bytes in _ = try open("x.csv", bytes) },
        FuzzReader("table-check", seeds: Seeds.csv) { bytes in
            _ = try DataCheck.run(try Self.file("y.csv", bytes), options: options)
        },
        FuzzReader("votes", longest: 1024, seeds: Seeds.votes) { bytes in
            let votes = try Votes.read(try Self.file("v.csv", bytes), ids: ["a", "b"], classNames: [])
            precondition(votes.count == 2 && votes.classes > 1)
        },
        FuzzReader("tags", longest: 1024, seeds: Seeds.tags) { bytes in
            let tags = try Tags.read(try Self.file("t.csv", bytes), ids: ["a", "b"])
            precondition(tags.ofSample.count == 2 && tags.counts.allSatisfy { $0 > 0 })
        },
        FuzzReader("labels", longest: 1024, seeds: Seeds.labels) { bytes in
            let labels = try GivenLabels.read(try Self.file("l.csv", bytes))
            // What is taken is what would be written.
            let again = try GivenLabels.read(try Self.file("l.csv", Array(labels.csv(column: "id").utf8)))
            precondition(again == labels)
        },
    ]

    private static let images = [
        FuzzReader("jpeg", longest: 8192, seeds: Seeds.jpeg) { bytes in try decode(bytes) },
        FuzzReader("png", longest: 8192, seeds: Seeds.png) { bytes in try decode(bytes) },
    ]

    private static let texts = [
        FuzzReader("manifest", longest: 1024, seeds: Seeds.manifest) { bytes in
            guard let manifest = CheckpointManifest(parsing: bytes) else {
                throw FileError(operation: "read", path: "MANIFEST", reason: "it is refused")
            }
            // What is taken is exactly what would be written.
            precondition(Array(manifest.text.utf8) == bytes)
        },
        FuzzReader("metrics", seeds: Seeds.metrics) { bytes in _ = MetricsFile.parse(bytes) },
        FuzzReader("settings", seeds: Seeds.settings) { bytes in
            _ = try TrainingSettings().applying(yaml: String(decoding: bytes, as: UTF8.self))
        },
    ]

    private static var options: DataOptions {
        var options = DataOptions()
        options.fileLimit = 4 << 20
        options.threads = 1
        return options
    }

    private static func open(_ name: String, _ bytes: [UInt8]) throws -> OpenedData {
        try DataSource.open(try file(name, bytes), options: options)
    }

    /// Both wrappers tell the format by the first bytes. The limit keeps the pixels below a few megabytes.
    private static func decode(_ bytes: [UInt8]) throws {
        _ = try ImageCodec.decode(bytes, pixelLimit: 1 << 20)
        _ = try ImageCodec.decode(bytes, channels: 1, shortestSide: 8, pixelLimit: 1 << 20)
    }
}
