// Rearrangements that move no data where strides can say it.

extension Tensor {
    /// The same elements in row-major order in another shape; one length may be -1 and is worked out. A view when the
    /// memory allows it, else a copy.
    public func reshaped(_ newShape: [Int]) -> Tensor {
        var target = newShape
        if let free = target.firstIndex(of: -1) {
            target[free] = 1
            let rest = target.elementCount
            require(
                rest > 0 && count % rest == 0 && !target.contains(where: { $0 < 0 }),
                "reshaped: \(shape) does not fit \(newShape)")
            target[free] = count / rest
        }
        require(target.elementCount == count, "reshaped: \(shape) has \(count) elements, \(newShape) has not")
        if target == shape { return self }
        let source = shape
        let strides = viewStrides(for: target)
        let result =
            strides.map { view(shape: target, strides: $0, offset: offset) }
            ?? backend.copy(self).reinterpreted(target)
        return record("reshaped", result, from: [self]) { [$0.gradient.reshaped(source)] }
    }

    private func reinterpreted(_ shape: [Int]) -> Tensor {
        view(shape: shape, strides: shape.contiguousStrides, offset: offset)
    }

    /// Strides that show this memory in another shape, or nil when a copy is needed.
    private func viewStrides(for target: [Int]) -> [Int]? {
        if isContiguous { return target.contiguousStrides }
        // Match groups of axes whose products agree; within each group the source must be evenly strided.
        var result = [Int](repeating: 0, count: target.count)
        let axes = shape.indices.filter { shape[$0] != 1 }
        var s = axes.count - 1
        var t = target.count - 1
        while t >= 0 {
            if target[t] == 1 {
                result[t] = 1
                t -= 1
                continue
            }
            guard s >= 0 else { return nil }
            var length = shape[axes[s]]
            let step = strides[axes[s]]
            var wanted = 1
            var running = step
            while wanted < length || t >= 0 && target[t] == 1 {
                guard t >= 0 else { return nil }
                if target[t] == 1 {
                    result[t] = 1
                } else {
                    result[t] = running
                    running *= target[t]
                    wanted *= target[t]
                }
                t -= 1
                while wanted > length, s > 0 {
                    // The group grows: the next source axis must continue evenly.
                    let outer = axes[s - 1]
                    guard strides[outer] == step * length else { return nil }
                    length *= shape[outer]
                    s -= 1
                }
            }
            if wanted != length { return nil }
            s -= 1
        }
        return s < 0 ? result : nil
    }

    /// Flattens the axes `range` into one.
    public func flattened(_ range: ClosedRange<Int>) -> Tensor {
        require(range.upperBound < rank, "flattened: axes \(range) of rank \(rank)")
        return reshaped(
            Array(shape[..<range.lowerBound]) + [Array(shape[range]).elementCount]
                + Array(shape[(range.upperBound + 1)...]))
    }

    /// Removes an axis of length 1.
    public func squeezed(axis: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "squeezed")
        require(shape[axis] == 1, "squeezed: axis \(axis) of shape \(shape) is not 1")
        return dropping([axis])
    }

    /// Inserts an axis of length 1 before `axis`.
    public func unsqueezed(axis: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank + 1, "unsqueezed")
        var target = shape
        target.insert(1, at: axis)
        return reshaped(target)
    }

    /// The axes in another order, as a view: axis i of the result is axis `order[i]` of this tensor.
    public func permuted(_ order: [Int]) -> Tensor {
        let order = order.map { normalized(axis: $0, rank: rank, "permuted") }
        require(order.sorted() == Array(0..<rank), "permuted: \(order) is no order of \(rank) axes")
        let result = view(shape: order.map { shape[$0] }, strides: order.map { strides[$0] }, offset: offset)
        var inverse = order
        for (i, axis) in order.enumerated() { inverse[axis] = i }
        let back = inverse
        return record("permuted", result, from: [self]) { [$0.gradient.permuted(back)] }
    }

    /// Two axes swapped, as a view; the last two by default.
    public func transposed(_ a: Int = -2, _ b: Int = -1) -> Tensor {
        let (a, b) = (normalized(axis: a, rank: rank, "transposed"), normalized(axis: b, rank: rank, "transposed"))
        var (shape, strides) = (shape, strides)
        shape.swapAt(a, b)
        strides.swapAt(a, b)
        return record("transposed", view(shape: shape, strides: strides, offset: offset), from: [self]) {
            [$0.gradient.transposed(a, b)]
        }
    }

    /// An axis moved to another place, as a view.
    public func movedAxis(from: Int, to: Int) -> Tensor {
        var order = Array(0..<rank)
        let axis = order.remove(at: normalized(axis: from, rank: rank, "movedAxis"))
        order.insert(axis, at: normalized(axis: to, rank: rank, "movedAxis"))
        return permuted(order)
    }

    /// Broadcast to a larger shape, as a view: axes of length 1 repeat without being copied.
    public func expanded(to target: [Int]) -> Tensor {
        if target == shape { return self }
        require(broadcastShape(shape, target) == target, "expanded: \(shape) does not broadcast to \(target)")
        let source = shape
        return record("expanded", broadcastView(to: target), from: [self]) { [$0.gradient.summed(to: source)] }
    }

    /// `expanded` without history.
    func broadcastView(to target: [Int]) -> Tensor {
        if target == shape { return self }
        return view(shape: target, strides: broadcastStrides(shape, strides, to: target), offset: offset)
    }

    /// The same tensor with elements row after row in memory: itself where they are, else a copy.
    public func contiguous() -> Tensor {
        if isContiguous { return self }
        return record("contiguous", backend.copy(self), from: [self]) { [$0.gradient] }
    }

    /// A copy in memory of its own.
    public func copied() -> Tensor {
        record("copied", backend.copy(self), from: [self]) { [$0.gradient] }
    }

    /// The elements of `axes` in reverse order.
    public func flipped(axes: [Int]) -> Tensor {
        var result = self
        for axis in normalized(axes: axes, rank: rank, "flipped") {
            result = result.indexSelect(axis: axis, Array((0..<shape[axis]).reversed()))
        }
        return result
    }

    /// The elements shifted by `shift` along `axis`; what leaves at one end enters at the other.
    public func rolled(by shift: Int, axis: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "rolled")
        let n = shape[axis]
        if n == 0 { return self }
        return indexSelect(axis: axis, (0..<n).map { (($0 - shift) % n + n) % n })
    }

    /// Rotated by `quarters` times 90 degrees from the first of `axes` towards the second. For images [n, h, w, c]
    /// axes (1, 2) turn counter-clockwise.
    public func rotated90(_ quarters: Int = 1, axes: (Int, Int) = (1, 2)) -> Tensor {
        let a = normalized(axis: axes.0, rank: rank, "rotated90")
        let b = normalized(axis: axes.1, rank: rank, "rotated90")
        require(a != b, "rotated90: axes \(axes) are one")
        switch ((quarters % 4) + 4) % 4 {
        case 1: return transposed(a, b).flipped(axes: [a])
        case 2: return flipped(axes: [a, b])
        case 3: return flipped(axes: [a]).transposed(a, b)
        default: return self
        }
    }

    /// Repeats the whole tensor `repeats[i]` times along axis i (NumPy's tile). More counts than axes add axes in front.
    public func tiled(_ repeats: [Int]) -> Tensor {
        require(repeats.count >= rank && repeats.allSatisfy { $0 >= 0 }, "tiled: counts \(repeats) for rank \(rank)")
        let source = [Int](repeating: 1, count: repeats.count - rank) + shape
        let split = reshaped(source.flatMap { [1, $0] })
        return split.expanded(to: zip(repeats, source).flatMap { [$0, $1] }).reshaped(
            zip(repeats, source).map { $0 * $1 })
    }

    /// Repeats each element `count` times along `axis` (torch's repeat_interleave).
    public func repeated(_ count: Int, axis: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "repeated")
        return indexSelect(axis: axis, (0..<shape[axis]).flatMap { Array(repeating: $0, count: count) })
    }

    /// The upper triangle of the last two axes; `diagonal` 1 starts one above the main diagonal. Zeros elsewhere.
    public func upperTriangle(diagonal: Int = 0) -> Tensor { triangle { $1 - $0 >= diagonal } }
    /// The lower triangle of the last two axes; zeros elsewhere.
    public func lowerTriangle(diagonal: Int = 0) -> Tensor { triangle { $1 - $0 <= diagonal } }

    private func triangle(_ keep: (Int, Int) -> Bool) -> Tensor {
        require(rank >= 2, "triangle: needs two axes, not shape \(shape)")
        let (m, n) = (shape[rank - 2], shape[rank - 1])
        var mask = [Bool](repeating: false, count: m * n)
        for i in 0..<m { for j in 0..<n { mask[i * n + j] = keep(i, j) } }
        return Tensor.where(Tensor(mask, shape: [m, n], device: device), self, scalar(0))
    }
}
