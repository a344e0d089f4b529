import Fledge

/// A sample's picture as it is shown: bright, and no larger than it needs to be.
enum SamplePicture {
    /// - Parameter side: the longer side is brought down to this by averaging; smaller pictures stay as they are.
    /// - Returns: nil for a row of numbers.
    /// - Throws: `DataError` when the file cannot be read any more.
    static func of(_ sample: Int, in samples: any Dataset, side: Int) throws -> ImageBuffer? {
        guard let images = samples as? ImageDataset else { return nil }
        let image = reduced(try images.image(sample), side: side)
        guard images.whiteLevel != 255 else { return image }
        return ImageBuffer(
            width: image.width, height: image.height, channels: image.channels,
            pixels: image.pixels.map { UInt8(min(255, Int($0) * 255 / images.whiteLevel)) })
    }

    /// Each pixel is the mean of those that fall into it.
    static func reduced(_ image: ImageBuffer, side: Int) -> ImageBuffer {
        let longest = max(image.width, image.height)
        guard longest > side else { return image }
        return resized(
            image, width: max(1, image.width * side / longest), height: max(1, image.height * side / longest))
    }

    /// Any size: means where the picture shrinks, copies of the nearest pixel where it grows.
    static func resized(_ image: ImageBuffer, width: Int, height: Int) -> ImageBuffer {
        let channels = image.channels
        var pixels = [UInt8](repeating: 0, count: width * height * channels)
        for y in 0..<height {
            let top = y * image.height / height
            let bottom = max(top + 1, (y + 1) * image.height / height)
            for x in 0..<width {
                let left = x * image.width / width
                let right = max(left + 1, (x + 1) * image.width / width)
                for c in 0..<channels {
                    var sum = 0
                    for row in top..<bottom {
                        for column in left..<right {
                            sum += Int(image.pixels[(row * image.width + column) * channels + c])
                        }
                    }
                    pixels[(y * width + x) * channels + c] = UInt8(sum / ((bottom - top) * (right - left)))
                }
            }
        }
        return ImageBuffer(width: width, height: height, channels: channels, pixels: pixels)
    }

    /// Lines of text that look like the picture: two pixels to a character in 24-bit colour, or characters of growing
    /// ink where `NO_COLOR` asks for none.
    /// - Parameters:
    ///   - columns, rows: the space in characters, each about twice as high as wide.
    static func text(_ image: ImageBuffer, columns: Int, rows: Int, inColour: Bool) -> [String] {
        // As large as fits, tiny pictures by whole factors.
        let scale = min(Double(columns) / Double(image.width), Double(2 * rows) / Double(image.height))
        let factor = scale > 1 ? scale.rounded(.down) : scale
        let width = max(1, Int(Double(image.width) * factor))
        let height = max(2, Int(Double(image.height) * factor) / 2 * 2)
        let small = resized(image, width: width, height: height)
        func pixel(_ x: Int, _ y: Int) -> (red: Int, green: Int, blue: Int) {
            let pixel = small[x, y]
            let (first, last) = (Int(pixel[pixel.startIndex]), Int(pixel[pixel.endIndex - 1]))
            return (first, pixel.count == 3 ? Int(pixel[pixel.startIndex + 1]) : first, last)
        }
        return stride(from: 0, to: height, by: 2).map { y in
            let line = (0..<width).map { x -> String in
                let (upper, lower) = (pixel(x, y), pixel(x, y + 1))
                if inColour {
                    return "\u{1B}[38;2;\(upper.red);\(upper.green);\(upper.blue);48;2;"
                        + "\(lower.red);\(lower.green);\(lower.blue)m▀"
                }
                let light = [upper, lower].reduce(0) { $0 + 299 * $1.red + 587 * $1.green + 114 * $1.blue } / 2_000
                return String(ramp[light * (ramp.count - 1) / 255])
            }.joined()
            return inColour ? line + "\u{1B}[0m" : line
        }
    }

    private static let ramp = Array(" .:-=+*#%@")
}
