import FledgeTesting
import Foundation
import XCTest

@testable import FledgeTrack

final class RunProjectTests: XCTestCase {
    /// A folder with three runs: two finished, one still going.
    private func project() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (name, accuracy, date) in [("a", "0.9", "2026-01-01T00:00:00Z"), ("b", "0.95", "2026-01-02T00:00:00Z")] {
            try folder.write(
                "runs/\(name)/run.yaml", "method: simclr\ndata: digits\nsettings:\n  temperature: 0.\(name.count)\n")
            try folder.write(
                "runs/\(name)/report.json",
                #"{"title":"simclr on digits","accuracy":\#(accuracy),"metrics":{"macro_f1":0.5},"#
                    + #""baselines":{"supervised":0.8},"curves":[{"values":[1,2]}],"seed":0}"#)
            try folder.write("runs/\(name)/environment.json", #"{"date":"\#(date)"}"#)
            try folder.write(
                "runs/\(name)/metrics.jsonl",
                "{\"loss\":2.0,\"stage\":\"simclr\",\"step\":1}\n{\"loss\":1.5,\"stage\":\"simclr\",\"step\":2}\n")
        }
        try folder.write("runs/going/run.yaml", "method: fixmatch\ndata: digits\n")
        try folder.write(
            "runs/going/metrics.jsonl", "{\"loss\":9,\"step\":1}\n{\"loss\":null,\"step\":2}\n{\"loss\":1,\"st")
        return folder
    }

    func testRunsAreListedNewestFirst() throws {
        let folder = try project()
        let runs = try RunProject(folder.path + "/runs").runs()
        XCTAssertEqual(runs.map(\.name), ["b", "a", "going"])
        XCTAssertEqual(runs.map(\.status), [.finished, .finished, .unfinished])
        XCTAssertEqual(runs[0].results["accuracy"], 0.95)
        XCTAssertEqual(runs[0].results["baselines.supervised"], 0.8)
        XCTAssertEqual(runs[0].settings["settings.temperature"], "0.1")
        XCTAssertEqual(runs[2].method, "fixmatch")
        XCTAssertEqual(runs[2].problems, ["metrics.jsonl: 1 broken line, the first is line 3"])
    }

    func testDamagedRunsNeverHideOthers() throws {
        let folder = try project()
        try folder.write("runs/bad-yaml/run.yaml", "a: [1\nb: }")
        try folder.write("runs/bad-bytes/run.yaml", [0xFF, 0xFE, 0, 1])
        try folder.write("runs/bad-json/report.json", "{\"accuracy\":")
        try folder.write("runs/deep/report.json", String(repeating: "[", count: 100_000))
        try folder.folder("runs/empty")
        try folder.folder("runs/report-is-a-folder/report.json")
        try folder.write("runs/no-run.txt", "a file")
        let runs = try RunProject(folder.path + "/runs").runs()
        XCTAssertEqual(runs.count, 9)
        for name in ["bad-yaml", "bad-bytes", "bad-json", "deep", "empty", "report-is-a-folder"] {
            let run = try XCTUnwrap(runs.first { $0.name == name })
            XCTAssertEqual(run.status, .unreadable, name)
            XCTAssertEqual(run.problems.count, 1, "\(name): \(run.problems)")
        }
        XCTAssertEqual(runs.filter { $0.status == .finished }.map(\.name), ["b", "a"])
    }

    func testDatabaseFollowsTheFolders() throws {
        let folder = try project()
        let project = try RunProject(folder.path + "/runs")
        XCTAssertEqual(try project.runs().count, 3)
        try folder.write("runs/going/report.json", #"{"accuracy":0.99}"#)
        try FileManager.default.removeItem(atPath: folder.path + "/runs/a")
        XCTAssertEqual(try project.best("accuracy", lowest: false).map(\.record.name), ["going", "b"])
        XCTAssertEqual(try project.best("accuracy", lowest: true).map(\.value), [0.95, 0.99])
        XCTAssertEqual(try project.best("simclr/loss", lowest: true).map(\.value), [1.5])
        XCTAssertEqual(try project.run("going").last, ["loss": 9])
    }

    /// The database is an index: without it, or with a broken one, the answer is the same.
    func testDatabaseIsMadeAgain() throws {
        let folder = try project()
        let path = folder.path + "/fledge.db"
        let first = try RunProject(folder.path + "/runs").runs()
        XCTAssertTrue(FileManager.default.fileExists(atPath: path))
        try FileManager.default.removeItem(atPath: path)
        XCTAssertEqual(try RunProject(folder.path + "/runs").runs(), first)
        try Data((0..<9000).map { UInt8($0 * 7 & 255) }).write(to: URL(fileURLWithPath: path))
        let mended = try RunProject(folder.path + "/runs")
        XCTAssertEqual(try mended.runs(), first)
        XCTAssertNotNil(mended.note)
        XCTAssertTrue(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).contains {
                $0.hasPrefix("fledge.db.damaged")
            })
    }

    func testRemovedRunsGoToTheTrash() throws {
        let folder = try project()
        let project = try RunProject(folder.path + "/runs")
        XCTAssertEqual(try project.remove("a", forGood: false), folder.path + "/runs/.trash/a")
        XCTAssertTrue(FileManager.default.fileExists(atPath: folder.path + "/runs/.trash/a/run.yaml"))
        try folder.write("runs/a/run.yaml", "method: simclr\n")
        XCTAssertEqual(try project.remove("a", forGood: false), folder.path + "/runs/.trash/a-2")
        XCTAssertNil(try project.remove("b", forGood: true))
        XCTAssertFalse(FileManager.default.fileExists(atPath: folder.path + "/runs/b"))
        XCTAssertEqual(try project.runs().map(\.name), ["going"])
        XCTAssertThrowsError(try project.remove("goin", forGood: false)) { error in
            XCTAssertEqual((error as? TrackError)?.next, "did you mean going?")
        }
        XCTAssertThrowsError(try RunProject(folder.path + "/nothing"))
    }

    func testEventsOfARun() throws {
        let folder = try project()
        let file = try RunEvents.write(folder.path + "/runs/a")
        XCTAssertTrue(file.hasSuffix("/events.out.tfevents.1767225600.fledge"), file)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        // Frames follow one another to the last byte, and every checksum is right.
        var at = 0
        var events = 0
        while at < bytes.count {
            func word(_ offset: Int) -> UInt32 { (0..<4).reversed().reduce(0) { $0 << 8 | UInt32(bytes[offset + $1]) } }
            let length = Int(word(at))
            XCTAssertEqual(word(at + 8), CRC32C.masked(bytes[at..<(at + 8)]))
            XCTAssertEqual(word(at + 12 + length), CRC32C.masked(bytes[(at + 12)..<(at + 12 + length)]))
            at += 16 + length
            events += 1
        }
        // The version, the settings, two losses, and accuracy, seed, F1 and the baseline of the report.
        XCTAssertEqual(events, 8)
    }
}
