import FledgeTesting
import Foundation
import XCTest

/// What a person sees of damaged data: `fledge data check`, and a run that leaves samples out.
final class DamagedDataTests: XCTestCase {
    /// 120 sound pictures in two classes and a test split; `damage` more that are none.
    private func pictures(damaged: Int) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for i in 0..<60 {
            for name in ["a", "b"] { try folder.write("train/\(name)/\(i).png", Samples.png(i)) }
        }
        for name in ["a", "b"] { try folder.write("test/\(name)/1.png", Samples.png(70)) }
        for i in 0..<damaged { try folder.write("train/b/x\(i).png", Array(Samples.png().prefix(50 + i))) }
        return folder
    }

    func testCheckListsAndFails() throws {
        let folder = try pictures(damaged: 1)
        let result = try CommandLineTool.run("data", "check", folder.path, "--json")
        XCTAssertEqual(result.status, 3, result.error)
        let document = try result.json()
        let findings = try XCTUnwrap(document["findings"] as? [[String: Any]])
        let damaged = findings.filter { $0["kind"] as? String == "damaged" }
        XCTAssertEqual(
            damaged.map { ($0["places"] as? [[String: Any]])?.first?["id"] as? String }, ["train/b/x0.png"])
        XCTAssertEqual(document["ok"] as? Bool, false)
        // The samples of the two classes are the same pictures.
        let counts = try XCTUnwrap(document["counts"] as? [String: Int])
        XCTAssertGreaterThan(counts["conflict", default: 0], 0)
    }

    func testAllowedKindsDoNotFail() throws {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", "a,label\n1,x\n2,y\n1,x\n3,y\n")
        XCTAssertEqual(try CommandLineTool.run("data", "check", folder.path + "/t.csv").status, 3)
        let allowed = try CommandLineTool.run("data", "check", folder.path + "/t.csv", "--allow", "duplicate")
        XCTAssertEqual(allowed.status, 0, allowed.error)
        XCTAssertTrue(allowed.output.contains("duplicate: 1"), allowed.output)
        XCTAssertEqual(try CommandLineTool.run("data", "check", "digits").status, 0)
        XCTAssertEqual(try CommandLineTool.run("data", "check", "digits", "--allow", "nonsense").status, 2)
    }

    func testRunNamesWhatItLeavesOut() throws {
        let folder = try pictures(damaged: 1)
        let before = try contents(folder.path)
        let out = try TemporaryFolder()
        let result = try CommandLineTool.run(
            "train", "supervised", "--data", folder.path, "--out", out.path + "/run", "--set", "training.steps=2",
            "--json")
        XCTAssertEqual(result.status, 0, result.error)
        XCTAssertTrue(result.error.contains("1 damaged sample was left out"), result.error)
        let lines = try String(contentsOfFile: out.path + "/run/quarantine.jsonl", encoding: .utf8)
            .split(separator: "\n")
        XCTAssertEqual(lines.count, 1)
        XCTAssertTrue(lines[0].contains(#""id":"train/b/x0.png""#), String(lines[0]))
        let listed = try XCTUnwrap(result.json()["damaged"] as? [[String: Any]])
        XCTAssertEqual(listed.map { $0["id"] as? String }, ["train/b/x0.png"])
        let page = try String(contentsOfFile: out.path + "/run/report.html", encoding: .utf8)
        XCTAssertTrue(page.contains("Left out as damaged"))
        XCTAssertEqual(try contents(folder.path), before, "the data were changed")
    }

    func testRunFailsAboveTheLimit() throws {
        let folder = try pictures(damaged: 2)
        let arguments = ["train", "supervised", "--data", folder.path, "--set", "training.steps=1"]
        let strict = try CommandLineTool.run(arguments + ["--out", folder.path + "/../refused"])
        XCTAssertEqual(strict.status, 3, strict.error)
        XCTAssertTrue(strict.error.contains("2 of 124 samples are damaged"), strict.error)
    }

    /// The bytes of every file below a folder.
    private func contents(_ path: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            files[name] = FileManager.default.contents(atPath: path + "/" + name)
        }
        return files
    }
}
