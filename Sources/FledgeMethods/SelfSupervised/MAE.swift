import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// The masked autoencoder: a transformer sees a quarter of a picture's patches, and a small decoder must make the
/// others from what it found (He et al. 2022, "Masked autoencoders are scalable vision learners").
public struct MAE: Pretraining {
    /// The paper's decoder has 8 blocks of width 512 on top of networks for 224 pixels, and trains 800 epochs.
    public struct Config: Settings {
        public var batchSize = 128
        public var maskRatio = 0.75
        public var normalizePatches = true
        public var decoderWidth = 64
        public var decoderBlocks = 1
        public var cropScale = 0.7
        public var training = TrainingSettings()

        public init() {
            training.epochs = 40
            training.learningRate = 1e-3
            training.weightDecay = 0.05
            training.warmup = 0.1
        }

        public static let meanings = [
            "batchSize": "pictures for each step",
            "maskRatio": "share of the patches that are not seen",
            "normalizePatches": "asks for each patch relative to its own mean and deviation",
            "decoderWidth": "numbers for each patch in the decoder, rounded up to a multiple of 32",
            "decoderBlocks": "transformer blocks of the decoder",
            "cropScale": "smallest share of the area that a random crop keeps; 1 shows pictures whole",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "maskRatio": .within(0.05...0.95), "decoderWidth": .within(32...4096),
            "decoderBlocks": .within(1...64), "cropScale": .above(0, upTo: 1),
        ]
    }

    public static let info = MethodInfo(
        "mae", .selfSupervised,
        summary: "Rebuild the three quarters of a picture's patches that a vision transformer did not see.",
        paper: "He et al. 2022, Masked autoencoders are scalable vision learners",
        needs: [.unlabelled, .images], network: "vit-mini")

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public var backbone: any Backbone { transformer }
        let transformer: VisionTransformer
        let decoder: PatchDecoder
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        /// For tests: the loss counts the patches that were seen.
        private let scoresVisible: Bool

        init(_ config: Config, _ context: LearningContext, scoresVisible: Bool = false) throws {
            guard let transformer = context.backbone as? VisionTransformer else {
                throw MethodError.needsNetwork(MAE.info.name, like: "vit-mini")
            }
            guard transformer.patch > 1 else {
                throw ModelError.unsupportedInput(
                    model: MAE.info.name, shape: context.input.shape,
                    reason:
                        "the network's patches are single pixels for a picture of this side, and hiding one hides nothing",
                    advice: "bring the pictures to a side that patches divide: --image-size 28")
            }
            self.config = config
            self.scoresVisible = scoresVisible
            self.transformer = transformer
            let rows = transformer.image.height / transformer.patch,
                columns = transformer.image.width / transformer.patch
            let values = transformer.patch * transformer.patch * context.input.channels
            var random = context.random("decoder")
            decoder = PatchDecoder(
                transformer.featureCount, width: (config.decoderWidth + 31) / 32 * 32, blocks: config.decoderBlocks,
                grid: (rows, columns), outputs: values, random: &random)
            var view = Augmentation(
                config.cropScale < 1
                    ? [
                        .randomResizedCrop(
                            width: context.input.size, height: context.input.size, scale: config.cropScale...1)
                    ]
                    : [.centerCrop(width: context.input.size, height: context.input.size)])
            if context.flip { view.steps.append(.horizontalFlip()) }
            feeds = [
                Feed(
                    "pictures", from: .everything, batchSize: config.batchSize, views: [context.input.normalized(view)])
            ]
            // Who says each patch's mean leaves the biased variance over the unbiased one.
            ruler =
                config.normalizePatches
                ? LossRuler(uninformative: Double(values - 1) / Double(values), formula: "(n - 1) / n") : nil
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let pictures = batches["pictures"]!.views[0]
            let target = patches(of: pictures, side: transformer.patch)
            var random = context.random.stream("mask")
            let masking = PatchMask(
                batch: target.shape[0], patches: target.shape[1], ratio: config.maskRatio, random: &random)
            let predicted = decoder(transformer.tokens(pictures, visible: masking.visible), masking)
            let hidden = maskedPatchLoss(
                predicted, target, mask: masking.mask, normalized: config.normalizePatches)
            guard scoresVisible else { return StepOutput(hidden) }
            let seen = maskedPatchLoss(predicted, target, mask: 1 - masking.mask, normalized: config.normalizePatches)
            return StepOutput(seen, [("hidden", hidden.item())])
        }

        /// Patches that were seen stay; what was predicted of the others is given their own mean and deviation back.
        public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? {
            var random = random
            let target = patches(of: pictures, side: transformer.patch)
            let masking = PatchMask(
                batch: target.shape[0], patches: target.shape[1], ratio: config.maskRatio, random: &random)
            var predicted = decoder(transformer.tokens(pictures, visible: masking.visible), masking)
            if config.normalizePatches {
                let variance = target.variance(axes: [2], unbiased: true, keepDims: true)
                predicted = predicted * (variance + 1e-6).sqrt() + target.mean(axis: 2, keepDims: true)
            }
            let hidden = masking.mask.unsqueezed(axis: 2)
            let seen = target * (1 - hidden)
            return Reconstruction(
                seen: picture(of: seen, side: transformer.patch, shape: pictures.shape),
                rebuilt: picture(of: seen + predicted * hidden, side: transformer.patch, shape: pictures.shape))
        }
    }
}

/// Which patches of each picture are seen: a random choice, the same number for all.
package struct PatchMask {
    /// int64 [B, K], the seen patches in random order.
    package let visible: Tensor
    /// int64 [B, L]: where each patch stands when the seen ones come first and the hidden ones follow.
    let places: Tensor
    /// [B, L]: 1 where a patch is hidden.
    package let mask: Tensor

    /// Of `patches` patches, floor(patches * (1 - ratio)) are seen, one at least, and one at least is hidden.
    package init(batch: Int, patches: Int, ratio: Double, random: inout RandomSource) {
        require(patches > 1, "PatchMask: \(patches) patches")
        let kept = min(max(1, Int((Double(patches) * (1 - ratio)).rounded(.down))), patches - 1)
        let order = Tensor.uniform([batch, patches], random: &random).argsort()
        visible = order[0..., 0..<kept].contiguous()
        places = order.argsort()
        mask = (places .>= Double(kept)).cast(to: .float32)
    }

    /// Tokens back where their patches are: `seen` [B, K, D] and in all other places `hidden` [1, 1, D], to [B, L, D].
    func restored(_ seen: Tensor, hidden: Tensor) -> Tensor {
        let (batch, count, width) = (places.shape[0], places.shape[1], seen.shape[2])
        let all = concatenate(
            [seen, hidden.expanded(to: [batch, count - visible.shape[1], width])], axis: 1)
        return all.gatherRows(places)
    }
}

/// The decoder of a masked autoencoder: transformer blocks over all places, with a learned token where nothing was
/// seen.
package final class PatchDecoder: Module {
    let embed: Linear
    /// [1, 1, width]
    let maskToken: Parameter
    let blocks: [VisionTransformerBlock]
    let norm: LayerNorm
    let output: Linear
    /// [1, 1 + patches, width], fixed; nothing for the class token.
    private let positions: Tensor

    package init(
        _ inputs: Int, width: Int, blocks: Int, grid: (Int, Int), outputs: Int, random: inout RandomSource
    ) {
        embed = .transformer(inputs, width, random: &random)
        maskToken = Parameter(.normal([1, 1, width], deviation: 0.02, random: &random))
        var list: [VisionTransformerBlock] = []
        for _ in 0..<blocks { list.append(VisionTransformerBlock(width, heads: width / 32, random: &random)) }
        self.blocks = list
        norm = LayerNorm(width, epsilon: 1e-6)
        output = .transformer(width, outputs, random: &random)
        positions = concatenate(
            [.zeros([1, 1, width]), VisionTransformer.gridPositions(grid, width: width)], axis: 1)
    }

    /// - Parameter tokens: [B, 1 + K, inputs], the class token first.
    /// - Returns: [B, patches, outputs].
    package func callAsFunction(_ tokens: Tensor, _ mask: PatchMask) -> Tensor {
        let h = embed(tokens)
        let all = mask.restored(h[0..., 1...], hidden: maskToken.value)
        let x = concatenate([h[0..., 0..<1], all], axis: 1) + positions
        return output(norm(blocks.reduce(x) { $1($0) }))[0..., 1...]
    }
}

/// Pictures cut into patches, row by row: [B, H, W, C] to [B, H / side * W / side, side * side * C], each patch in the
/// order row, column, channel. Stops when the patches do not tile the pictures.
public func patches(of pictures: Tensor, side: Int) -> Tensor {
    require(
        pictures.rank == 4 && side > 0 && pictures.shape[1] % side == 0 && pictures.shape[2] % side == 0,
        "patches: side \(side) does not tile pictures \(pictures.shape)")
    let (n, rows, columns) = (pictures.shape[0], pictures.shape[1] / side, pictures.shape[2] / side)
    let channels = pictures.shape[3]
    return pictures.reshaped([n, rows, side, columns, side, channels]).permuted([0, 1, 3, 2, 4, 5])
        .reshaped([n, rows * columns, side * side * channels])
}

/// Patches put together again: the inverse of `patches(of:side:)`.
/// - Parameter shape: [B, H, W, C] of the pictures.
func picture(of patches: Tensor, side: Int, shape: [Int]) -> Tensor {
    patches.reshaped([shape[0], shape[1] / side, shape[2] / side, side, side, shape[3]]).permuted([0, 1, 3, 2, 4, 5])
        .reshaped(shape)
}

/// The squared error of the hidden patches: the mean over a patch's values, averaged over all hidden patches (He et al.
/// 2022, section 3, "reconstruction target").
/// - Parameters:
///   - predicted, target: [B, L, P].
///   - mask: [B, L], 1 where a patch was hidden; others do not count.
///   - normalized: whether each target patch is taken relative to its own mean and unbiased deviation, which needs P >
///     1.
public func maskedPatchLoss(_ predicted: Tensor, _ target: Tensor, mask: Tensor, normalized: Bool) -> Tensor {
    require(
        predicted.shape == target.shape && predicted.rank == 3 && mask.shape == Array(target.shape.dropLast())
            && (!normalized || target.shape[2] > 1),
        "maskedPatchLoss: predicted \(predicted.shape), target \(target.shape), mask \(mask.shape)")
    var wanted = target
    if normalized {
        let variance = target.variance(axes: [2], unbiased: true, keepDims: true)
        wanted = (target - target.mean(axis: 2, keepDims: true)) / (variance + 1e-6).sqrt()
    }
    let errors = (predicted - wanted).square().mean(axis: 2)
    return (errors * mask).sum() / mask.sum()
}
