import FledgeCore
import FledgeNN

/// A small U-Net (Ronneberger et al. 2015): contracts a picture to a quarter of its size and expands it again, with
/// what was found at each size handed across. Two results from one network: `callAsFunction` gives features, the mean
/// of the innermost map, [N, H, W, C] to [N, 96]; `picture` gives a picture of the input's shape.
///
/// Without batch norm, whose noise a regression of pixels would pay for (Lim et al. 2017, "Enhanced deep residual
/// networks"). Any size from 4 pixels.
public final class UNet: SpatialBackbone {
    /// Two convolutions each, at the full, half and quarter size.
    public let encoder: [Sequential]
    /// At the half and the full size, on what comes from below beside what was handed across; then to channels.
    public let decoder: [Sequential]
    public let output: Conv2d
    public let featureCount: Int

    /// Weights start as in He et al. 2015; the last layer at zero, so that `picture` starts as the input.
    public init(channels: Int = 3, width: Int = 24, random: inout RandomSource) {
        func convolution(_ inputs: Int, _ outputs: Int) -> Conv2d {
            let conv = Conv2d(inputs, outputs, kernel: 3, padding: 1, random: &random)
            conv.weight.value = Init.kaimingNormal(conv.weight.shape, fan: .input, random: &random)
            conv.bias?.value = .zeros([outputs])
            return conv
        }
        func pair(_ inputs: Int, _ outputs: Int) -> Sequential {
            Sequential(
                convolution(inputs, outputs), LeakyReLU(slope: 0.1), convolution(outputs, outputs),
                LeakyReLU(slope: 0.1))
        }
        encoder = [pair(channels, width), pair(width, 2 * width), pair(2 * width, 4 * width)]
        decoder = [pair(6 * width, 2 * width), pair(3 * width, width)]
        output = Conv2d(width, channels, kernel: 1, random: &random)
        output.weight.value = .zeros(output.weight.shape)
        output.bias?.value = .zeros([channels])
        featureCount = 4 * width
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { featureMap(x).globalAveragePool2D() }

    /// The innermost map, [N, H / 4, W / 4, features], sizes rounded up.
    public func featureMap(_ x: Tensor) -> Tensor { maps(padded(x))[2] }

    /// A picture of the shape of `x`: `x` and what the network adds to it.
    public func picture(_ x: Tensor) -> Tensor { x + output(fullSizeMap(x)) }

    /// What the network knows of every position at last: [N, H, W, C] to [N, H, W, width].
    public func fullSizeMap(_ x: Tensor) -> Tensor {
        let maps = maps(padded(x))
        var h = maps[2]
        for (layer, beside) in zip(decoder, [maps[1], maps[0]]) {
            h = layer(concatenate([doubled(h), beside], axis: 3))
        }
        return h[0..., 0..<x.shape[1], 0..<x.shape[2]]
    }

    private func maps(_ x: Tensor) -> [Tensor] {
        var h = x
        return encoder.enumerated().map { index, layer in
            if index > 0 { h = h.maxPool2D(kernel: (2, 2), stride: (2, 2)) }
            h = layer(h)
            return h
        }
    }

    private func doubled(_ x: Tensor) -> Tensor { x.resized(to: (2 * x.shape[1], 2 * x.shape[2]), mode: .nearest) }

    /// Up to sizes that can be halved twice.
    private func padded(_ x: Tensor) -> Tensor {
        require(x.rank == 4 && x.shape[1] >= 4 && x.shape[2] >= 4, "UNet: x \(x.shape)")
        let (bottom, right) = ((4 - x.shape[1] % 4) % 4, (4 - x.shape[2] % 4) % 4)
        return bottom + right == 0 ? x : x.padded2D(top: 0, left: 0, bottom: bottom, right: right, mode: .reflect)
    }
}
