import FledgeCore

/// A row of a trained table for each index: int64 [...] to [..., width].
public final class Embedding: Module {
    /// [rows, width]
    public let weight: Parameter
    /// The index that stands for nothing: it gives zeros and trains no row.
    public let paddingIndex: Int?

    /// Rows start from a standard normal distribution, as in PyTorch.
    public init(_ rows: Int, _ width: Int, paddingIndex: Int? = nil, random: inout RandomSource) {
        require(
            paddingIndex.map { 0..<rows ~= $0 } ?? true, "Embedding: padding index \(paddingIndex ?? 0) of \(rows) rows"
        )
        weight = Parameter(.normal([rows, width], random: &random))
        self.paddingIndex = paddingIndex
    }

    public func callAsFunction(_ indices: Tensor) -> Tensor {
        let y = weight.value.embedding(indices)
        guard let paddingIndex else { return y }
        let isPadding = indices .== Tensor(Double(paddingIndex), dtype: indices.dtype, device: indices.device)
        return y.maskedFill(isPadding.unsqueezed(axis: -1), 0)
    }
}
