/// A type of stored sample that becomes a float.
protocol PixelComponent {
    var float: Float { get }
}
extension UInt8: PixelComponent {
    @inline(__always) var float: Float { Float(self) }
}
extension Float: PixelComponent {
    @inline(__always) var float: Float { self }
}

/// For each output position along one axis: the first input position, how many are summed, and their weights.
///
/// A triangle filter as wide as the shrinking (Pillow's antialiased "bilinear"); where the image grows this is plain
/// bilinear interpolation with pixel centres at half positions.
struct AxisWeights {
    private(set) var starts: [Int] = []
    private(set) var counts: [Int] = []
    private(set) var weights: [Float] = []
    private(set) var taps = 0

    /// For `output` positions over the input positions `first ..< first + length`, mirrored if asked.
    mutating func prepare(first: Int, length: Int, output: Int, mirrored: Bool) {
        let step = Double(length) / Double(output)
        let support = max(1, step)
        taps = 2 * Int(support.rounded(.up)) + 1
        if starts.count < output {
            starts = [Int](repeating: 0, count: output)
            counts = starts
        }
        if weights.count < output * taps { weights = [Float](repeating: 0, count: output * taps) }
        for i in 0..<output {
            let center = (Double(i) + 0.5) * step - 0.5
            // Positions whose weight is above zero, within the rectangle.
            let low = max(0, Int((center - support).rounded(.down)) + 1)
            let high = min(length - 1, Int((center + support).rounded(.up)) - 1)
            let target = mirrored ? output - 1 - i : i
            var total = 0.0
            for j in low...high { total += 1 - abs(Double(j) - center) / support }
            for j in low...high {
                weights[target * taps + j - low] = Float((1 - abs(Double(j) - center) / support) / total)
            }
            starts[target] = first + low
            counts[target] = high - low + 1
        }
    }
}

/// The two ways in which pixels are moved.
enum Resampling {
    /// Scales a rectangle of an image to `width` x `height`, first along rows and then along columns.
    @inline(__always)
    static func scale<C: PixelComponent>(
        _ source: UnsafePointer<C>, factor: Float, sourceWidth: Int, rect: PixelRect, flipped: Bool, channels: Int,
        to output: UnsafeMutablePointer<Float>, width: Int, height: Int, workspace: AugmentWorkspace
    ) {
        workspace.horizontal.prepare(first: rect.x, length: rect.width, output: width, mirrored: flipped)
        workspace.vertical.prepare(first: rect.y, length: rect.height, output: height, mirrored: false)
        let rowLength = width * channels
        let middle = workspace.buffer(2, count: rect.height * rowLength)
        let horizontal = workspace.horizontal
        let vertical = workspace.vertical
        horizontal.withPointers { starts, counts, weights, taps in
            for y in 0..<rect.height {
                let row = source + (rect.y + y) * sourceWidth * channels
                let target = middle + y * rowLength
                for x in 0..<width {
                    let pixel = row + starts[x] * channels
                    let weight = weights + x * taps
                    if channels == 3 {
                        var (r, g, b): (Float, Float, Float) = (0, 0, 0)
                        for k in 0..<counts[x] {
                            let w = weight[k]
                            r += w * pixel[3 * k].float
                            g += w * pixel[3 * k + 1].float
                            b += w * pixel[3 * k + 2].float
                        }
                        target[3 * x] = r * factor
                        target[3 * x + 1] = g * factor
                        target[3 * x + 2] = b * factor
                    } else {
                        for c in 0..<channels {
                            var sum: Float = 0
                            for k in 0..<counts[x] { sum += weight[k] * pixel[k * channels + c].float }
                            target[x * channels + c] = sum * factor
                        }
                    }
                }
            }
        }
        vertical.withPointers { starts, counts, weights, taps in
            for y in 0..<height {
                let target = output + y * rowLength
                let weight = weights + y * taps
                let first = middle + (starts[y] - rect.y) * rowLength
                let w0 = weight[0]
                for i in 0..<rowLength { target[i] = w0 * first[i] }
                for k in 1..<max(1, counts[y]) {
                    let w = weight[k]
                    let row = first + k * rowLength
                    for i in 0..<rowLength { target[i] += w * row[i] }
                }
            }
        }
    }

    /// Draws each pixel of the result from where `map` sends it, bilinearly.
    @inline(__always)
    static func transform<C: PixelComponent>(
        _ source: UnsafePointer<C>, factor: Float, map: AffineMap, border: Augmentation.Border, channels: Int,
        to output: UnsafeMutablePointer<Float>, width: Int, height: Int
    ) {
        // Positions are whole numbers of 1/65536 of a pixel, which makes whole shifts and mirrors exact. The offset
        // keeps the truncation to whole numbers a rounding for negative positions too.
        let grid = 65_536.0
        let offset = 1 << 44
        let round = Double(offset) + 0.5
        for y in 0..<height {
            let rowX = map.b * Double(y) + map.c
            let rowY = map.e * Double(y) + map.f
            for x in 0..<width {
                let positionX = Int((map.a * Double(x) + rowX) * grid + round) - offset
                let positionY = Int((map.d * Double(x) + rowY) * grid + round) - offset
                let target = output + (y * width + x) * channels
                if case .constant(let value) = border,
                    positionX <= -65_536 || positionY <= -65_536 || positionX >= width << 16
                        || positionY >= height << 16
                {
                    for c in 0..<channels { target[c] = value }
                    continue
                }
                let (x0, y0) = (positionX >> 16, positionY >> 16)
                let fx = Float(positionX & 0xFFFF) * 0x1p-16
                let fy = Float(positionY & 0xFFFF) * 0x1p-16
                if x0 >= 0, y0 >= 0, x0 + 1 < width, y0 + 1 < height {
                    let pixel = source + (y0 * width + x0) * channels
                    let below = pixel + width * channels
                    for c in 0..<channels {
                        let top = pixel[c].float + fx * (pixel[c + channels].float - pixel[c].float)
                        let bottom = below[c].float + fx * (below[c + channels].float - below[c].float)
                        target[c] = (top + fy * (bottom - top)) * factor
                    }
                } else {
                    for c in 0..<channels {
                        func at(_ px: Int, _ py: Int) -> Float {
                            guard let ix = inside(px, width, border), let iy = inside(py, height, border) else {
                                if case .constant(let value) = border { return value }
                                return 0
                            }
                            return source[(iy * width + ix) * channels + c].float * factor
                        }
                        // Neighbours of weight zero are not looked at: they may lie outside.
                        let top = fx == 0 ? at(x0, y0) : at(x0, y0) + fx * (at(x0 + 1, y0) - at(x0, y0))
                        if fy == 0 {
                            target[c] = top
                        } else {
                            let bottom =
                                fx == 0 ? at(x0, y0 + 1) : at(x0, y0 + 1) + fx * (at(x0 + 1, y0 + 1) - at(x0, y0 + 1))
                            target[c] = top + fy * (bottom - top)
                        }
                    }
                }
            }
        }
    }

    /// The position inside 0..<side that stands for `position`, or nil for a constant border.
    @inline(__always)
    private static func inside(_ position: Int, _ side: Int, _ border: Augmentation.Border) -> Int? {
        if position >= 0, position < side { return position }
        switch border {
        case .constant: return nil
        case .edge: return min(max(position, 0), side - 1)
        case .reflect:
            if side == 1 { return 0 }
            let period = 2 * (side - 1)
            let wrapped = ((position % period) + period) % period
            return wrapped < side ? wrapped : period - wrapped
        }
    }
}

extension AxisWeights {
    /// Lends the tables without bounds checks: starts, counts, weights, weights per position.
    @inline(__always)
    func withPointers(
        _ body: (UnsafePointer<Int>, UnsafePointer<Int>, UnsafePointer<Float>, Int) -> Void
    ) {
        starts.withUnsafeBufferPointer { starts in
            counts.withUnsafeBufferPointer { counts in
                weights.withUnsafeBufferPointer { weights in
                    guard let s = starts.baseAddress, let c = counts.baseAddress, let w = weights.baseAddress else {
                        return
                    }
                    body(s, c, w, taps)
                }
            }
        }
    }
}
