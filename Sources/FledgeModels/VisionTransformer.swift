import FledgeCore
import FledgeNN

/// The vision transformer (Dosovitskiy et al. 2021, "An image is worth 16x16 words") with timm's names on disk:
/// [N, H, W, C] to [N, width] features, the class token after the last norm.
public final class VisionTransformer: Backbone {
    /// Sizes of Touvron et al. 2021 (DeiT), all of 12 blocks with heads of 64 numbers.
    public enum Size: String, Codable, Sendable, CaseIterable {
        case tiny, small

        var width: Int { self == .tiny ? 192 : 384 }
        var heads: Int { width / 64 }
        var depth: Int { 12 }
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
        let patches = (image.0 / patch) * (image.1 / patch)
        clsToken = Parameter(.normal([1, 1, width], deviation: 1e-6, random: &random))
        posEmbed = Parameter(Init.truncatedNormal([1, 1 + patches, width], random: &random))
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

    public func callAsFunction(_ x: Tensor) -> Tensor { tokens(x)[0..., 0] }

    /// All tokens after the last norm: [N, 1 + patches, width], the class token first.
    public func tokens(_ x: Tensor) -> Tensor {
        require(
            x.rank == 4 && x.shape[1] == image.height && x.shape[2] == image.width,
            "VisionTransformer: x \(x.shape) for a network of \(image.height) x \(image.width) pixels")
        let token = clsToken.value.expanded(to: [x.shape[0], 1, featureCount])
        let h = concatenate([token, patchEmbed(x)], axis: 1) + posEmbed.value
        return norm(blocks.reduce(h) { $1($0) })
    }

    /// The patch that suits an image: the largest of 16, 8, 4, 2 and 1 pixels that tiles it with at least 7 patches
    /// along both sides (224 pixels: 16, as published; 28 and 32 pixels: 4). nil when there is none, or when a side
    /// would have more than 32.
    public static func patch(suiting height: Int, _ width: Int) -> Int? {
        let patch = [16, 8, 4, 2, 1].first {
            height % $0 == 0 && width % $0 == 0 && min(height, width) / $0 >= 7
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

    init(_ width: Int, heads: Int, random: inout RandomSource) {
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
        let parts = qkv(x).reshaped([n, s, 3, heads, width / heads])
        let y = scaledDotProductAttention(parts[0..., 0..., 0], parts[0..., 0..., 1], parts[0..., 0..., 2])
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
    fileprivate static func transformer(_ inputs: Int, _ outputs: Int, random: inout RandomSource) -> Linear {
        let linear = Linear(inputs, outputs, random: &random)
        linear.weight.value = Init.truncatedNormal([outputs, inputs], random: &random)
        linear.bias?.value = .zeros([outputs])
        return linear
    }
}
