// Tensors are immutable for everyone who can see them. What only one variable can see may be written without anybody
// noticing: optimizers use that to spare a copy of every weight in every step.

extension Tensor {
    /// The elements of `tensor`, row after row, for writing. If anything else (a graph, a snapshot, a view) still holds
    /// the tensor or its memory, the variable gets a copy first and the old values stay as they were. Valid while the
    /// variable keeps its tensor. Stops when `T` is not the element type, and for results of recorded operations.
    static func writableData<T: TensorScalar>(
        _ tensor: inout Tensor, as type: T.Type = T.self
    ) -> UnsafeMutablePointer<T> {
        require(T.dtype == tensor.dtype, "writableData: \(T.self) elements of a \(tensor.dtype) tensor")
        require(tensor.node?.isLeaf ?? true, "writableData: a computed tensor cannot change its values")
        if !(isKnownUniquelyReferenced(&tensor) && tensor.holdsMemoryAlone && tensor.isContiguous) {
            let copy = tensor.backend.copy(tensor)
            copy.node = tensor.node
            tensor = copy
        }
        return tensor.data(T.self)
    }
}
