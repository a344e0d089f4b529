import FledgeCore
import FledgeNN

/// A multi-layer perceptron for tables (Rumelhart, Hinton and Williams 1986): linear layers, each followed by an
/// optional batch norm and a rectifier. Samples of any shape are flattened; the last hidden layer is the features.
public final class MLP: Backbone {
    public let linear: [Linear]
    /// One for each linear layer, or none.
    public let norm: [BatchNorm]
    public var featureCount: Int { linear[linear.count - 1].weight.shape[0] }

    /// Weights start as in He et al. 2015 (`Init.kaimingUniform`), biases at zero.
    ///
    /// - Parameters:
    ///   - inputs: how many numbers a sample has.
    ///   - hidden: the widths of the layers, at least one.
    ///   - batchNorm: whether the layers are normalised; they then need no bias and have none.
    public init(_ inputs: Int, hidden: [Int] = [256, 256], batchNorm: Bool = true, random: inout RandomSource) {
        require(
            inputs > 0 && !hidden.isEmpty && hidden.allSatisfy { $0 > 0 },
            "MLP: \(inputs) inputs and hidden layers of \(hidden)")
        var linear: [Linear] = []
        for (width, below) in zip(hidden, [inputs] + hidden) {
            let layer = Linear(below, width, bias: !batchNorm, random: &random)
            layer.weight.value = Init.kaimingUniform([width, below], random: &random)
            layer.bias?.value = .zeros([width])
            linear.append(layer)
        }
        self.linear = linear
        norm = batchNorm ? hidden.map { BatchNorm($0) } : []
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        require(x.rank >= 2, "MLP: x \(x.shape) is not a batch of samples")
        var h = x.rank == 2 ? x : x.flattened(1...x.rank - 1)
        for (i, layer) in linear.enumerated() {
            h = norm.isEmpty ? layer(h).relu() : norm[i](layer(h), relu: true)
        }
        return h
    }
}
