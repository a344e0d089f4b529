import FledgeCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension Augmentation {
    /// One view of an image as float32 pixels [height, width, channels] of 0...1. `random` decides everything that is
    /// random: the same source gives the same view. `whiteLevel` is the stored value that becomes 1.
    public func view(
        of image: ImageBuffer, random: RandomSource, whiteLevel: Int = 255
    ) -> (pixels: [Float], width: Int, height: Int) {
        let workspace = AugmentWorkspace()
        let size = outputSize(from: (image.width, image.height)) ?? (image.width, image.height)
        let count = size.width * size.height * image.channels
        let pixels = [Float](unsafeUninitializedCapacity: count) { output, initialized in
            image.pixels.withUnsafeBufferPointer { input in
                guard let base = input.baseAddress else { fatalError("Augmentation: an image without pixels") }
                let view = ImageView(pixels: base, width: image.width, height: image.height, channels: image.channels)
                apply(to: view, whiteLevel: whiteLevel, random: random, workspace: workspace, into: output)
            }
            initialized = count
        }
        return (pixels, size.width, size.height)
    }

    /// Writes one view of an image. Stops when `output` has another size than the view.
    func apply(
        to image: ImageView, whiteLevel: Int, random: RandomSource, workspace: AugmentWorkspace,
        into output: UnsafeMutableBufferPointer<Float>
    ) {
        var random = random
        var canvas = Canvas(image, whiteLevel: whiteLevel, workspace: workspace)
        for step in steps { step.apply(to: &canvas, random: &random) }
        let count = canvas.width * canvas.height * canvas.channels
        guard output.count == count, let base = output.baseAddress else {
            fatalError(
                "Augmentation: a view of \(canvas.width) x \(canvas.height) x \(canvas.channels) for "
                    + "\(output.count) floats; images of varying size need a crop or resize first")
        }
        base.update(from: canvas.pixels(), count: count)
    }

    /// Writes one view of a row of features. Stops for steps that only images have.
    func apply(
        toRow row: UnsafeBufferPointer<Float>, random: RandomSource, into output: UnsafeMutableBufferPointer<Float>
    ) {
        guard output.count == row.count else {
            fatalError("Augmentation: \(row.count) features for \(output.count) floats")
        }
        var random = random
        for i in 0..<row.count { output[i] = row[i] }
        for step in steps {
            switch step {
            case .gaussianNoise(let deviation):
                for i in 0..<row.count { output[i] += Float(deviation * random.normal()) }
            case .mask(let probability):
                for i in 0..<row.count where random.uniform() < probability { output[i] = 0 }
            case .normalize(let mean, let deviation):
                guard mean.count == row.count, deviation.count == row.count else {
                    fatalError("normalize: \(mean.count) means for \(row.count) features")
                }
                for i in 0..<row.count { output[i] = (output[i] - mean[i]) / deviation[i] }
            default: fatalError("Augmentation: \(step) works on images, and this is a row of features")
            }
        }
    }
}

extension Augmentation.Step {
    /// Draws what is random about the step and does it.
    func apply(to canvas: inout Canvas, random: inout RandomSource) {
        let width = canvas.width
        let height = canvas.height
        switch self {
        case .resize(let toWidth, let toHeight):
            canvas.resample(PixelRect(x: 0, y: 0, width: width, height: height), width: toWidth, height: toHeight)
        case .centerCrop(let toWidth, let toHeight):
            let rect = Self.centered(width, height, aspect: Double(toWidth) / Double(toHeight))
            canvas.resample(rect, width: toWidth, height: toHeight)
        case .randomResizedCrop(let toWidth, let toHeight, let scale, let ratio):
            let rect = Self.randomRect(width, height, scale: scale, ratio: ratio, random: &random)
            canvas.resample(rect, width: toWidth, height: toHeight)
        case .horizontalFlip(let probability):
            if random.uniform() < probability { canvas.flip() }
        case .shift(let maximum, let border):
            let x = random.integer(below: 2 * maximum + 1) - maximum
            let y = random.integer(below: 2 * maximum + 1) - maximum
            canvas.transform(.shift(Double(x), Double(y)), border: border)
        case .rotation(let degrees, let border):
            let angle = random.uniform(-degrees, degrees)
            canvas.transform(.rotation(degrees: angle, width: width, height: height), border: border)
        case .shear(let degrees, let border):
            let x = tan(random.uniform(-degrees, degrees) * .pi / 180)
            let y = tan(random.uniform(-degrees, degrees) * .pi / 180)
            canvas.transform(.shear(x: x, y: y, width: width, height: height), border: border)
        case .colorJitter(let brightness, let contrast, let saturation, let hue, let probability):
            guard random.uniform() < probability else { return }
            Self.jitter([brightness, contrast, saturation, hue], &canvas, &random)
        case .randAugment(let count, let magnitude, let operations, let border):
            guard !operations.isEmpty else { return }
            for _ in 0..<count {
                let operation = operations[random.integer(below: operations.count)]
                RandAugment.apply(operation, magnitude: magnitude, border: border, to: &canvas, random: &random)
            }
        case .cutout(let size, let fill):
            let side = Int((Double(min(width, height)) * size).rounded())
            let x = random.integer(below: width) - side / 2
            let y = random.integer(below: height) - side / 2
            canvas.fill(PixelRect(x: x, y: y, width: side, height: side), fill)
        case .randomErasing(let probability, let scale, let ratio, let fill):
            guard random.uniform() < probability else { return }
            canvas.fill(Self.randomRect(width, height, scale: scale, ratio: ratio, random: &random), fill)
        case .gaussianNoise(let deviation):
            let pixels = canvas.pixels()
            for i in 0..<(width * height * canvas.channels) { pixels[i] += Float(deviation * random.normal()) }
        case .mask(let probability):
            for y in 0..<height {
                for x in 0..<width where random.uniform() < probability {
                    canvas.fill(PixelRect(x: x, y: y, width: 1, height: 1), 0)
                }
            }
        case .normalize(let mean, let deviation): canvas.normalize(mean: mean, deviation: deviation)
        default: applyWithProbability(to: &canvas, random: &random)
        }
    }

    /// The steps that are either done or not.
    private func applyWithProbability(to canvas: inout Canvas, random: inout RandomSource) {
        switch self {
        case .grayscale(let probability):
            if random.uniform() < probability { canvas.grayscale() }
        case .gaussianBlur(let sigma, let probability):
            if random.uniform() < probability {
                canvas.blur(sigma: Float(random.uniform(sigma.lowerBound, sigma.upperBound)))
            }
        case .solarize(let threshold, let probability):
            if random.uniform() < probability { canvas.solarize(Float(threshold)) }
        case .posterize(let bits, let probability):
            if random.uniform() < probability { canvas.posterize(bits: bits) }
        case .equalize(let probability):
            if random.uniform() < probability { canvas.equalize() }
        case .autocontrast(let probability):
            if random.uniform() < probability { canvas.autocontrast() }
        case .sharpness(let factor, let probability):
            if random.uniform() < probability {
                canvas.sharpness(Float(random.uniform(factor.lowerBound, factor.upperBound)))
            }
        case .invert(let probability):
            if random.uniform() < probability { canvas.invert() }
        default: fatalError("Augmentation: \(self) is not a step with a probability")
        }
    }

    /// The four parts of colour jitter in random order; `strengths` are brightness, contrast, saturation, hue.
    private static func jitter(_ strengths: [Double], _ canvas: inout Canvas, _ random: inout RandomSource) {
        // The order packed into one number, two bits each, by Fisher and Yates: no array is made for it.
        var order = 0b11_10_01_00
        for i in stride(from: 3, to: 0, by: -1) {
            let j = random.integer(below: i + 1)
            let difference = (order >> (2 * i) ^ order >> (2 * j)) & 3
            order ^= difference << (2 * i) | difference << (2 * j)
        }
        for k in 0..<4 {
            let part = order >> (2 * k) & 3
            let strength = strengths[part]
            guard strength > 0 else { continue }
            func factor() -> Float { Float(random.uniform(max(0, 1 - strength), 1 + strength)) }
            switch part {
            case 0: canvas.brightness(factor())
            case 1: canvas.contrast(factor())
            case 2: canvas.saturation(factor())
            default: canvas.hue(Float(random.uniform(-strength, strength)))
            }
        }
    }

    /// The largest centred rectangle of an aspect (width over height).
    private static func centered(_ width: Int, _ height: Int, aspect: Double) -> PixelRect {
        var (w, h) = (width, height)
        if Double(width) > Double(height) * aspect {
            w = max(1, Int((Double(height) * aspect).rounded()))
        } else {
            h = max(1, Int((Double(width) / aspect).rounded()))
        }
        return PixelRect(x: (width - w) / 2, y: (height - h) / 2, width: w, height: h)
    }

    /// A random rectangle of a part of the area and of an aspect whose logarithm is even; after ten tries that do not
    /// fit the largest centred one of an allowed aspect.
    private static func randomRect(
        _ width: Int, _ height: Int, scale: ClosedRange<Double>, ratio: ClosedRange<Double>, random: inout RandomSource
    ) -> PixelRect {
        let area = Double(width * height)
        for _ in 0..<10 {
            let target = area * random.uniform(scale.lowerBound, scale.upperBound)
            let aspect = exp(random.uniform(log(ratio.lowerBound), log(ratio.upperBound)))
            let w = Int((target * aspect).squareRoot().rounded())
            let h = Int((target / aspect).squareRoot().rounded())
            if w > 0, h > 0, w <= width, h <= height {
                let x = random.integer(below: width - w + 1)
                let y = random.integer(below: height - h + 1)
                return PixelRect(x: x, y: y, width: w, height: h)
            }
        }
        let aspect = min(max(Double(width) / Double(height), ratio.lowerBound), ratio.upperBound)
        return centered(width, height, aspect: aspect)
    }
}
