import FledgeCore
import FledgeData
import FledgeNN
import FledgeTesting
import FledgeTrain
import Foundation
import XCTest

@testable import FledgeMethods

/// K7: a method that was interrupted anywhere ends with the bytes of one that was not. A method that keeps something
/// outside of its parameters and buffers fails here.
final class ResumeTests: XCTestCase {
    private struct Interrupted: Error {}

    /// A method in a run of its own.
    private struct Trial {
        let entry: MethodEntry
        let overrides: [String]
        let folder: TemporaryFolder
        var path: String { folder.path + "/run" }

        init(_ entry: MethodEntry, _ settings: [String]) throws {
            self.entry = entry
            let names = Set(try entry.fields().map(\.name))
            overrides = try (settings + Digits.needed.get()).filter { names.contains(String($0.prefix { $0 != "=" })) }
            folder = try TemporaryFolder()
        }

        /// Runs to the end, or until `interrupt` throws, which is asked at every part of a batch.
        func run(
            _ purpose: RunFolder.Purpose, workers: Int = 1,
            interrupt: @escaping (_ isValidation: Bool) throws -> Void = { _ in }
        ) throws -> [UInt8] {
            let run =
                purpose == .new ? try RunFolder.create(at: path) : try RunFolder.open(at: path, for: purpose)
            try run.writeSettings(["overrides": overrides])
            var context = try LearningContext.suiting(entry.info, perClass: 4, seed: 3, samples: 200)
            context.data.holdOut(share: 0.5, seed: 3)
            context.workers = workers
            context.folder = run
            let validation = Set(context.data.validation)
            // Reading fails in the middle of a step, as when a process is killed: what was not saved is lost.
            context.data.dataset = WatchedDataset(context.data.dataset) { index, _ in
                try interrupt(validation.contains(index))
            }
            let result = try entry.make(nil, overrides).method.learn(context)
            try result.model.save(to: run.modelPath)
            return try FileBytes.read(run.modelPath)
        }
    }

    private final class Countdown {
        var left: Int
        init(_ count: Int) { left = count }
        func tick() throws {
            left -= 1
            if left == 0 { throw Interrupted() }
        }
    }

    func testEveryMethodContinuesToTheSameBytes() throws {
        // Beyond the first epoch, of six updates.
        let settings = [
            "training.steps=\(Study.isLong ? 14 : 8)", "batchSize=16", "training.averaging=0.9",
            "training.accumulation=2",
            "training.checkpoints.steps=2", "training.checkpoints.minutes=0", "training.warmup=0.2", "threshold=0.1",
            "training.validationInterval=3",
        ]
        // Options that keep something of their own from step to step.
        let options = [
            ("fixmatch", "flexibleThresholds=true"), ("npid", "negatives=8"), ("deepcluster", "reinitializedHead=true"),
        ]
        let all = Methods.all.map { ($0, [String]()) }
        for (entry, chosen) in try all + options.map({ (try Methods.entry(named: $0), [$1]) }) {
            let name = ([entry.info.name] + chosen).joined(separator: " ")
            let settings = settings + chosen
            let whole = try Trial(entry, settings)
            let total = Countdown(.max)
            let bytes = try whole.run(.new, workers: 0) { _ in try total.tick() }
            let reads = Int.max - total.left
            // Read, interrupted at evenly spread samples: inside of batches, at their edges, between the halves of an
            // accumulated one, at the edge of an epoch.
            let parts = Study.isLong ? 24 : 2
            for part in 1...parts {
                let trial = try Trial(entry, settings)
                let first = Countdown(min(reads * part / (parts + 1) + part, reads - 1))
                XCTAssertThrowsError(try trial.run(.new, workers: 0) { _ in try first.tick() }) {
                    XCTAssertTrue($0 is Interrupted, "\(name): \($0)")
                }
                // And a second time while going on.
                let second = Countdown(reads / 6)
                _ = try? trial.run(.resume(allowChanged: false), workers: 0) { _ in try second.tick() }
                XCTAssertEqual(
                    try trial.run(.resume(allowChanged: false), workers: 2), bytes,
                    "\(name), interrupted at \(part)/\(parts + 1)")
                func lines(_ trial: Trial) throws -> String {
                    (try? String(contentsOfFile: trial.path + "/metrics.jsonl", encoding: .utf8)) ?? ""
                }
                XCTAssertEqual(try lines(trial), try lines(whole), "\(name): every number once, in order")
            }
            Study.tell("K7: \(name), interrupted at \(parts) places and again while going on, the same bytes")
        }
    }

    /// Watching changes nothing: a look that was interrupted is taken again.
    func testInterruptedValidation() throws {
        let settings = [
            "training.steps=9", "batchSize=16", "training.checkpoints.steps=2", "training.validationInterval=3",
            "training.averaging=0.9", "training.checkpoints.weights=best", "threshold=0.1",
        ]
        for entry in Methods.all {
            let method = try entry.make(nil, []).method as? any TrainedMethod
            // Methods without labels give every sample to training: none is read for validation alone.
            guard let method, method.classifies, entry.info.needs == [.labels] else { continue }
            let name = entry.info.name
            let whole = try Trial(entry, settings)
            let looks = Countdown(.max)
            let bytes = try whole.run(.new, workers: 0) { if $0 { try looks.tick() } }
            // Twenty samples, at steps 3, 6 and 9; a fingerprint of the data may read some beforehand.
            XCTAssertGreaterThanOrEqual(Int.max - looks.left, 60, name)
            for place in [25, 45, Int.max - looks.left - 1] {
                let trial = try Trial(entry, settings)
                let countdown = Countdown(place)
                XCTAssertThrowsError(try trial.run(.new, workers: 0) { if $0 { try countdown.tick() } }, name)
                XCTAssertEqual(try trial.run(.resume(allowChanged: false)), bytes, "\(name), at \(place)")
                XCTAssertEqual(
                    try String(contentsOfFile: trial.path + "/metrics.jsonl", encoding: .utf8),
                    try String(contentsOfFile: whole.path + "/metrics.jsonl", encoding: .utf8), name)
            }
            let metrics = try String(contentsOfFile: whole.path + "/metrics.jsonl", encoding: .utf8)
            XCTAssertEqual(metrics.components(separatedBy: "validation accuracy").count - 1, 3, name)
        }
    }

    /// A finished stage is not trained again, and its results are the same.
    func testFinishedStageIsTakenFromItsCheckpoint() throws {
        let trial = try Trial(try Methods.entry(named: "supervised"), ["training.steps=4", "batchSize=16"])
        let bytes = try trial.run(.new)
        let before = try String(contentsOfFile: trial.path + "/metrics.jsonl", encoding: .utf8)
        XCTAssertEqual(try trial.run(.resume(allowChanged: false)), bytes)
        XCTAssertEqual(try String(contentsOfFile: trial.path + "/metrics.jsonl", encoding: .utf8), before)
        let log = try String(contentsOfFile: trial.path + "/log.txt", encoding: .utf8)
        XCTAssertTrue(log.contains("supervised: going on after update 4, its last"), log)
    }

    func testDamagedCheckpointIsPassedOver() throws {
        let settings = ["training.steps=6", "batchSize=16", "training.checkpoints.steps=2"]
        let entry = try Methods.entry(named: "fixmatch")
        let bytes = try Trial(entry, settings).run(.new)
        for damagedFile in ["state.safetensors", "state.json", "MANIFEST"] {
            let trial = try Trial(entry, settings)
            _ = try trial.run(.new)
            let file = trial.path + "/checkpoints/fixmatch-00000006/" + damagedFile
            var content = try FileBytes.read(file)
            content[content.count / 2] ^= 1
            try AtomicFile.write(content, to: file)
            XCTAssertEqual(try trial.run(.resume(allowChanged: false)), bytes)
            let log = try String(contentsOfFile: trial.path + "/log.txt", encoding: .utf8)
            XCTAssertTrue(log.contains(file), log)
            XCTAssertTrue(log.contains("going on after update 4"), log)
        }
    }

    func testChangedSettingsAreRefusedOrMarked() throws {
        let entry = try Methods.entry(named: "supervised")
        let settings = [
            "training.steps=4", "batchSize=16", "training.checkpoints.steps=2", "training.validationInterval=4",
        ]
        let trial = try Trial(entry, settings)
        let countdown = Countdown(16 * 3 + 40)
        XCTAssertThrowsError(try trial.run(.new, workers: 0) { _ in try countdown.tick() })
        let yaml = try String(contentsOfFile: trial.path + "/run.yaml", encoding: .utf8)

        func open(_ allow: Bool, _ settings: [String: Int]) throws -> RunFolder {
            let run = try RunFolder.open(at: trial.path, for: .resume(allowChanged: allow))
            try run.writeSettings(settings)
            return run
        }
        XCTAssertThrowsError(try open(false, ["overrides": 5, "workers": 7])) { error in
            let why = (error as? ChangedRun)?.why ?? ""
            XCTAssertTrue(why.contains("overrides was [") && why.contains("is 5"), why)
            XCTAssertFalse(why.contains("workers"), why)
        }
        XCTAssertEqual(try String(contentsOfFile: trial.path + "/run.yaml", encoding: .utf8), yaml, "left as it was")
        let run = try open(true, ["overrides": 5])
        XCTAssertEqual(run.changes.count, 1)
        XCTAssertTrue(try String(contentsOfFile: run.changesPath, encoding: .utf8).contains("overrides was"))
        XCTAssertEqual(try open(false, ["overrides": 5]).changes.count, 1, "accepted once, accepted from then on")
        try run.writeReport(Report(title: "t", data: "d", run: run.path, classNames: ["a", "b"], seed: 1))
        XCTAssertTrue(try String(contentsOfFile: run.reportPath, encoding: .utf8).contains("\"changes\": [\"overrides"))
        XCTAssertTrue(try String(contentsOfFile: run.reportPagePath, encoding: .utf8).contains("continued although"))
    }

    /// Other data, threads or versions than the checkpoint's are named.
    func testIdentityNamesWhatDiffers() throws {
        let data = try Digits.context(perClass: 2, samples: 200).data
        let now = RunIdentity(data: try data.fingerprint(), settings: ["a": "1", "workers": "1"])
        XCTAssertEqual(now.differences(now: now), [])
        var other = now
        (other.threads, other.instructionSet, other.oneDNN, other.data) = (99, "none", "9.9", "x")
        other.settings = ["a": "2", "workers": "5", "training.checkpoints.steps": "3"]
        XCTAssertEqual(
            other.differences(now: now),
            [
                "the number of threads (OMP_NUM_THREADS) was 99, is \(now.threads)",
                "the instruction set (FLEDGE_ISA) was none, is \(now.instructionSet)",
                "the version of oneDNN was 9.9, is \(now.oneDNN)",
                "the data are not the same samples with the same labels", "a was 2, is 1",
            ])
        var changed = data
        changed.labelled.swapAt(0, 1)
        XCTAssertNotEqual(try changed.fingerprint(), try data.fingerprint())
    }
}
