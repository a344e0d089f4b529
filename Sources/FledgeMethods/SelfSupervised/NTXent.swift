import FledgeCore

/// The normalised temperature-scaled cross-entropy of SimCLR (Chen et al. 2020, equation 1), averaged over both views.
///
/// Each view must pick its partner among all other views of the batch by cosine similarity.
/// - Parameters:
///   - a, b: [B, D], the two views of the same B samples; any length, normalised here.
///   - temperature: divides the similarities.
public func ntXent(_ a: Tensor, _ b: Tensor, temperature: Double) -> Tensor {
    require(a.shape == b.shape && a.rank == 2, "ntXent: views of shapes \(a.shape) and \(b.shape)")
    let batch = a.shape[0]
    let z = concatenate([a, b]).l2Normalized(axis: -1)
    // A view is not its own candidate.
    let itself = Tensor.eye(2 * batch, dtype: z.dtype, device: z.device) .> 0.5
    let similarities = (z.matmul(z.transposed()) * (1 / temperature)).maskedFill(itself, -1e9)
    let partners = Tensor((0..<2 * batch).map { ($0 + batch) % (2 * batch) }, device: z.device)
    return crossEntropy(similarities, partners)
}
