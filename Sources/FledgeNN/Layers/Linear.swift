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

    /// With given weights.
    /// - Parameters:
    ///   - weight: [outputs, inputs].
    ///   - bias: [outputs].
    public init(weight: Tensor, bias: Tensor?) {
        require(
            weight.rank == 2 && (bias.map { $0.shape == [weight.shape[0]] } ?? true),
            "Linear: weight \(weight.shape) with bias \(bias.map { "\($0.shape)" } ?? "none")")
        self.weight = Parameter(weight)
        self.bias = bias.map { Parameter($0) }
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight.value, bias?.value) }
}
