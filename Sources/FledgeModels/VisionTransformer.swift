import FledgeCore
import FledgeNN
import Foundation

/// The vision transformer (Dosovitskiy et al. 2021, "An image is worth 16x16 words") with timm's names on disk:
/// [N, H, W, C] to [N, width] features: after the last norm the class token, or for `mini` the mean of the patches.
public final class VisionTransformer: SpatialBackbone {
    /// Sizes of Touvron et al. 2021 (DeiT), of 12 blocks with heads of 64 numbers; and `mini`, which learns small
    /// pictures on a CPU, of 4 blocks with heads of 32.
    public enum Size: String, Codable, Sendable, CaseIterable {
        case mini, tiny, small

        var width: Int {
            switch self {
            case .mini: 96
            case .tiny: 192
            case .small: 384
            }
        }
        var heads: Int { self == .mini ? 3 : width / 64 }
        var depth: Int { self == .mini ? 4 : 12 }
        /// A class token that nobody trained says nothing: what is learned from patches alone is in the patches.
        var averages: Bool { self == .mini }
    }

    /// [1, 1, width]
    public let clsToken: Parameter
    /// [1, 1 + patches, width]: the class token's, then those of the patches row by row.
    public let posEmbed: Parameter
    public let patchEmbed: PatchEmbedding
    public let blocks: [VisionTransformerBlock]
    public let norm: LayerNorm
    /// timm's classifier.
    public let head: Linear?
    public let image: (height: Int, width: Int)
    /// The side of a patch in pixels.
    public let patch: Int
    /// Whether the features are the mean of the patches and not the class token.
    public let averages: Bool
    public var featureCount: Int { norm.weight!.shape[0] }
    public var classifier: Linear? { head }

    /// Linear layers and positions start from a normal of deviation 0.02 cut at ±2, as in timm; biases at zero.
    ///
    /// - Parameters:
    ///   - image: height and width, the only ones this network takes: multiples of `patch`.
    ///   - patch: the side of a patch in pixels.
    ///   - classes: gives the network its own classifier `head`.
    public init(
        _ size: Size, image: (Int, Int), patch: Int, channels: Int = 3, classes: Int? = nil,
        random: inout RandomSource
    ) {
        require(
            patch > 0 && image.0 > 0 && image.1 > 0 && image.0 % patch == 0 && image.1 % patch == 0,
            "VisionTransformer: patches of \(patch) do not tile an image of \(image.0) x \(image.1)")
        let width = size.width
        self.image = image
        self.patch = patch
        averages = size.averages
        let patches = (image.0 / patch) * (image.1 / patch)
        clsToken = Parameter(.normal([1, 1, width], deviation: 1e-6, random: &random))
        if size == .mini {
            // Few pictures and short trainings cannot wait until places are told apart.
            let grid = Self.gridPositions((image.0 / patch, image.1 / patch), width: width)
            posEmbed = Parameter(concatenate([.zeros([1, 1, width]), grid], axis: 1))
        } else {
            posEmbed = Parameter(Init.truncatedNormal([1, 1 + patches, width], random: &random))
        }
        patchEmbed = PatchEmbedding(channels, width, patch: patch, random: &random)
        var blocks: [VisionTransformerBlock] = []
        for _ in 0..<size.depth {
            blocks.append(VisionTransformerBlock(width, heads: size.heads, random: &random))
        }
        self.blocks = blocks
        norm = LayerNorm(width, epsilon: 1e-6)
        var head: Linear?
        if let classes { head = .transformer(width, classes, random: &random) }
        self.head = head
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let tokens = tokens(x)
        return averages ? tokens[0..., 1...].mean(axis: 1) : tokens[0..., 0]
    }

    /// The patches after the last norm where they lie in the picture: [N, H / patch, W / patch, width].
    public func featureMap(_ x: Tensor) -> Tensor {
        tokens(x)[0..., 1...].reshaped([x.shape[0], image.height / patch, image.width / patch, featureCount])
    }

    /// All tokens after the last norm: [N, 1 + patches, width], the class token first.
    /// - Parameter visible: int64 [N, K], the patches of each picture that are seen, row by row from 0: the result is
    ///   [N, 1 + K, width]. The others cost nothing (He et al. 2022, "Masked autoencoders are scalable vision
    ///   learners"). nil: all.
    public func tokens(_ x: Tensor, visible: Tensor? = nil) -> Tensor {
        require(
            x.rank == 4 && x.shape[1] == image.height && x.shape[2] == image.width,
            "VisionTransformer: x \(x.shape) for a network of \(image.height) x \(image.width) pixels")
        let n = x.shape[0]
        let token = (clsToken.value + posEmbed.value[0..., 0..<1]).expanded(to: [n, 1, featureCount])
        var patches = patchEmbed(x) + posEmbed.value[0..., 1...]
        if let visible {
            require(
                visible.rank == 2 && visible.shape[0] == n, "VisionTransformer: visible \(visible.shape), x \(x.shape)")
            patches = patches.gatherRows(visible)
        }
        return norm(blocks.reduce(concatenate([token, patches], axis: 1)) { $1($0) })
    }

    /// Sines and cosines of rows and columns at falling frequencies (Vaswani et al. 2017, section 3.5, for each half of
    /// the numbers one coordinate): [1, rows * columns, width]. `width` is a multiple of 4.
    package static func gridPositions(_ grid: (rows: Int, columns: Int), width: Int) -> Tensor {
        let quarter = width / 4
        var values: [Float] = []
        for row in 0..<grid.rows {
            for column in 0..<grid.columns {
                for coordinate in [column, row] {
                    let angles = (0..<quarter).map { Double(coordinate) * pow(10_000, -Double($0) / Double(quarter)) }
                    values += angles.map { Float(sin($0)) } + angles.map { Float(cos($0)) }
                }
            }
        }
        return Tensor(values, shape: [1, grid.rows * grid.columns, width])
    }

    /// The patch that suits an image: the largest of 16, 8, 4, 2 and 1 pixels that tiles it with at least 7 patches
    /// along both sides (224 pixels: 16, as published; 28 and 32 pixels: 4). nil when there is none, or when a side
    /// would have more than 32.
    /// - Parameter least: another number in the place of 7.
    public static func patch(suiting height: Int, _ width: Int, least: Int = 7) -> Int? {
        let patch = [16, 8, 4, 2, 1].first {
            height % $0 == 0 && width % $0 == 0 && min(height, width) / $0 >= least
        }
        return patch.flatMap { max(height, width) / $0 <= 32 ? $0 : nil }
    }
}

/// Cuts images into square patches and maps each linearly: [N, H, W, C] to [N, patches, width], row by row.
public final class PatchEmbedding: Layer {
    public let proj: Conv2d

    init(_ channels: Int, _ width: Int, patch: Int, random: inout RandomSource) {
        proj = Conv2d(channels, width, kernel: patch, stride: patch, random: &random)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { proj(x).flattened(1...2) }
}

/// x + attention(norm(x)), then x + mlp(norm(x)) (Dosovitskiy et al. 2021, equations 2 and 3).
public final class VisionTransformerBlock: Layer {
    public let norm1: LayerNorm
    public let attn: FusedSelfAttention
    public let norm2: LayerNorm
    public let mlp: FeedForward

    public init(_ width: Int, heads: Int, random: inout RandomSource) {
        norm1 = LayerNorm(width, epsilon: 1e-6)
        attn = FusedSelfAttention(width, heads: heads, random: &random)
        norm2 = LayerNorm(width, epsilon: 1e-6)
        mlp = FeedForward(width, hidden: 4 * width, random: &random)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let h = x + attn(norm1(x))
        return h + mlp(norm2(h))
    }
}

/// Multi-head self-attention under timm's names, one `qkv` for all three projections: [N, S, width] to the same.
public final class FusedSelfAttention: Layer {
    public let qkv, proj: Linear
    public let heads: Int

    init(_ width: Int, heads: Int, random: inout RandomSource) {
        qkv = .transformer(width, 3 * width, random: &random)
        proj = .transformer(width, width, random: &random)
        self.heads = heads
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let (n, s, width) = (x.shape[0], x.shape[1], x.shape[2])
        let parts = qkv(x).reshaped([n, s, 3, heads, width / heads]).split(3, axis: 2).map { $0.squeezed(axis: 2) }
        let y = scaledDotProductAttention(parts[0], parts[1], parts[2])
        return proj(y.reshaped([n, s, width]))
    }
}

/// Two linear layers with a GELU between them: [..., width] to the same.
public final class FeedForward: Layer {
    public let fc1, fc2: Linear

    init(_ width: Int, hidden: Int, random: inout RandomSource) {
        fc1 = .transformer(width, hidden, random: &random)
        fc2 = .transformer(hidden, width, random: &random)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { fc2(fc1(x).gelu()) }
}

extension Linear {
    /// As timm starts the linear layers of transformers: normal of deviation 0.02 cut at ±2, biases zero.
    package static func transformer(_ inputs: Int, _ outputs: Int, random: inout RandomSource) -> Linear {
        let linear = Linear(inputs, outputs, random: &random)
        linear.weight.value = Init.truncatedNormal([outputs, inputs], random: &random)
        linear.bias?.value = .zeros([outputs])
        return linear
    }
}
