// npy and npz files as tensors.

extension Npz {
    /// All arrays of an npz file as tensors, by name. Half precision becomes float32, small integers int32, other
    /// integers int64. Throws `FileError` or `ArrayFileError`, also for arrays of text.
    public static func load(_ path: String, device: Device = .default) throws -> [String: Tensor] {
        let bytes = try FileBytes.read(path)
        return try naming(path) {
            var tensors: [String: Tensor] = [:]
            for (name, array) in try read(bytes) {
                tensors[name] = try naming("'\(name)'") { try array.tensor(device: device) }
            }
            return tensors
        }
    }

    /// Writes tensors to an npz file, in the order of their names. bfloat16 becomes float32, which NumPy knows.
    public static func save(_ tensors: [String: Tensor], to path: String, compressed: Bool = true) throws {
        let arrays = tensors.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { (name: $0.key, array: NpyArray($0.value)) }
        try AtomicFile.write(try naming(path) { try bytes(arrays, compressed: compressed) }, to: path)
    }
}

extension NpyArray {
    /// Reads an npy file as a tensor; types as for `Npz.load`.
    public static func load(_ path: String, device: Device = .default) throws -> Tensor {
        let bytes = try FileBytes.read(path)
        return try naming(path) { try NpyArray(npy: bytes).tensor(device: device) }
    }

    /// The values of a tensor, row after row.
    public init(_ tensor: Tensor) {
        let tensor = tensor.dtype == .bfloat16 ? noGradient { tensor.cast(to: .float32) } : tensor
        let type =
            switch tensor.dtype {
            case .float32, .bfloat16: "<f4"
            case .float64: "<f8"
            case .int32: "<i4"
            case .int64: "<i8"
            case .uint8: "|u1"
            case .bool: "|b1"
            }
        self.init(dtype: type, shape: tensor.shape, data: tensor.withBytes { Array($0) })
    }

    /// The array as a tensor. Throws `ArrayFileError` for text, for unsigned integers above the range of int64, and for
    /// booleans that are neither 0 nor 1.
    public func tensor(device: Device = .default) throws -> Tensor {
        let letter = dtype.dropFirst().first
        let size = Self.itemSize(dtype) ?? 0
        let type: DType
        switch letter {
        case "f": type = size == 8 ? .float64 : .float32
        case "u" where size == 1: type = .uint8
        case "b": type = .bool
        case "i" where size <= 4, "u" where size == 2: type = .int32
        default: type = .int64
        }
        if letter == "b", let wrong = data.first(where: { $0 > 1 }) {
            throw ArrayFileError(.malformed, "a boolean is \(wrong), neither 0 nor 1")
        }
        let isWideUnsigned = letter == "u" && size > 1
        if !fortranOrder, !dtype.hasPrefix(">"), size == type.size, !isWideUnsigned, letter != "U", letter != "S" {
            return data.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: type, device: device) }
        }
        if type == .float64 { return Tensor(float64: try doubles(), shape: shape, device: device) }
        if type == .float32 { return Tensor(try floats(), shape: shape, device: device) }
        return Tensor(try integers(), shape: shape, device: device).cast(to: type)
    }
}

/// Puts a name in front of what is wrong with an array.
private func naming<R>(_ name: String, _ body: () throws -> R) throws -> R {
    do { return try body() } catch let error as ArrayFileError {
        throw ArrayFileError(error.kind, "\(name): \(error.reason)")
    }
}
