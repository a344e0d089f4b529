import FledgeCore

/// Multi-head attention (Vaswani et al. 2017, section 3.2.2) with PyTorch's names on disk.
public final class MultiHeadAttention: Module, ModeSwitching {
    /// [3 width, width]: the projections of queries, keys and values one below the other.
    public let inProjWeight: Parameter
    /// [3 width]
    public let inProjBias: Parameter?
    public let outProj: Linear
    public let heads: Int
    /// The rate at which attention weights are dropped in training.
    public let dropout: Double
    public var isTraining = true

    /// Starts as PyTorch's: Xavier-uniform projections, zero biases.
    public init(_ width: Int, heads: Int, dropout: Double = 0, bias: Bool = true, random: inout RandomSource) {
        require(heads > 0 && width % heads == 0, "MultiHeadAttention: \(heads) heads do not divide a width of \(width)")
        inProjWeight = Parameter(Init.xavierUniform([3 * width, width], random: &random))
        inProjBias = bias ? Parameter(.zeros([3 * width])) : nil
        outProj = Linear(width, width, bias: bias, random: &random)
        outProj.bias?.value = .zeros([width])
        self.heads = heads
        self.dropout = dropout
    }

    /// Self-attention: [N, S, width] to the same shape. For `mask` and `causal` see `scaledDotProductAttention`.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, causal: Bool = false) -> Tensor {
        let projected = x.linear(inProjWeight.value, inProjBias?.value).split(3, axis: -1)
        return attend(projected[0], projected[1], projected[2], mask, causal)
    }

    /// Attention of `query` [N, S, width] to `key` and `value` [N, T, width]: [N, S, width].
    public func callAsFunction(
        _ query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil, causal: Bool = false
    ) -> Tensor {
        let weights = inProjWeight.value.split(3, axis: 0)
        let biases = inProjBias?.value.split(3, axis: 0)
        return attend(
            query.linear(weights[0], biases?[0]), key.linear(weights[1], biases?[1]),
            value.linear(weights[2], biases?[2]), mask, causal)
    }

    private func attend(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ mask: Tensor?, _ causal: Bool) -> Tensor {
        func perHead(_ x: Tensor) -> Tensor {
            require(x.rank == 3, "MultiHeadAttention: shape \(x.shape) is not [N, S, width]")
            return x.reshaped([x.shape[0], x.shape[1], heads, x.shape[2] / heads])
        }
        let y = scaledDotProductAttention(
            perHead(q), perHead(k), perHead(v), mask: mask, causal: causal, dropout: isTraining ? dropout : 0)
        return outProj(y.reshaped(q.shape))
    }
}
