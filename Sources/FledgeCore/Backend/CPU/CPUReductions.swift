import CFledgeKernels

extension CPUBackend {
    func reduce(_ operation: Reduction, _ x: Tensor, axes: [Int]) -> Tensor {
        guard isFast(x) else { return reference.reduce(operation, x, axes: axes) }
        var shape = x.shape
        for axis in axes { shape[axis] = 1 }
        // Neighbouring axes are one axis to the kernel; others are reduced one group after the other, the last first,
        // so that what is left gets small early.
        var current = x.contiguous()
        var lengths = current.shape
        var last = axes.count - 1
        while last >= 0 {
            var first = last
            while first > 0, axes[first - 1] == axes[first] - 1 { first -= 1 }
            let outer = Array(lengths[..<axes[first]]).elementCount
            let mid = Array(lengths[axes[first]...axes[last]]).elementCount
            let inner = Array(lengths[(axes[last] + 1)...]).elementCount
            for axis in axes[first]...axes[last] { lengths[axis] = 1 }
            let next = output(lengths, like: x)
            fk_reduce(operation.kernel, current.data(), Int64(outer), Int64(mid), Int64(inner), next.data())
            current = next
            last = first - 1
        }
        return current
    }

    /// The lengths before, along and after an axis.
    private func parts(_ shape: [Int], _ axis: Int) -> (Int64, Int64, Int64) {
        (
            Int64(Array(shape[..<axis]).elementCount), Int64(shape[axis]),
            Int64(Array(shape[(axis + 1)...]).elementCount)
        )
    }

    func argReduce(largest: Bool, _ x: Tensor, axis: Int) -> Tensor {
        guard isFast(x) else { return reference.argReduce(largest: largest, x, axis: axis) }
        let x = x.contiguous()
        var shape = x.shape
        shape[axis] = 1
        let y = output(shape, like: x, dtype: .int64)
        let (outer, mid, inner) = parts(x.shape, axis)
        if outer * inner > 0 { fk_arg_reduce(largest ? 1 : 0, x.data(), outer, mid, inner, y.data(Int64.self)) }
        return y
    }

    func cumulativeSum(_ x: Tensor, axis: Int) -> Tensor {
        guard isFast(x) else { return reference.cumulativeSum(x, axis: axis) }
        let x = x.contiguous()
        let y = output(x.shape, like: x)
        let (outer, mid, inner) = parts(x.shape, axis)
        fk_cumsum(x.data(), outer, mid, inner, y.data())
        return y
    }

    func argsort(_ x: Tensor, descending: Bool) -> Tensor { reference.argsort(x, descending: descending) }

    // MARK: Indexing

    func indexSelect(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor {
        guard isFast(x), axis == 0 else { return indexSelectInner(x, axis: axis, indices) }
        let x = x.contiguous()
        var shape = x.shape
        shape[0] = indices.count
        let y = output(shape, like: x)
        let width = Array(x.shape[1...]).elementCount
        fk_gather_rows(x.data(), Int64(width), indices.data(Int64.self), Int64(indices.count), y.data())
        return y
    }

    /// Along an inner axis: that axis is moved to the front, its rows are picked, and it is moved back.
    private func indexSelectInner(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor {
        guard isFast(x) else { return reference.indexSelect(x, axis: axis, indices) }
        return indexSelect(x.movedAxis(from: axis, to: 0), axis: 0, indices).movedAxis(from: 0, to: axis).contiguous()
    }

    func indexAdd(_ source: Tensor, axis: Int, _ indices: Tensor, count: Int) -> Tensor {
        guard isFast(source) else { return reference.indexAdd(source, axis: axis, indices, count: count) }
        if axis != 0 {
            return indexAdd(source.movedAxis(from: axis, to: 0), axis: 0, indices, count: count)
                .movedAxis(from: 0, to: axis).contiguous()
        }
        let source = source.contiguous()
        var shape = source.shape
        shape[0] = count
        let y = Tensor.zeros(shape, device: source.device)
        let width = Array(source.shape[1...]).elementCount
        fk_scatter_add_rows(
            source.data(), Int64(width), indices.data(Int64.self), Int64(indices.count), y.data(), Int64(count))
        return y
    }

    func gather(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor { reference.gather(x, axis: axis, indices) }

    func scatterAdd(_ source: Tensor, axis: Int, _ indices: Tensor, shape: [Int]) -> Tensor {
        reference.scatterAdd(source, axis: axis, indices, shape: shape)
    }
}

extension Reduction {
    var kernel: fk_reduce_op {
        switch self {
        case .sum: FK_REDUCE_SUM
        case .max: FK_REDUCE_MAX
        case .min: FK_REDUCE_MIN
        case .product: FK_REDUCE_PROD
        }
    }
}
