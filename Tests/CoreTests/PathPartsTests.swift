import FledgeCore
import XCTest

final class PathPartsTests: XCTestCase {
    func testParts() {
        let cases: [(path: String, name: String, folder: String, suffix: String)] = [
            ("a/b.png", "b.png", "a", "png"), ("b.tar.gz", "b.tar.gz", "", "gz"), ("/b", "b", "/", ""),
            ("/a/b/", "b", "/a", ""), ("/", "/", "/", ""), ("", "", "", ""), ("a//b", "b", "a/", ""),
            (".hidden", ".hidden", "", ""), ("a.b/c", "c", "a.b", ""), ("x.", "x.", "", ""),
        ]
        for (path, name, folder, suffix) in cases {
            XCTAssertEqual(path.lastPathComponent, name, path)
            XCTAssertEqual(path.deletingLastPathComponent, folder, path)
            XCTAssertEqual(path.pathExtension, suffix, path)
        }
        // What a fuzzer found to stop the process in Foundation.
        let broken = String(decoding: [0x61, 0x2F, 0x2F, 0xFF, 0xFF, 0x2F, 0xA8, 0x2E, 0x70] as [UInt8], as: UTF8.self)
        XCTAssertEqual(broken.pathExtension, "p")
    }
}
