import FledgeTesting
import Foundation
import XCTest

/// `fledge runs` on folders as runs leave them.
final class RunsCommandTests: XCTestCase {
    private func project() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (name, accuracy) in [("a", "0.9"), ("b", "0.95")] {
            try folder.write("runs/\(name)/run.yaml", "method: simclr\ndata: digits\nseed: \(accuracy.count)\n")
            try folder.write("runs/\(name)/report.json", #"{"title":"t","accuracy":\#(accuracy),"seconds":3}"#)
            try folder.write("runs/\(name)/metrics.jsonl", "{\"loss\":2,\"stage\":\"s\",\"step\":1}\n")
        }
        try folder.write("runs/broken/run.yaml", "a: [")
        return folder
    }

    private func run(_ arguments: String..., in folder: TemporaryFolder) throws -> CommandLineTool.Result {
        try CommandLineTool.run(["runs"] + arguments, in: folder.path)
    }

    func testList() throws {
        let folder = try project()
        let listed = try run("ls", in: folder)
        XCTAssertEqual(listed.status, 0, listed.error)
        for words in ["a       simclr  digits  finished", "90.0 %", "95.0 %", "broken", "unreadable"] {
            XCTAssertTrue(listed.output.contains(words), "\(words) in \(listed.output)")
        }
        XCTAssertTrue(listed.error.contains("warning: runs/broken: run.yaml"), listed.error)
        let document = try run("ls", "--json", in: folder)
        let runs = try XCTUnwrap(
            try JSONSerialization.jsonObject(with: Data(document.output.utf8)) as? [[String: Any]])
        XCTAssertEqual(runs.map { $0["name"] as? String }, ["a", "b", "broken"])
    }

    func testShowDiffAndBest() throws {
        let folder = try project()
        let shown = try run("show", "runs/a/", "--json", in: folder).json()
        XCTAssertEqual((shown["last"] as? [String: Double])?["s/loss"], 2)
        let difference = try run("diff", "a", "b", in: folder)
        XCTAssertTrue(difference.output.contains("accuracy"), difference.output)
        XCTAssertTrue(difference.output.contains("seed"), difference.output)
        XCTAssertFalse(difference.output.contains("method"), difference.output)
        let best = try run("best", in: folder).output.split(separator: "\n")
        XCTAssertTrue(best[1].hasPrefix("b "), "\(best)")
        XCTAssertTrue(try run("best", "--lowest", in: folder).output.split(separator: "\n")[1].hasPrefix("a "))
        XCTAssertEqual(try run("show", "c", in: folder).status, 2)
        XCTAssertEqual(try run("ls", "--runs", "nowhere", in: folder).status, 2)
    }

    func testRemove() throws {
        let folder = try project()
        XCTAssertEqual(try run("rm", "a", "nothing", in: folder).status, 2)
        XCTAssertTrue(FileManager.default.fileExists(atPath: folder.path + "/runs/a"), "one wrong name removes nothing")
        let removed = try run("rm", "a", in: folder)
        XCTAssertEqual(removed.output, "a is now runs/.trash/a\n", removed.error)
        XCTAssertEqual(try run("rm", "b", "--delete", in: folder).output, "b is deleted\n")
        XCTAssertFalse(try run("ls", in: folder).output.contains("simclr"))
    }

    func testTensorBoard() throws {
        let folder = try project()
        let written = try run("tensorboard", "a", in: folder)
        XCTAssertEqual(written.output, "runs/a/events.out.tfevents.0.fledge\n", written.error)
        XCTAssertEqual(try run("tensorboard", in: folder).output.split(separator: "\n").count, 2)
    }
}
