import FledgeTesting
import Foundation
import XCTest

@testable import FledgeTrack

final class EventFileTests: XCTestCase {
    /// RFC 3720, appendix B.4.
    func testChecksums() {
        XCTAssertEqual(CRC32C.checksum([UInt8](repeating: 0, count: 32)), 0x8A91_36AA)
        XCTAssertEqual(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)), 0x62A8_AB43)
        XCTAssertEqual(CRC32C.checksum(0..<32), 0x46DD_794E)
        XCTAssertEqual(CRC32C.checksum(Array("123456789".utf8)), 0xE306_9283)
    }

    /// The bytes of TensorBoard's own writer; see Golden/tensorboard.py.
    func testBytesAreThoseOfTensorBoard() throws {
        let time = 1_763_712_000.25
        var file = EventFile(time: time)
        file.addText("settings", "| setting | value |\n|---|---|\n| größe | 3 |", step: 0, time: time)
        file.addScalar("train/loss", 2.5, step: 1, time: time)
        file.addScalar("train/loss", -0.1, step: 300, time: time)
        file.addScalar("report/accuracy", 0.972, step: 70000, time: time)
        let golden = try Data(
            contentsOf: URL(fileURLWithPath: Bundle.module.bundlePath + "/Golden/events.tfevents"))
        XCTAssertEqual(file.bytes, Array(golden))
    }
}
