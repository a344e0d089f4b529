import FledgeCore
import FledgeNN

/// Residual networks (He et al. 2016, "Deep residual learning for image recognition") with torchvision's layout and
/// names on disk: [N, H, W, C] to [N, 512] features, or 2048 of ResNet-50.
///
/// As in torchvision, the stride of a bottleneck is in its 3x3 convolution ("ResNet v1.5").
public final class ResNet: SpatialBackbone {
    public enum Depth: Int, Codable, Sendable, CaseIterable {
        case layers18 = 18
        case layers34 = 34
        case layers50 = 50

        /// Blocks of each of the four stages (table 1).
        var blocks: [Int] { self == .layers18 ? [2, 2, 2, 2] : [3, 4, 6, 3] }
        /// Output channels of a block for each channel of its 3x3 convolution.
        var expansion: Int { self == .layers50 ? 4 : 1 }
    }

    /// How the image enters.
    public enum Stem: String, Codable, Sendable {
        /// 7x7 convolution of stride 2 and max-pooling, so that the stages start at a quarter of the size: ImageNet.
        case large
        /// 3x3 convolution of stride 1 and no pooling: images of 32 pixels, as in "A simple framework for contrastive
        /// learning of visual representations" (Chen et al. 2020, appendix B.9).
        case small

        /// The large one from 96 pixels of the shorter side on: below, it would leave the last stage a pixel or two.
        public static func suiting(_ height: Int, _ width: Int) -> Stem { min(height, width) < 96 ? .small : .large }
    }

    public let stem: Stem
    public let conv1: Conv2d
    public let bn1: BatchNorm
    public let layer1, layer2, layer3, layer4: [ResidualBlock]
    /// torchvision's classifier.
    public let fc: Linear?
    public let featureCount: Int
    public var classifier: Linear? { fc }

    /// Convolutions start normal with variance 2 / fan-out, as in torchvision.
    /// - Parameter classes: gives the network its own classifier `fc`.
    public init(
        _ depth: Depth, stem: Stem, channels: Int = 3, classes: Int? = nil, random: inout RandomSource
    ) {
        self.stem = stem
        let large = stem == .large
        conv1 = .resNet(channels, 64, kernel: large ? 7 : 3, stride: large ? 2 : 1, random: &random)
        bn1 = BatchNorm(64)
        var inputs = 64
        var stages: [[ResidualBlock]] = []
        for (stage, count) in depth.blocks.enumerated() {
            var blocks: [ResidualBlock] = []
            for index in 0..<count {
                let block = ResidualBlock(
                    inputs, width: 64 << stage, expansion: depth.expansion, stride: stage > 0 && index == 0 ? 2 : 1,
                    random: &random)
                inputs = (64 << stage) * depth.expansion
                blocks.append(block)
            }
            stages.append(blocks)
        }
        (layer1, layer2, layer3, layer4) = (stages[0], stages[1], stages[2], stages[3])
        featureCount = inputs
        var fc: Linear?
        if let classes { fc = Linear(inputs, classes, random: &random) }
        self.fc = fc
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { featureMap(x).globalAveragePool2D() }

    public func featureMap(_ x: Tensor) -> Tensor { stages(x)[3] }

    /// What each of the four stages makes, [N, H', W', C'] with sizes halved from one to the next: for methods that
    /// look at several scales.
    public func stages(_ x: Tensor) -> [Tensor] {
        var h = bn1(conv1(x), relu: true)
        if stem == .large { h = h.maxPool2D(kernel: (3, 3), stride: (2, 2), padding: (1, 1)) }
        return [layer1, layer2, layer3, layer4].map { blocks in
            h = blocks.reduce(h) { $1($0) }
            return h
        }
    }
}

/// relu(shortcut(x) + body(x)) with two 3x3 convolutions, or with 1x1, 3x3 and 1x1 (the bottleneck): the building blocks
/// of a `ResNet` (He et al. 2016, figure 5). Names on disk are torchvision's.
public final class ResidualBlock: Layer {
    public let conv1, conv2: Conv2d
    public let bn1, bn2: BatchNorm
    /// The third convolution of a bottleneck.
    public let conv3: Conv2d?
    public let bn3: BatchNorm?
    /// A 1x1 convolution and batch norm, where the shape changes.
    public let downsample: Sequential?

    /// - Parameters:
    ///   - width: channels of the 3x3 convolutions.
    ///   - expansion: 1 for two 3x3 convolutions; above it, a bottleneck with width * expansion output channels.
    init(_ inputs: Int, width: Int, expansion: Int, stride: Int, random: inout RandomSource) {
        let outputs = width * expansion
        let isBottleneck = expansion > 1
        conv1 = .resNet(
            inputs, width, kernel: isBottleneck ? 1 : 3, stride: isBottleneck ? 1 : stride, random: &random)
        bn1 = BatchNorm(width)
        conv2 = .resNet(width, width, kernel: 3, stride: isBottleneck ? stride : 1, random: &random)
        bn2 = BatchNorm(width)
        conv3 = isBottleneck ? .resNet(width, outputs, kernel: 1, stride: 1, random: &random) : nil
        bn3 = isBottleneck ? BatchNorm(outputs) : nil
        downsample =
            stride != 1 || inputs != outputs
            ? Sequential(Conv2d.resNet(inputs, outputs, kernel: 1, stride: stride, random: &random), BatchNorm(outputs))
            : nil
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let shortcut = downsample?(x) ?? x
        let h = bn1(conv1(x), relu: true)
        guard let conv3, let bn3 else { return bn2(conv2(h), adding: shortcut, relu: true) }
        return bn3(conv3(bn2(conv2(h), relu: true)), adding: shortcut, relu: true)
    }
}

extension Conv2d {
    /// A convolution that keeps sizes at stride 1, without bias since a batch norm follows, normal with variance
    /// 2 / fan-out (He et al. 2015).
    static func resNet(
        _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int, random: inout RandomSource
    ) -> Conv2d {
        let conv = Conv2d(
            inputs, outputs, kernel: kernel, stride: stride, padding: kernel / 2, bias: false, random: &random)
        conv.weight.value = Init.kaimingNormal(conv.weight.shape, fan: .output, random: &random)
        return conv
    }
}
