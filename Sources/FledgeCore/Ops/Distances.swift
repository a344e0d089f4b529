extension Tensor {
    /// Scaled to Euclidean length 1 along `axis`: `x / max(|x|, epsilon)`.
    public func l2Normalized(axis: Int = -1, epsilon: Double = 1e-12) -> Tensor {
        self / norm(axes: [axis], keepDims: true).clamped(epsilon, .infinity)
    }
}

/// The cosine of the angle between `a` and `b` along `axis`, which disappears: `a b / (max(|a|, epsilon) max(|b|,
/// epsilon))`. Shapes broadcast.
public func cosineSimilarity(_ a: Tensor, _ b: Tensor, axis: Int = -1, epsilon: Double = 1e-8) -> Tensor {
    (a.l2Normalized(axis: axis, epsilon: epsilon) * b.l2Normalized(axis: axis, epsilon: epsilon)).sum(axis: axis)
}

/// Euclidean distances between all rows of `a` [..., m, d] and all rows of `b` [..., n, d]: [..., m, n]. Leading axes
/// broadcast.
///
/// Computed as `|a|^2 + |b|^2 - 2 a b` by one matrix product, after moving the origin to the mean of `b`, so that a
/// common offset costs no precision. Distances much smaller than the spread of the points keep few correct digits (in
/// float32, below about 0.001 of it).
/// - Parameter squared: squared distances. Otherwise the root, whose gradient at 0 is 0.
public func pairwiseDistances(_ a: Tensor, _ b: Tensor, squared: Bool = false) -> Tensor {
    require(
        a.rank >= 2 && b.rank >= 2 && a.shape[a.rank - 1] == b.shape[b.rank - 1] && a.dtype == b.dtype
            && a.dtype.isFloatingPoint,
        "pairwiseDistances: \(a.dtype) \(a.shape) and \(b.dtype) \(b.shape) are not rows of one length")
    // Distances do not depend on the origin, nor do their gradients: it needs none of its own.
    let origin = b.detached().mean(axis: -2, keepDims: true)
    let (x, y) = b.shape[b.rank - 2] == 0 ? (a, b) : (a - origin, b - origin)
    let lengths = x.square().sum(axis: -1, keepDims: true) + y.square().sum(axis: -1, keepDims: true).transposed()
    let distances = (lengths - x.matmul(y.transposed()) * 2).clamped(0, .infinity)
    if squared { return distances }
    let isZero = distances.detached() .== 0
    return distances.maskedFill(isZero, 1).sqrt().maskedFill(isZero, 0)
}
