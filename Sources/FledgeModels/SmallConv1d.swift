import FledgeCore
import FledgeNN

/// A small network for sequences of numbers such as sounds, made for a CPU: four convolutions along the row, 8 wide, of
/// 32, 64, 128 and 256 channels, each with batch norm and a rectifier and a stride of 4 at first and 2 after, then the
/// average over all places. [N, L] to [N, 256]; 0.35 million parameters; rows of any length.
///
/// The strided encoder of contrastive predictive coding (van den Oord et al. 2018, section 3.1), smaller and with padding,
/// so that short rows pass as well.
public final class SmallConv1d: Backbone {
    public let conv: [Conv1d]
    public let norm: [BatchNorm]
    public var featureCount: Int { norm[norm.count - 1].runningMean.shape[0] }

    /// Weights start as in He et al. 2015, keeping the gradient's variance.
    public init(random: inout RandomSource) {
        let widths = [32, 64, 128, 256]
        conv = zip(widths, [1] + widths).enumerated().map { i, pair in
            let conv = Conv1d(
                pair.1, pair.0, kernel: 8, stride: i == 0 ? 4 : 2, padding: 4, bias: false, random: &random)
            conv.weight.value = Init.kaimingNormal(conv.weight.shape, fan: .output, random: &random)
            return conv
        }
        norm = widths.map { BatchNorm($0) }
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        require(x.rank == 2, "SmallConv1d: x \(x.shape) is not a batch of rows")
        let h = zip(conv, norm).reduce(x.unsqueezed(axis: 2)) { h, layer in layer.1(layer.0(h), relu: true) }
        return h.mean(axis: 1)
    }
}
