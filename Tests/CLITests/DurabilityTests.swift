import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Runs of the command itself that are stopped and killed, and what comes of them.
final class DurabilityTests: XCTestCase {
    /// A run with augmentation, moving averages, running predictions and two loader threads, saved every few updates.
    private func train(_ out: String, steps: Int = 60, every: Int = 7) -> [String] {
        [
            "train", "fixmatch", "--data", "digits", "--labels-per-class", "2", "--workers", "2", "--quiet", "--out",
            out,
            "--set", "training.steps=\(steps)", "--set", "batchSize=16", "--set", "training.averaging=0.9",
            "--set", "threshold=0.3", "--set", "training.checkpoints.steps=\(every)",
        ]
    }

    private func digest(_ run: String) throws -> String {
        let sums = Process()
        sums.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
        sums.arguments = [run + "/model.safetensors"]
        let pipe = Pipe()
        sums.standardOutput = pipe
        try sums.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        sums.waitUntilExit()
        return String(text.prefix { $0 != " " })
    }

    /// Starts the command and leaves it running.
    private func start(
        _ arguments: [String], environment: [String: String] = [:], errors: Pipe? = nil
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLineTool.path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors ?? FileHandle.nullDevice
        try process.run()
        return process
    }

    /// The update of the newest checkpoint; 0 where there is none.
    private func savedStep(_ run: String) throws -> Int {
        try CheckpointStore(run + "/checkpoints").newest(stage: "fixmatch").checkpoint?.record.step ?? 0
    }

    private func lastStep(_ run: String) -> Int {
        let lines = (try? String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8))?.split(separator: "\n") ?? []
        // The last line may be half written.
        for line in lines.reversed() {
            let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            if let step = object?["step"] as? Double { return Int(step) }
        }
        return 0
    }

    private func waitForStep(_ step: Int, _ run: String, _ process: Process) {
        let deadline = Date(timeIntervalSinceNow: 60)
        while Date() < deadline, process.isRunning, lastStep(run) < step { usleep(5_000) }
    }

    /// K1: killed at random times, again and again, until it comes to its end: the same bytes, and never more work lost
    /// than lies between two saves.
    func testKilledAtRandomTimes() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let whole = folder.path + "/whole"
        let begin = Date()
        XCTAssertEqual(try CommandLineTool.run(train(whole)).status, 0)
        let seconds = Date().timeIntervalSince(begin)
        let expected = try digest(whole)

        var random = RandomSource(seed: 5)
        var kills = 0
        var runs = 0
        var mostLost = 0
        while kills < (Study.isLong ? 200 : 20) {
            runs += 1
            let run = folder.path + "/run-\(runs)"
            var arguments = train(run)
            var isFinished = false
            for _ in 0..<3 {
                let process = try start(arguments)
                let delay = random.uniform(0, seconds)
                let deadline = Date(timeIntervalSinceNow: delay)
                while Date() < deadline, process.isRunning { usleep(2_000) }
                let wasRunning = process.isRunning
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                if !wasRunning || process.terminationReason == .exit {
                    isFinished = true
                    break
                }
                kills += 1
                let saved = try savedStep(run)
                mostLost = max(mostLost, lastStep(run) - saved)
                // A kill before run.yaml was there leaves nothing to resume; the same command goes on or begins.
                let hasBegun = FileManager.default.fileExists(atPath: run + "/run.yaml")
                let isEven = kills % 2 == 0
                arguments = hasBegun && isEven ? ["resume", run, "--quiet"] : train(run) + ["--resume", "auto"]
            }
            if !isFinished {
                let result = try CommandLineTool.run(arguments)
                XCTAssertEqual(result.status, 0, result.error)
            }
            XCTAssertEqual(try digest(run), expected, "run \(runs)")
            try FileManager.default.removeItem(atPath: run)
        }
        XCTAssertLessThanOrEqual(mostLost, 7, "more work was lost than lies between two saves")
        Study.tell(
            "K1: \(kills) kills in \(runs) runs of \(Int(seconds * 1000)) ms, all with the same bytes; at most \(mostLost) updates lost, saved every 7"
        )
    }

    /// K2: killed before every operation of a save, and in the middle of every write. It is the third save, which removes
    /// the first; the long form does the same in every save.
    func testKilledAtEveryPointOfASave() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let images = try Samples.shared.get().images
        func arguments(_ run: String) -> [String] {
            [
                "train", "supervised", "--data", images, "--quiet", "--out", run, "--set", "training.steps=4",
                "--set", "batchSize=8", "--set", "training.checkpoints.steps=1",
            ]
        }
        let counted = Study.isLong ? "checkpoints" : "00000003"
        let whole = folder.path + "/whole"
        XCTAssertEqual(try CommandLineTool.run(arguments(whole)).status, 0)
        let expected = try digest(whole)
        var point = 0
        while true {
            point += 1
            let run = folder.path + "/run-\(point)"
            let killed = try start(arguments(run), environment: ["FLEDGE_KILL_POINT": "\(counted):\(point)"])
            killed.waitUntilExit()
            if killed.terminationReason == .exit {
                XCTAssertEqual(killed.terminationStatus, 0)
                break
            }
            let result = try CommandLineTool.run(
                FileManager.default.fileExists(atPath: run + "/run.yaml")
                    ? ["resume", run, "--quiet"] : arguments(run))
            XCTAssertEqual(result.status, 0, "point \(point): \(result.error)")
            XCTAssertEqual(try digest(run), expected, "point \(point)")
        }
        XCTAssertGreaterThan(point, 20, "a save has more points than that")
        Study.tell("K2: killed at each of \(point - 1) points of four saves, all with the same bytes")
    }

    // MARK: Signals

    func testStopSignalSavesAndResumeGoesOn() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let (whole, run) = (folder.path + "/whole", folder.path + "/run")
        XCTAssertEqual(try CommandLineTool.run(train(whole, steps: 40, every: 0)).status, 0)
        for number in [SIGTERM, SIGINT] {
            let errors = Pipe()
            let process = try start(train(run, steps: 40, every: 0), errors: errors)
            waitForStep(5, run, process)
            kill(process.processIdentifier, number)
            let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            XCTAssertEqual(process.terminationStatus, 75, text)
            XCTAssertTrue(text.contains("where: \(run)"), text)
            XCTAssertTrue(text.contains("fledge resume \(run)"), text)
            XCTAssertEqual(try savedStep(run), lastStep(run), "nothing is lost")
            // From the folder alone, from anywhere.
            let result = try CommandLineTool.run(["resume", run, "--quiet", "--json"], in: "/")
            XCTAssertEqual(result.status, 0, result.error)
            XCTAssertEqual(try result.json()["changes"] as? [String], [])
            XCTAssertEqual(try digest(run), try digest(whole))
            XCTAssertTrue(try CommandLineTool.run("resume", run).output.contains("finished"))
            try FileManager.default.removeItem(atPath: run)
        }
    }

    func testSaveSignalSavesAndGoesOn() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let run = folder.path + "/run"
        let process = try start(train(run, steps: 1_000_000, every: 0))
        waitForStep(3, run, process)
        XCTAssertEqual(try savedStep(run), 0)
        kill(process.processIdentifier, SIGUSR1)
        let deadline = Date(timeIntervalSinceNow: 60)
        while Date() < deadline, try savedStep(run) == 0 { usleep(20_000) }
        let saved = try savedStep(run)
        XCTAssertGreaterThan(saved, 0)
        waitForStep(saved + 3, run, process)
        XCTAssertTrue(process.isRunning, "it goes on")
        XCTAssertGreaterThanOrEqual(lastStep(run), saved + 3)
        // Twice: at once.
        kill(process.processIdentifier, SIGTERM)
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        XCTAssertEqual(process.terminationStatus, 75)
    }

    // MARK: Several stages, changes, replay

    private var learn: [String] {
        ["supervised", "pretraining", "learning"].flatMap {
            ["--set", "\($0).training.steps=12", "--set", "\($0).training.checkpoints.steps=5"]
        } + ["--set", "pretraining.batchSize=32", "--set", "learning.batchSize=16", "--quiet"]
    }

    /// `learn` killed in each of its stages goes on there; what was finished is not trained again.
    func testLearnGoesOnInTheStageItWasIn() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let begin = ["learn", "digits", "--labels-per-class", "2", "--out"]
        let whole = folder.path + "/whole"
        let result = try CommandLineTool.run(begin + [whole] + learn)
        XCTAssertEqual(result.status, 0, result.error)
        for (stage, killAfter) in [("supervised", 6), ("simclr", 6), ("fixmatch", 8)] {
            let run = folder.path + "/" + stage
            let process = try start(begin + [run] + learn)
            let deadline = Date(timeIntervalSinceNow: 60)
            func reached() -> Bool {
                let text = (try? String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8)) ?? ""
                return text.split(separator: "\n").filter { $0.contains("\"stage\":\"\(stage)\"") }.count >= killAfter
            }
            while Date() < deadline, process.isRunning, !reached() { usleep(1_000) }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            // The same command with --resume auto does as well as `resume`.
            let resumed = try CommandLineTool.run(begin + [run] + learn + ["--resume", "auto", "--json"])
            XCTAssertEqual(resumed.status, 0, resumed.error)
            XCTAssertEqual(try digest(run), try digest(whole), stage)
            func lines(_ run: String) throws -> String {
                try String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8)
            }
            XCTAssertEqual(try lines(run), try lines(whole), stage)
            let log = (try? String(contentsOfFile: run + "/log.txt", encoding: .utf8)) ?? ""
            if stage == "fixmatch" { XCTAssertTrue(log.contains("simclr: going on after update 12, its last"), log) }
            XCTAssertEqual(
                try CommandLineTool.run(begin + [run] + learn + ["--resume", "auto", "--json"]).json()["accuracy"]
                    as? Double,
                try resumed.json()["accuracy"] as? Double)
        }
    }

    func testResumeRefusesWhatChanged() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let run = folder.path + "/run"
        let process = try start(train(run, steps: 1_000_000, every: 0))
        waitForStep(2, run, process)
        kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        XCTAssertEqual(process.terminationStatus, 75)

        let threads = try CommandLineTool.run(["resume", run], environment: ["OMP_NUM_THREADS": "3"])
        XCTAssertEqual(threads.status, 2, threads.error)
        XCTAssertTrue(threads.error.contains("the number of threads (OMP_NUM_THREADS) was "), threads.error)
        let isa = try CommandLineTool.run(["resume", run], environment: ["FLEDGE_ISA": "base"])
        XCTAssertEqual(isa.status, 2, isa.error)
        XCTAssertTrue(isa.error.contains("instruction set (FLEDGE_ISA) was "), isa.error)

        // Settings, by the command line and by hand.
        let other = train(run, steps: 8, every: 0) + ["--resume", "auto"]
        let settings = try CommandLineTool.run(other)
        XCTAssertEqual(settings.status, 2, settings.error)
        XCTAssertTrue(settings.error.contains("settings.training.steps was 1000000, is 8"), settings.error)
        let yaml = try String(contentsOfFile: run + "/run.yaml", encoding: .utf8)
        XCTAssertTrue(yaml.contains("steps: 1000000"))
        try AtomicFile.write(yaml.replacing("seed: 0", with: "seed: 1"), to: run + "/run.yaml")
        let edited = try CommandLineTool.run(["resume", run])
        XCTAssertEqual(edited.status, 2, edited.error)
        XCTAssertTrue(edited.error.contains("seed was 0, is 1"), edited.error)
        try AtomicFile.write(yaml, to: run + "/run.yaml")

        let saved = try savedStep(run)
        // Accepted, trained to the end, marked.
        let allowed = try CommandLineTool.run(
            train(run, steps: saved + 3, every: 0) + ["--resume", "auto", "--allow-changed", "--json"])
        XCTAssertEqual(allowed.status, 0, allowed.error)
        let change = "settings.training.steps was 1000000, is \(saved + 3)"
        XCTAssertEqual(try allowed.json()["changes"] as? [String], [change])
        XCTAssertEqual(try String(contentsOfFile: run + "/changes.txt", encoding: .utf8), change + "\n")
        let finished = try CommandLineTool.run(train(run, steps: 99, every: 0) + ["--resume", "auto"])
        XCTAssertEqual(finished.status, 2, finished.error)
    }

    func testReplay() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let run = folder.path + "/run"
        XCTAssertEqual(try CommandLineTool.run(train(run, steps: 20, every: 7)).status, 0)
        func everything() throws -> [String: Int] {
            try FileManager.default.subpathsOfDirectory(atPath: run).reduce(into: [:]) { sizes, path in
                sizes[path] = (try? FileBytes.read(run + "/" + path))?.hashValue ?? 0
            }
        }
        let before = try everything()
        let result = try CommandLineTool.run(["replay", run, "--step", "18", "--json", "--quiet"])
        XCTAssertEqual(result.status, 0, result.error)
        let seen = try result.json()
        XCTAssertEqual(seen["stage"] as? String, "fixmatch")
        XCTAssertEqual(seen["from"] as? Int, 14)
        let update = try XCTUnwrap(seen["update"] as? [String: Any])
        XCTAssertEqual(update["step"] as? Int, 18)
        let line = try XCTUnwrap(
            String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8).split(separator: "\n").dropFirst(17).first)
        let logged = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        XCTAssertEqual(update["loss"] as? Double, logged?["loss"] as? Double, "the very same loss")
        XCTAssertEqual(try everything(), before, "nothing is written")
        XCTAssertEqual(try CommandLineTool.run(["replay", run, "--step", "18", "--stage", "none"]).status, 2)
    }
}
