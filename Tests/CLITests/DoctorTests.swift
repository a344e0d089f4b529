import Foundation
import XCTest

final class DoctorTests: XCTestCase {
    func testText() throws {
        let result = try CommandLineTool.run("doctor")
        XCTAssertEqual(result.status, 0, result.error)
        XCTAssertEqual(result.error, "")
        for name in ["processor", "cores", "memory", "temporary folder"] { XCTAssertTrue(result.output.contains(name)) }
        XCTAssertTrue(result.output.hasSuffix("This machine can run Fledge.\n"), result.output)
    }

    func testJSON() throws {
        let result = try CommandLineTool.run("doctor", "--json")
        XCTAssertEqual(result.status, 0)
        let document = try result.json()
        XCTAssertEqual(document["ok"] as? Bool, true)
        let findings = try XCTUnwrap(document["findings"] as? [[String: Any]])
        let cores = try XCTUnwrap(findings.first { $0["name"] as? String == "cores" })
        XCTAssertGreaterThan(Int(try XCTUnwrap(cores["value"] as? String)) ?? 0, 0)
    }

    func testFolderThatCannotBeWritten() throws {
        let result = try CommandLineTool.run("doctor", "--json", in: "/proc")
        XCTAssertEqual(result.status, 6)
        let document = try result.json()
        XCTAssertEqual(document["ok"] as? Bool, false)
        let findings = try XCTUnwrap(document["findings"] as? [[String: Any]])
        XCTAssertEqual(findings.first { $0["name"] as? String == "working folder" }?["level"] as? String, "bad")
        XCTAssertEqual(findings.first { $0["name"] as? String == "temporary folder" }?["level"] as? String, "good")
    }
}
