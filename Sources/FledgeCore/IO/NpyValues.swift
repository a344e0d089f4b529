// Values of an npy array as Swift arrays, in C order (last axis fastest), and npy arrays from Swift arrays.

extension NpyArray {
    /// A float32 array. Stops when the shape does not hold the values.
    public init(_ values: [Float], shape: [Int]) {
        self.init(dtype: "<f4", shape: shape, data: values.flatMapBytes { $0.bitPattern.littleEndian })
    }

    /// A float64 array. Stops when the shape does not hold the values.
    public init(_ values: [Double], shape: [Int]) {
        self.init(dtype: "<f8", shape: shape, data: values.flatMapBytes { $0.bitPattern.littleEndian })
    }

    /// An int64 array. Stops when the shape does not hold the values.
    public init(_ values: [Int64], shape: [Int]) {
        self.init(dtype: "<i8", shape: shape, data: values.flatMapBytes { $0.littleEndian })
    }

    /// A uint8 array. Stops when the shape does not hold the values.
    public init(_ values: [UInt8], shape: [Int]) { self.init(dtype: "|u1", shape: shape, data: values) }

    /// A one-dimensional array of strings (NumPy's fixed-width "<U").
    public init(_ values: [String]) {
        let width = max(1, values.map { $0.unicodeScalars.count }.max() ?? 1)
        var words: [UInt32] = []
        words.reserveCapacity(values.count * width)
        for value in values {
            let scalars = value.unicodeScalars.map(\.value)
            words += scalars
            words += repeatElement(0, count: width - scalars.count)
        }
        self.init(dtype: "<U\(width)", shape: [values.count], data: words.flatMapBytes { $0.littleEndian })
    }

    private var kind: Character { dtype[dtype.index(after: dtype.startIndex)] }
    private var size: Int { Self.itemSize(dtype) ?? 0 }
    private var bigEndian: Bool { dtype.first == ">" }

    /// All elements as float32. Throws for strings.
    public func floats() throws -> [Float] {
        // The common case is a copy.
        if dtype == "<f4", !fortranOrder {
            return data.withUnsafeBytes { raw in
                (0..<count).map { Float(bitPattern: raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)) }
            }
        }
        return try values {
            Float($0)
        } fromInteger: {
            Float($0)
        }
    }

    /// All elements as float64. Throws for strings.
    public func doubles() throws -> [Double] {
        try values {
            $0
        } fromInteger: {
            Double($0)
        }
    }

    /// All elements as whole numbers. Throws for strings, and for numbers that are not whole or do not fit.
    public func integers() throws -> [Int] {
        var bad: Double?
        let result = try values { value -> Int in
            guard let whole = Int(exactly: value) else {
                bad = bad ?? value
                return 0
            }
            return whole
        } fromInteger: {
            Int($0)
        }
        if let bad { throw ArrayFileError(.malformed, "\(bad) is not a whole number") }
        return result
    }

    /// The strings of a "U" or "S" array, without trailing zeros.
    public func strings() throws -> [String] {
        guard kind == "U" || kind == "S" else {
            throw ArrayFileError(.malformed, "an array of text was expected, this one is of type '\(dtype)'")
        }
        let strings = (0..<count).map { i -> String in
            let bytes = data[(i * size)..<((i + 1) * size)]
            if kind == "S" { return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
            var scalars = String.UnicodeScalarView()
            for at in stride(from: bytes.startIndex, to: bytes.endIndex, by: 4) {
                let word = UInt32(word(at: at, size: 4))
                if word == 0 { break }
                scalars.append(Unicode.Scalar(word) ?? "\u{FFFD}")
            }
            return String(scalars)
        }
        return inCOrder(strings)
    }

    /// The little or big endian word at a byte offset.
    private func word(at offset: Int, size: Int) -> UInt64 {
        var result: UInt64 = 0
        for k in 0..<size { result = result << 8 | UInt64(data[bigEndian ? offset + k : offset + size - 1 - k]) }
        return result
    }

    private func values<T>(_ fromDouble: @escaping (Double) -> T, fromInteger: @escaping (Int64) -> T) throws -> [T] {
        let size = size
        let element: (Int) -> T
        switch kind {
        case "f" where size == 4:
            element = { fromDouble(Double(Float(bitPattern: UInt32(self.word(at: $0, size: 4))))) }
        case "f" where size == 8: element = { fromDouble(Double(bitPattern: self.word(at: $0, size: 8))) }
        case "f": element = { fromDouble(Double(halfToFloat(UInt16(self.word(at: $0, size: 2))))) }
        case "i":
            // Sign-extends the word by shifting it to the top and back.
            let shift = Int64(64 - 8 * size)
            element = { fromInteger((Int64(bitPattern: self.word(at: $0, size: size)) << shift) >> shift) }
        case "u" where size == 8:
            // Only what Int64 cannot hold loses digits.
            element = {
                let word = self.word(at: $0, size: 8)
                return Int64(exactly: word).map(fromInteger) ?? fromDouble(Double(word))
            }
        case "u", "b": element = { fromInteger(Int64(self.word(at: $0, size: size))) }
        default: throw ArrayFileError(.malformed, "an array of numbers was expected, this one is of type '\(dtype)'")
        }
        return inCOrder((0..<count).map { element($0 * size) })
    }

    /// The elements with the last axis fastest, whatever the order on disk.
    private func inCOrder<T>(_ values: [T]) -> [T] {
        guard fortranOrder, shape.count > 1, !values.isEmpty else { return values }
        var strides = [Int](repeating: 1, count: shape.count)
        for axis in 1..<shape.count { strides[axis] = strides[axis - 1] * shape[axis - 1] }
        var index = [Int](repeating: 0, count: shape.count)
        var result: [T] = []
        result.reserveCapacity(values.count)
        for _ in 0..<values.count {
            result.append(values[zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 }])
            var axis = shape.count - 1
            while axis >= 0 {
                index[axis] += 1
                if index[axis] < shape[axis] { break }
                index[axis] = 0
                axis -= 1
            }
        }
        return result
    }

    /// The raw bytes in C order when the elements are uint8, else nil. Images are read this way, without conversion.
    public func bytes() -> [UInt8]? { dtype == "|u1" ? inCOrder(data) : nil }
}

/// IEEE 754 half precision to single, exactly.
private func halfToFloat(_ bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1F)
    let fraction = Float(bits & 0x3FF)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default: return sign * (1 + fraction * 0x1p-10) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
}

extension Array {
    /// The bytes of fixed-width words made from the elements.
    fileprivate func flatMapBytes<Word: FixedWidthInteger>(_ word: (Element) -> Word) -> [UInt8] {
        let size = MemoryLayout<Word>.size
        return [UInt8](unsafeUninitializedCapacity: count * size) { buffer, initialized in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            for (i, element) in enumerated() {
                raw.storeBytes(of: word(element), toByteOffset: i * size, as: Word.self)
            }
            initialized = count * size
        }
    }
}
