import FledgeCore
import Synchronization

/// Image files that are decoded when asked for. Decoded images stay in memory up to a limit; what does not fit is
/// decoded again each time.
final class ImageFileStore: Sendable {
    struct File: Sendable {
        var path: String
        var width: Int
        var height: Int
    }

    private struct Cache {
        var images: [ImageBuffer?]
        var bytes = 0
    }

    let files: [File]
    let channels: Int
    private let shortestSide: Int?
    private let pixelLimit: Int
    private let cacheLimit: Int
    private let cache: Mutex<Cache>
    let uniformSize: (width: Int, height: Int)?

    /// `decoded` holds the images that the check at opening has already decoded, in file order.
    init(
        files: [File], channels: Int, shortestSide: Int?, pixelLimit: Int, cacheLimit: Int, decoded: [ImageBuffer?]
    ) {
        self.files = files
        self.channels = channels
        self.shortestSide = shortestSide
        self.pixelLimit = pixelLimit
        self.cacheLimit = cacheLimit
        cache = Mutex(Cache(images: decoded, bytes: decoded.reduce(0) { $0 + ($1?.pixels.count ?? 0) }))
        if let first = files.first, files.allSatisfy({ $0.width == first.width && $0.height == first.height }) {
            uniformSize = (first.width, first.height)
        } else {
            uniformSize = nil
        }
    }

    func size(of index: Int) -> (width: Int, height: Int) { (files[index].width, files[index].height) }

    /// One decoded image. Throws `DataError` with the path when the file has changed or gone since it was opened.
    func image(_ index: Int) throws -> ImageBuffer {
        if let image = cache.withLock({ $0.images[index] }) { return image }
        let file = files[index]
        let image = try Self.load(
            file.path, channels: channels, shortestSide: shortestSide, pixelLimit: pixelLimit)
        guard image.width == file.width, image.height == file.height else {
            throw DataError.undecodable(path: file.path, reason: "it has changed since the data was opened")
        }
        cache.withLock { cache in
            if cache.images[index] == nil, cache.bytes + image.pixels.count <= cacheLimit {
                cache.images[index] = image
                cache.bytes += image.pixels.count
            }
        }
        return image
    }

    /// Reads and decodes one file. Throws `DataError`.
    static func load(_ path: String, channels: Int?, shortestSide: Int?, pixelLimit: Int) throws -> ImageBuffer {
        let bytes: [UInt8]
        do {
            bytes = try FileBytes.read(path, limit: fileLimit)
        } catch let error as FileError {
            throw DataError.unreadable(path: path, reason: error.reason)
        }
        do {
            return try ImageCodec.decode(
                bytes, channels: channels, shortestSide: shortestSide, pixelLimit: pixelLimit)
        } catch ImageError.tooLarge(let reason) {
            throw DataError.tooLarge(path: path, reason: reason)
        } catch let error as ImageError {
            throw DataError.undecodable(path: path, reason: error.description)
        }
    }

    /// An image file of more bytes is refused before it is read.
    static let fileLimit = 512 << 20
}
