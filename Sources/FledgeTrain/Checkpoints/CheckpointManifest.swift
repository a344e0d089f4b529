import Crypto
import FledgeCore
import Foundation

/// `MANIFEST`: the SHA-256 of every other file of a checkpoint. It is written last, so a folder without a sound one was
/// never finished. `sha256sum --check MANIFEST` reads it too; the first line, a comment to that program, holds the
/// SHA-256 of the lines below it.
public struct CheckpointManifest: Sendable, Equatable {
    /// File name to lower-case hexadecimal SHA-256.
    public let digests: [String: String]

    public static let fileName = "MANIFEST"
    /// The most bytes of a manifest; a sound one has a few hundred.
    public static let largest = 1 << 16

    public init(digests: [String: String]) { self.digests = digests }

    public var text: String {
        let lines = digests.sorted { $0.key < $1.key }.map { "\($0.value)  \($0.key)\n" }.joined()
        return Self.firstLine(over: lines) + lines
    }

    private static func firstLine(over lines: String) -> String {
        "# fledge checkpoint 1, SHA-256 of the lines below: \(SHA256.hash(data: Data(lines.utf8)).hexadecimal)\n"
    }

    /// Reads a manifest; nil for anything but the exact bytes that `text` gives.
    public init?(parsing bytes: [UInt8]) {
        guard bytes.count <= Self.largest, let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var digests: [String: String] = [:]
        for line in text.split(separator: "\n").dropFirst() {
            let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0].utf8.count == 64, parts[1].isEmpty else { return nil }
            // A name that leads out of the folder is refused.
            guard !parts[2].isEmpty, !parts[2].contains("/"), parts[2] != ".." else { return nil }
            digests[String(parts[2])] = String(parts[0])
        }
        self.digests = digests
        guard Array(self.text.utf8) == bytes else { return nil }
    }
}

extension Digest {
    var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
