import FledgeCore

/// x W^T + b over the last axis: [..., inputs] to [..., outputs].
public final class Linear: Layer {
    /// [outputs, inputs]
    public let weight: Parameter
    /// [outputs]
    public let bias: Parameter?

    /// Starts as PyTorch's: uniform in ±1 / sqrt(inputs).
    public init(_ inputs: Int, _ outputs: Int, bias: Bool = true, random: inout RandomSource) {
        weight = Parameter(Init.standard([outputs, inputs], fanIn: inputs, random: &random))
        self.bias = bias ? Parameter(Init.standard([outputs], fanIn: inputs, random: &random)) : nil
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight.value, bias?.value) }
}
