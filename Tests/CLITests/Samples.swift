import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Small data and runs that several tests use, made once.
final class Samples: Sendable {
    private let folder: TemporaryFolder

    static let shared = Result { try Samples() }

    /// 24 + 12 grey pictures of 8 x 8 in IDX files: one half is bright, and which half is the class.
    var images: String { folder.path + "/images" }
    /// 24 + 12 rows of 3 numbers with the classes `near` and `far`.
    var table: String { folder.path + "/table" }
    /// 12 colour pictures of 8 x 8 in PNG files, in two folders.
    var colours: String { folder.path + "/colours" }
    /// What three sources say of the training pictures of `images`, one of them wrong now and then.
    var votes: String { folder.path + "/votes.csv" }
    /// The same.
    var tags: String { folder.path + "/tags.csv" }
    /// A run of `train supervised` on `images`, of two steps.
    var run: String { folder.path + "/supervised" }
    /// A run of `train simclr` on `images`, of two steps.
    var features: String { folder.path + "/simclr" }

    private init() throws {
        folder = try TemporaryFolder()
        for (split, count) in [("train", 24), ("t10k", 12)] {
            try folder.write("images/\(split)-images-idx3-ubyte", Self.idx([count, 8, 8], Self.halves(count)))
            try folder.write("images/\(split)-labels-idx1-ubyte", Self.idx([count], (0..<count).map { UInt8($0 % 2) }))
        }
        for (split, count) in [("train", 24), ("test", 12)] {
            let rows = (0..<count).map { i in
                "\(Double(i % 2) + 0.01 * Double(i)),\(i % 5),\(i % 3),\(i % 2 == 0 ? "near" : "far")"
            }
            try folder.write("table/\(split).csv", "a,b,c,label\n" + rows.joined(separator: "\n") + "\n")
        }
        for i in 0..<12 {
            let pixels = (0..<192).map { UInt8(($0 * (i + 3) + i * 17) % 256) }
            try folder.write(
                "colours/\(i % 2 == 0 ? "even" : "odd")/\(i).png",
                try ImageCodec.png(ImageBuffer(width: 8, height: 8, channels: 3, pixels: pixels)))
        }
        let votes = (0..<24).map { i in "\(i % 2),\(i % 2),\(i % 5 == 0 ? 1 - i % 2 : i % 2)" }
        let tags = (0..<24).map { i in i % 2 == 0 ? "#even" : "odd \(i % 3)" }
        try folder.write("tags.csv", "tags\n" + tags.joined(separator: "\n") + "\n")
        try folder.write("votes.csv", "a,b,c\n" + votes.joined(separator: "\n") + "\n")
        for (method, run) in [("supervised", run), ("simclr", features)] {
            let result = try CommandLineTool.run(
                "train", method, "--data", images, "--out", run, "--set", "training.steps=2", "--set", "batchSize=8")
            guard result.status == 0 else { throw StringError(result.error) }
        }
    }

    /// Pictures of 8 x 8: the left or the right half bright, every picture a little different.
    static func halves(_ count: Int) -> [UInt8] {
        (0..<count).flatMap { i in
            (0..<64).map { place -> UInt8 in
                let isBright = (place % 8 < 4) == (i % 2 == 0)
                return UInt8((isBright ? 180 : 20) + (i * 7 + place * 3) % 20)
            }
        }
    }

    /// The bytes of an IDX file of unsigned bytes.
    static func idx(_ shape: [Int], _ data: [UInt8]) -> [UInt8] {
        let sizes = shape.flatMap { size -> [UInt8] in [24, 16, 8, 0].map { UInt8(size >> $0 & 255) } }
        return [0, 0, 8, UInt8(shape.count)] + sizes + data
    }

    /// A PNG of 8 x 8.
    static func png(_ salt: Int = 0) throws -> [UInt8] {
        try ImageCodec.png(
            ImageBuffer(width: 8, height: 8, channels: 1, pixels: (0..<64).map { UInt8(($0 * 3 + salt * 17) % 256) }))
    }

    private struct StringError: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}
