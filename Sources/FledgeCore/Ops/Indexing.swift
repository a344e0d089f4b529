// Picking elements by index tensors. Indices are int64 (or int32), have no gradient, and stop when out of range.

extension Tensor {
    /// The slices `indices` [k] of `axis`; the result has length k there.
    public func indexSelect(axis: Int, _ indices: Tensor) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "indexSelect")
        require(indices.rank == 1, "indexSelect: indices of shape \(indices.shape) are no list")
        let index = checkedIndices(indices, below: shape[axis], "indexSelect")
        let count = shape[axis]
        let result = backend.indexSelect(self, axis: axis, index)
        return record("indexSelect", result, from: [self], saving: [index]) { context in
            [context.gradient.indexAdd(axis: axis, context.saved[0], count: count)]
        }
    }

    public func indexSelect(axis: Int, _ indices: [Int]) -> Tensor {
        indexSelect(axis: axis, Tensor(indices, device: device))
    }

    /// Adds the slices of this tensor along `axis` into zeros of length `count` there, at `indices`: equal indices add
    /// up. The adjoint of `indexSelect`.
    public func indexAdd(axis: Int, _ indices: Tensor, count: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "indexAdd")
        require(
            indices.rank == 1 && indices.count == shape[axis],
            "indexAdd: \(indices.shape) indices for axis \(axis) of shape \(shape)")
        let index = checkedIndices(indices, below: count, "indexAdd")
        let result = backend.indexAdd(self, axis: axis, index, count: count)
        return record("indexAdd", result, from: [self], saving: [index]) { context in
            [context.gradient.indexSelect(axis: axis, context.saved[0])]
        }
    }

    /// The rows `indices` [B, K] of each sequence of this [B, L, D]: [B, K, D]. What `gather` does with the indices spread
    /// over D, without reading an index for every number.
    package func gatherRows(_ indices: Tensor) -> Tensor {
        require(
            rank == 3 && indices.rank == 2 && indices.shape[0] == shape[0],
            "gatherRows: indices \(indices.shape) for shape \(shape)")
        let (batch, length, width) = (shape[0], shape[1], shape[2])
        let index = checkedIndices(indices, below: length, "gatherRows")
        let first = Tensor((0..<batch).map { $0 * length }, shape: [batch, 1], device: device)
        return reshaped([batch * length, width]).indexSelect(axis: 0, (index + first).flattened(0...1))
            .reshaped([batch, indices.shape[1], width])
    }

    /// The element `indices[i][j]` of each line along `axis`; `indices` has this tensor's shape except along `axis`.
    public func gather(axis: Int, _ indices: Tensor) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "gather")
        require(
            indices.rank == rank && indices.shape.indices.allSatisfy { $0 == axis || indices.shape[$0] == shape[$0] },
            "gather: indices of shape \(indices.shape) for shape \(shape), axis \(axis)")
        let index = checkedIndices(indices, below: shape[axis], "gather")
        let full = shape
        let result = backend.gather(self, axis: axis, index)
        return record("gather", result, from: [self], saving: [index]) { context in
            [context.gradient.scatterAdd(axis: axis, context.saved[0], into: full)]
        }
    }

    /// Adds each element of this tensor into zeros of `shape`, at its index along `axis`. The adjoint of `gather`.
    public func scatterAdd(axis: Int, _ indices: Tensor, into shape: [Int]) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "scatterAdd")
        require(
            indices.shape == self.shape && shape.count == rank
                && shape.indices.allSatisfy { $0 == axis || shape[$0] == self.shape[$0] },
            "scatterAdd: values \(self.shape), indices \(indices.shape) into \(shape) along axis \(axis)")
        let index = checkedIndices(indices, below: shape[axis], "scatterAdd")
        let result = backend.scatterAdd(self, axis: axis, index, shape: shape)
        return record("scatterAdd", result, from: [self], saving: [index]) { context in
            [context.gradient.gather(axis: axis, context.saved[0])]
        }
    }

    /// Rows of a table [rows, width] for each index, of any shape: the result is indices.shape + [width].
    public func embedding(_ indices: Tensor) -> Tensor {
        require(rank == 2, "embedding: the table has shape \(shape), not [rows, width]")
        return indexSelect(axis: 0, indices.reshaped([-1])).reshaped(indices.shape + [shape[1]])
    }

    /// 1 at each index and 0 elsewhere: shape + [classes]. Negative indices (unlabelled) give a row of zeros.
    public func oneHot(classes: Int, dtype: DType = .float32) -> Tensor {
        require(!self.dtype.isFloatingPoint, "oneHot: a \(self.dtype) tensor is no list of indices")
        let labels = Reference.integers(self)
        var values = [Double](repeating: 0, count: labels.count * classes)
        for (i, label) in labels.enumerated() where label >= 0 {
            require(label < classes, "oneHot: index \(label) for \(classes) classes")
            values[i * classes + Int(label)] = 1
        }
        return Reference.make(values, shape + [classes], dtype, device)
    }

    /// The indices that sort along `axis`: stable, NaN counts as largest. int64.
    public func argsort(axis: Int = -1, descending: Bool = false) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "argsort")
        if rank == 0 { return Tensor([0], shape: [], device: device) }
        let last = movedAxis(from: axis, to: -1).detached().contiguous()
        return backend.argsort(last, descending: descending).movedAxis(from: -1, to: axis)
    }

    /// The sorted values along `axis`, and where each came from.
    public func sorted(axis: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
        let order = argsort(axis: axis, descending: descending)
        return (gather(axis: axis, order), order)
    }

    /// The `count` largest values along `axis` in falling order (`largest: false`: smallest, rising), and their indices.
    public func topK(_ count: Int, axis: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
        let axis = normalized(axis: axis, rank: rank, "topK")
        require(count >= 0 && count <= shape[axis], "topK: \(count) of axis \(axis), shape \(shape)")
        let order = argsort(axis: axis, descending: largest).narrowed(axis: axis, start: 0, length: count)
        return (gather(axis: axis, order), order)
    }

    /// The distinct values in rising order (NaN once, at the end), for each element the index of its value, and how
    /// often each occurs.
    public func unique() -> (values: Tensor, inverse: Tensor, counts: Tensor) {
        if dtype.isFloatingPoint {
            let (distinct, inverse) = ranked(Reference.doubles(self).map { $0.isNaN ? nil : $0 })
            return unique(Reference.make(distinct.map { $0 ?? .nan }, [distinct.count], dtype, device), inverse)
        }
        let (distinct, inverse) = ranked(Reference.integers(self).map { $0 })
        return unique(Reference.make(distinct.map { $0! }, [distinct.count], dtype, device), inverse)
    }

    private func unique(_ values: Tensor, _ inverse: [Int]) -> (values: Tensor, inverse: Tensor, counts: Tensor) {
        var counts = [Int](repeating: 0, count: values.count)
        for i in inverse { counts[i] += 1 }
        return (values, Tensor(inverse, shape: shape, device: device), Tensor(counts, device: device))
    }

    /// The distinct values in rising order, nil last, and the place of each element among them.
    private func ranked<T: Hashable & Comparable>(_ values: [T?]) -> (distinct: [T?], inverse: [Int]) {
        let present = Set(values)
        let distinct = present.compactMap { $0 }.sorted().map { Optional($0) } + (present.contains(nil) ? [nil] : [])
        let place = Dictionary(uniqueKeysWithValues: distinct.enumerated().map { ($1, $0) })
        return (distinct, values.map { place[$0]! })
    }

    private func checkedIndices(_ indices: Tensor, below count: Int, _ operation: StaticString) -> Tensor {
        require(!indices.dtype.isFloatingPoint, "\(operation): indices must be integers, not \(indices.dtype)")
        let index = indices.cast(to: .int64).contiguous()
        let values = UnsafeBufferPointer(start: index.data(Int64.self), count: index.count)
        for value in values where value < 0 || value >= count {
            stop("\(operation): index \(value) is out of range 0..<\(count)")
        }
        return index
    }
}
