import FledgeCore
import FledgeData
import XCTest

final class CodecTests: XCTestCase {
    func testPNGKeepsEveryPixel() throws {
        for channels in [1, 3] {
            let image = pattern(13, 7, channels: channels)
            let decoded = try ImageCodec.decode(try ImageCodec.png(image))
            XCTAssertEqual(decoded, image)
        }
    }

    func testPNGColourBecomesLuma() throws {
        let image = ImageBuffer(width: 3, height: 1, channels: 3, pixels: [255, 0, 0, 0, 255, 0, 0, 0, 255])
        XCTAssertEqual(try ImageCodec.decode(try ImageCodec.png(image), channels: 1).pixels, [76, 150, 29])
    }

    func testTransparentPixelsLieOverWhite() throws {
        let image = ImageBuffer(
            width: 3, height: 1, channels: 4, pixels: [10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128])
        XCTAssertEqual(
            try ImageCodec.decode(try ImageCodec.png(image)).pixels, [10, 20, 30, 255, 255, 255, 127, 127, 127])
    }

    func testSixteenBitAndPaletteAndLowDepthPNG() throws {
        // Grey 16 bit: 0x8000 scales to 128. Palette: two entries, indices 1 0. Grey 2 bit: levels 0 1 2 3.
        XCTAssertEqual(
            try ImageCodec.decode(png(2, 1, depth: 16, color: 0, [0, 0x80, 0x00, 0xFF, 0xFF])).pixels, [128, 255])
        let palette = png(2, 1, depth: 8, color: 3, [0, 1, 0], palette: [1, 2, 3, 9, 8, 7])
        XCTAssertEqual(try ImageCodec.decode(palette).pixels, [9, 8, 7, 1, 2, 3])
        XCTAssertEqual(
            try ImageCodec.decode(png(4, 1, depth: 2, color: 0, [0, 0b00_01_10_11])).pixels, [0, 85, 170, 255])
    }

    func testJPEGIsNearTheOriginal() throws {
        // A smooth slope, the same in all channels.
        var pixels: [UInt8] = []
        for y in 0..<24 {
            for x in 0..<32 { pixels += [UInt8](repeating: UInt8(60 + 3 * x + 2 * y), count: 3) }
        }
        let image = ImageBuffer(width: 32, height: 24, channels: 3, pixels: pixels)
        let decoded = try ImageCodec.decode(try ImageCodec.jpeg(image, quality: 98))
        XCTAssertEqual(decoded.width, 32)
        XCTAssertEqual(decoded.channels, 3)
        let worst = zip(decoded.pixels, image.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 255
        XCTAssertLessThan(worst, 8)
    }

    func testJPEGIsScaledWhileDecoding() throws {
        let bytes = try ImageCodec.jpeg(pattern(160, 120, channels: 3))
        let header = try ImageCodec.header(of: bytes, shortestSide: 40)
        XCTAssertEqual([header.width, header.height], [60, 45])
        let decoded = try ImageCodec.decode(bytes, shortestSide: 40)
        XCTAssertEqual([decoded.width, decoded.height], [60, 45])
        XCTAssertEqual(try ImageCodec.decode(bytes, channels: 1, shortestSide: 1000).width, 160)
    }

    func testEveryTruncationIsRefused() throws {
        for bytes in [
            try ImageCodec.jpeg(pattern(16, 16, channels: 3)), try ImageCodec.png(pattern(16, 16, channels: 3)),
        ] {
            for length in 0..<(bytes.count - 2) {
                XCTAssertThrowsError(try ImageCodec.decode(Array(bytes.prefix(length))), "\(length) of \(bytes.count)")
            }
        }
    }

    func testDamagedPNGAndForeignBytesAreRefused() throws {
        var bytes = try ImageCodec.png(pattern(16, 16, channels: 1))
        bytes[bytes.count / 2] ^= 0x55
        XCTAssertThrowsError(try ImageCodec.decode(bytes)) { error in
            guard case .damaged = error as? ImageError else { return XCTFail("\(error)") }
        }
        XCTAssertThrowsError(try ImageCodec.decode(Array("GIF89a".utf8))) { error in
            guard case .unknownFormat = error as? ImageError else { return XCTFail("\(error)") }
        }
    }

    func testSizeIsCheckedBeforeMemoryIsTaken() throws {
        let bytes = try ImageCodec.png(pattern(20, 20, channels: 1))
        XCTAssertThrowsError(try ImageCodec.decode(bytes, pixelLimit: 399)) { error in
            guard case .tooLarge = error as? ImageError else { return XCTFail("\(error)") }
        }
        // A header of 65,535 x 65,535 in a file of a few bytes.
        XCTAssertThrowsError(try ImageCodec.decode(png(65_535, 65_535, depth: 8, color: 2, [0])))
        XCTAssertThrowsError(try ImageCodec.decode(png(9_000, 9_000, depth: 8, color: 2, [0])))
    }

    /// A PNG made by hand: rows with their filter bytes.
    private func png(
        _ width: Int, _ height: Int, depth: UInt8, color: UInt8, _ rows: [UInt8], palette: [UInt8]? = nil
    ) -> [UInt8] {
        func big(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
        func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
            let body = Array(name.utf8) + data
            return big(data.count) + body + big(Int(Zlib.crc32(body)))
        }
        let packed = (try? Zlib.deflate(rows, format: .zlib)) ?? []
        return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
            + chunk("IHDR", big(width) + big(height) + [depth, color, 0, 0, 0])
            + (palette.map { chunk("PLTE", $0) } ?? []) + chunk("IDAT", packed) + chunk("IEND", [])
    }
}
