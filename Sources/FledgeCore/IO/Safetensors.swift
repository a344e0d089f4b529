/// Named tensors in a file, in Hugging Face's safetensors format: eight bytes of header length, a JSON header, the
/// data. Nothing in such a file is ever executed.
///
/// All functions throw `SafetensorsError`.
public enum Safetensors {
    /// All tensors of a file, or of all shards named by an index (`model.safetensors.index.json`).
    public static func load(_ path: String, device: Device = .default) throws -> [String: Tensor] {
        let file = try SafetensorsFile(path)
        var tensors: [String: Tensor] = [:]
        for name in file.names { tensors[name] = try file.tensor(name, device: device) }
        return tensors
    }

    /// All tensors of a file that was read into memory. `path` is what messages call it.
    public static func decode(_ bytes: [UInt8], path: String, device: Device = .default) throws -> [String: Tensor] {
        let file = try SafetensorsFile(bytes, path: path)
        var tensors: [String: Tensor] = [:]
        for name in file.names { tensors[name] = try file.tensor(name, device: device) }
        return tensors
    }

    /// Writes tensors so that the file is complete or not there: see `AtomicFile`. Equal tensors give equal bytes.
    ///
    /// Saving over a file that is open for reading, even the one these tensors come from, is safe.
    /// - Parameter metadata: free texts, such as the model's name.
    public static func save(_ tensors: [String: Tensor], to path: String, metadata: [String: String] = [:]) throws {
        do {
            try AtomicFile.write(to: path) { put in try encode(tensors, metadata: metadata, path: path, into: put) }
        } catch let failure as StorageError {
            throw SafetensorsError(.unwritable, file: path, failure.why ?? failure.what)
        }
    }

    /// Hands the bytes of the file to `put`, piece by piece. `path` is what messages call it.
    package static func encode(
        _ tensors: [String: Tensor], metadata: [String: String] = [:], path: String,
        into put: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let header = try headerText(tensors, metadata, file: path)
        try withUnsafeBytes(of: UInt64(header.text.count).littleEndian) { try put($0) }
        try header.text.withUnsafeBytes { try put($0) }
        for name in header.order { try tensors[name]!.withBytes { try put($0) } }
    }

    /// The header and the order of the tensors: wide types first, so that every tensor is aligned, then by name.
    private static func headerText(
        _ tensors: [String: Tensor], _ metadata: [String: String], file: String
    ) throws -> (text: [UInt8], order: [String]) {
        func rank(_ name: String) -> Int { SafetensorsType.allCases.firstIndex(of: .init(tensors[name]!.dtype))! }
        let order = tensors.keys.sorted {
            let (a, b) = (rank($0), rank($1))
            return a != b ? a > b : $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        guard order.count <= SafetensorsHeader.tensorLimit else {
            throw SafetensorsError(
                .limit, file: file, "\(order.count) tensors, and \(SafetensorsHeader.tensorLimit) are allowed")
        }
        var members: [String] = []
        if !metadata.isEmpty {
            let texts = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
                .map { StrictJSON.quoted($0.key) + ":" + StrictJSON.quoted($0.value) }
            members.append("\"\(SafetensorsHeader.metadataKey)\":{\(texts.joined(separator: ","))}")
        }
        var end = 0
        for name in order {
            let tensor = tensors[name]!
            guard name.utf8.count <= SafetensorsHeader.nameLimit, tensor.rank <= SafetensorsHeader.rankLimit,
                name != SafetensorsHeader.metadataKey
            else {
                throw SafetensorsError(
                    .limit, file: file, tensor: String(name.prefix(80)),
                    "the format allows names of \(SafetensorsHeader.nameLimit) bytes other than "
                        + "\(SafetensorsHeader.metadataKey), and \(SafetensorsHeader.rankLimit) axes")
            }
            let start = end
            end += tensor.count * tensor.dtype.size
            let type = SafetensorsType(tensor.dtype).rawValue
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                StrictJSON.quoted(name)
                    + ":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(start),\(end)]}")
        }
        var text = Array("{\(members.joined(separator: ","))}".utf8)
        text += [UInt8](repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
        guard text.count <= SafetensorsHeader.byteLimit else {
            throw SafetensorsError(
                .limit, file: file, "the header has \(text.count) bytes, and \(SafetensorsHeader.byteLimit) are allowed"
            )
        }
        return (text, order)
    }
}

/// A safetensors file, or a set of shards with an index, whose tensors are read one by one when asked for.
///
/// Opening reads and checks the header only. The file stays open until the last reference goes.
public final class SafetensorsFile {
    public let path: String
    /// In byte order of their UTF-8.
    public let names: [String]
    /// The free texts of the file; of shards, those of all of them.
    public private(set) var metadata: [String: String] = [:]
    private var places: [String: Place] = [:]

    /// Where a tensor is.
    private struct Place {
        let file: RandomAccessFile
        let dataStart: Int
        let entry: SafetensorsHeader.Entry
    }

    /// Opens a `.safetensors` file, or a `.safetensors.index.json` with its shards beside it. Throws
    /// `SafetensorsError` for a file that breaks a rule of the format.
    public init(_ path: String) throws {
        self.path = path
        if path.hasSuffix(".json") {
            for (shard, wanted) in try Self.shards(path) {
                let opened = try Self.open(shard)
                guard Set(opened.places.keys) == wanted else {
                    let name = wanted.symmetricDifference(opened.places.keys).min()!
                    throw SafetensorsError(
                        .badIndex, file: path, tensor: name,
                        wanted.contains(name) ? "it is not in \(shard)" : "it is in \(shard), but not in the index")
                }
                places.merge(opened.places) { first, _ in first }
                metadata.merge(opened.metadata) { first, _ in first }
            }
        } else {
            (places, metadata) = try Self.open(path)
        }
        names = places.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// The same of bytes in memory.
    init(_ bytes: [UInt8], path: String) throws {
        self.path = path
        (places, metadata) = try Self.parsed(RandomAccessFile(bytes, path: path))
        names = places.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    public func contains(_ name: String) -> Bool { places[name] != nil }
    /// nil when there is no tensor of that name.
    public func shape(of name: String) -> [Int]? { places[name]?.entry.shape }
    /// What `tensor` gives; nil when there is no tensor of that name, or its type has no counterpart here.
    public func dtype(of name: String) -> DType? { places[name]?.entry.type.dtype }

    /// Reads one tensor. F16 becomes float32, all other types stay what they are.
    public func tensor(_ name: String, device: Device = .default) throws -> Tensor {
        guard let place = places[name] else {
            throw SafetensorsError(.missing, file: path, tensor: name, "there is no such tensor among \(names.count)")
        }
        let file = place.file.path
        let entry = place.entry
        guard let dtype = entry.type.dtype else {
            throw SafetensorsError(
                .unsupportedType, file: file, tensor: name, "its element type is \(entry.type.rawValue)")
        }
        let result = Tensor(uninitialized: entry.shape, dtype: dtype, device: device)
        // Half precision fills the upper half of the memory and is widened from there.
        let target = UnsafeMutableRawBufferPointer(
            start: result.pointer + result.count * dtype.size - entry.range.count, count: entry.range.count)
        let isComplete = try Self.catching(file) {
            try place.file.read(into: target, at: place.dataStart + entry.range.lowerBound)
        }
        guard isComplete else {
            throw SafetensorsError(.truncated, file: file, tensor: name, "the file became shorter since it was opened")
        }
        if entry.type == .float16 { Self.widen(result, from: target) }
        if dtype == .bool, let wrong = target.firstIndex(where: { $0 > 1 }) {
            throw SafetensorsError(
                .badValue, file: file, tensor: name, "element \(wrong) is \(target[wrong]), a BOOL is 0 or 1")
        }
        return result
    }

    /// Front to back, the float written never reaches beyond the halves already read.
    private static func widen(_ result: Tensor, from halves: UnsafeMutableRawBufferPointer) {
        let floats = result.data(Float.self)
        for i in 0..<result.count {
            floats[i] = Float(halves.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self))
        }
    }

    /// Reads the header of one file.
    private static func open(_ path: String) throws -> (places: [String: Place], metadata: [String: String]) {
        try parsed(try catching(path) { try RandomAccessFile(path) })
    }

    private static func parsed(
        _ file: RandomAccessFile
    ) throws -> (places: [String: Place], metadata: [String: String]) {
        let path = file.path
        guard let prefix = try catching(path, { try file.bytes(at: 0, count: 8) }) else {
            throw SafetensorsError(.truncated, file: path, "\(file.size) bytes are too few for a safetensors file")
        }
        let length = prefix.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= SafetensorsHeader.byteLimit else {
            throw SafetensorsError(
                .limit, file: path,
                "the header would have \(length) bytes, and \(SafetensorsHeader.byteLimit) are allowed",
                advice: "it is damaged or not a safetensors file: download it again")
        }
        let dataStart = 8 + Int(length)
        guard dataStart <= file.size, let text = try catching(path, { try file.bytes(at: 8, count: Int(length)) })
        else {
            throw SafetensorsError(
                .truncated, file: path, "the header has \(length) bytes, and the whole file \(file.size)")
        }
        let header = try SafetensorsHeader(parsing: text, dataSize: file.size - dataStart, file: path)
        return (
            header.entries.mapValues { Place(file: file, dataStart: dataStart, entry: $0) }, header.metadata
        )
    }

    /// The shards an index names, as paths, each with the tensors it should hold.
    private static func shards(_ path: String) throws -> [(path: String, names: Set<String>)] {
        let file = try catching(path) { try RandomAccessFile(path) }
        guard file.size <= SafetensorsHeader.byteLimit else {
            throw SafetensorsError(.limit, file: path, "an index of \(file.size) bytes")
        }
        let text = try catching(path) { try file.bytes(at: 0, count: file.size) } ?? []
        let json: StrictJSON
        do throws(StrictJSON.Failure) {
            json = try StrictJSON.parse(text)
        } catch {
            throw SafetensorsError(.badIndex, file: path, "not valid at byte \(error.offset): \(error.reason)")
        }
        guard let map = json["weight_map"]?.members else {
            throw SafetensorsError(.badIndex, file: path, "it has no dictionary weight_map")
        }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        var names: [String: Set<String>] = [:]
        for member in map {
            // Shards lie beside the index: a name that leads elsewhere is refused.
            guard let shard = member.value.text, shard.hasSuffix(".safetensors"), !shard.contains("/") else {
                throw SafetensorsError(
                    .badIndex, file: path, tensor: member.key, "its shard is no .safetensors file name")
            }
            names[folder + shard, default: []].insert(member.key)
        }
        return names.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func catching<R>(_ path: String, _ body: () throws -> R) throws -> R {
        do { return try body() } catch let failure as StorageError {
            throw SafetensorsError(.unreadable, file: path, "\(failure.what): \(failure.why ?? "")")
        }
    }
}
