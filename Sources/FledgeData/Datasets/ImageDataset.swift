import FledgeCore

/// Images with optional labels. Images of one size lie in one block of memory; others are decoded when they are needed
/// and kept as far as the memory limit of their store allows.
public final class ImageDataset: Dataset {
    enum Storage: Sendable {
        /// `count` images of the same size, one after the other.
        case block([UInt8], width: Int, height: Int)
        /// Files decoded on demand.
        case files(ImageFileStore)
    }

    private let storage: Storage
    /// Where sample `i` is in the storage; subsets share the storage.
    private let positions: [Int]
    private let ids: [String]?

    /// 1 (grey) or 3 (red, green, blue).
    public let channels: Int
    /// The sample value that becomes 1.0: 255, or 16 for the bundled digits.
    public let whiteLevel: Int
    public let labels: [Int?]
    public let classNames: [String]

    init(
        storage: Storage, positions: [Int], channels: Int, whiteLevel: Int, labels: [Int?], classNames: [String],
        ids: [String]?
    ) {
        guard labels.count == positions.count, ids?.count ?? positions.count == positions.count else {
            fatalError("ImageDataset: \(positions.count) images, \(labels.count) labels, \(ids?.count ?? 0) ids")
        }
        self.storage = storage
        self.positions = positions
        self.channels = channels
        self.whiteLevel = whiteLevel
        self.labels = labels
        self.classNames = classNames
        self.ids = ids
    }

    /// Images of one size from memory: `pixels` is [count, height, width, channels]. Without `ids` a sample is called
    /// by its index. Stops when the numbers do not agree.
    public convenience init(
        pixels: [UInt8], width: Int, height: Int, channels: Int, labels: [Int?], classNames: [String],
        ids: [String]? = nil, whiteLevel: Int = 255
    ) {
        guard width > 0, height > 0, channels > 0, pixels.count == labels.count * width * height * channels else {
            fatalError(
                "ImageDataset: \(pixels.count) bytes for \(labels.count) images of \(width)x\(height)x\(channels)")
        }
        self.init(
            storage: .block(pixels, width: width, height: height), positions: Array(0..<labels.count),
            channels: channels, whiteLevel: whiteLevel, labels: labels, classNames: classNames, ids: ids)
    }

    public var count: Int { positions.count }

    /// The size of all images, or nil where it varies.
    public var uniformSize: (width: Int, height: Int)? {
        switch storage {
        case .block(_, let width, let height): (width, height)
        case .files(let store): store.uniformSize
        }
    }

    public func id(of index: Int) -> String { ids?[index] ?? String(index) }

    /// The file of an image; nil where it lies in memory.
    func path(of index: Int) -> String? {
        if case .files(let store) = storage { store.files[positions[index]].path } else { nil }
    }

    /// The size in pixels of one image.
    public func size(of index: Int) -> (width: Int, height: Int) {
        switch storage {
        case .block(_, let width, let height): (width, height)
        case .files(let store): store.size(of: positions[index])
        }
    }

    /// One image as it is stored. Throws `DataError` when its file cannot be read any more.
    public func image(_ index: Int) throws -> ImageBuffer {
        try withImage(index) { view in
            ImageBuffer(
                width: view.width, height: view.height, channels: view.channels,
                pixels: Array(
                    UnsafeBufferPointer(start: view.pixels, count: view.width * view.height * view.channels)))
        }
    }

    func withImage<R>(_ index: Int, _ body: (ImageView) throws -> R) throws -> R {
        switch storage {
        case .block(let pixels, let width, let height):
            return try pixels.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { fatalError("ImageDataset: no image \(index)") }
                let offset = positions[index] * width * height * channels
                return try body(ImageView(pixels: base + offset, width: width, height: height, channels: channels))
            }
        case .files(let store):
            let image = try store.image(positions[index])
            return try image.pixels.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { fatalError("ImageDataset: no image \(index)") }
                return try body(
                    ImageView(pixels: base, width: image.width, height: image.height, channels: image.channels))
            }
        }
    }

    public func sampleShape(after augmentation: Augmentation) -> [Int] {
        if let size = augmentation.outputSize(from: uniformSize) { return [size.height, size.width, channels] }
        fatalError("the images differ in size, so an augmentation must begin with a crop or resize to one size")
    }

    public func write(
        sample index: Int, augmentation: Augmentation, random: RandomSource, workspace: AugmentWorkspace,
        into output: UnsafeMutableBufferPointer<Float>
    ) throws {
        try withImage(index) { view in
            augmentation.apply(to: view, whiteLevel: whiteLevel, random: random, workspace: workspace, into: output)
        }
    }

    public func relabelled(_ labels: [Int?], classNames: [String]) -> any Dataset {
        ImageDataset(
            storage: storage, positions: positions, channels: channels, whiteLevel: whiteLevel, labels: labels,
            classNames: classNames, ids: ids)
    }

    public func subset(_ indices: [Int]) -> any Dataset {
        ImageDataset(
            storage: storage, positions: indices.map { positions[$0] }, channels: channels, whiteLevel: whiteLevel,
            labels: indices.map { labels[$0] }, classNames: classNames, ids: indices.map { id(of: $0) })
    }

    /// Mean and standard deviation of each channel over at most `limit` images spread evenly, on the scale 0...1. A
    /// channel that never changes has deviation 1, so that dividing by it is harmless.
    public func channelMoments(limit: Int = 5_000) throws -> (mean: [Float], deviation: [Float]) {
        var sums = [Double](repeating: 0, count: channels)
        var squares = sums
        var pixels = 0.0
        let taken = min(limit, count)
        for k in 0..<taken {
            try withImage(k * count / taken) { view in
                let area = view.width * view.height
                for c in 0..<channels {
                    var (sum, square) = (0, 0)
                    for i in 0..<area {
                        let value = Int(view.pixels[i * channels + c])
                        sum += value
                        square += value * value
                    }
                    sums[c] += Double(sum)
                    squares[c] += Double(square)
                }
                pixels += Double(area)
            }
        }
        let scale = Double(whiteLevel)
        let mean = sums.map { $0 / max(1, pixels) / scale }
        let deviation = zip(squares, mean).map { square, mean -> Float in
            let variance = square / max(1, pixels) / (scale * scale) - mean * mean
            return variance > 1e-12 ? Float(variance.squareRoot()) : 1
        }
        return (mean.map { Float($0) }, deviation)
    }
}
