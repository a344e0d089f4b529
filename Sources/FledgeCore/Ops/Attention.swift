/// Scaled dot-product attention (Vaswani et al. 2017, equation 1): softmax(q k^T * scale + mask) v for each head.
///
/// q is [B, S, heads, D], k [B, T, heads, D], v [B, T, heads, E]; the result is [B, S, heads, E]. Heads are brought
/// forward and back by strides alone. A query that may attend to nothing gives zeros. Stops when shapes do not go
/// together and when there are no keys.
/// - Parameters:
///   - mask: broadcasts to [B, heads, S, T]. bool: true where a query may attend to a key. Floating point: added to the
///     products before the softmax; it may have a gradient (relative positions).
///   - causal: query i attends to keys 0...i only (as PyTorch counts, from the first query also when T > S).
///   - dropout: rate at which attention weights are dropped, from `Randomness.current`.
///   - scale: 1 / sqrt(D) by default.
public func scaledDotProductAttention(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor? = nil, causal: Bool = false, dropout: Double = 0,
    scale: Double? = nil
) -> Tensor {
    q.requireOneKind("scaledDotProductAttention", k, v)
    require(
        q.rank == 4 && k.rank == 4 && v.rank == 4 && q.shape[0] == k.shape[0] && q.shape[2] == k.shape[2]
            && q.shape[3] == k.shape[3] && Array(k.shape[..<3]) == Array(v.shape[..<3]),
        "scaledDotProductAttention: q \(q.shape), k \(k.shape), v \(v.shape); wanted [B, S, heads, D]")
    let (s, t) = (q.shape[1], k.shape[1])
    require(t > 0, "scaledDotProductAttention: no keys in k \(k.shape)")
    let products = [q.shape[0], q.shape[2], s, t]
    if let mask {
        require(
            broadcastShape(mask.shape, products) == products && mask.device == q.device
                && (mask.dtype == .bool || mask.dtype == q.dtype),
            "scaledDotProductAttention: \(mask.dtype) mask \(mask.shape) for \(q.dtype) products \(products)")
    }

    let factor = scale ?? 1 / Double(q.shape[3]).squareRoot()
    // A scaled q waits for the gradient beside q; scaled products do not, but are more for many keys.
    let scalesProducts = t < 2 * q.shape[3]
    var scores = (scalesProducts ? q : q * factor).permuted([0, 2, 1, 3]).matmul(k.permuted([0, 2, 3, 1]))
    if scalesProducts { scores = scores * factor }
    var isOpen: Tensor?
    if let bias = attentionBias(mask, causal: causal, queries: s, keys: t, like: q) {
        // Rows without a single key would be 0 / 0: leave them unmasked, and drop their weights afterwards.
        if mask != nil {
            let open = bias.detached().max(axis: -1, keepDims: true) .> -.infinity
            if !open.all() { isOpen = open }
        }
        scores = scores + (isOpen.map { Tensor.where($0, bias, bias.scalar(0)) } ?? bias)
    }
    var weights = scores.softmax()
    if let isOpen { weights = weights * isOpen.cast(to: q.dtype) }
    return weights.dropout(dropout).matmul(v.permuted([0, 2, 1, 3])).permuted([0, 2, 1, 3])
}

/// What is added to the products: 0 where a query may attend to a key, minus infinity where not. nil if all may.
private func attentionBias(_ mask: Tensor?, causal: Bool, queries: Int, keys: Int, like q: Tensor) -> Tensor? {
    var bias = mask.map { $0.dtype == .bool ? Tensor.where($0, q.scalar(0), q.scalar(-.infinity)) : $0 }
    if causal {
        let key = Tensor.arange(0, Double(keys), dtype: q.dtype, device: q.device)
        let later = key .> Tensor.arange(0, Double(queries), dtype: q.dtype, device: q.device).unsqueezed(axis: 1)
        let closed = Tensor.where(later, q.scalar(-.infinity), q.scalar(0))
        bias = bias.map { $0 + closed } ?? closed
    }
    return bias
}
