extension Tensor {
    /// A tensor of the given values in row-major order. Stops when their number does not fit the shape.
    /// - Parameter shape: nil makes a vector.
    public convenience init(_ values: [Float], shape: [Int]? = nil, device: Device = .default) {
        self.init(copying: values, shape: shape, device: device)
    }
    /// An `int64` tensor, as labels and indices are.
    public convenience init(_ values: [Int], shape: [Int]? = nil, device: Device = .default) {
        self.init(copying: values, shape: shape, device: device)
    }
    public convenience init(_ values: [UInt8], shape: [Int]? = nil, device: Device = .default) {
        self.init(copying: values, shape: shape, device: device)
    }
    public convenience init(_ values: [Int32], shape: [Int]? = nil, device: Device = .default) {
        self.init(copying: values, shape: shape, device: device)
    }
    public convenience init(_ values: [Bool], shape: [Int]? = nil, device: Device = .default) {
        self.init(copying: values, shape: shape, device: device)
    }
    /// A `float64` tensor. Named, so that a list of literals means `float32`.
    public convenience init(float64 values: [Double], shape: [Int]? = nil, device: Device = .default) {
        self.init(copying: values, shape: shape, device: device)
    }
    /// A scalar.
    public convenience init(_ value: Double, dtype: DType = .float32, device: Device = .default) {
        self.init(filledWith: value, shape: [], dtype: dtype, device: device)
    }
    /// A tensor that copies bytes as they are: row-major elements of `dtype` in this machine's byte order.
    /// Stops when the number of bytes does not fit the shape.
    public convenience init(bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType, device: Device = .default) {
        self.init(uninitialized: shape, dtype: dtype, device: device)
        require(
            bytes.count == count * dtype.size,
            "\(bytes.count) bytes do not fill a \(dtype) tensor of shape \(shape)")
        if bytes.count > 0 { pointer.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count) }
    }

    private convenience init<T: TensorScalar>(copying values: [T], shape: [Int]?, device: Device) {
        let shape = shape ?? [values.count]
        require(shape.elementCount == values.count, "\(values.count) values do not fill the shape \(shape)")
        self.init(uninitialized: shape, dtype: T.dtype, device: device)
        values.withUnsafeBytes { if $0.count > 0 { pointer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
    }

    private convenience init(filledWith value: Double, shape: [Int], dtype: DType, device: Device) {
        self.init(uninitialized: shape, dtype: dtype, device: device)
        Reference.fill(self, value)
    }

    public static func full(
        _ shape: [Int], _ value: Double, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        Tensor(filledWith: value, shape: shape, dtype: dtype, device: device)
    }
    public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .default) -> Tensor {
        let tensor = Tensor(uninitialized: shape, dtype: dtype, device: device)
        if tensor.storage.byteCount > 0 {
            tensor.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: tensor.storage.byteCount)
        }
        return tensor
    }
    public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .default) -> Tensor {
        full(shape, 1, dtype: dtype, device: device)
    }
    /// Zeros of the shape, type and device of `other`.
    public static func zeros(like other: Tensor) -> Tensor {
        zeros(other.shape, dtype: other.dtype, device: other.device)
    }
    /// Ones of the shape, type and device of `other`.
    public static func ones(like other: Tensor) -> Tensor {
        ones(other.shape, dtype: other.dtype, device: other.device)
    }
    /// `start, start + step, ...` up to but not including `end`.
    public static func arange(
        _ start: Double, _ end: Double, step: Double = 1, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        require(step != 0, "arange: step must not be 0")
        let n = Swift.max(0, Int(((end - start) / step).rounded(.up)))
        return Reference.make((0..<n).map { start + Double($0) * step }, [n], dtype, device)
    }
    /// The integers `0..<count` as `int64`.
    public static func arange(_ count: Int, device: Device = .default) -> Tensor {
        Tensor(Array(0..<count), device: device)
    }
    /// `count` numbers from `start` to `end`, both included.
    public static func linspace(
        _ start: Double, _ end: Double, count: Int, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        require(count >= 0, "linspace: count \(count) is negative")
        let step = count > 1 ? (end - start) / Double(count - 1) : 0
        return Reference.make(
            (0..<count).map { $0 == count - 1 && count > 1 ? end : start + Double($0) * step }, [count], dtype, device)
    }
    /// The identity matrix `[size, size]`.
    public static func eye(_ size: Int, dtype: DType = .float32, device: Device = .default) -> Tensor {
        var values = [Double](repeating: 0, count: size * size)
        for i in 0..<size { values[i * size + i] = 1 }
        return Reference.make(values, [size, size], dtype, device)
    }
    /// Independent draws from the uniform distribution on [low, high). Equal streams give equal values on every device.
    public static func uniform(
        _ shape: [Int], _ low: Double = 0, _ high: Double = 1, random: inout RandomSource, dtype: DType = .float32,
        device: Device = .default
    ) -> Tensor {
        drawn(shape, dtype, device) { random.fillUniform(low, high, $0, $1, count: $2) }
    }
    /// Independent draws from a normal distribution.
    public static func normal(
        _ shape: [Int], mean: Double = 0, deviation: Double = 1, random: inout RandomSource, dtype: DType = .float32,
        device: Device = .default
    ) -> Tensor {
        drawn(shape, dtype, device) { random.fillNormal(mean, deviation, $0, $1, count: $2) }
    }

    /// Straight into float32, through float64 for other types.
    private static func drawn(
        _ shape: [Int], _ dtype: DType, _ device: Device,
        _ fill: (UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Double>?, Int) -> Void
    ) -> Tensor {
        if dtype == .float32 {
            let tensor = Tensor(uninitialized: shape, dtype: dtype, device: device)
            fill(tensor.data(Float.self), nil, tensor.count)
            return tensor
        }
        var values = [Double](repeating: 0, count: shape.elementCount)
        values.withUnsafeMutableBufferPointer { fill(nil, $0.baseAddress, $0.count) }
        return Reference.make(values, shape, dtype, device)
    }
}
