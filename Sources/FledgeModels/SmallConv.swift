import FledgeCore
import FledgeNN

/// A small network for small images, made for a CPU: four 3x3 convolutions of 32, 64, 128 and 256 channels, each with
/// batch norm and a rectifier, strides 1, 2, 2, 2, then the average over all positions. [N, H, W, C] to [N, 256];
/// 0.39 million parameters; images from 8 to about 64 pixels.
///
/// Strides stand in place of pooling, as in "Striving for simplicity" (Springenberg et al. 2015).
public final class SmallConv: SpatialBackbone {
    public let conv: [Conv2d]
    public let norm: [BatchNorm]
    public var featureCount: Int { norm[norm.count - 1].runningMean.shape[0] }

    /// Weights start as in He et al. 2015, keeping the gradient's variance.
    public init(channels: Int = 3, random: inout RandomSource) {
        let widths = [32, 64, 128, 256]
        var conv: [Conv2d] = []
        for (i, (width, below)) in zip(widths, [channels] + widths).enumerated() {
            conv.append(.resNet(below, width, kernel: 3, stride: i == 0 ? 1 : 2, random: &random))
        }
        self.conv = conv
        norm = widths.map { BatchNorm($0) }
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { featureMap(x).globalAveragePool2D() }

    /// At an eighth of the size.
    public func featureMap(_ x: Tensor) -> Tensor {
        zip(conv, norm).reduce(x) { h, layer in layer.1(layer.0(h), relu: true) }
    }
}
