import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Neighbor2Neighbor: removes noise without having seen a clean picture (Huang et al. 2021, "Neighbor2Neighbor:
/// self-supervised denoising from single noisy images"). Two neighbouring pixels show nearly the same with noise of
/// their own; what can be said of one by looking at the other is the picture, not the noise.
///
/// Holds for noise that is independent from pixel to pixel, so not for pictures that were scaled or compressed after
/// the noise came in. The trained U-Net is the denoiser, `FittedModel.denoised`; its encoder gives the features.
public struct Neighbor2Neighbor: Pretraining {
    /// The paper trains 100 epochs of 256-pixel pieces with a wider network.
    public struct Config: Settings {
        public var batchSize = 16
        public var gamma = 2.0
        public var noise = 0.0
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 1e-3
            training.weightDecay = 0
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step",
            "gamma":
                "weight at the end, to which it rises from zero, of the term that keeps what really differs between neighbours",
            "noise":
                "deviation of normal noise that is added first, as a share of white: to try the method on clean pictures. Noisy ones need none",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "gamma": .within(0...100), "noise": .within(0...1),
        ]
    }

    public static let info = MethodInfo(
        "neighbor2neighbor", .selfSupervised,
        summary:
            "Remove noise from pictures by foretelling each pixel from its neighbours; no clean picture is needed.",
        paper: "Huang et al. 2021, Neighbor2Neighbor: self-supervised denoising from single noisy images",
        needs: [.unlabelled, .images], network: "unet")

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public var backbone: any Backbone { network }
        let network: UNet
        public let feeds: [Feed]
        public let ruler: LossRuler? = nil
        private let gamma, noise: Double
        /// Of the data's channels.
        private let deviation: Tensor
        /// For tests: a pixel is foretold from itself.
        private let copies: Bool

        init(_ config: Config, _ context: LearningContext, copies: Bool = false) throws {
            guard let network = context.backbone as? UNet else {
                throw MethodError.needsNetwork(Neighbor2Neighbor.info.name, like: "unet")
            }
            let side = context.input.size
            guard side >= 8 else {
                throw MethodError.picturesTooSmall(Neighbor2Neighbor.info.name, side: side, least: 8)
            }
            self.network = network
            self.copies = copies
            (gamma, noise) = (config.gamma, config.noise)
            deviation = Tensor(context.input.deviation)
            // No step mixes pixels: their noise must stay independent.
            var view = Augmentation.none(size: side)
            if context.flip { view.steps.append(.horizontalFlip()) }
            if config.noise > 0 { view.steps.append(.gaussianNoise(deviation: config.noise)) }
            feeds = [
                Feed(
                    "pictures", from: .everything, batchSize: config.batchSize, views: [context.input.normalized(view)])
            ]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let noisy = batches["pictures"]!.views[0]
            var random = context.random.stream("neighbours")
            let pairs = NeighbourPairs(of: noisy, random: &random)
            let (first, second) = pairs(noisy)
            let weight = gamma * context.progress
            let difference = noGradient {
                let (a, b) = pairs(network.picture(noisy))
                return a - b
            }
            let foretold = network.picture(first)
            return StepOutput(
                neighbourLoss(
                    foretold, copies ? first : second, difference: copies ? difference * 0 : difference, weight: weight)
            )
        }

        public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? {
            var random = random
            // The deviation of the added noise is a share of white, and the pictures are normalised.
            let seen = pictures + .normal(pictures.shape, random: &random) * (noise / deviation)
            return Reconstruction(seen: seen, rebuilt: network.picture(seen))
        }
    }
}

/// A random ordered pair of adjacent pixels in every cell of 2 x 2 of every picture: the two subsampled pictures of
/// Huang et al. 2021, section 4.1.
struct NeighbourPairs {
    /// int64 [B, h, w]: which of a cell's four pixels, row by row, comes into the first and the second picture.
    let first, second: Tensor

    /// - Parameter pictures: [B, H, W, C]; an odd last row or column stays out.
    init(of pictures: Tensor, random: inout RandomSource) {
        let shape = [pictures.shape[0], pictures.shape[1] / 2, pictures.shape[2] / 2]
        let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 3), (3, 1), (2, 3), (3, 2)]
        let chosen = (0..<shape.reduce(1, *)).map { _ in pairs[random.integer(below: 8)] }
        self.init(first: Tensor(chosen.map(\.0), shape: shape), second: Tensor(chosen.map(\.1), shape: shape))
    }

    init(first: Tensor, second: Tensor) {
        self.first = first
        self.second = second
    }

    /// [B, H, W, C] to two pictures [B, H / 2, W / 2, C].
    func callAsFunction(_ pictures: Tensor) -> (Tensor, Tensor) {
        let (b, h, w) = (first.shape[0], first.shape[1], first.shape[2])
        let channels = pictures.shape[3]
        let cells = pictures[0..., 0..<2 * h, 0..<2 * w].reshaped([b, h, 2, w, 2, channels])
            .permuted([0, 1, 3, 2, 4, 5]).reshaped([b, h, w, 4, channels])
        func picked(_ index: Tensor) -> Tensor {
            cells.gather(axis: 3, index.reshaped([b, h, w, 1, 1]).expanded(to: [b, h, w, 1, channels]))
                .squeezed(axis: 3)
        }
        return (picked(first), picked(second))
    }
}

/// The loss of Neighbor2Neighbor (Huang et al. 2021, equation 6), as means over all values: |f(g1 y) - g2 y|^2 +
/// weight |f(g1 y) - g2 y - (g1 f(y) - g2 f(y))|^2.
/// - Parameters:
///   - foretold: f(g1 y), [B, h, w, C].
///   - neighbour: g2 y, the same shape.
///   - difference: g1 f(y) - g2 f(y), through which no gradient flows.
public func neighbourLoss(_ foretold: Tensor, _ neighbour: Tensor, difference: Tensor, weight: Double) -> Tensor {
    require(
        foretold.shape == neighbour.shape && difference.shape == neighbour.shape,
        "neighbourLoss: \(foretold.shape), \(neighbour.shape), \(difference.shape)")
    let error = foretold - neighbour
    return error.square().mean() + (error - difference.detached()).square().mean() * weight
}

extension FittedModel {
    /// The pictures of a dataset without their noise, [N, H, W, C] in levels where 1 is white.
    /// - Throws: `MethodError.needsNetwork` when the model is no denoiser, and what reading the pictures throws.
    public func denoised(_ dataset: any Dataset) throws -> Tensor {
        guard let network = backbone as? UNet else { throw MethodError.needsNetwork("denoising", like: "unet") }
        let noisy = try Inference.rawValues(dataset, input: input).reshaped([dataset.count] + input.shape)
        return noGradient {
            let parts = stride(from: 0, to: dataset.count, by: 64).map {
                network.picture(noisy[$0..<min($0 + 64, dataset.count)])
            }
            return concatenate(parts) * Tensor(input.deviation) + Tensor(input.mean)
        }
    }
}

/// How close pictures come to what they should be: 10 log10(1 / mean squared error), in decibels, for levels from 0 to
/// 1.
public func peakSignalToNoise(_ pictures: Tensor, _ clean: Tensor) -> Double {
    -10 * log10(noGradient { meanSquaredError(pictures, clean) }.item())
}
