/// An image in memory: 8-bit samples, rows from the top, channels side by side (grey, or red green blue).
public struct ImageBuffer: Equatable, Sendable {
    public let width: Int
    public let height: Int
    /// 1 (grey) or 3 (red, green, blue).
    public let channels: Int
    /// `height * width * channels` bytes.
    public let pixels: [UInt8]

    /// Stops when the number of bytes is not `width * height * channels`.
    public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
        guard width > 0, height > 0, channels > 0, pixels.count == width * height * channels else {
            fatalError("ImageBuffer: \(pixels.count) bytes for \(width) x \(height) x \(channels)")
        }
        self.width = width
        self.height = height
        self.channels = channels
        self.pixels = pixels
    }

    /// The bytes of pixel (x, y).
    public subscript(x: Int, y: Int) -> ArraySlice<UInt8> {
        let start = (y * width + x) * channels
        return pixels[start..<(start + channels)]
    }
}

/// Pixels lent for the duration of a call.
struct ImageView {
    let pixels: UnsafePointer<UInt8>
    let width: Int
    let height: Int
    let channels: Int
}
