// Arithmetic on shapes and strides. All functions are pure.

extension Array where Element == Int {
    /// The product of the dimensions: how many elements a tensor of this shape has.
    @inlinable var elementCount: Int {
        var n = 1
        for d in self { n *= d }
        return n
    }

    /// Row-major strides of a contiguous tensor of this shape, in elements.
    @inlinable var contiguousStrides: [Int] {
        var strides = [Int](repeating: 1, count: count)
        var running = 1
        for axis in indices.reversed() {
            strides[axis] = running
            running *= self[axis]
        }
        return strides
    }
}

/// The shape that two shapes broadcast to (NumPy's rule: align at the right, 1 stretches), or nil if they do not.
func broadcastShape(_ a: [Int], _ b: [Int]) -> [Int]? {
    if a == b { return a }
    let rank = max(a.count, b.count)
    var result = [Int](repeating: 1, count: rank)
    for i in 0..<rank {
        let x = i < rank - a.count ? 1 : a[i - (rank - a.count)]
        let y = i < rank - b.count ? 1 : b[i - (rank - b.count)]
        guard x == y || x == 1 || y == 1 else { return nil }
        result[i] = x == 1 ? y : x
    }
    return result
}

/// The strides that read a tensor of `shape` and `strides` as if it had the larger shape `target`.
func broadcastStrides(_ shape: [Int], _ strides: [Int], to target: [Int]) -> [Int] {
    let lead = target.count - shape.count
    return target.indices.map { i in
        i < lead || (shape[i - lead] == 1 && target[i] != 1) ? 0 : strides[i - lead]
    }
}

/// `axis` counted from the front, for an `axis` that may count from the back. Stops when out of range.
func normalized(axis: Int, rank: Int, _ operation: StaticString) -> Int {
    let a = axis < 0 ? axis + rank : axis
    require(a >= 0 && a < max(rank, 1), "\(operation): axis \(axis) is out of range for rank \(rank)")
    return a
}

/// Sorted, distinct axes counted from the front. nil means all axes. Stops on doubles and when out of range.
func normalized(axes: [Int]?, rank: Int, _ operation: StaticString) -> [Int] {
    guard let axes else { return Array(0..<rank) }
    let sorted = axes.map { normalized(axis: $0, rank: rank, operation) }.sorted()
    for i in sorted.indices.dropFirst() {
        require(sorted[i] != sorted[i - 1], "\(operation): axes \(axes) name one axis twice")
    }
    return sorted
}
