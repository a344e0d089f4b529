import FledgeCore

/// Normalises every position over its last axis (Ba et al. 2016): [..., width].
public final class LayerNorm: Layer {
    /// [width]
    public let weight: Parameter?
    /// [width]
    public let bias: Parameter?
    public let epsilon: Double

    public init(_ width: Int, epsilon: Double = 1e-5, affine: Bool = true) {
        weight = affine ? Parameter(.ones([width])) : nil
        bias = affine ? Parameter(.zeros([width])) : nil
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.layerNorm(weight: weight?.value, bias: bias?.value, epsilon: epsilon)
    }
}

/// Normalises each sample over groups of channels and all positions (Wu and He 2018): [N, ..., channels].
public final class GroupNorm: Layer {
    /// [channels]
    public let weight: Parameter?
    /// [channels]
    public let bias: Parameter?
    public let groups: Int
    public let epsilon: Double

    public init(groups: Int, _ channels: Int, epsilon: Double = 1e-5, affine: Bool = true) {
        require(groups > 0 && channels % groups == 0, "GroupNorm: \(groups) groups do not divide \(channels) channels")
        weight = affine ? Parameter(.ones([channels])) : nil
        bias = affine ? Parameter(.zeros([channels])) : nil
        self.groups = groups
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.groupNorm(groups: groups, weight: weight?.value, bias: bias?.value, epsilon: epsilon)
    }
}

/// Normalises each channel of each sample over all positions (Ulyanov et al. 2016): [N, ..., channels].
public final class InstanceNorm: Layer {
    /// [channels]
    public let weight: Parameter?
    /// [channels]
    public let bias: Parameter?
    public let epsilon: Double

    /// - Parameter affine: whether there are `weight` and `bias`; not by default, as in PyTorch.
    public init(_ channels: Int, epsilon: Double = 1e-5, affine: Bool = false) {
        weight = affine ? Parameter(.ones([channels])) : nil
        bias = affine ? Parameter(.zeros([channels])) : nil
        self.epsilon = epsilon
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.instanceNorm(weight: weight?.value, bias: bias?.value, epsilon: epsilon)
    }
}
