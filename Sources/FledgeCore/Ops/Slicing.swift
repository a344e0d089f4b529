/// What one position inside `tensor[...]` can say: an `Int` picks and drops an axis, a range keeps a part of it.
public protocol IndexExpression {
    var tensorIndex: TensorIndex { get }
}

/// One part of a subscript.
public enum TensorIndex: IndexExpression, Sendable {
    /// One element; the axis disappears. Negative numbers count from the back.
    case at(Int)
    /// From `start` up to `end` (nil: to the end), every `step`-th. Negative numbers count from the back.
    case range(Int, Int?, step: Int)
    /// The whole axis.
    case all
    /// A new axis of length 1.
    case newAxis
    /// As many whole axes as are left over.
    case ellipsis

    public var tensorIndex: TensorIndex { self }
}

extension Int: IndexExpression { public var tensorIndex: TensorIndex { .at(self) } }
extension Range<Int>: IndexExpression {
    public var tensorIndex: TensorIndex { .range(lowerBound, upperBound, step: 1) }
}
extension ClosedRange<Int>: IndexExpression {
    public var tensorIndex: TensorIndex { .range(lowerBound, upperBound + 1, step: 1) }
}
extension PartialRangeFrom<Int>: IndexExpression {
    public var tensorIndex: TensorIndex { .range(lowerBound, nil, step: 1) }
}
extension PartialRangeUpTo<Int>: IndexExpression {
    public var tensorIndex: TensorIndex { .range(0, upperBound, step: 1) }
}
extension PartialRangeThrough<Int>: IndexExpression {
    public var tensorIndex: TensorIndex { .range(0, upperBound + 1, step: 1) }
}

extension Tensor {
    /// A part of the tensor, as a view: `x[0]`, `x[1..<3]`, `x[0..., 2]`, `x[TensorIndex.ellipsis, ..<4]`.
    /// Stops when an index is out of range.
    public subscript(_ indices: any IndexExpression...) -> Tensor { sliced(indices.map(\.tensorIndex)) }

    func sliced(_ indices: [TensorIndex]) -> Tensor {
        let consuming = indices.filter {
            if case .newAxis = $0 { false } else if case .ellipsis = $0 { false } else { true }
        }.count
        require(consuming <= rank, "subscript: \(consuming) indices for shape \(shape)")
        var starts: [Int] = []
        var lengths: [Int] = []
        var steps: [Int] = []
        var result: [Int] = []
        var expanded: [TensorIndex] = []
        var hasEllipsis = false
        for index in indices {
            if case .ellipsis = index {
                require(!hasEllipsis, "subscript: two ellipses")
                hasEllipsis = true
                expanded += Array(repeating: .all, count: rank - consuming)
            } else {
                expanded.append(index)
            }
        }
        if !hasEllipsis { expanded += Array(repeating: .all, count: rank - consuming) }
        var axis = 0
        for index in expanded {
            if case .newAxis = index {
                result.append(1)
                continue
            }
            let n = shape[axis]
            func position(_ i: Int) -> Int { i < 0 ? i + n : i }
            switch index {
            case .at(let i):
                let p = position(i)
                require(p >= 0 && p < n, "subscript: index \(i) is out of range for axis \(axis) of shape \(shape)")
                starts.append(p)
                lengths.append(1)
                steps.append(1)
            case .range(let from, let to, let step):
                let start = position(from)
                let end = to.map(position) ?? n
                require(
                    start >= 0 && end <= n && start <= end && step > 0,
                    "subscript: range \(from)..<\(to.map(String.init) ?? "end") by \(step) does not fit axis \(axis) of shape \(shape)"
                )
                starts.append(start)
                lengths.append((end - start + step - 1) / step)
                steps.append(step)
                result.append(lengths[axis])
            case .all, .newAxis, .ellipsis:
                starts.append(0)
                lengths.append(n)
                steps.append(1)
                result.append(n)
            }
            axis += 1
        }
        return window(starts: starts, lengths: lengths, steps: steps).reshaped(result)
    }

    /// Every `steps[i]`-th element from `starts[i]`, `lengths[i]` of them along each axis, as a view.
    func window(starts: [Int], lengths: [Int], steps: [Int]) -> Tensor {
        if lengths == shape, !zip(starts, steps).contains(where: { $0 != 0 || $1 != 1 }) { return self }
        let full = shape
        let result = view(
            shape: lengths, strides: zip(strides, steps).map { $0 * $1 },
            offset: offset + zip(starts, strides).reduce(0) { $0 + $1.0 * $1.1 })
        return record("slice", result, from: [self]) { [$0.gradient.placed(in: full, starts: starts, steps: steps)] }
    }

    /// Zeros of `shape` with this tensor written at the given positions: the adjoint of `window`.
    func placed(in shape: [Int], starts: [Int], steps: [Int]) -> Tensor {
        let result = Tensor.zeros(shape, dtype: dtype, device: device)
        let lengths = self.shape
        backend.write(
            self, into: result, strides: zip(result.strides, steps).map { $0 * $1 },
            offset: zip(starts, result.strides).reduce(0) { $0 + $1.0 * $1.1 })
        return record("placed", result, from: [self]) {
            [$0.gradient.window(starts: starts, lengths: lengths, steps: steps)]
        }
    }

    /// Pads with a constant: `padding[i]` = (before, after) for axis i.
    public func padded(_ padding: [(Int, Int)], value: Double = 0) -> Tensor {
        require(
            padding.count == rank && padding.allSatisfy { $0.0 >= 0 && $0.1 >= 0 },
            "padded: \(padding) for shape \(shape)")
        let target = zip(shape, padding).map { $0 + $1.0 + $1.1 }
        if target == shape { return self }
        let starts = padding.map(\.0)
        let steps = [Int](repeating: 1, count: rank)
        if value == 0 { return placed(in: target, starts: starts, steps: steps) }
        let result = Tensor.full(target, value, dtype: dtype, device: device)
        let lengths = shape
        backend.write(
            self, into: result, strides: result.strides,
            offset: zip(starts, result.strides).reduce(0) { $0 + $1.0 * $1.1 })
        return record("padded", result, from: [self]) {
            [$0.gradient.window(starts: starts, lengths: lengths, steps: steps)]
        }
    }

    /// Pads along one axis with the mirrored inside; the border element is not repeated.
    public func reflectPadded(axis: Int, before: Int, after: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "reflectPadded")
        let n = shape[axis]
        require(
            before < n && after < n && before >= 0 && after >= 0, "reflectPadded: (\(before), \(after)) of length \(n)")
        return indexSelect(axis: axis, (-before..<n + after).map { $0 < 0 ? -$0 : $0 >= n ? 2 * (n - 1) - $0 : $0 })
    }

    /// Pads along one axis by repeating the border element.
    public func replicatePadded(axis: Int, before: Int, after: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "replicatePadded")
        let n = shape[axis]
        require(n > 0 && before >= 0 && after >= 0, "replicatePadded: (\(before), \(after)) of length \(n)")
        return indexSelect(axis: axis, (-before..<n + after).map { Swift.min(Swift.max($0, 0), n - 1) })
    }

    /// `count` equal parts along `axis`. Stops when the length is not a multiple.
    public func split(_ count: Int, axis: Int) -> [Tensor] {
        let axis = normalized(axis: axis, rank: rank, "split")
        require(count > 0 && shape[axis] % count == 0, "split: axis \(axis) of shape \(shape) into \(count) parts")
        return split(sizes: Array(repeating: shape[axis] / count, count: count), axis: axis)
    }

    /// Parts of the given sizes along `axis`. Stops when they do not add up.
    public func split(sizes: [Int], axis: Int) -> [Tensor] {
        let axis = normalized(axis: axis, rank: rank, "split")
        require(sizes.reduce(0, +) == shape[axis], "split: sizes \(sizes) for axis \(axis) of shape \(shape)")
        var start = 0
        let parts = noGradient {
            sizes.map { size in
                defer { start += size }
                return narrowed(axis: axis, start: start, length: size)
            }
        }
        // One operation, so that the parts' gradients are joined in one pass and not added up as full-sized tensors.
        let shapes = parts.map(\.shape)
        return record("split", outputs: parts, from: [self]) { context in
            let known = context.gradients.compactMap { $0 }[0]
            let all = zip(context.gradients, shapes).map {
                $0 ?? .zeros($1, dtype: known.dtype, device: known.device)
            }
            return [concatenate(all, axis: axis)]
        }
    }

    /// Up to `count` parts along `axis`, all of the same length but the last.
    public func chunked(_ count: Int, axis: Int) -> [Tensor] {
        let axis = normalized(axis: axis, rank: rank, "chunked")
        require(count > 0, "chunked: \(count) parts")
        let size = (shape[axis] + count - 1) / count
        return split(
            sizes: stride(from: 0, to: shape[axis], by: Swift.max(size, 1)).map { Swift.min(size, shape[axis] - $0) },
            axis: axis)
    }

    /// `length` elements from `start` along `axis`, as a view.
    public func narrowed(axis: Int, start: Int, length: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "narrowed")
        require(
            start >= 0 && length >= 0 && start + length <= shape[axis],
            "narrowed: \(start)..<\(start + length) of axis \(axis), shape \(shape)")
        var starts = [Int](repeating: 0, count: rank)
        var lengths = shape
        starts[axis] = start
        lengths[axis] = length
        return window(starts: starts, lengths: lengths, steps: [Int](repeating: 1, count: rank))
    }
}

/// Joins tensors along an existing axis; all other lengths must agree.
public func concatenate(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
    require(!tensors.isEmpty, "concatenate: nothing to join")
    let first = tensors[0]
    let axis = normalized(axis: axis, rank: first.rank, "concatenate")
    if tensors.count == 1 { return first }
    var shape = first.shape
    shape[axis] = 0
    for t in tensors {
        var other = t.shape
        require(
            t.rank == first.rank && t.dtype == first.dtype && t.device == first.device,
            "concatenate: \(t.dtype) \(t.shape) does not join \(first.dtype) \(first.shape)")
        other[axis] = 0
        var expected = shape
        expected[axis] = 0
        require(other == expected, "concatenate: shapes \(first.shape) and \(t.shape) differ beside axis \(axis)")
        shape[axis] += t.shape[axis]
    }
    let result = Tensor(uninitialized: shape, dtype: first.dtype, device: first.device)
    var start = 0
    for t in tensors {
        first.backend.write(t, into: result, strides: result.strides, offset: start * result.strides[axis])
        start += t.shape[axis]
    }
    let sizes = tensors.map { $0.shape[axis] }
    return record("concatenate", result, from: tensors) { $0.gradient.split(sizes: sizes, axis: axis) }
}

/// Joins tensors of one shape along a new axis.
public func stack(_ tensors: [Tensor], axis: Int = 0) -> Tensor {
    require(!tensors.isEmpty, "stack: nothing to join")
    let axis = normalized(axis: axis, rank: tensors[0].rank + 1, "stack")
    return concatenate(tensors.map { $0.unsqueezed(axis: axis) }, axis: axis)
}
