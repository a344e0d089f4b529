import FledgeData

/// How samples are presented to a network: the shape, and the normalisation found on the training split. Stored with a
/// run, so that prediction sees what training saw.
public struct InputSpec: Codable, Hashable, Sendable {
    /// [height, width, channels] of images, [features] of tables.
    public var shape: [Int]
    /// For each channel or feature: what is subtracted, and what then divides.
    public var mean: [Float]
    public var deviation: [Float]

    public init(shape: [Int], mean: [Float], deviation: [Float]) {
        self.shape = shape
        self.mean = mean
        self.deviation = deviation
    }

    /// Measures a training split.
    /// - Parameter size: side of the square that images are brought to; nil keeps uniform square images of at most 64
    ///   pixels as they are, and brings all others to 64.
    /// - Throws: `DataError` when an image cannot be read.
    public init(measuring dataset: any Dataset, size: Int? = nil) throws {
        switch dataset {
        case let images as ImageDataset:
            let natural = images.uniformSize.flatMap { $0.width == $0.height && $0.width <= 64 ? $0.width : nil }
            let side = size ?? natural ?? 64
            let moments = try images.channelMoments()
            self.init(
                shape: [side, side, images.channels], mean: moments.mean,
                deviation: moments.deviation.map { Swift.max($0, 1e-3) })
        case let table as FeatureDataset:
            let moments = table.moments()
            // A feature that never varies is left at zero instead of being divided by nothing.
            self.init(
                shape: [table.width], mean: moments.mean, deviation: moments.deviation.map { $0 > 1e-6 ? $0 : 1 })
        default:
            fatalError("InputSpec: \(type(of: dataset)) is neither images nor features")
        }
    }

    /// What networks with published ImageNet weights expect: colour pictures of this size, and ImageNet's statistics.
    public static func imageNet(size: Int = 224) -> InputSpec {
        InputSpec(shape: [size, size, 3], mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
    }

    public var isImage: Bool { shape.count == 3 }
    /// Pictures whose first three channels are red, green and blue.
    public var isColour: Bool { isImage && channels >= 3 }
    public var channels: Int { shape[shape.count - 1] }
    /// The side of square images; 0 for tables.
    public var size: Int { isImage ? shape[0] : 0 }

    /// The plain view that evaluation and prediction use.
    public var plainView: Augmentation { normalized(.none(size: isImage ? size : nil)) }

    /// A view with this normalisation behind it.
    public func normalized(_ augmentation: Augmentation) -> Augmentation {
        augmentation.normalized(mean: mean, deviation: deviation)
    }
}
