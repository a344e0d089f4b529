import FledgeCore

/// A recipe that turns one stored sample into one float32 view: a list of steps, applied in order.
///
/// A view is a pure function of the sample and a `RandomSource`, which the loader derives from (seed, epoch, sample,
/// view), so that any worker at any time makes the same bytes. Pixels are in 0...1 (unless normalised), channels last.
public struct Augmentation: Codable, Hashable, Sendable, CustomStringConvertible {
    public var steps: [Step]

    public init(_ steps: [Step]) { self.steps = steps }

    /// This recipe followed by another.
    public func then(_ other: Augmentation) -> Augmentation { Augmentation(steps + other.steps) }

    /// This recipe followed by (x - mean) / deviation for each channel, or for each feature.
    public func normalized(mean: [Float], deviation: [Float]) -> Augmentation {
        Augmentation(steps + [.normalize(mean: mean, deviation: deviation)])
    }

    public var description: String {
        steps.isEmpty ? "none" : steps.map(\.description).joined(separator: " > ")
    }

    /// The size of the views of images of size `input` (nil: sizes that vary), or nil where it varies.
    public func outputSize(from input: (width: Int, height: Int)?) -> (width: Int, height: Int)? {
        steps.reduce(input) { size, step in step.outputSize ?? size }
    }

    /// The steps that cannot change an image of so many channels: hue, saturation and grey do nothing to grey images.
    public func inactiveSteps(channels: Int) -> [String] {
        guard channels == 1 else { return [] }
        return steps.compactMap { step in
            switch step {
            case .grayscale: step.description
            case .colorJitter(let brightness, let contrast, _, _, _) where brightness == 0 && contrast == 0:
                step.description
            default: nil
            }
        }
    }

    /// What lies outside an image when it is moved or turned.
    public enum Border: Codable, Hashable, Sendable, CustomStringConvertible {
        /// A value of 0...1.
        case constant(Float)
        /// The nearest pixel.
        case edge
        /// The image mirrored at its outermost pixels.
        case reflect

        public var description: String {
            switch self {
            case .constant(let value): "fill \(value)"
            case .edge: "edge"
            case .reflect: "reflect"
            }
        }
    }

    /// One step. Probabilities are in 0...1, angles in degrees, sizes in pixels, levels on the scale 0...1.
    public enum Step: Codable, Hashable, Sendable {
        /// Scales to exactly this size, with antialiasing where it shrinks.
        case resize(width: Int, height: Int)
        /// The largest centred part of the wanted aspect, scaled to this size.
        case centerCrop(width: Int, height: Int)
        /// A random part of `scale` of the area and of an aspect in `ratio`, scaled to this size (Szegedy et al. 2014,
        /// drawn as in torchvision: ten tries, then the centre).
        case randomResizedCrop(
            width: Int, height: Int, scale: ClosedRange<Double> = 0.08...1,
            ratio: ClosedRange<Double> = 3.0 / 4...4.0 / 3)
        case horizontalFlip(probability: Double = 0.5)
        /// Moves by whole pixels, up to `maximum` each way (pad and crop).
        case shift(maximum: Int, border: Border = .reflect)
        /// Turns about the centre by up to `degrees` either way.
        case rotation(degrees: Double, border: Border = .constant(0))
        /// Slants by up to `degrees` along each axis.
        case shear(degrees: Double, border: Border = .constant(0))
        /// Brightness, contrast and saturation by factors of 1 - s ... 1 + s and hue by -s ... s turns, in random
        /// order.
        case colorJitter(
            brightness: Double, contrast: Double, saturation: Double, hue: Double, probability: Double = 1)
        case grayscale(probability: Double = 0.2)
        case gaussianBlur(sigma: ClosedRange<Double> = 0.1...2, probability: Double = 0.5)
        /// Inverts levels of `threshold` and above.
        case solarize(threshold: Double = 0.5, probability: Double = 1)
        /// Keeps the highest `bits` of 8.
        case posterize(bits: Int, probability: Double = 1)
        /// Spreads the histogram of each channel evenly (over 256 levels).
        case equalize(probability: Double = 1)
        /// Stretches each channel to 0...1.
        case autocontrast(probability: Double = 1)
        /// Blends with a smoothed copy; factor 1 changes nothing, above 1 sharpens.
        case sharpness(factor: ClosedRange<Double>, probability: Double = 1)
        case invert(probability: Double = 1)
        /// A square of `size` times the shorter side at a random place, cut at the border (DeVries and Taylor 2017).
        case cutout(size: Double = 0.5, fill: Float = 0.5)
        /// A rectangle of `scale` of the area and aspect in `ratio` (Zhong et al. 2017).
        case randomErasing(
            probability: Double = 0.5, scale: ClosedRange<Double> = 0.02...0.33, ratio: ClosedRange<Double> = 0.3...3.3,
            fill: Float = 0)
        /// `count` operations drawn at random, each of random strength up to `magnitude` of its range (Cubuk et al.
        /// 2019, in the form of FixMatch, table 12).
        case randAugment(
            count: Int = 2, magnitude: Double = 1, operations: [RandAugment.Operation] = RandAugment.Operation.allCases,
            border: Border = .constant(0.5))
        /// Adds normal noise.
        case gaussianNoise(deviation: Double)
        /// Sets each pixel, or each feature, to zero.
        case mask(probability: Double)
        /// (x - mean) / deviation for each channel, or for each feature.
        case normalize(mean: [Float], deviation: [Float])
    }
}

// MARK: Presets

extension Augmentation {
    /// Nothing random: the centre scaled to `size` x `size`, or the image as it is.
    public static func none(size: Int? = nil) -> Augmentation {
        Augmentation(size.map { [.centerCrop(width: $0, height: $0)] } ?? [])
    }

    /// Weak views as FixMatch has them: a flip (not for digits and other things that a mirror changes) and a shift by
    /// up to an eighth of the side.
    public static func weak(size: Int, flip: Bool = true, shift: Double = 0.125) -> Augmentation {
        Augmentation(
            [.centerCrop(width: size, height: size)] + (flip ? [.horizontalFlip()] : [])
                + [.shift(maximum: max(1, Int((Double(size) * shift).rounded())))])
    }

    /// Strong views as FixMatch has them (Sohn et al. 2020): the weak view, two operations of RandAugment and cutout.
    /// - Parameters:
    ///   - recolour: whether operations are among them that stretch, cut or invert levels.
    ///   - fill: the level of what is uncovered or cut out.
    public static func strong(
        size: Int, flip: Bool = true, recolour: Bool = true, shift: Double = 0.125, magnitude: Double = 1,
        cutout: Double = 0.5, fill: Float = 0.5
    ) -> Augmentation {
        weak(size: size, flip: flip, shift: shift).then(
            Augmentation([
                .randAugment(
                    count: 2, magnitude: magnitude,
                    operations: recolour ? RandAugment.Operation.allCases : RandAugment.Operation.keepingLevels,
                    border: .constant(fill)), .cutout(size: cutout, fill: fill),
            ]))
    }

    /// Views of SimCLR (Chen et al. 2020, appendix A): random resized crop, flip, colour jitter of `strength` with
    /// probability 0.8, grey with 0.2, and blur where images are larger than 64 pixels.
    public static func simclr(
        size: Int, strength: Double = 0.5, scale: ClosedRange<Double> = 0.08...1, flip: Bool = true,
        grayscale: Bool = true
    ) -> Augmentation {
        var steps: [Step] = [.randomResizedCrop(width: size, height: size, scale: scale)]
        if flip { steps.append(.horizontalFlip()) }
        steps.append(
            .colorJitter(
                brightness: 0.8 * strength, contrast: 0.8 * strength, saturation: 0.8 * strength, hue: 0.2 * strength,
                probability: 0.8))
        if grayscale { steps.append(.grayscale(probability: 0.2)) }
        if size > 64 { steps.append(.gaussianBlur()) }
        return Augmentation(steps)
    }
}
