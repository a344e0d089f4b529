import FledgeCore
import FledgeFuzzing
import FledgeTesting
import Foundation
import XCTest

/// What `make fuzz` does for hours, for seconds: sound inputs of every reader, saved ones that once broke it, and a few
/// thousand mutations of both, the same every time.
final class MutationTests: XCTestCase {
    private static let mutations = 3_000

    func testSoundInputsAreTaken() throws {
        for reader in FuzzReader.all {
            let seeds = try reader.seeds()
            XCTAssertFalse(seeds.isEmpty, reader.name)
            XCTAssertTrue(seeds.contains { reader.read($0) }, "\(reader.name) takes none of its seeds")
        }
    }

    func testSavedInputs() throws {
        let corpus = Bundle.module.bundlePath + "/Corpus"
        for name in try FileManager.default.contentsOfDirectory(atPath: corpus) where name != "README.md" {
            let reader = try XCTUnwrap(FuzzReader.all.first { $0.name == name }, "no reader is called \(name)")
            for file in try FileManager.default.contentsOfDirectory(atPath: corpus + "/" + name) {
                let seconds = try measure { reader.read(try FileBytes.read("\(corpus)/\(name)/\(file)")) }
                XCTAssertLessThan(seconds, 1, "\(name)/\(file)")
            }
        }
    }

    func testMutations() throws {
        for reader in FuzzReader.all {
            let seeds = try reader.seeds()
            var worst = (seconds: 0.0, mutation: 0)
            let before = ResidentMemory.now
            ResidentMemory.resetPeak()
            for mutation in 0..<Self.mutations {
                let input = mutated(seeds, longest: reader.longest, mutation)
                let seconds = measure { reader.read(input) }
                if seconds > worst.seconds { worst = (seconds, mutation) }
            }
            XCTAssertLessThan(worst.seconds, 1, "\(reader.name), mutation \(worst.mutation)")
            XCTAssertLessThan(ResidentMemory.peak - before, 48 << 20, "\(reader.name) took much memory")
        }
    }

    private func measure(_ body: () throws -> Void) rethrows -> Double {
        let start = DispatchTime.now().uptimeNanoseconds
        try body()
        return Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
    }

    /// A seed with up to eight changes: bits, bytes, numbers at the edge of their range, cuts, copies, other seeds.
    private func mutated(_ seeds: [[UInt8]], longest: Int, _ mutation: Int) -> [UInt8] {
        var random = RandomSource(seed: 7).stream("mutation").at(mutation)
        var bytes = seeds[random.integer(below: seeds.count)]
        for _ in 0...random.integer(below: 8) {
            guard !bytes.isEmpty else { break }
            let at = random.integer(below: bytes.count)
            switch random.integer(below: 7) {
            case 0: bytes[at] ^= 1 << UInt8(random.integer(below: 8))
            case 1: bytes[at] = UInt8(random.integer(below: 256))
            case 2: bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x0A, 0x2C][random.integer(below: 8)]
            case 3:
                let edges: [[UInt8]] = [
                    [0xFF, 0xFF, 0xFF, 0xFF], [0x7F, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0x80], [0, 0, 0, 0],
                ]
                for (k, byte) in edges[random.integer(below: 4)].enumerated() where at + k < bytes.count {
                    bytes[at + k] = byte
                }
            case 4: bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.integer(below: 16)))
            case 5:
                let part = bytes[at..<min(bytes.count, at + 1 + random.integer(below: 32))]
                bytes.insert(contentsOf: Array(part), at: random.integer(below: bytes.count))
            default:
                let other = seeds[random.integer(below: seeds.count)]
                bytes = Array(bytes.prefix(at)) + other.suffix(random.integer(below: other.count + 1))
            }
        }
        return Array(bytes.prefix(longest))
    }
}
