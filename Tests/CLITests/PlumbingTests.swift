import Fledge
import Foundation
import XCTest

final class PlumbingTests: XCTestCase {
    func testVersionAndHelp() throws {
        let version = try CommandLineTool.run("--version")
        XCTAssertEqual(version.status, 0)
        XCTAssertEqual(version.output, FledgeVersion.current + "\n")
        let help = try CommandLineTool.run("--help")
        XCTAssertEqual(help.status, 0)
        XCTAssertTrue(help.output.contains("doctor"), help.output)
        XCTAssertTrue(help.output.contains("75 stopped by a signal"), help.output)
        let none = try CommandLineTool.run()
        XCTAssertEqual(none.status, 0)
        XCTAssertTrue(none.output.contains("USAGE"), "no verb shows the help: \(none)")
        XCTAssertEqual(try CommandLineTool.run("help", "doctor").status, 0)
        XCTAssertEqual(try CommandLineTool.run("doctor", "--help").status, 0)
    }

    func testUnknownCommandSuggests() throws {
        let result = try CommandLineTool.run("docter")
        XCTAssertEqual(result.status, 2)
        XCTAssertEqual(result.output, "")
        XCTAssertEqual(result.error, "error: there is no command 'docter'\nnext:  did you mean 'doctor'?\n")
        let far = try CommandLineTool.run("xyzzy")
        XCTAssertEqual(far.status, 2)
        XCTAssertTrue(far.error.contains("`fledge --help` lists"), far.error)
    }

    func testUnknownOptionSuggests() throws {
        let result = try CommandLineTool.run("doctor", "--jsno")
        XCTAssertEqual(result.status, 2)
        XCTAssertTrue(result.error.contains("Unknown option '--jsno'. Did you mean '--json'?"), result.error)
        XCTAssertTrue(result.error.contains("next:  fledge doctor"), result.error)
        XCTAssertEqual(try CommandLineTool.run("doctor", "extra").status, 2)
        XCTAssertEqual(try CommandLineTool.run("--nothing").status, 2)
    }

    func testFailureWithJSONIsADocument() throws {
        let result = try CommandLineTool.run("docter", "--json")
        XCTAssertEqual(result.status, 2)
        let error = try XCTUnwrap(result.json()["error"] as? [String: Any])
        XCTAssertEqual(error["exit_code"] as? Int, 2)
        XCTAssertEqual(error["what"] as? String, "there is no command 'docter'")
        XCTAssertEqual(error["next"] as? String, "did you mean 'doctor'?")
        XCTAssertTrue(error["where"] is NSNull)
        XCTAssertTrue(result.error.hasPrefix("error: "))
    }

    func testFullDiskUnderStandardOutput() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { throw XCTSkip("no /dev/full") }
        let result = try CommandLineTool.run("doctor", "--json", outputFile: "/dev/full")
        XCTAssertEqual(result.status, 6)
        XCTAssertTrue(result.error.contains("the disk is full"), result.error)
    }
}
