// Tensors are immutable for everyone who can see them. What only one variable can see may be written without anybody
// noticing: optimizers use that to spare a copy of every weight in every step.

extension Tensor {
    /// Lends the elements of `tensor` for writing, row after row. If anything else (a graph, a snapshot, a view) still
    /// holds the tensor or its memory, the variable gets a copy first and the old values stay as they were.
    /// Stops when `T` is not the element type, and for results of recorded operations.
    package static func update<T: TensorScalar, R>(
        _ tensor: inout Tensor, as type: T.Type = T.self, _ body: (UnsafeMutableBufferPointer<T>) throws -> R
    ) rethrows -> R {
        require(T.dtype == tensor.dtype, "update: \(T.self) elements of a \(tensor.dtype) tensor")
        require(tensor.node?.isLeaf ?? true, "update: a computed tensor cannot change its values")
        if !(isKnownUniquelyReferenced(&tensor) && tensor.holdsMemoryAlone && tensor.isContiguous) {
            let copy = tensor.backend.copy(tensor)
            copy.node = tensor.node
            tensor = copy
        }
        return try body(UnsafeMutableBufferPointer(start: tensor.data(T.self), count: tensor.count))
    }
}
