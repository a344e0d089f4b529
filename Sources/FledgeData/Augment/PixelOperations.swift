#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Operations on the pixels of a canvas that move nothing. Levels stay within 0...1. With more than three channels the
/// first are red, green and blue, and what is about colour leaves the others as they are.
extension Canvas {
    @inline(__always)
    private func clamp(_ value: Float) -> Float { min(max(value, 0), 1) }

    /// ITU-R BT.601 luma of the pixel at `p`.
    @inline(__always)
    private func luma(_ p: UnsafeMutablePointer<Float>) -> Float { 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] }

    private var area: Int { width * height }
    private var count: Int { width * height * channels }

    /// Multiplies by a factor.
    mutating func brightness(_ factor: Float) {
        let p = pixels()
        for i in 0..<count { p[i] = clamp(p[i] * factor) }
    }

    /// Blends with the mean level of the grey image: 0 is that grey, 1 changes nothing.
    mutating func contrast(_ factor: Float) {
        let p = pixels()
        var sum: Float = 0
        if channels >= 3 {
            for i in 0..<area { sum += luma(p + channels * i) }
        } else {
            for i in 0..<count { sum += p[i] }
        }
        let mean = sum / Float(channels >= 3 ? area : count) * (1 - factor)
        for i in 0..<count { p[i] = clamp(p[i] * factor + mean) }
    }

    /// Blends with the grey image: 0 is grey, 1 changes nothing. Leaves images without colour as they are.
    mutating func saturation(_ factor: Float) {
        guard channels >= 3 else { return }
        let p = pixels()
        for i in 0..<area {
            let pixel = p + channels * i
            let gray = luma(pixel) * (1 - factor)
            pixel[0] = clamp(pixel[0] * factor + gray)
            pixel[1] = clamp(pixel[1] * factor + gray)
            pixel[2] = clamp(pixel[2] * factor + gray)
        }
    }

    /// Turns the hue (HSV) by a part of the circle. Leaves images without colour as they are.
    mutating func hue(_ turn: Float) {
        guard channels >= 3, turn != 0 else { return }
        let p = pixels()
        let shift = turn * 6
        for i in 0..<area {
            let pixel = p + channels * i
            let (r, g, b) = (pixel[0], pixel[1], pixel[2])
            let high = max(r, max(g, b))
            let low = min(r, min(g, b))
            let chroma = high - low
            if chroma == 0 { continue }
            // The hue in sixths of the circle, then turned; each channel is a trapezoid of it.
            var sixth: Float
            if high == r {
                sixth = (g - b) / chroma
            } else if high == g {
                sixth = 2 + (b - r) / chroma
            } else {
                sixth = 4 + (r - g) / chroma
            }
            sixth += shift
            pixel[0] = Self.channel(5 + sixth, high, chroma)
            pixel[1] = Self.channel(3 + sixth, high, chroma)
            pixel[2] = Self.channel(1 + sixth, high, chroma)
        }
    }

    /// v - c max(0, min(k, 4 - k, 1)) with k on the circle of six: HSV to one channel.
    @inline(__always)
    private static func channel(_ position: Float, _ value: Float, _ chroma: Float) -> Float {
        // Positions lie within -6...18; moved above zero, truncation is rounding down.
        let turns = Float(Int32((position + 12) * (1 / 6)))
        let k = position + 12 - 6 * turns
        return value - chroma * max(0, min(min(k, 4 - k), 1))
    }

    mutating func grayscale() {
        guard channels >= 3 else { return }
        let p = pixels()
        for i in 0..<area {
            let pixel = p + channels * i
            let gray = luma(pixel)
            pixel[0] = gray
            pixel[1] = gray
            pixel[2] = gray
        }
    }

    mutating func invert() {
        let p = pixels()
        for i in 0..<count { p[i] = 1 - p[i] }
    }

    mutating func solarize(_ threshold: Float) {
        let p = pixels()
        for i in 0..<count where p[i] >= threshold { p[i] = 1 - p[i] }
    }

    /// Keeps the highest bits of the eight of each level.
    mutating func posterize(bits: Int) {
        let mask = 0xFF & ~((1 << (8 - min(8, max(0, bits)))) - 1)
        let p = pixels()
        for i in 0..<count { p[i] = Float(level(p[i]) & mask) / 255 }
    }

    @inline(__always)
    private func level(_ value: Float) -> Int { Int(clamp(value) * 255 + 0.5) }

    mutating func autocontrast() {
        let p = pixels()
        for c in 0..<channels {
            var (low, high) = (Float.infinity, -Float.infinity)
            for i in 0..<area {
                low = min(low, p[i * channels + c])
                high = max(high, p[i * channels + c])
            }
            guard high > low else { continue }
            let scale = 1 / (high - low)
            for i in 0..<area { p[i * channels + c] = (p[i * channels + c] - low) * scale }
        }
    }

    /// Histogram equalisation of each channel over 256 levels: a level becomes the part of pixels that are not above
    /// it, counted from the lowest level. (Pillow divides by a whole number here, which saturates or does nothing at
    /// the sizes of small images.)
    mutating func equalize() {
        let p = pixels()
        for c in 0..<channels {
            for k in 0..<256 { workspace.histogram[k] = 0 }
            for i in 0..<area { workspace.histogram[level(p[i * channels + c])] += 1 }
            guard let lowest = workspace.histogram.first(where: { $0 > 0 }), lowest < area else { continue }
            var sum = 0
            for k in 0..<256 {
                sum += workspace.histogram[k]
                workspace.table[k] = Float(max(0, sum - lowest)) / Float(area - lowest)
            }
            for i in 0..<area { p[i * channels + c] = workspace.table[level(p[i * channels + c])] }
        }
    }

    /// Blends with a smoothed copy (1 1 1, 1 5 1, 1 1 1 over 13; the outermost pixels stay), as Pillow does it.
    mutating func sharpness(_ factor: Float) {
        guard width > 2, height > 2 else { return }
        let p = pixels()
        let q = spare()
        let row = width * channels
        for i in 0..<count { q[i] = p[i] }
        for y in 1..<(height - 1) {
            for i in (y * row + channels)..<(y * row + row - channels) {
                let above = p[i - row - channels] + p[i - row] + p[i - row + channels]
                let beside = p[i - channels] + 5 * p[i] + p[i + channels]
                let below = p[i + row - channels] + p[i + row] + p[i + row + channels]
                let smooth = (above + beside + below) / 13
                q[i] = clamp(smooth + factor * (p[i] - smooth))
            }
        }
        swap()
    }

    /// Gaussian blur, along rows and then along columns; edge pixels are repeated outside. `sigma` is in pixels.
    mutating func blur(sigma: Float) {
        guard sigma > 0 else { return }
        let radius = min(127, max(1, Int((3 * sigma).rounded(.up))))
        var total: Float = 0
        for k in 0...radius {
            let weight = exp(-Float(k * k) / (2 * sigma * sigma))
            workspace.table[k] = weight
            total += k == 0 ? weight : 2 * weight
        }
        for k in 0...radius { workspace.table[k] /= total }
        let p = pixels()
        let q = spare()
        let row = width * channels
        workspace.table.withUnsafeBufferPointer { kernel in
            for y in 0..<height {
                for x in 0..<width {
                    for c in 0..<channels {
                        let at = y * row + c
                        var sum = kernel[0] * p[at + x * channels]
                        for k in 1...radius {
                            let left = at + max(0, x - k) * channels
                            let right = at + min(width - 1, x + k) * channels
                            sum += kernel[k] * (p[left] + p[right])
                        }
                        q[at + x * channels] = sum
                    }
                }
            }
            for y in 0..<height {
                for i in 0..<row { p[y * row + i] = kernel[0] * q[y * row + i] }
                for k in 1...radius {
                    let above = max(0, y - k) * row
                    let below = min(height - 1, y + k) * row
                    for i in 0..<row { p[y * row + i] += kernel[k] * (q[above + i] + q[below + i]) }
                }
            }
        }
    }

    /// Sets a rectangle, cut at the border, to one level.
    mutating func fill(_ rect: PixelRect, _ value: Float) {
        let p = pixels()
        let x0 = max(0, rect.x)
        let x1 = min(width, rect.x + rect.width)
        guard x0 < x1 else { return }
        for y in max(0, rect.y)..<max(0, min(height, rect.y + rect.height)) where y >= rect.y {
            for i in ((y * width + x0) * channels)..<((y * width + x1) * channels) { p[i] = value }
        }
    }

    /// (x - mean) / deviation of each channel. Stops when their number is another than that of the channels.
    mutating func normalize(mean: [Float], deviation: [Float]) {
        guard mean.count == channels, deviation.count == channels else {
            fatalError("normalize: \(mean.count) means and \(deviation.count) deviations for \(channels) channels")
        }
        let p = pixels()
        for c in 0..<channels {
            let (m, s) = (mean[c], 1 / deviation[c])
            for i in 0..<area { p[i * channels + c] = (p[i * channels + c] - m) * s }
        }
    }
}
