import CFledgeImage

/// What the header of an image file says.
public struct ImageHeader: Equatable, Sendable {
    public enum Format: String, Codable, Sendable { case jpeg, png }
    public var format: Format
    /// Size in pixels as it will be decoded.
    public var width: Int
    public var height: Int
    /// 1 for a grey file, 3 for all others.
    public var channels: Int
}

/// Why bytes are not a usable image.
public enum ImageError: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownFormat(String)
    case damaged(String)
    case tooLarge(String)
    case failed(String)

    public var description: String {
        switch self {
        case .unknownFormat(let text), .damaged(let text), .tooLarge(let text), .failed(let text): text
        }
    }
}

/// Decodes JPEG and PNG, and encodes both.
///
/// Sixteen-bit PNG samples become eight-bit, palettes are resolved, transparent pixels are laid over white, CMYK
/// becomes RGB. An orientation tag of a camera is not applied: pixels come as they are stored, as in torchvision.
public enum ImageCodec {
    /// The largest image decoded by default, in pixels (Pillow's warning level).
    public static let defaultPixelLimit = 89_478_485

    /// Reads the header. With `shortestSide`, a JPEG will be decoded at the smallest eighth of its size whose shorter
    /// side is not below it.
    public static func header(
        of bytes: [UInt8], shortestSide: Int? = nil, pixelLimit: Int = defaultPixelLimit
    ) throws -> ImageHeader {
        let info = try probe(bytes, shortestSide: shortestSide, pixelLimit: pixelLimit)
        return ImageHeader(
            format: info.format == Int32(FLEDGE_IMAGE_JPEG.rawValue) ? .jpeg : .png, width: Int(info.width),
            height: Int(info.height), channels: Int(info.channels))
    }

    /// Decodes to grey (`channels` 1), RGB (3), or what the file holds (nil). The size in the header is checked against
    /// `pixelLimit` before memory is taken. Throws `ImageError`.
    public static func decode(
        _ bytes: [UInt8], channels: Int? = nil, shortestSide: Int? = nil, pixelLimit: Int = defaultPixelLimit
    ) throws -> ImageBuffer {
        var info = try probe(bytes, shortestSide: shortestSide, pixelLimit: pixelLimit)
        let channels = channels ?? Int(info.channels)
        let (width, height) = (Int(info.width), Int(info.height))
        var status: Int32 = 0
        var message = ""
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * channels) { buffer, count in
            (status, message) = withMessage { text in
                fledge_image_decode(bytes, bytes.count, &info, Int32(channels), buffer.baseAddress, buffer.count, text)
            }
            // A failed decode leaves some bytes unwritten; the array is then dropped, but must not be read before.
            if status != 0 { buffer.initialize(repeating: 0) }
            count = width * height * channels
        }
        try check(status, message)
        return ImageBuffer(width: width, height: height, channels: channels, pixels: pixels)
    }

    /// The bytes of a PNG file of 8-bit pixels with 1 (grey), 3 (RGB) or 4 (RGBA) channels.
    public static func png(_ image: ImageBuffer) throws -> [UInt8] {
        try encode { output, length, text in
            fledge_image_encode_png(
                image.pixels, Int32(image.width), Int32(image.height), Int32(image.channels), output, length, text)
        }
    }

    /// The bytes of a JPEG file of `quality` 1...100; colour is stored at half resolution (4:2:0).
    public static func jpeg(_ image: ImageBuffer, quality: Int = 90) throws -> [UInt8] {
        try encode { output, length, text in
            fledge_image_encode_jpeg(
                image.pixels, Int32(image.width), Int32(image.height), Int32(image.channels), Int32(quality), output,
                length, text)
        }
    }

    private static func probe(_ bytes: [UInt8], shortestSide: Int?, pixelLimit: Int) throws -> fledge_image_info {
        var info = fledge_image_info()
        let (status, message) = withMessage { text in
            fledge_image_probe(bytes, bytes.count, UInt64(pixelLimit), Int32(shortestSide ?? 0), &info, text)
        }
        try check(status, message)
        return info
    }

    private static func encode(
        _ body: (
            UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>, UnsafeMutablePointer<Int>, UnsafeMutablePointer<CChar>
        ) -> Int32
    ) throws -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        var length = 0
        let (status, message) = withMessage { body(&output, &length, $0) }
        defer { fledge_image_free(output) }
        try check(status, message)
        return Array(UnsafeBufferPointer(start: output, count: length))
    }

    /// Lends a message buffer to a C call and returns its status with the text.
    private static func withMessage(_ body: (UnsafeMutablePointer<CChar>) -> Int32) -> (Int32, String) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(FLEDGE_IMAGE_MESSAGE)) { buffer in
            guard let base = buffer.baseAddress else { return (Int32(FLEDGE_IMAGE_NO_MEMORY.rawValue), "") }
            base[0] = 0
            let status = body(base)
            return (status, status == 0 ? "" : String(cString: base))
        }
    }

    private static func check(_ status: Int32, _ message: String) throws {
        switch UInt32(bitPattern: status) {
        case UInt32(FLEDGE_IMAGE_OK.rawValue): return
        case UInt32(FLEDGE_IMAGE_UNKNOWN.rawValue): throw ImageError.unknownFormat(message)
        case UInt32(FLEDGE_IMAGE_DAMAGED.rawValue): throw ImageError.damaged(message)
        case UInt32(FLEDGE_IMAGE_TOO_LARGE.rawValue): throw ImageError.tooLarge(message)
        default: throw ImageError.failed(message)
        }
    }
}
