import FledgeCore
import FledgeNN

/// Directions that vectors are compared with: x W^T over the last axis for rows W of length 1, without a bias. The
/// prototypes of SwAV, and the weight-normalised last layer of DINO.
final class Prototypes: Layer {
    /// [count, width]. Whatever its rows' length, only their direction counts.
    let weight: Parameter

    init(_ count: Int, width: Int, random: inout RandomSource) {
        weight = Parameter(Tensor.normal([count, width], random: &random).l2Normalized(axis: 1))
    }

    func callAsFunction(_ x: Tensor) -> Tensor { self(x, frozen: false) }

    /// - Parameter frozen: no gradient reaches the prototypes, so the optimizer leaves them alone.
    func callAsFunction(_ x: Tensor, frozen: Bool) -> Tensor {
        let weight = frozen ? weight.value.detached() : weight.value
        return x.linear(weight.l2Normalized(axis: 1))
    }

    /// Brings the stored rows back to length 1.
    func normalize() { weight.update { $0 = $0.detached().l2Normalized(axis: 1) } }
}
