extension Tensor {
    /// The value of a tensor with one element. Stops when there are more or none.
    public func item() -> Double {
        require(count == 1, "item() needs one element, not shape \(shape)")
        return Reference.doubles(self)[0]
    }

    /// All elements in row-major order, converted to `Float`.
    public func floats() -> [Float] {
        if dtype == .float32 { return array(Float.self) }
        return Reference.doubles(self).map { Float($0) }
    }
    /// All elements in row-major order, converted to `Double`.
    public func doubles() -> [Double] { Reference.doubles(self) }
    /// All elements in row-major order as integers. Stops for floating-point tensors.
    public func ints() -> [Int] {
        require(!dtype.isFloatingPoint, "ints() of a \(dtype) tensor: cast it first")
        return Reference.integers(self).map { Int($0) }
    }
    /// All elements in row-major order. Stops when `T` is not the tensor's element type.
    public func array<T: TensorScalar>(_ type: T.Type) -> [T] {
        require(T.dtype == dtype, "array(\(T.self)) of a \(dtype) tensor")
        let x = contiguous()
        return Array(UnsafeBufferPointer(start: x.data(T.self), count: x.count))
    }
    /// Calls `body` with the elements in row-major order; no copy when the tensor is contiguous.
    public func withElements<T: TensorScalar, R>(
        _ type: T.Type, _ body: (UnsafeBufferPointer<T>) throws -> R
    ) rethrows -> R {
        require(T.dtype == dtype, "withElements(\(T.self)) of a \(dtype) tensor")
        let x = contiguous()
        return try body(UnsafeBufferPointer(start: UnsafePointer(x.data(T.self)), count: x.count))
    }
    /// Calls `body` with the bytes of the elements in row-major order; no copy when the tensor is contiguous.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let x = contiguous()
        return try body(UnsafeRawBufferPointer(start: x.pointer, count: x.count * dtype.size))
    }
}

extension Tensor: CustomStringConvertible {
    /// Like NumPy's: nested rows, long axes shortened, then shape and type.
    public var description: String {
        let suffix = "shape \(shape), \(dtype)"
        if count == 0 { return "Tensor([], \(suffix))" }
        let values = Reference.doubles(self)
        func text(_ v: Double) -> String {
            switch dtype {
            case .bool: return v != 0 ? "true" : "false"
            case .int32, .int64, .uint8: return String(Int(v))
            default:
                if v == v.rounded(), Swift.abs(v) < 1e6 { return String(Int(v)) + "." }
                let digits = Float(v).description
                return Swift.abs(v) >= 1e-3 && Swift.abs(v) < 1e6 ? shortened(v) : digits
            }
        }
        func shortened(_ v: Double) -> String {
            let scaled = (v * 10000).rounded() / 10000
            return String(scaled)
        }
        let edge = 3
        func rows(_ axis: Int, _ base: Int) -> String {
            if axis == rank { return text(values[base]) }
            let step = shape[(axis + 1)...].reduce(1, *)
            let n = shape[axis]
            let all = n <= 2 * edge + 2
            var parts: [String] = []
            for i in 0..<n where all || i < edge || i >= n - edge {
                if !all && i == n - edge { parts.append("...") }
                parts.append(rows(axis + 1, base + i * step))
            }
            let inner = axis + 1 < rank
            let separator = inner ? ",\n" + String(repeating: " ", count: axis + 8) : ", "
            return "[" + parts.joined(separator: separator) + "]"
        }
        return "Tensor(" + rows(0, 0) + ", \(suffix))"
    }
}
