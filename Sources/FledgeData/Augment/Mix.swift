import FledgeCore

/// How the samples of a batch are mixed with one another: sample i becomes weight[i] x_i + (1 - weight[i])
/// x_partner[i], and its target likewise.
public struct MixPlan: Equatable, Sendable {
    /// The part of a sample that stays its own, 0...1.
    public var weights: [Float]
    /// The sample that each is mixed with.
    public var partners: [Int]

    /// Stops when the numbers differ or a partner is not in the batch.
    public init(weights: [Float], partners: [Int]) {
        guard weights.count == partners.count, partners.allSatisfy({ partners.indices.contains($0) }) else {
            fatalError("MixPlan: \(weights.count) weights and partners \(partners)")
        }
        self.weights = weights
        self.partners = partners
    }

    /// mixup (Zhang et al. 2018): one weight from Beta(alpha, alpha) for the batch, or one for each sample. With
    /// `largerStays` (MixMatch) a weight below a half is turned round. Alpha 0 mixes nothing.
    public static func mixup(
        count: Int, alpha: Double, perSample: Bool = false, largerStays: Bool = false, random: RandomSource
    ) -> MixPlan {
        var random = random
        func draw() -> Float {
            let weight = alpha > 0 ? random.beta(alpha, alpha) : 1
            return Float(largerStays ? max(weight, 1 - weight) : weight)
        }
        let shared = draw()
        let weights = (0..<count).map { _ in perSample ? draw() : shared }
        return MixPlan(weights: weights, partners: random.permutation(count))
    }

    /// Mixes rows in place: `values` holds one row of equal length for each sample (pixels, or target probabilities).
    public func mix(_ values: inout [Float]) {
        guard !weights.isEmpty, values.count % weights.count == 0 else {
            fatalError("MixPlan: \(values.count) values for \(weights.count) samples")
        }
        let length = values.count / weights.count
        let original = values
        for (i, (weight, partner)) in zip(weights, partners).enumerated() where weight != 1 {
            for k in 0..<length {
                values[i * length + k] =
                    weight * original[i * length + k] + (1 - weight) * original[partner * length + k]
            }
        }
    }

    /// One row of probabilities for each label, all zero where there is none.
    public static func oneHot(_ labels: [Int], classes: Int) -> [Float] {
        var rows = [Float](repeating: 0, count: labels.count * classes)
        for (i, label) in labels.enumerated() where label >= 0 { rows[i * classes + label] = 1 }
        return rows
    }

    /// CutMix (Yun et al. 2019): a rectangle of each image is replaced by that of its partner. Changes `pixels`
    /// ([count, height, width, channels]) in place and returns the plan for the targets, whose weight is the area left.
    public static func cutmix(
        _ pixels: inout [Float], width: Int, height: Int, channels: Int, alpha: Double, random: RandomSource
    ) -> MixPlan {
        let size = width * height * channels
        guard size > 0, pixels.count % size == 0 else {
            fatalError("cutmix: \(pixels.count) values for images of \(width) x \(height) x \(channels)")
        }
        var random = random
        let count = pixels.count / size
        let part = (alpha > 0 ? 1 - random.beta(alpha, alpha) : 0).squareRoot()
        let (cutWidth, cutHeight) = (Int(Double(width) * part), Int(Double(height) * part))
        let (centerX, centerY) = (random.integer(below: width), random.integer(below: height))
        let x0 = max(0, centerX - cutWidth / 2)
        let y0 = max(0, centerY - cutHeight / 2)
        let x1 = min(width, x0 + cutWidth, centerX - cutWidth / 2 + cutWidth)
        let y1 = min(height, y0 + cutHeight, centerY - cutHeight / 2 + cutHeight)
        let partners = random.permutation(count)
        let original = pixels
        if x0 < x1 {
            for i in 0..<count {
                for y in y0..<max(y0, y1) {
                    for k in ((y * width + x0) * channels)..<((y * width + x1) * channels) {
                        pixels[i * size + k] = original[partners[i] * size + k]
                    }
                }
            }
        }
        let cut = Float(max(0, x1 - x0) * max(0, y1 - y0)) / Float(width * height)
        return MixPlan(weights: [Float](repeating: 1 - cut, count: count), partners: partners)
    }
}
