#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Memory that augmentations use again from view to view. One per thread.
public final class AugmentWorkspace {
    fileprivate var buffers: [UnsafeMutableBufferPointer<Float>]
    var horizontal = AxisWeights()
    var vertical = AxisWeights()
    var histogram = [Int](repeating: 0, count: 256)
    var table = [Float](repeating: 0, count: 256)

    public init() {
        buffers = (0..<3).map { _ in UnsafeMutableBufferPointer(start: nil, count: 0) }
    }

    deinit { for buffer in buffers { buffer.deallocate() } }

    /// Buffer 0 or 1 (images) or 2 (between passes), of at least `count` floats.
    func buffer(_ index: Int, count: Int) -> UnsafeMutablePointer<Float> {
        if buffers[index].count < count {
            buffers[index].deallocate()
            buffers[index] = .allocate(capacity: max(count, 4096))
        }
        guard let base = buffers[index].baseAddress else { fatalError("AugmentWorkspace: no memory") }
        return base
    }
}

/// Where a pixel of the result comes from: x' = a x + b y + c, y' = d x + e y + f, with pixel centres at whole numbers.
struct AffineMap: Equatable {
    var a = 1.0, b = 0.0, c = 0.0
    var d = 0.0, e = 1.0, f = 0.0

    static let identity = AffineMap()

    /// First `other`, then this map.
    func after(_ other: AffineMap) -> AffineMap {
        AffineMap(
            a: a * other.a + b * other.d, b: a * other.b + b * other.e, c: a * other.c + b * other.f + c,
            d: d * other.a + e * other.d, e: d * other.b + e * other.e, f: d * other.c + e * other.f + f)
    }

    static func shift(_ x: Double, _ y: Double) -> AffineMap { AffineMap(c: -x, f: -y) }

    static func mirror(width: Int) -> AffineMap { AffineMap(a: -1, c: Double(width - 1)) }

    /// A linear map about the centre of the image.
    static func about(width: Int, height: Int, _ a: Double, _ b: Double, _ d: Double, _ e: Double) -> AffineMap {
        let (x, y) = (Double(width - 1) / 2, Double(height - 1) / 2)
        return AffineMap(a: a, b: b, c: x - a * x - b * y, d: d, e: e, f: y - d * x - e * y)
    }

    /// Turns counterclockwise.
    static func rotation(degrees: Double, width: Int, height: Int) -> AffineMap {
        if degrees == 0 { return .identity }
        let angle = degrees * .pi / 180
        return about(width: width, height: height, cos(angle), -sin(angle), sin(angle), cos(angle))
    }

    /// Slants x by `x` pixels a row and y by `y` pixels a column.
    static func shear(x: Double, y: Double, width: Int, height: Int) -> AffineMap {
        about(width: width, height: height, 1, x, y, 1)
    }
}

/// A rectangle of whole pixels.
struct PixelRect: Equatable {
    var x: Int
    var y: Int
    var width: Int
    var height: Int
}

/// The image that an augmentation works on. Geometric steps are only noted down and done together, in one resampling
/// pass for crops, scaling and flips and one for shifts, turns and slants, when a step needs pixels.
///
/// Shifts, turns and slants that follow one another are joined into one map, so that a pixel pushed out by one and
/// drawn back by the next is not lost.
struct Canvas {
    private struct Crop {
        var rect: PixelRect
        var flipped = false
    }

    let workspace: AugmentWorkspace
    let channels: Int
    /// The size of the image after the steps so far.
    private(set) var width: Int
    private(set) var height: Int

    /// Stored bytes until the first pass, then one of the two image buffers.
    private var bytes: UnsafePointer<UInt8>?
    private var current = 0
    /// The factor from bytes to 0...1.
    private let scale: Float
    private var sourceWidth: Int
    private var sourceHeight: Int
    private var crop: Crop?
    private var map = AffineMap.identity
    private var border = Augmentation.Border.edge

    init(_ view: ImageView, whiteLevel: Int, workspace: AugmentWorkspace) {
        self.workspace = workspace
        channels = view.channels
        width = view.width
        height = view.height
        sourceWidth = view.width
        sourceHeight = view.height
        bytes = view.pixels
        scale = 1 / Float(whiteLevel)
    }

    /// Takes a rectangle of the image and scales it.
    mutating func resample(_ rect: PixelRect, width: Int, height: Int) {
        if crop != nil || map != .identity { settle() }
        crop = Crop(rect: rect)
        self.width = width
        self.height = height
    }

    mutating func flip() {
        if map != .identity {
            map = map.after(.mirror(width: width))
        } else {
            var flipped = crop ?? Crop(rect: PixelRect(x: 0, y: 0, width: width, height: height))
            flipped.flipped.toggle()
            crop = flipped
        }
    }

    mutating func transform(_ step: AffineMap, border: Augmentation.Border) {
        if step == .identity { return }
        if map != .identity, border != self.border { settle() }
        map = map.after(step)
        self.border = border
    }

    /// Does what was noted down.
    private mutating func settle() {
        if let crop {
            let whole = PixelRect(x: 0, y: 0, width: sourceWidth, height: sourceHeight)
            let changes = crop.flipped || crop.rect != whole || width != sourceWidth || height != sourceHeight
            self.crop = nil
            if changes {
                let output = workspace.buffer(1 - current, count: width * height * channels)
                if let bytes {
                    Resampling.scale(
                        bytes, factor: scale, sourceWidth: sourceWidth, rect: crop.rect, flipped: crop.flipped,
                        channels: channels, to: output, width: width, height: height, workspace: workspace)
                } else {
                    let input = UnsafePointer(workspace.buffer(current, count: 0))
                    Resampling.scale(
                        input, factor: 1, sourceWidth: sourceWidth, rect: crop.rect, flipped: crop.flipped,
                        channels: channels, to: output, width: width, height: height, workspace: workspace)
                }
                bytes = nil
                current = 1 - current
                sourceWidth = width
                sourceHeight = height
            }
        }
        guard map != .identity else { return }
        let output = workspace.buffer(1 - current, count: width * height * channels)
        if let bytes {
            Resampling.transform(
                bytes, factor: scale, map: map, border: border, channels: channels, to: output, width: width,
                height: height)
        } else {
            let input = UnsafePointer(workspace.buffer(current, count: 0))
            Resampling.transform(
                input, factor: 1, map: map, border: border, channels: channels, to: output, width: width,
                height: height)
        }
        bytes = nil
        current = 1 - current
        map = .identity
    }

    /// The pixels after all steps so far, `height * width * channels` floats of 0...1 that may be changed in place.
    mutating func pixels() -> UnsafeMutablePointer<Float> {
        settle()
        let count = width * height * channels
        if let bytes {
            let output = workspace.buffer(current, count: count)
            for i in 0..<count { output[i] = Float(bytes[i]) * scale }
            self.bytes = nil
        }
        return workspace.buffer(current, count: count)
    }

    /// The other image buffer, for steps that cannot work in place, of the size of the image.
    func spare() -> UnsafeMutablePointer<Float> { workspace.buffer(1 - current, count: width * height * channels) }

    /// Makes the spare buffer the image.
    mutating func swap() { current = 1 - current }
}
