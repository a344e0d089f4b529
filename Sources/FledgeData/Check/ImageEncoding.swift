/// What the first bytes of an image file tell beyond its size, read without decoding it.
struct ImageEncoding {
    enum Format: String {
        case jpeg = "JPEG", png = "PNG", gif = "GIF", bmp = "BMP", webp = "WebP", tiff = "TIFF", heif = "HEIF"

        var isRead: Bool { self == .jpeg || self == .png }
        /// Whether a file name says this format.
        func isSaid(by name: String) -> Bool {
            let lower = name.lowercased()
            return self == .png ? lower.hasSuffix(".png") : lower.hasSuffix(".jpg") || lower.hasSuffix(".jpeg")
        }
    }

    /// The format that the bytes begin like.
    static func format(of bytes: some Collection<UInt8>) -> Format? {
        let head = Array(bytes.prefix(12))
        func begins(_ magic: [UInt8], at start: Int = 0) -> Bool { head.dropFirst(start).starts(with: magic) }
        if begins([0xFF, 0xD8, 0xFF]) { return .jpeg }
        if begins([0x89, 0x50, 0x4E, 0x47]) { return .png }
        if begins(Array("GIF8".utf8)) { return .gif }
        if begins(Array("RIFF".utf8)), begins(Array("WEBP".utf8), at: 8) { return .webp }
        if begins([0x49, 0x49, 0x2A, 0]) || begins([0x4D, 0x4D, 0, 0x2A]) { return .tiff }
        if begins(Array("ftyphei".utf8), at: 4) || begins(Array("ftypavif".utf8), at: 4) { return .heif }
        if begins(Array("BM".utf8)), begins([0, 0, 0, 0], at: 6) { return .bmp }
        return nil
    }

    /// What reading the picture will lose, as phrases; empty for most.
    static func losses(_ bytes: [UInt8]) -> [String] {
        switch format(of: bytes) {
        case .png: pngLosses(bytes)
        case .jpeg: jpegLosses(bytes)
        default: []
        }
    }

    private static func pngLosses(_ bytes: [UInt8]) -> [String] {
        guard bytes.count > 25 else { return [] }
        var losses: [String] = []
        if bytes[24] == 16 { losses.append("16 bits a sample become 8") }
        if bytes[25] == 4 || bytes[25] == 6 { losses.append("transparent pixels are laid over white") }
        return losses
    }

    /// Walks the segments up to the first scan (ITU-T T.81, annex B).
    private static func jpegLosses(_ bytes: [UInt8]) -> [String] {
        var losses: [String] = []
        var at = 2
        while at + 4 <= bytes.count, bytes[at] == 0xFF, bytes[at + 1] != 0xDA {
            if bytes[at + 1] == 0xFF {
                at += 1
                continue
            }
            let length = Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
            let body = bytes[min(at + 4, bytes.count)..<min(max(at + 2 + length, at + 4), bytes.count)]
            switch bytes[at + 1] {
            // Frame headers; C4, C8 and CC in their midst are other things.
            case 0xC0...0xC3, 0xC5...0xC7, 0xC9...0xCB, 0xCD...0xCF:
                if body.dropFirst(5).first == 4 { losses.append("CMYK becomes RGB without a colour profile") }
            case 0xE1:
                if let turn = orientation(Array(body)), turn != 1 {
                    losses.append("the camera's orientation tag (\(turn)) is not applied")
                }
            default: break
            }
            at += 2 + max(2, length)
        }
        return losses
    }

    /// The orientation, 1...8, of an Exif segment (Exif 2.32, section 4.6.4: tag 0x0112 of the first directory).
    private static func orientation(_ body: [UInt8]) -> Int? {
        guard body.starts(with: Array("Exif".utf8) + [0, 0]), body.count >= 14 else { return nil }
        let tiff = Array(body.dropFirst(6))
        let isBig = tiff[0] == UInt8(ascii: "M")
        func word(_ at: Int, _ size: Int) -> Int? {
            guard at >= 0, at + size <= tiff.count else { return nil }
            let part = tiff[at..<(at + size)]
            return (isBig ? Array(part) : part.reversed()).reduce(0) { $0 << 8 | Int($1) }
        }
        guard let first = word(4, 4), let count = word(first, 2) else { return nil }
        for entry in 0..<count {
            let at = first + 2 + 12 * entry
            guard let tag = word(at, 2) else { return nil }
            if tag == 0x0112 { return word(at + 8, 2).flatMap { (1...8).contains($0) ? $0 : nil } }
        }
        return nil
    }
}
