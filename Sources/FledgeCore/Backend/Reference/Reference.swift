/// Host loops shared by everything that is not speed: element conversion, strided walking, filling.
/// Floating-point values are handled as `Double`, all others as `Int64`, whatever the tensor's type.
enum Reference {
    /// Calls `body` with the memory offset (in elements) of each element in row-major order.
    static func walk(_ shape: [Int], _ strides: [Int], _ offset: Int, _ body: (Int) -> Void) {
        if shape.elementCount == 0 { return }
        guard let width = shape.last else { return body(offset) }
        let step = strides[shape.count - 1]
        var index = [Int](repeating: 0, count: shape.count - 1)
        var row = offset
        while true {
            var position = row
            for _ in 0..<width {
                body(position)
                position += step
            }
            var axis = shape.count - 2
            while axis >= 0 {
                index[axis] += 1
                row += strides[axis]
                if index[axis] < shape[axis] { break }
                row -= strides[axis] * shape[axis]
                index[axis] = 0
                axis -= 1
            }
            if axis < 0 { return }
        }
    }

    private static func read<T, R>(_ x: Tensor, as type: T.Type, _ convert: (T) -> R) -> [R] {
        let memory = x.storage.pointer.assumingMemoryBound(to: T.self)
        var values: [R] = []
        values.reserveCapacity(x.count)
        walk(x.shape, x.strides, x.offset) { values.append(convert(memory[$0])) }
        return values
    }

    /// All elements in row-major order.
    static func doubles(_ x: Tensor) -> [Double] {
        switch x.dtype {
        case .float32: read(x, as: Float.self) { Double($0) }
        case .float64: read(x, as: Double.self) { $0 }
        case .bfloat16: read(x, as: UInt16.self) { Double(Float(bitPattern: UInt32($0) << 16)) }
        case .int32: read(x, as: Int32.self) { Double($0) }
        case .int64: read(x, as: Int64.self) { Double($0) }
        case .uint8, .bool: read(x, as: UInt8.self) { Double($0) }
        }
    }

    /// All elements in row-major order; floating-point values are truncated and must fit.
    static func integers(_ x: Tensor) -> [Int64] {
        switch x.dtype {
        case .int32: read(x, as: Int32.self) { Int64($0) }
        case .int64: read(x, as: Int64.self) { $0 }
        case .uint8, .bool: read(x, as: UInt8.self) { Int64($0) }
        case .float32, .float64, .bfloat16: doubles(x).map { Int64(saturating: $0) }
        }
    }

    private static func write<T, S>(_ values: [S], _ tensor: Tensor, _ convert: (S) -> T) {
        let memory = tensor.pointer.assumingMemoryBound(to: T.self)
        for i in values.indices { memory[i] = convert(values[i]) }
    }

    static func make(_ values: [Double], _ shape: [Int], _ dtype: DType, _ device: Device) -> Tensor {
        let tensor = Tensor(uninitialized: shape, dtype: dtype, device: device)
        switch dtype {
        case .float32: write(values, tensor) { Float($0) }
        case .float64: write(values, tensor) { $0 }
        case .bfloat16: write(values, tensor) { bfloat16($0) }
        case .int32: write(values, tensor) { Int32(clamping: Int64(saturating: $0)) }
        case .int64: write(values, tensor) { Int64(saturating: $0) }
        case .uint8: write(values, tensor) { UInt8(truncatingIfNeeded: Int64(saturating: $0)) }
        case .bool: write(values, tensor) { $0 != 0 ? UInt8(1) : 0 }
        }
        return tensor
    }

    static func make(_ values: [Int64], _ shape: [Int], _ dtype: DType, _ device: Device) -> Tensor {
        let tensor = Tensor(uninitialized: shape, dtype: dtype, device: device)
        switch dtype {
        case .int64: write(values, tensor) { $0 }
        case .int32: write(values, tensor) { Int32(truncatingIfNeeded: $0) }
        case .uint8: write(values, tensor) { UInt8(truncatingIfNeeded: $0) }
        case .bool: write(values, tensor) { $0 != 0 ? UInt8(1) : 0 }
        case .float32, .float64, .bfloat16: return make(values.map { Double($0) }, shape, dtype, device)
        }
        return tensor
    }

    static func fill(_ tensor: Tensor, _ value: Double) {
        func fill<T>(_ v: T) {
            tensor.pointer.assumingMemoryBound(to: T.self).update(repeating: v, count: tensor.count)
        }
        switch tensor.dtype {
        case .float32: fill(Float(value))
        case .float64: fill(value)
        case .bfloat16: fill(bfloat16(value))
        case .int32: fill(Int32(clamping: Int64(saturating: value)))
        case .int64: fill(Int64(saturating: value))
        case .uint8: fill(UInt8(truncatingIfNeeded: Int64(saturating: value)))
        case .bool: fill(value != 0 ? UInt8(1) : 0)
        }
    }

    /// The nearest bfloat16, ties to even, through float32 as hardware does.
    static func bfloat16(_ value: Double) -> UInt16 {
        let bits = Float(value).bitPattern
        if Float(value).isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }
}

extension Int64 {
    /// Truncation towards zero; NaN becomes 0 and what does not fit the nearest bound.
    init(saturating value: Double) {
        if value.isNaN {
            self = 0
        } else if value >= 0x1p63 {
            self = .max
        } else if value <= -0x1p63 {
            self = .min
        } else {
            self = Int64(value)
        }
    }
}
