import FledgeCore
import FledgeNN

/// The networks that can be made by name.
public enum Models {
    public static let all: [ModelEntry] = [
        ModelEntry(
            "mlp", "two hidden layers of 256 with batch norm; flattens images",
            paper: "Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors",
            input: .table, standardShape: [64], parameters: 82_944
        ) { shape, random in MLP(shape.reduce(1, *), random: &random) },
        ModelEntry(
            "small-conv", "four 3x3 convolutions for small images, quick on a CPU",
            paper: "Springenberg et al. 2015, Striving for simplicity: the all convolutional net",
            input: .image, standardShape: [32, 32, 3], parameters: 388_896
        ) { shape, random in SmallConv(channels: shape[2], random: &random) },
        ModelEntry(
            "small-conv-1d", "four convolutions along a row of numbers: for sounds and other sequences",
            paper: "van den Oord et al. 2018, Representation learning with contrastive predictive coding",
            input: .row, standardShape: [64], parameters: 345_280
        ) { _, random in SmallConv1d(random: &random) },
        ModelEntry(
            "raw", "no network: the values of the sample themselves", paper: "a baseline", input: .table,
            standardShape: [64], parameters: 0
        ) { shape, _ in RawValues(shape.reduce(1, *)) },
        ModelEntry(
            "unet", "contracts and expands with shortcuts: gives features and a picture; for denoising",
            paper:
                "Ronneberger, Fischer and Brox 2015, U-Net: convolutional networks for biomedical image segmentation",
            input: .image, standardShape: [32, 32, 3], parameters: 265_587
        ) { shape, random throws(ModelError) in
            guard min(shape[0], shape[1]) >= 4 else {
                throw .unsupportedInput(
                    model: "unet", shape: shape, reason: "it halves the side twice, for which 4 pixels are needed",
                    advice: "give larger images")
            }
            return UNet(channels: shape[2], random: &random)
        },
        ModelEntry(
            "belief-net", "two layers of 256 sigmoid units; for contrastive divergence",
            paper: "Hinton, Osindero and Teh 2006, A fast learning algorithm for deep belief nets",
            input: .table, standardShape: [64], parameters: 82_752
        ) { shape, random in BeliefNet(shape.reduce(1, *), random: &random) },
        resNet("resnet18", .layers18, parameters: 11_176_512),
        resNet("resnet34", .layers34, parameters: 21_284_672),
        resNet("resnet50", .layers50, parameters: 23_508_032),
        visionTransformer("vit-mini", .mini, shape: [32, 32, 3], parameters: 458_592),
        visionTransformer("vit-tiny", .tiny, parameters: 5_524_416),
        visionTransformer("vit-small", .small, parameters: 21_665_664),
    ]

    /// The network of that name. Throws `ModelError.unknown` with the names like it.
    public static func entry(named name: String) throws(ModelError) -> ModelEntry {
        if let entry = all.first(where: { $0.name == name }) { return entry }
        throw .unknown(name: name, nearest: Suggestion.nearest(to: name, among: all.map(\.name)))
    }

    /// A new network for samples of `inputShape`: [height, width, channels] of an image, or [D] for a row of a table.
    /// Stem and patch size follow from the image size: see `ResNet.Stem` and `VisionTransformer.patch`.
    /// A name with a width behind it, such as `small-conv+256`, is that of the network with one more layer: see
    /// `HeadedBackbone`.
    ///
    /// Throws `ModelError.unknown`, and `.unsupportedInput` for shapes that the network does not take.
    public static func make(
        _ name: String, inputShape: [Int], random: inout RandomSource
    ) throws(ModelError) -> any Backbone {
        guard let (network, width) = HeadedBackbone.parts(of: name) else {
            return try entry(named: name).make(inputShape: inputShape, random: &random)
        }
        return HeadedBackbone(try make(network, inputShape: inputShape, random: &random), width: width, random: &random)
    }

    private static func resNet(_ name: String, _ depth: ResNet.Depth, parameters: Int) -> ModelEntry {
        ModelEntry(
            name, "residual network of \(depth.rawValue) layers; torchvision's names on disk",
            paper: "He et al. 2016, Deep residual learning for image recognition",
            input: .image, standardShape: [224, 224, 3], parameters: parameters
        ) { shape, random in
            ResNet(depth, stem: .suiting(shape[0], shape[1]), channels: shape[2], random: &random)
        }
    }

    private static func visionTransformer(
        _ name: String, _ size: VisionTransformer.Size, shape: [Int] = [224, 224, 3], parameters: Int
    ) -> ModelEntry {
        ModelEntry(
            name, "vision transformer of width \(size.width); timm's names on disk",
            paper: "Dosovitskiy et al. 2021, An image is worth 16x16 words; sizes of Touvron et al. 2021 (DeiT)",
            input: .image, standardShape: shape, parameters: parameters
        ) { shape, random throws(ModelError) in
            var found = VisionTransformer.patch(suiting: shape[0], shape[1])
            // A patch of one pixel has nothing inside; in its place, fewer and larger ones.
            if size == .mini, found ?? 1 == 1 {
                found = VisionTransformer.patch(suiting: shape[0], shape[1], least: 4) ?? found
            }
            guard let patch = found else {
                throw .unsupportedInput(
                    model: name, shape: shape,
                    reason: "no patch of 1, 2, 4, 8 or 16 pixels cuts such an image into 7 to 32 rows and columns",
                    advice: "resize the images, for example to 32 or 224 pixels")
            }
            return VisionTransformer(
                size, image: (shape[0], shape[1]), patch: patch, channels: shape[2], random: &random)
        }
    }
}

/// One network of the registry.
public struct ModelEntry: Sendable {
    /// What a network is made for.
    public enum Input: String, Codable, Sendable {
        /// [height, width, channels] with 1, 3 or 4 channels: grey, colour, and colour with one more.
        case image
        /// Numbers of any shape.
        case table
        /// One row of numbers, in an order that means something.
        case row
    }

    /// What `fledge train --model` calls it.
    public let name: String
    public let summary: String
    public let paper: String
    public let input: Input
    /// A sample's shape in the paper, or the usual one: what `parameterCount` is about.
    public let standardShape: [Int]
    /// Counted by hand so that listing the networks need not make them; a test makes and counts them.
    private let standardCount: Int
    private let build: Builder

    typealias Builder = @Sendable (_ shape: [Int], _ random: inout RandomSource) throws(ModelError) -> any Backbone

    init(
        _ name: String, _ summary: String, paper: String, input: Input, standardShape: [Int], parameters: Int,
        build: @escaping Builder
    ) {
        self.name = name
        self.summary = summary
        self.paper = paper
        self.input = input
        self.standardShape = standardShape
        standardCount = parameters
        self.build = build
    }

    /// A new network for samples of `inputShape`. Throws `ModelError.unsupportedInput`.
    public func make(inputShape: [Int], random: inout RandomSource) throws(ModelError) -> any Backbone {
        guard !inputShape.isEmpty, inputShape.allSatisfy({ $0 > 0 }) else {
            throw .unsupportedInput(
                model: name, shape: inputShape, reason: "there is nothing in such a sample", advice: "check the data")
        }
        if input == .image, inputShape.count != 3 || ![1, 3, 4].contains(inputShape[2]) {
            throw .unsupportedInput(
                model: name, shape: inputShape,
                reason: "it needs images [height, width, channels] of 1, 3 or 4 channels",
                advice: "use 'mlp' for data of other shapes")
        }
        if input == .row, inputShape.count != 1 {
            throw .unsupportedInput(
                model: name, shape: inputShape, reason: "it reads rows of numbers",
                advice: "use 'small-conv' for images")
        }
        return try build(inputShape, &random)
    }

    /// How many numbers the parameters hold, without a classifier: for samples of `standardShape`, or of another, for
    /// which the network is made and counted. nil for shapes that it does not take.
    public func parameterCount(inputShape: [Int]? = nil) -> Int? {
        guard let inputShape, inputShape != standardShape else { return standardCount }
        var random = RandomSource(seed: 0)
        return try? make(inputShape: inputShape, random: &random).parameterCount
    }
}
