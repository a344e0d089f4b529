/// A multi-dimensional array: immutable, eager, of any rank.
///
/// A tensor is a window (shape, strides, offset) on a block of memory. Slices, transposes and broadcasts share the
/// block; operations make a new one. A tensor that was computed from a trained parameter remembers how, so that
/// `backward()` can find gradients. Images are channels-last: `[batch, height, width, channels]`.
///
/// Not `Sendable`: all engine calls come from one thread.
public final class Tensor {
    /// The length of each axis; empty for a scalar.
    public let shape: [Int]
    public let dtype: DType
    public let device: Device
    /// The distance between neighbours along each axis, in elements; 0 along a broadcast axis.
    public let strides: [Int]
    let offset: Int
    /// Never replaced; a variable only because the question whether it has one owner needs one. Exclusivity is not
    /// checked at run time, since nothing assigns it.
    @exclusivity(unchecked) private(set) var storage: Storage

    /// How this tensor was computed; nil when no gradient can flow through it.
    var node: Node?
    /// Which of the node's outputs this is.
    var outputIndex = 0

    init(storage: Storage, shape: [Int], strides: [Int], offset: Int = 0, dtype: DType, device: Device) {
        self.storage = storage
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.dtype = dtype
        self.device = device
    }

    /// Contiguous memory with undefined content: for kernels, which fill it before anyone sees it.
    convenience init(uninitialized shape: [Int], dtype: DType, device: Device) {
        require(shape.allSatisfy { $0 >= 0 }, "shape \(shape) has a negative length")
        self.init(
            storage: Storage(byteCount: shape.elementCount * dtype.size), shape: shape,
            strides: shape.contiguousStrides, dtype: dtype, device: device)
    }

    public var rank: Int { shape.count }
    /// How many elements.
    public var count: Int { shape.elementCount }
    /// The length of one axis; negative axes count from the back.
    public func dimension(_ axis: Int) -> Int { shape[normalized(axis: axis, rank: rank, "dimension")] }

    /// Whether the elements lie row after row without gaps.
    public var isContiguous: Bool {
        var expected = 1
        for axis in shape.indices.reversed() where shape[axis] != 1 {
            if strides[axis] != expected { return count == 0 }
            expected *= shape[axis]
        }
        return true
    }

    /// Whether the elements lie one after another with the last two axes swapped, as a transposed weight's do.
    var isContiguousByColumns: Bool {
        guard rank >= 2 else { return false }
        let rows = shape[rank - 2], columns = shape[rank - 1]
        guard rows == 1 || strides[rank - 2] == 1, columns == 1 || strides[rank - 1] == rows else { return false }
        var expected = rows * columns
        for axis in (0..<rank - 2).reversed() where shape[axis] != 1 {
            if strides[axis] != expected { return false }
            expected *= shape[axis]
        }
        return true
    }

    var backend: any Backend { device.backend }

    /// The first element. Valid only while the tensor lives: bind the tensor to a name before taking this.
    var pointer: UnsafeMutableRawPointer { storage.pointer + offset * dtype.size }

    /// The memory as elements of `T`. The tensor must be of that type, contiguous, and bound to a name.
    func data<T: TensorScalar>(_ type: T.Type = T.self) -> UnsafeMutablePointer<T> {
        pointer.assumingMemoryBound(to: T.self)
    }

    /// A window on the same memory, without history.
    func view(shape: [Int], strides: [Int], offset: Int) -> Tensor {
        Tensor(storage: storage, shape: shape, strides: strides, offset: offset, dtype: dtype, device: device)
    }

    /// Which block of memory this is a window on: how a parameter is known among the inputs of an operation.
    package var memory: ObjectIdentifier { ObjectIdentifier(storage) }

    /// Whether no other tensor has a window on this memory.
    var holdsMemoryAlone: Bool { isKnownUniquelyReferenced(&storage) }

    /// The same values, cut off from the graph: no gradient flows through the result.
    public func detached() -> Tensor { node == nil ? self : view(shape: shape, strides: strides, offset: offset) }
}
