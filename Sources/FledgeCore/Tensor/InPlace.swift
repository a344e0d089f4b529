import CFledgeKernels

// Tensors are immutable for everyone who can see them. What only one variable can see may be written without anybody
// noticing: optimizers use that to spare a copy of every weight in every step.

extension Tensor {
    /// Whether the variable alone sees the tensor and all of its memory, row after row or, if that will do, `byColumns`.
    /// Who asks means to write: what was made from the present values goes.
    static func isHeldAlone(_ tensor: inout Tensor, byColumns: Bool = false) -> Bool {
        guard isKnownUniquelyReferenced(&tensor), tensor.holdsMemoryAlone,
            tensor.isContiguous || byColumns && tensor.isContiguousByColumns
        else { return false }
        tensor.storage.rearranged = nil
        return true
    }

    /// The elements of `tensor`, row after row, for writing. If anything else (a graph, a snapshot, a view) still holds
    /// the tensor or its memory, the variable gets a copy first and the old values stay as they were. Valid while the
    /// variable keeps its tensor. Stops when `T` is not the element type, and for results of recorded operations.
    static func writableData<T: TensorScalar>(
        _ tensor: inout Tensor, as type: T.Type = T.self
    ) -> UnsafeMutablePointer<T> {
        require(T.dtype == tensor.dtype, "writableData: \(T.self) elements of a \(tensor.dtype) tensor")
        claim(&tensor, "writableData")
        return tensor.data(T.self)
    }

    /// Copies the variable's tensor if anything else could see it change.
    private static func claim(_ tensor: inout Tensor, _ operation: StaticString) {
        require(tensor.node?.isLeaf ?? true, "\(operation): a computed tensor cannot change its values")
        guard !isHeldAlone(&tensor) else { return }
        let copy = tensor.backend.copy(tensor)
        copy.node = tensor.node
        tensor = copy
    }

    /// Row `places[i]` of the variable's tensor becomes row i of `rows`; of a place that is named twice, the last one. As
    /// `writableData`, copies first what anything else could see change.
    package static func setRows(of tensor: inout Tensor, at places: [Int], to rows: Tensor) {
        require(
            rows.shape == [places.count] + tensor.shape.dropFirst() && rows.dtype == tensor.dtype
                && rows.device == tensor.device,
            "setRows: \(rows.dtype) \(rows.shape) on \(rows.device) for \(places.count) rows of \(tensor.dtype) \(tensor.shape) on \(tensor.device)"
        )
        for place in places {
            require(place >= 0 && place < tensor.shape[0], "setRows: row \(place) of \(tensor.shape[0])")
        }
        claim(&tensor, "setRows")
        let rows = rows.contiguous()
        let size = tensor.shape.dropFirst().reduce(tensor.dtype.size, *)
        for (row, place) in places.enumerated() {
            (tensor.pointer + place * size).copyMemory(from: rows.pointer + row * size, byteCount: size)
        }
    }

    /// sum += x without new memory. False, with nothing done, if anyone else could see `sum` change, or if there is no
    /// kernel for its type and device.
    static func addInPlace(_ x: Tensor, to sum: inout Tensor) -> Bool {
        guard sum.device == .cpu, sum.dtype == .float32, sum.node == nil, x.dtype == .float32, x.device == .cpu,
            x.shape == sum.shape, isHeldAlone(&sum, byColumns: true)
        else { return false }
        let x = (sum.isContiguous ? x : x.transposed()).contiguous()
        fk_axpy(sum.pointer.assumingMemoryBound(to: Float.self), x.data(), Int64(x.count), 1)
        return true
    }
}
