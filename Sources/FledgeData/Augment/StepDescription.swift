extension Augmentation.Step: CustomStringConvertible {
    /// The size that images have after this step, where it sets one.
    var outputSize: (width: Int, height: Int)? {
        switch self {
        case .resize(let width, let height), .centerCrop(let width, let height),
            .randomResizedCrop(let width, let height, _, _):
            (width, height)
        default: nil
        }
    }

    public var description: String {
        switch self {
        case .resize(let width, let height): "resize(\(width)x\(height))"
        case .centerCrop(let width, let height): "centerCrop(\(width)x\(height))"
        case .randomResizedCrop(let width, let height, let scale, let ratio):
            "randomResizedCrop(\(width)x\(height), scale \(text(scale)), ratio \(text(ratio)))"
        case .horizontalFlip(let probability): "horizontalFlip(p \(text(probability)))"
        case .shift(let maximum, let border): "shift(\(maximum) px, \(border))"
        case .rotation(let degrees, let border): "rotation(\(text(degrees)) deg, \(border))"
        case .shear(let degrees, let border): "shear(\(text(degrees)) deg, \(border))"
        case .colorJitter(let brightness, let contrast, let saturation, let hue, let probability):
            "colorJitter(\(text(brightness)), \(text(contrast)), \(text(saturation)), \(text(hue)), "
                + "p \(text(probability)))"
        case .grayscale(let probability): "grayscale(p \(text(probability)))"
        case .gaussianBlur(let sigma, let probability): "gaussianBlur(sigma \(text(sigma)), p \(text(probability)))"
        case .solarize(let threshold, let probability): "solarize(\(text(threshold)), p \(text(probability)))"
        case .posterize(let bits, let probability): "posterize(\(bits) bits, p \(text(probability)))"
        case .equalize(let probability): "equalize(p \(text(probability)))"
        case .autocontrast(let probability): "autocontrast(p \(text(probability)))"
        case .sharpness(let factor, let probability): "sharpness(\(text(factor)), p \(text(probability)))"
        case .invert(let probability): "invert(p \(text(probability)))"
        case .cutout(let size, let fill): "cutout(\(text(size)) of the side, fill \(fill))"
        case .randomErasing(let probability, let scale, let ratio, let fill):
            "randomErasing(scale \(text(scale)), ratio \(text(ratio)), fill \(fill), p \(text(probability)))"
        case .randAugment(let count, let magnitude, let operations, let border):
            "randAugment(\(count) of \(operations.count), magnitude \(text(magnitude)), \(border))"
        case .gaussianNoise(let deviation): "gaussianNoise(\(text(deviation)))"
        case .mask(let probability): "mask(p \(text(probability)))"
        case .normalize(let mean, let deviation):
            mean.count <= 4 ? "normalize(mean \(mean), deviation \(deviation))" : "normalize(\(mean.count) features)"
        }
    }

    private func text(_ value: Double) -> String {
        let rounded = (value * 1000).rounded() / 1000
        return rounded == rounded.rounded() ? String(Int(rounded)) : String(rounded)
    }

    private func text(_ range: ClosedRange<Double>) -> String {
        "\(text(range.lowerBound))...\(text(range.upperBound))"
    }
}
