import FledgeCore

/// RandAugment (Cubuk et al. 2019) with the operations and ranges of FixMatch (Sohn et al. 2020, table 12): each
/// operation draws its strength evenly from its range.
public enum RandAugment {
    public enum Operation: String, Codable, Hashable, Sendable, CaseIterable {
        case identity, autocontrast, brightness, color, contrast, equalize, posterize, rotate, sharpness, shearX, shearY
        case solarize, translateX, translateY

        /// Operations that leave a sign on its ground what it is: none that stretches, cuts or inverts levels.
        public static let keepingLevels: [Operation] = [
            .identity, .brightness, .contrast, .rotate, .sharpness, .shearX, .shearY, .translateX, .translateY,
        ]
    }

    /// Applies one operation. `magnitude` 0...1 scales the range: turns up to 30 degrees, slants up to 0.3, shifts up
    /// to 0.3 of the side, levels blended down to 0.05, 4 to 8 bits, any threshold.
    static func apply(
        _ operation: Operation, magnitude: Double, border: Augmentation.Border, to canvas: inout Canvas,
        random: inout RandomSource
    ) {
        let width = canvas.width
        let height = canvas.height
        func even(_ limit: Double) -> Double { random.uniform(-limit, limit) * magnitude }
        // Factors of 0.05...0.95 for full magnitude, nearer to 1 for less.
        func factor() -> Float { Float(1 - magnitude * random.uniform(0.05, 0.95)) }
        switch operation {
        case .identity: break
        case .autocontrast: canvas.autocontrast()
        case .brightness: canvas.brightness(factor())
        case .color: canvas.saturation(factor())
        case .contrast: canvas.contrast(factor())
        case .equalize: canvas.equalize()
        case .posterize: canvas.posterize(bits: 8 - random.integer(below: 1 + Int((4 * magnitude).rounded())))
        case .rotate:
            canvas.transform(.rotation(degrees: even(30), width: width, height: height), border: border)
        case .sharpness: canvas.sharpness(factor())
        case .shearX: canvas.transform(.shear(x: even(0.3), y: 0, width: width, height: height), border: border)
        case .shearY: canvas.transform(.shear(x: 0, y: even(0.3), width: width, height: height), border: border)
        case .solarize: canvas.solarize(Float(1 - magnitude * random.uniform()))
        case .translateX: canvas.transform(.shift((even(0.3) * Double(width)).rounded(), 0), border: border)
        case .translateY: canvas.transform(.shift(0, (even(0.3) * Double(height)).rounded()), border: border)
        }
    }
}
