import FledgeCore
import Foundation
import XCTest

@testable import FledgeTrain

final class RunFolderTests: XCTestCase {
    private var base = ""

    override func setUpWithError() throws {
        base = NSTemporaryDirectory() + "fledge-run-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
    }

    override func tearDown() { try? FileManager.default.removeItem(atPath: base) }

    private func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
    private func entries(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }

    func testWritesEverything() throws {
        let run = try RunFolder.create(at: base + "/a/b/run/")
        XCTAssertEqual(run.path, base + "/a/b/run")
        try run.writeSettings(["method": "simclr"])
        try run.appendMetrics(["step": 1, "loss": 0.5])
        XCTAssertEqual(try read(run.metricsPath), "{\"loss\":0.5,\"step\":1.0}\n", "there before the run ends")
        try run.appendMetrics(["loss": Double.nan])
        XCTAssertEqual(try read(run.metricsPath).split(separator: "\n").last, "{\"loss\":null}")
        XCTAssertTrue(try read(run.logPath).contains("not a finite number"))
        try run.writeEnvironment(RunEnvironment(instructionSet: "avx2", threads: 2, oneDNN: "2.6.3"))
        try run.writeReport(Report(title: "t", data: "d", run: run.path, classNames: ["a", "b"], seed: 1))
        XCTAssertEqual(
            try entries(run.path),
            ["checkpoints", "environment.json", "log.txt", "metrics.jsonl", "report.html", "report.json", "run.yaml"])
        let environment = try JSONDecoder().decode(
            RunEnvironment.self, from: Data(try read(run.environmentPath).utf8))
        XCTAssertEqual(environment.threads, 2)
        XCTAssertEqual(environment.fledge, FledgeVersion.current)
        XCTAssertEqual(try RunFolder.open(at: run.path).path, run.path)
    }

    func testNeverWritesOverAnotherRun() throws {
        let path = base + "/run"
        try RunFolder.create(at: path).writeSettings(["seed": 1])
        XCTAssertThrowsError(try RunFolder.create(at: path)) {
            XCTAssertEqual($0 as? RunError, .notEmpty(path))
        }
        for number in 1...2 {
            let replaced = try RunFolder.create(at: path, overwrite: true)
            try replaced.writeSettings(["seed": number + 1])
            XCTAssertEqual(try read("\(path).old-\(number)/run.yaml"), "seed: \(number)\n")
        }
        XCTAssertEqual(try entries(base), ["run", "run.old-1", "run.old-2"])
    }

    func testEmptyFolderIsUsedAndFileIsRefused() throws {
        try FileManager.default.createDirectory(atPath: base + "/empty", withIntermediateDirectories: true)
        XCTAssertNoThrow(try RunFolder.create(at: base + "/empty"))
        try Data().write(to: URL(fileURLWithPath: base + "/file"))
        XCTAssertThrowsError(try RunFolder.create(at: base + "/file")) {
            XCTAssertEqual($0 as? RunError, .notAFolder(base + "/file"))
        }
        XCTAssertThrowsError(try RunFolder.create(at: base + "/file/run")) {
            XCTAssertEqual(($0 as? StorageError)?.cause, .notAFolder)
        }
        XCTAssertThrowsError(try RunFolder.open(at: base)) {
            XCTAssertEqual($0 as? RunError, .notARun(base, missing: "run.yaml"))
        }
    }

    func testNumbersNamesByItself() throws {
        let paths = try (0..<3).map { _ in try RunFolder.create(named: "learn-my data/x", under: base).path }
        XCTAssertEqual(paths, (1...3).map { "\(base)/learn-my-data-x-\($0)" })
    }

    func testAtomicWriteReplacesAndLeavesNothingBehind() throws {
        let path = base + "/file"
        try AtomicFile.write("old", to: path)
        try AtomicFile.write("new", to: path)
        XCTAssertEqual(try read(path), "new")
        XCTAssertEqual(try entries(base), ["file"])
        XCTAssertThrowsError(try AtomicFile.write("x", to: base)) { XCTAssertTrue($0 is StorageError) }
        XCTAssertThrowsError(try AtomicFile.write("x", to: base + "/none/file")) {
            XCTAssertEqual(($0 as? StorageError)?.cause, .missing)
        }
        XCTAssertEqual(try entries(base), ["file"], "a failed write takes its temporary file with it")
    }

    func testFullDiskSaysSo() throws {
        // Every write to this device of Linux fails as a full disk does.
        guard FileManager.default.fileExists(atPath: "/dev/full") else { throw XCTSkip("no /dev/full") }
        let file = try LineFile(path: "/dev/full")
        XCTAssertThrowsError(try file.append("x")) {
            XCTAssertEqual(($0 as? StorageError)?.cause, .diskFull)
            XCTAssertTrue("\($0)".contains("free some space"), "\($0)")
        }
    }
}
