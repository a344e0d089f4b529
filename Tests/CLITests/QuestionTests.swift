import FledgeTesting
import Foundation
import XCTest

/// Asking, and doubting labels, from the command line.
final class QuestionTests: XCTestCase {
    func testActive() throws {
        let folder = try TemporaryFolder()
        let out = folder.path + "/a"
        let arguments = ["active", "digits", "--strategy", "margin", "--until", "40", "--seeds", "1", "--out", out]
        let result = try CommandLineTool.run(arguments + ["--json"])
        XCTAssertEqual(result.status, 0, result.error)
        let json = try result.json()
        let strategies = try XCTUnwrap(json["strategies"] as? [[String: Any]])
        XCTAssertEqual(strategies.map { $0["strategy"] as? String }, ["margin", "random"])
        XCTAssertEqual((json["points"] as? [Any])?.count, 6)
        let curves = try String(contentsOfFile: out + "/curves.csv", encoding: .utf8)
        XCTAssertEqual(curves.split(separator: "\n").count, 7)
        // Both begin from the same samples.
        let first = curves.split(separator: "\n").filter { $0.contains(",0,20,") }.map { $0.split(separator: ",")[3] }
        XCTAssertEqual(first.count, 2)
        XCTAssertEqual(first[0], first[1])
        let page = try String(contentsOfFile: out + "/report.html", encoding: .utf8)
        XCTAssertTrue(page.contains(">labels</text>"))

        // What is there is not written over, and is no run to go on with.
        XCTAssertEqual(try CommandLineTool.run(arguments).status, 2)
        XCTAssertEqual(try CommandLineTool.run("resume", out).status, 2)
        for wrong in [["--strategy", "margn"], ["--until", "10"], ["--step", "0"], ["--set", "threshold=0.5"]] {
            XCTAssertEqual(try CommandLineTool.run(["active", "digits"] + wrong).status, 2, "\(wrong)")
        }
    }

    func testMislabelled() throws {
        let folder = try TemporaryFolder()
        let out = folder.path + "/suspects.csv"
        let result = try CommandLineTool.run("data", "mislabelled", "digits", "--json", "--out", out)
        XCTAssertEqual(result.status, 0, result.error)
        let json = try result.json()
        XCTAssertEqual(json["samples"] as? Int, 3823)
        XCTAssertGreaterThan(try XCTUnwrap(json["agreement"] as? Double), 0.9)
        XCTAssertLessThan(try XCTUnwrap(json["noise"] as? Double), 0.05)
        let suspects = try XCTUnwrap(json["suspects"] as? [[String: Any]])
        let lines = try String(contentsOfFile: out, encoding: .utf8).split(separator: "\n")
        XCTAssertEqual(lines.count, suspects.count + 1)
        XCTAssertTrue(lines[1].hasPrefix("\(suspects[0]["id"] ?? ""),"))
    }

    /// Two classes of the data become one, and the result is measured so, here and by `evaluate`.
    func testPositiveUnlabelled() throws {
        let folder = try TemporaryFolder()
        let out = folder.path + "/pu"
        let trained = try CommandLineTool.run(
            "train", "nnpu", "--data", "digits", "--labels-per-class", "20", "--set", "positive=0,1", "--set",
            "prior=0.2", "--set", "training.steps=60", "--model", "mlp", "--out", out, "--json")
        XCTAssertEqual(trained.status, 0, trained.error)
        let report = try trained.json()
        XCTAssertEqual(report["class_names"] as? [String], ["not 0, 1", "0, 1"])
        let accuracy = try XCTUnwrap(report["accuracy"] as? Double)
        XCTAssertGreaterThan(accuracy, 0.85)
        let measured = try CommandLineTool.run("evaluate", out, "--data", "digits", "--json")
        XCTAssertEqual(measured.status, 0, measured.error)
        XCTAssertEqual(try XCTUnwrap(measured.json()["accuracy"] as? Double), accuracy, accuracy: 1e-9)
        for wrong in [[], ["--set", "positive=11"], ["--set", "positive=0,1,2,3,4,5,6,7,8,9"]] {
            let refused = try CommandLineTool.run(
                ["train", "nnpu", "--data", "digits", "--json"] + wrong, in: folder.path)
            XCTAssertEqual(refused.status, 2, "\(wrong)")
        }
    }

    /// The file of votes is told by its name, and the majority stands beside the label model.
    func testVotes() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/votes.csv"
        // The pictures are sorted by class, about 382 of each: sources that know roughly where each class begins.
        let rows = (0..<3823).map { i in
            "\(i),\(min(9, i / 382)),\(min(9, (i + 40) / 382)),\(i % 3 == 0 ? "" : String(min(9, i / 400)))\n"
        }
        try ("id,one,two,three\n" + rows.joined()).write(toFile: path, atomically: true, encoding: .utf8)
        let result = try CommandLineTool.run(
            "train", "label-model", "--data", "digits", "--set", "votes=\(path)", "--set", "training.steps=5",
            "--model",
            "mlp", "--out", folder.path + "/run", "--json")
        XCTAssertEqual(result.status, 0, result.error)
        let metrics = try XCTUnwrap(result.json()["metrics"] as? [String: Any])
        XCTAssertNotNil(metrics["majority_vote_accuracy"] as? Double)
        XCTAssertGreaterThan(try XCTUnwrap(metrics["label_model_accuracy"] as? Double), 0.8)
        XCTAssertEqual(metrics["coverage"] as? Double, 1)
        try "id,one\n0,12\n".write(toFile: path, atomically: true, encoding: .utf8)
        let refused = try CommandLineTool.run(
            "train", "label-model", "--data", "digits", "--set", "votes=\(path)", in: folder.path)
        XCTAssertEqual(refused.status, 3, refused.error)
        XCTAssertTrue(refused.error.contains("'12' (column 'one')"), refused.error)
    }
}
