import FledgeCore
import FledgeData
import FledgeTesting
import Foundation

/// A data set of pictures in class folders with known damage planted among them.
struct PlantedDamage {
    /// What was planted under a name, and how the check must call it.
    struct Plant {
        var name: String
        var id: String
        var kind: Finding.Kind
    }

    let folder: TemporaryFolder
    private(set) var plants: [Plant] = []
    /// Files that are sound, though a planted copy may be of one of them.
    private(set) var sound: [String] = []
    private var copied = 0
    private var random = RandomSource(seed: 0).stream("damage")

    /// - Parameters:
    ///   - pictures: the sound pictures, at most as many as `files`; none is a copy of another.
    ///   - each: how many files of every kind of damage.
    init(pictures: [ImageBuffer], files: Int, each: Int) throws {
        folder = try TemporaryFolder()
        for index in 0..<(files - each * Self.kinds.count) {
            let split = index % 5 == 4 ? "test" : "train"
            let id = "\(split)/class\(index % 7)/sound-\(index).\(index % 2 == 0 ? "jpg" : "png")"
            let picture = pictures[index]
            try folder.write(
                id, index % 2 == 0 ? try ImageCodec.jpeg(picture) : try ImageCodec.png(picture))
            sound.append(id)
        }
        var next = files - each * Self.kinds.count
        for (name, kind, make) in Self.kinds {
            for copy in 0..<each {
                let picture = pictures[next]
                next += 1
                let id = try make(&self, "\(name)-\(copy)", picture)
                plants.append(Plant(name: name, id: id, kind: kind))
            }
        }
    }

    /// Pictures that look like nothing, each made of a few waves of its own.
    static func waves(_ count: Int, width: Int = 48, height: Int = 40) -> [ImageBuffer] {
        (0..<count).map { index in
            var random = RandomSource(seed: 1).at(index)
            let waves = (0..<7).map { _ in
                (
                    x: random.uniform(-3, 3) / Double(width) * 2 * .pi,
                    y: random.uniform(-3, 3) / Double(height) * 2 * .pi,
                    phase: random.uniform(0, 6.28), tint: random.uniform(0, 2)
                )
            }
            var pixels: [UInt8] = []
            for y in 0..<height {
                for x in 0..<width {
                    for c in 0..<3 {
                        let value = waves.reduce(0.0) {
                            $0 + cos($1.x * Double(x) + $1.y * Double(y) + $1.phase + $1.tint * Double(c))
                        }
                        pixels.append(UInt8(max(0, min(255, 128 + 34 * value))))
                    }
                }
            }
            return ImageBuffer(width: width, height: height, channels: 3, pixels: pixels)
        }
    }

    private typealias Make = @Sendable (inout PlantedDamage, String, ImageBuffer) throws -> String

    /// Writes bytes among the training pictures.
    private func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let id = "train/class\(name.utf8.count % 7)/\(name)"
        try folder.write(id, bytes)
        return id
    }

    private mutating func pick(_ count: Int) -> Int { random.integer(below: count) }

    /// A sound file of the training split that nothing else is a copy of.
    private mutating func original() -> String {
        let train = sound.filter { $0.hasPrefix("train/") }
        defer { copied += 1 }
        return train[copied]
    }

    private func bytes(of id: String) throws -> [UInt8] { try FileBytes.read(folder.path + "/" + id) }

    private func folderOf(_ id: String) -> String { (id as NSString).deletingLastPathComponent }

    /// Writes a copy made by `change` beside a sound file, or in another split or class.
    private mutating func copy(
        _ name: String, into place: (String) -> String, change: ([UInt8]) throws -> [UInt8]
    ) throws -> String {
        let source = original()
        let id = place(folderOf(source)) + "/" + name + ".jpg"
        try folder.write(id, try change(try bytes(of: source)))
        return id
    }

    private func link(_ name: String, to target: String) throws -> String {
        let id = "train/class1/\(name)"
        try folder.folder("train/class1")
        symlink(target, folder.path + "/" + id)
        return id
    }

    private static let kinds: [(String, Finding.Kind, Make)] = [
        ("jpeg-cut-in-half", .damaged, { try $0.write($1 + ".jpg", ImageCodec.jpeg($2).half) }),
        (
            "jpeg-cut-anywhere", .damaged,
            { plant, name, picture in
                let jpeg = try ImageCodec.jpeg(picture)
                return try plant.write(name + ".jpg", Array(jpeg.prefix(1 + plant.pick(jpeg.count - 2))))
            }
        ),
        ("jpeg-without-end", .damaged, { try $0.write($1 + ".jpg", Array(ImageCodec.jpeg($2).dropLast(2))) }),
        ("png-cut-in-half", .damaged, { try $0.write($1 + ".png", ImageCodec.png($2).half) }),
        ("png-without-end", .damaged, { try $0.write($1 + ".png", Array(ImageCodec.png($2).dropLast(12))) }),
        ("empty", .damaged, { plant, name, _ in try plant.write(name + ".jpg", []) }),
        ("text-as-jpeg", .damaged, { plant, name, _ in try plant.write(name + ".jpg", Array("not a picture".utf8)) }),
        (
            "page-as-png", .damaged,
            { plant, name, _ in try plant.write(name + ".png", Array("<html>404</html>".utf8)) }
        ),
        ("png-wrong-sum", .damaged, { try $0.write($1 + ".png", ImageCodec.png($2).flipping(48)) }),
        ("png-header-bit", .damaged, { try $0.write($1 + ".png", ImageCodec.png($2).flipping(18)) }),
        (
            "png-bad-text", .damaged,
            { plant, name, picture in
                let png = try ImageCodec.png(picture)
                let text: [UInt8] = [0, 0, 0, 3] + Array("tEXta".utf8) + [0, 98, 1, 2, 3, 4]
                return try plant.write(name + ".png", Array(png.prefix(33)) + text + png[33...])
            }
        ),
        ("jpeg-start-bit", .damaged, { try $0.write($1 + ".jpg", ImageCodec.jpeg($2).flipping(1)) }),
        (
            "jpeg-frame-bit", .damaged,
            { plant, name, picture in
                let jpeg = try ImageCodec.jpeg(picture)
                let frame = jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 } ?? 0
                return try plant.write(name + ".jpg", jpeg.flipping(frame + 3))
            }
        ),
        (
            "noise-as-jpeg", .damaged,
            { plant, name, _ in
                let noise = (0..<900).map { _ in UInt8(plant.pick(256)) }
                return try plant.write(name + ".jpg", [0xFF, 0xD8, 0xFF, 0xE0] + noise)
            }
        ),
        (
            "png-absurd-size", .damaged,
            { plant, name, picture in
                try plant.write(name + ".png", ImageCodec.png(picture).replacing(16, [0, 0, 255, 255, 0, 0, 255, 255]))
            }
        ),
        (
            "jpeg-absurd-size", .damaged,
            { plant, name, picture in
                let jpeg = try ImageCodec.jpeg(picture)
                let frame = jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 } ?? 0
                return try plant.write(name + ".jpg", jpeg.replacing(frame + 5, [255, 220, 255, 220]))
            }
        ),
        ("link-to-itself", .damaged, { plant, name, _ in try plant.link(name + ".jpg", to: name + ".jpg") }),
        ("link-to-nothing", .damaged, { plant, name, _ in try plant.link(name + ".png", to: "gone.png") }),
        (
            "pipe", .damaged,
            { plant, name, _ in
                try plant.folder.folder("train/class1")
                mkfifo(plant.folder.path + "/train/class1/\(name).jpg", 0o600)
                return "train/class1/\(name).jpg"
            }
        ),
        (
            "cut-and-saved-again", .cut,
            { plant, name, picture in
                let row = picture.width * 3
                let start = picture.height * 3 / 5 * row
                let pixels = picture.pixels[..<start] + [UInt8](repeating: 128, count: picture.pixels.count - start)
                let grey = ImageBuffer(width: picture.width, height: picture.height, channels: 3, pixels: Array(pixels))
                return try plant.write(name + ".png", ImageCodec.png(grey))
            }
        ),
        (
            "black", .blank,
            { plant, name, picture in
                let black = [UInt8](repeating: 0, count: picture.pixels.count)
                return try plant.write(
                    name + ".jpg",
                    ImageCodec.jpeg(
                        ImageBuffer(width: picture.width, height: picture.height, channels: 3, pixels: black)))
            }
        ),
        (
            "dot", .tiny,
            { plant, name, picture in
                let pixels = (0..<6).map { picture.pixels[$0 * 97] ^ UInt8($0 * 40) }
                return try plant.write(
                    name + ".png", ImageCodec.png(ImageBuffer(width: 2, height: 1, channels: 3, pixels: pixels)))
            }
        ),
        ("ink-colours", .encoding, { plant, name, _ in try plant.write(name + ".jpg", cmyk(plant.pick(1 << 16))) }),
        ("sixteen-bits", .encoding, { plant, name, _ in try plant.write(name + ".png", deep(plant.pick(1 << 16))) }),
        (
            "turned", .encoding,
            { plant, name, picture in
                let jpeg = try ImageCodec.jpeg(picture)
                let entry: [UInt8] = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0]
                let exif =
                    Array("Exif".utf8) + [0, 0] + Array("MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1] + entry + [0, 0, 0, 0]
                let segment: [UInt8] = [0xFF, 0xE1, 0, UInt8(exif.count + 2)] + exif
                return try plant.write(name + ".jpg", [0xFF, 0xD8] + segment + jpeg[2...])
            }
        ),
        ("png-as-jpeg", .misnamed, { try $0.write($1 + ".jpg", ImageCodec.png($2)) }),
        ("jpeg-as-text", .unread, { try $0.write($1 + ".txt", ImageCodec.jpeg($2)) }),
        (
            "gif", .unread,
            { plant, name, _ in try plant.write(name + ".gif", Array("GIF89a".utf8) + [1, 0, 1, 0, 0, 0, 0, 59]) }
        ),
        ("link-in-a-circle", .unread, { plant, name, _ in try plant.link(name, to: "..") }),
        ("same-bytes", .duplicate, { plant, name, _ in try plant.copy(name, into: { $0 }) { $0 } }),
        (
            "encoded-anew", .duplicate,
            { plant, name, _ in
                try plant.copy(name, into: { $0 }) { try ImageCodec.jpeg(ImageCodec.decode($0), quality: 50) }
            }
        ),
        (
            "half-size", .duplicate,
            { plant, name, _ in
                try plant.copy(name, into: { $0 }) { try ImageCodec.png(ImageCodec.decode($0).halved) }
            }
        ),
        (
            "two-classes", .conflict,
            { plant, name, _ in
                try plant.copy(name, into: { $0.hasSuffix("0") ? "train/class1" : "train/class0" }) { $0 }
            }
        ),
        (
            "tested-on-training", .leak,
            { plant, name, _ in
                try plant.copy(name, into: { $0.replacingOccurrences(of: "train", with: "test") }) { $0 }
            }
        ),
        (
            "tested-on-half-size", .leak,
            { plant, name, _ in
                try plant.copy(name, into: { $0.replacingOccurrences(of: "train", with: "test") }) {
                    try ImageCodec.jpeg(ImageCodec.decode($0).halved, quality: 70)
                }
            }
        ),
    ]

    static var kindCount: Int { kinds.count }

    /// A JPEG of 16 x 16 pixels in four inks, as picture editors write it, with a comment of its own.
    private static func cmyk(_ salt: Int) -> [UInt8] {
        let text = """
            /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLUBXQUZMTlJTUjI+\
            WmFaUGBKUVJP/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMF\
            BQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldY\
            WVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn\
            6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwDrPEH8VdZ/bv8At16PPN5eea9OrzDxB/FR/bv+3WbPqvl5+aivT/EH8VeYf27/ALdG\
            rzeXu5orzDxB/FR/bv8At1w+r6r5e75qK//Z
            """
        let jpeg = Array(Data(base64Encoded: text) ?? Data())
        let comment: [UInt8] = [0xFF, 0xFE, 0, 4, UInt8(salt >> 8), UInt8(salt & 255)]
        return Array(jpeg.prefix(2)) + comment + jpeg.dropFirst(2)
    }

    /// A PNG of 12 x 12 samples of 16 bits.
    private static func deep(_ salt: Int) -> [UInt8] {
        func big(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
        func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
            let body = Array(name.utf8) + data
            return big(data.count) + body + big(Int(Zlib.crc32(body)))
        }
        var random = RandomSource(seed: UInt64(salt))
        var rows: [UInt8] = []
        for _ in 0..<12 {
            rows.append(0)
            for _ in 0..<24 { rows.append(UInt8(random.integer(below: 256))) }
        }
        let packed = (try? Zlib.deflate(rows, format: .zlib)) ?? []
        return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
            + chunk("IHDR", big(12) + big(12) + [16, 0, 0, 0, 0]) + chunk("IDAT", packed) + chunk("IEND", [])
    }
}

extension [UInt8] {
    fileprivate var half: [UInt8] { Array(prefix(count / 2)) }

    fileprivate func flipping(_ index: Int) -> [UInt8] {
        var copy = self
        copy[index] ^= 0x10
        return copy
    }

    fileprivate func replacing(_ start: Int, _ bytes: [UInt8]) -> [UInt8] {
        var copy = self
        copy.replaceSubrange(start..<(start + bytes.count), with: bytes)
        return copy
    }
}

extension ImageBuffer {
    /// Means of 2 x 2 pixels.
    fileprivate var halved: ImageBuffer {
        let (w, h) = (max(1, width / 2), max(1, height / 2))
        var result: [UInt8] = []
        for y in 0..<h {
            for x in 0..<w {
                for c in 0..<channels {
                    var sum = 2
                    for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                        let (sx, sy) = (Swift.min(2 * x + dx, width - 1), Swift.min(2 * y + dy, height - 1))
                        sum += Int(pixels[(sy * width + sx) * channels + c])
                    }
                    result.append(UInt8(sum / 4))
                }
            }
        }
        return ImageBuffer(width: w, height: h, channels: channels, pixels: result)
    }
}
