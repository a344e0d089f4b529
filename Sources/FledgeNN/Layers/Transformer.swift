import FledgeCore

/// The non-linearity between the two linear maps of a transformer block.
public enum TransformerActivation: String, Codable, Sendable {
    case relu, gelu

    func callAsFunction(_ x: Tensor) -> Tensor { self == .relu ? x.relu() : x.gelu() }
}

/// Self-attention and a two-layer network, each with a residual connection and a layer norm (Vaswani et al. 2017;
/// `preNorm`: the norm inside the residual branch, Xiong et al. 2020). Names on disk are PyTorch's.
public final class TransformerEncoderLayer: Layer {
    public let selfAttn: MultiHeadAttention
    public let linear1, linear2: Linear
    public let norm1, norm2: LayerNorm
    public let dropout: Dropout
    public let activation: TransformerActivation
    public let preNorm: Bool

    /// - Parameter hidden: the width between the two linear maps.
    public init(
        _ width: Int, heads: Int, hidden: Int, dropout: Double = 0.1, activation: TransformerActivation = .relu,
        preNorm: Bool = false, epsilon: Double = 1e-5, random: inout RandomSource
    ) {
        selfAttn = MultiHeadAttention(width, heads: heads, dropout: dropout, random: &random)
        linear1 = Linear(width, hidden, random: &random)
        linear2 = Linear(hidden, width, random: &random)
        norm1 = LayerNorm(width, epsilon: epsilon)
        norm2 = LayerNorm(width, epsilon: epsilon)
        self.dropout = Dropout(dropout)
        self.activation = activation
        self.preNorm = preNorm
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, mask: nil) }

    /// [N, S, width] to the same shape. For `mask` and `causal` see `scaledDotProductAttention`.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, causal: Bool = false) -> Tensor {
        let attended = residual(x, norm1, preNorm, dropout) { selfAttn($0, mask: mask, causal: causal) }
        return residual(attended, norm2, preNorm, dropout) { linear2(dropout(activation(linear1($0)))) }
    }
}

/// A decoder block: self-attention, attention to the encoder's output, and a two-layer network (Vaswani et al. 2017).
/// Names on disk are PyTorch's.
public final class TransformerDecoderLayer: Module {
    public let selfAttn, multiheadAttn: MultiHeadAttention
    public let linear1, linear2: Linear
    public let norm1, norm2, norm3: LayerNorm
    public let dropout: Dropout
    public let activation: TransformerActivation
    public let preNorm: Bool

    /// - Parameter hidden: the width between the two linear maps.
    public init(
        _ width: Int, heads: Int, hidden: Int, dropout: Double = 0.1, activation: TransformerActivation = .relu,
        preNorm: Bool = false, epsilon: Double = 1e-5, random: inout RandomSource
    ) {
        selfAttn = MultiHeadAttention(width, heads: heads, dropout: dropout, random: &random)
        multiheadAttn = MultiHeadAttention(width, heads: heads, dropout: dropout, random: &random)
        linear1 = Linear(width, hidden, random: &random)
        linear2 = Linear(hidden, width, random: &random)
        norm1 = LayerNorm(width, epsilon: epsilon)
        norm2 = LayerNorm(width, epsilon: epsilon)
        norm3 = LayerNorm(width, epsilon: epsilon)
        self.dropout = Dropout(dropout)
        self.activation = activation
        self.preNorm = preNorm
    }

    /// - Parameters:
    ///   - x: [N, S, width]
    ///   - memory: what the encoder made, [N, T, width].
    ///   - mask: for self-attention, as are `causal`; `memoryMask` is for attention to the memory.
    public func callAsFunction(
        _ x: Tensor, memory: Tensor, mask: Tensor? = nil, causal: Bool = false, memoryMask: Tensor? = nil
    ) -> Tensor {
        let own = residual(x, norm1, preNorm, dropout) { selfAttn($0, mask: mask, causal: causal) }
        let crossed = residual(own, norm2, preNorm, dropout) {
            multiheadAttn($0, key: memory, value: memory, mask: memoryMask)
        }
        return residual(crossed, norm3, preNorm, dropout) { linear2(dropout(activation(linear1($0)))) }
    }
}

/// x + branch(norm(x)) with `preNorm`, else norm(x + branch(x)); the branch's result passes through dropout.
private func residual(
    _ x: Tensor, _ norm: LayerNorm, _ preNorm: Bool, _ dropout: Dropout, _ branch: (Tensor) -> Tensor
) -> Tensor {
    preNorm ? x + dropout(branch(norm(x))) : norm(x + dropout(branch(x)))
}
