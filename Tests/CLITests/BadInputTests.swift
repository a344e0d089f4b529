import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Bad input ends with the right exit status and a message that says what is wrong and what to do, never with a crash.
final class BadInputTests: XCTestCase {
    func testThereAreManyKinds() {
        let names = (BadInput.data + BadInput.usage + BadInput.weights).map(\.name)
        XCTAssertEqual(Set(names).count, names.count)
        XCTAssertGreaterThanOrEqual(names.count, 30)
    }

    func testData() throws { try check(BadInput.data) }
    func testUsage() throws { try check(BadInput.usage) }
    func testWeights() throws { try check(BadInput.weights) }

    private func check(_ inputs: [BadInput]) throws {
        for input in inputs {
            let folder = try TemporaryFolder()
            let arguments = try input.arguments(folder)
            let result = try CommandLineTool.run(arguments + ["--json"], in: folder.path)
            let message = result.error.components(separatedBy: "error: ").last ?? ""
            let document = try? JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: [String: Any]]
            var faults: [String] = []
            if result.status != input.status { faults.append("it should have ended with \(input.status)") }
            if !result.error.contains("error: ") { faults.append("it does not begin with 'error:'") }
            if !message.contains("\nnext:  ") { faults.append("it does not say what to do") }
            for words in input.says where !message.contains(words) { faults.append("it does not say: \(words)") }
            if document?["error"]?["exit_code"] as? Int != Int(input.status) { faults.append("no JSON document of it") }
            XCTAssertEqual(
                faults, [],
                "\(input.name): fledge \(arguments.joined(separator: " "))\nended with \(result.status): \(result.error)"
            )
        }
    }

    /// One damaged file among many is left out and listed, not refused and not hidden.
    func testOneDamagedPictureIsListed() throws {
        let folder = try TemporaryFolder()
        for i in 0..<60 { for name in ["a", "b"] { try folder.write("\(name)/\(i).png", Samples.png(i)) } }
        try folder.write("b/x.png", Array(Samples.png().prefix(50)))
        let result = try CommandLineTool.run("data", "inspect", folder.path, "--json")
        XCTAssertEqual(result.status, 0, result.error)
        let damaged = try XCTUnwrap(result.json()["damaged"] as? [[String: Any]])
        XCTAssertEqual(damaged.map { $0["id"] as? String }, ["b/x.png"])
        let strict = try CommandLineTool.run("data", "inspect", folder.path, "--maximum-damaged", "0")
        XCTAssertEqual(strict.status, 3, strict.error)
    }

    func testFullDisk() throws {
        let folder = try TemporaryFolder()
        let mount = folder.path + "/disk"
        try folder.folder("disk")
        let mounted = try CommandLineTool.run(
            try train(mount + "/run"), shell: "mount -t tmpfs -o size=256k none '\(mount)' || exit 99")
        defer { _ = try? CommandLineTool.run([], shell: "umount '\(mount)' 2>/dev/null; exit 0") }
        try XCTSkipIf(mounted.status == 99, "only root can mount a small disk")
        XCTAssertEqual(mounted.status, 6, mounted.error)
        XCTAssertTrue(mounted.error.contains("the disk has too little room for this training"), mounted.error)
        XCTAssertTrue(mounted.error.contains("\nnext:  "), mounted.error)
    }

    /// A file that outgrows what the account may write must be an error too, not the signal that the system sends.
    func testFileSizeLimit() throws {
        let folder = try TemporaryFolder()
        let result = try CommandLineTool.run(try train(folder.path + "/run"), shell: "ulimit -f 64")
        XCTAssertEqual(result.status, 6, result.error)
        XCTAssertTrue(result.error.contains("\nnext:  "), result.error)
        XCTAssertFalse(FileManager.default.fileExists(atPath: folder.path + "/run/model.safetensors"))
    }

    func testOutOfMemory() throws {
        let folder = try TemporaryFolder()
        let huge = ["--image-size", "512", "--set", "batchSize=24"]
        let result = try CommandLineTool.run(
            try train(folder.path + "/run") + huge + ["--json"], shell: "ulimit -v 1500000")
        XCTAssertEqual(result.status, 6, result.error)
        XCTAssertTrue(result.error.contains("error: out of memory"), result.error)
        XCTAssertTrue(result.error.contains("next:  use a smaller batch"), result.error)
        XCTAssertEqual((try result.json()["error"] as? [String: Any])?["exit_code"] as? Int, 6)
    }

    private func train(_ out: String, method: String = "supervised") throws -> [String] {
        let images = try Samples.shared.get().images
        return ["train", method, "--data", images, "--out", out, "--set", "batchSize=8", "--quiet"]
            + ["--set", "training.steps=2"]
    }
}
