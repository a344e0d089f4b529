import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Colorization: which colours belong to this grey picture? A classification of the colour plane, in which rare vivid
/// colours count more than the common greyish ones (Zhang et al. 2016, "Colorful image colorization").
///
/// The network sees grey pictures while it learns and coloured ones afterwards: grey is a colour to it like any other.
public struct Colorization: Pretraining {
    /// The paper has 313 classes, squares of side 10 of the colour plane; some dozens that follow the data do for less.
    public struct Config: Settings {
        public var batchSize = 64
        public var colours = 32
        public var neighbours = 5
        public var softness = 5.0
        public var uniform = 0.5
        public var width = 64
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 1e-3
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step",
            "colours": "how many colours there are to choose from, found by k-means",
            "neighbours": "over how many of them the true colour is spread",
            "softness": "how far it is spread: deviation in units of the CIELAB plane",
            "uniform": "lambda: 1 counts every pixel alike, 0 every colour alike however rare it is",
            "width": "channels of the layers that choose",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "colours": .within(2...1024), "neighbours": .within(1...64),
            "softness": .within(0.1...100), "uniform": .within(0...1), "width": .within(1...4096),
        ]
    }

    public static let info = MethodInfo(
        "colorization", .selfSupervised,
        summary: "Tell which colours belong to a grey picture.",
        paper: "Zhang et al. 2016, Colorful image colorization",
        needs: [.unlabelled, .images, .colour])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let decoder: ColourDecoder
        /// [Q, 2], the colours to choose from in the CIELAB plane, and [Q], what each counts.
        let palette, weights: Buffer
        public let feeds: [Feed]
        public let seesPieces = true
        public let ruler: LossRuler?
        private let config: Config
        /// For normalised pictures back to levels from 0 to 1, and forth.
        private let mean, deviation: Tensor
        /// For tests: the colours are those of another picture.
        private let mismatched: Bool

        init(_ config: Config, _ context: LearningContext, mismatched: Bool = false) throws {
            guard context.input.channels == 3 else { throw MethodError.needsColour(Colorization.info.name) }
            self.config = config
            self.mismatched = mismatched
            backbone = context.backbone
            let input = context.input
            (mean, deviation) = (Tensor(input.mean), Tensor(input.deviation))

            // Some pixels of up to 256 pictures say which colours there are.
            var random = context.random("palette")
            let some = Array(random.permutation(context.data.dataset.count).prefix(256))
            let values = try Inference.rawValues(context.data.dataset.subset(some), input: input)
            let pixels = cielab(values.reshaped([-1, 3]) * deviation + mean)[0..., 1...]
            let picked = pixels.indexSelect(
                axis: 0, Array(random.permutation(pixels.shape[0]).prefix(2048)))
            let colours = colourClusters(picked, count: config.colours, random: &random)
            palette = Buffer(colours)
            let shares = softColours(picked, palette: colours, neighbours: config.neighbours, softness: config.softness)
                .mean(axis: 0).doubles()
            let found = colourWeights(shares, uniform: config.uniform)
            weights = Buffer(Tensor(found.map { Float($0) }))

            random = context.random("decoder")
            decoder = ColourDecoder(
                backbone.featureCount, width: config.width, colours: colours.shape[0],
                size: ((input.shape[0] + 3) / 4, (input.shape[1] + 3) / 4), random: &random)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [context.weakView])]
            ruler = LossRuler(
                uninformative: Colorization.sameForAll(shares, found), formula: "the weighted entropy of the colours")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let pictures = batches["pictures"]!.views[0]
            let (grey, colours) = noGradient { split(pictures) }
            let logits = decoder(backbone.map(grey))
            let wanted = softColours(
                (mismatched ? colours.rolled(by: 1, axis: 0) : colours).reshaped([-1, 2]), palette: palette.value,
                neighbours: config.neighbours, softness: config.softness)
            let loss = colorizationLoss(logits.reshaped([-1, palette.shape[0]]), wanted, weights: weights.value)
            return StepOutput(loss)
        }

        /// Each pixel in the mean of its likely colours, sharpened as in the paper (section 2.3, T = 0.38), on the
        /// lightness that was seen.
        public func reconstruction(of pictures: Tensor, random: RandomSource) -> Reconstruction? {
            let (grey, _) = split(pictures)
            let shares = (decoder(backbone.map(grey)) * (1 / 0.38)).softmax()
            let plane = shares.matmul(palette.value)
                .resized(to: (pictures.shape[1], pictures.shape[2]), mode: .bilinear)
            let lightness = cielab(pictures * deviation + mean)[0..., 0..., 0..., 0..<1]
            return Reconstruction(
                seen: grey, rebuilt: (levels(lab: concatenate([lightness, plane], axis: -1)) - mean) / deviation)
        }

        /// The picture in grey levels of the same lightness, normalised, [B, H, W, 3]; and its colours at the decoder's
        /// size, [B, h, w, 2] in the CIELAB plane.
        private func split(_ pictures: Tensor) -> (grey: Tensor, colours: Tensor) {
            let lab = cielab(pictures * deviation + mean)
            let grey = levels(lightness: lab[0..., 0..., 0..., 0..<1])
            let colours = lab[0..., 0..., 0..., 1...]
                .resized(to: decoder.size, mode: .bilinear, antialias: true)
            return ((grey.expanded(to: pictures.shape) - mean) / deviation, colours)
        }
    }

    /// The loss of an output that gives every pixel the shares of the colours, weighted as the loss weighs: what is
    /// learned by looking at no picture.
    private static func sameForAll(_ shares: [Double], _ weights: [Double]) -> Double {
        let weighted = zip(shares, weights).map { $0 * $1 }
        let total = weighted.reduce(0, +)
        return -weighted.reduce(0) { $1 > 0 ? $0 + $1 * log($1 / total) : $0 }
    }
}

/// A feature map to logits for each colour at a size of its own: [B, H, W, inputs] to [B, size.0, size.1, colours].
final class ColourDecoder: Module {
    let reduce, mix, output: Conv2d
    let norm: [BatchNorm]
    let size: (Int, Int)

    init(_ inputs: Int, width: Int, colours: Int, size: (Int, Int), random: inout RandomSource) {
        reduce = Conv2d(inputs, width, kernel: 1, bias: false, random: &random)
        mix = Conv2d(width, width, kernel: 3, padding: 1, bias: false, random: &random)
        output = Conv2d(width, colours, kernel: 1, random: &random)
        norm = [BatchNorm(width), BatchNorm(width)]
        self.size = size
    }

    func callAsFunction(_ map: Tensor) -> Tensor {
        let h = norm[0](reduce(map), relu: true).resized(to: size, mode: .bilinear)
        return output(norm[1](mix(h), relu: true))
    }
}

// MARK: Loss

/// Cross-entropy with the spread-out colour, each pixel weighted by its nearest colour (Zhang et al. 2016, equation 2),
/// averaged over the pixels.
/// - Parameters:
///   - logits, wanted: [P, Q].
///   - weights: [Q].
public func colorizationLoss(_ logits: Tensor, _ wanted: Tensor, weights: Tensor) -> Tensor {
    require(
        weights.shape == [logits.shape[logits.rank - 1]],
        "colorizationLoss: logits \(logits.shape), weights \(weights.shape)")
    return crossEntropy(logits, soft: wanted, weights: weights.indexSelect(axis: 0, wanted.argmax()))
}

/// What each colour counts: the inverse of its share mixed with an equal share for all, scaled so that the mean over
/// pixels is 1 (Zhang et al. 2016, equation 4).
/// - Parameters:
///   - shares: of the pixels, summing to 1.
///   - uniform: lambda, the weight of the equal shares; 1 counts all pixels alike. Of shares of 0 and `uniform` 0 comes
///     weight 0.
public func colourWeights(_ shares: [Double], uniform: Double) -> [Double] {
    let inverse = shares.map { share in
        let mixed = (1 - uniform) * share + uniform / Double(shares.count)
        return mixed > 0 ? 1 / mixed : 0
    }
    let scale = zip(shares, inverse).reduce(0) { $0 + $1.0 * $1.1 }
    return inverse.map { $0 / scale }
}

/// Each colour spread over the nearest ones of the palette, by a normal of their distance (Zhang et al. 2016, section
/// 2.1).
/// - Parameters:
///   - colours: [P, 2].
///   - palette: [Q, 2].
/// - Returns: [P, Q], rows summing to 1.
func softColours(_ colours: Tensor, palette: Tensor, neighbours: Int, softness: Double) -> Tensor {
    noGradient {
        let distances = pairwiseDistances(colours, palette, squared: true)
        let nearest = distances.topK(min(neighbours, palette.shape[0]), axis: 1, largest: false)
        let shares = (nearest.values * (-0.5 / (softness * softness))).softmax()
        return shares.scatterAdd(axis: 1, nearest.indices, into: distances.shape)
    }
}

/// `count` colours that stand for all by k-means from the rule of Arthur and Vassilvitskii (2007), fewer where there
/// are not that many: [P, 2] to [Q, 2].
func colourClusters(_ colours: Tensor, count: Int, random: inout RandomSource) -> Tensor {
    let points = colours.doubles()
    let total = points.count / 2
    func distance(_ i: Int, _ c: (Double, Double)) -> Double {
        let (a, b) = (points[2 * i] - c.0, points[2 * i + 1] - c.1)
        return a * a + b * b
    }
    let first = random.integer(below: total)
    var centres = [(points[2 * first], points[2 * first + 1])]
    var nearest = (0..<total).map { distance($0, centres[0]) }
    while centres.count < count {
        var left = random.uniform() * nearest.reduce(0, +)
        guard left > 0 else { break }
        let next =
            nearest.firstIndex {
                left -= $0; return left < 0
            } ?? total - 1
        centres.append((points[2 * next], points[2 * next + 1]))
        for i in 0..<total { nearest[i] = min(nearest[i], distance(i, centres[centres.count - 1])) }
    }
    for _ in 0..<20 {
        var sums = [(Double, Double, Double)](repeating: (0, 0, 0), count: centres.count)
        for i in 0..<total {
            let best = centres.indices.min { distance(i, centres[$0]) < distance(i, centres[$1]) }!
            sums[best].0 += points[2 * i]
            sums[best].1 += points[2 * i + 1]
            sums[best].2 += 1
        }
        for (c, sum) in sums.enumerated() where sum.2 > 0 { centres[c] = (sum.0 / sum.2, sum.1 / sum.2) }
    }
    return Tensor(centres.flatMap { [Float($0.0), Float($0.1)] }, shape: [centres.count, 2])
}
