import FledgeCore
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeTrain

/// Checkpoints on a disk that loses, tears, reorders and refuses: the newest one whose saving was reported is always
/// there, and never a wrong one.
final class CheckpointDiskTests: XCTestCase {
    private let folder = "/run/checkpoints"

    private func tensors(_ step: Int) -> [String: Tensor] {
        ["weight": Tensor((0..<700).map { Float($0 + 1000 * step) }), "step": Tensor([step], shape: [])]
    }

    private func record(_ step: Int) -> CheckpointRecord {
        CheckpointRecord(
            stage: "train", step: step, isFinished: false, seconds: 0,
            identity: RunIdentity(data: "data", settings: ["seed": "1"]), best: nil)
    }

    /// Saves four checkpoints, of which the first two are removed on the way. Returns those whose saving was reported,
    /// and the errors of the others.
    private func saveFour(on disk: SimulatedDisk) -> (reported: [Int], errors: [any Error]) {
        let store = CheckpointStore(folder, on: disk)
        var reported: [Int] = []
        var errors: [any Error] = []
        for step in 1...4 {
            do {
                try store.save(record(step), tensors(step))
                reported.append(step)
            } catch { errors.append(error) }
        }
        return (reported, errors)
    }

    private func emptyDisk() throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        try disk.makeFolder("/run")
        try disk.syncFolder("/")
        return disk
    }

    /// What is read is the newest reported checkpoint or one after it, with exactly what was saved; and saving goes on.
    private func check(_ disk: SimulatedDisk, reported: [Int], _ what: String) throws {
        let store = CheckpointStore(folder, on: disk)
        let found = try store.newest(stage: "train").checkpoint
        if let newest = reported.last {
            XCTAssertGreaterThanOrEqual(found?.record.step ?? 0, newest, what)
        }
        if let found {
            XCTAssertEqual(found.record, record(found.record.step), what)
            XCTAssertEqual(
                found.tensors["weight"]?.floats(), tensors(found.record.step)["weight"]!.floats(), what)
        }
        try store.save(record(9), tensors(9))
        XCTAssertEqual(try store.newest(stage: "train").checkpoint?.record.step, 9, what)
        XCTAssertNil(store.problemWithLatest(), what)
        XCTAssertFalse(try disk.list(folder).contains { $0.hasPrefix(".") }, "\(what): leftovers")
    }

    func testSavesKeepTwo() throws {
        let disk = try emptyDisk()
        XCTAssertEqual(saveFour(on: disk).reported, [1, 2, 3, 4])
        XCTAssertEqual(try disk.list(folder), ["LATEST", "train-00000003", "train-00000004"])
        XCTAssertEqual(try CheckpointStore(folder, on: disk).steps(stage: "train"), [3, 4])
        XCTAssertEqual(try CheckpointStore(folder, on: disk).steps(stage: "other"), [])
        let store = CheckpointStore(folder, on: disk)
        try store.save(record(5), tensors(5), keep: 3, protected: [3])
        try store.save(record(6), tensors(6), keep: 2, protected: [3])
        XCTAssertEqual(try store.steps(stage: "train"), [3, 5, 6])
        XCTAssertEqual(try store.newest(stage: "train", upTo: 5).checkpoint?.record.step, 5)
    }

    /// K3: the power goes before every operation, and of what was not synced then, every kind of part is lost.
    func testPowerCutBeforeEveryOperation() throws {
        let whole = try emptyDisk()
        _ = saveFour(on: whole)
        var losses: [SimulatedDisk.Loss] = [.nothing, .everything]
        for seed in 0..<UInt64(Study.isLong ? 40 : 4) {
            losses += [.sectors(seed: seed), .names(seed: seed), .sectorsAndNames(seed: seed)]
        }
        var cases = 0
        for operation in 2...whole.operations {
            let disk = try emptyDisk()
            disk.powerCut = operation
            let reported = saveFour(on: disk).reported
            for loss in losses {
                cases += 1
                try check(disk.afterPowerCut(loss), reported: reported, "cut at \(operation), losing \(loss)")
            }
        }
        XCTAssertGreaterThan(cases, 1000)
        Study.tell("K3: \(cases) power cuts (\(whole.operations - 1) operations x \(losses.count) kinds of loss)")
    }

    /// K4: every operation fails once in every way.
    func testEveryOperationFailsOnce() throws {
        let whole = try emptyDisk()
        _ = saveFour(on: whole)
        var cases = 0
        for operation in 2..<whole.operations {
            for code in [EIO, ENOSPC, EDQUOT, EROFS, EINTR] {
                for fault in [SimulatedDisk.Fault.error(code), .errorHalfway(code)] {
                    cases += 1
                    let disk = try emptyDisk()
                    disk.faults[operation] = fault
                    let (reported, errors) = saveFour(on: disk)
                    let what = "\(fault) at \(operation)"
                    if code == EINTR, fault == .error(code) {
                        XCTAssertEqual(reported, [1, 2, 3, 4], what)
                    }
                    for error in errors {
                        XCTAssertTrue(error is StorageError || error is DamagedCheckpoint, "\(what): \(error)")
                    }
                    XCTAssertLessThanOrEqual(errors.count, 1, what)
                    try check(disk, reported: reported, what)
                    // The machine may go right after.
                    let cut = try emptyDisk()
                    cut.faults[operation] = fault
                    let before = saveFour(on: cut).reported
                    try check(cut.afterPowerCut(.everything), reported: before, "\(what), then a power cut")
                }
            }
            let disk = try emptyDisk()
            disk.faults[operation] = .shortWrite
            XCTAssertEqual(saveFour(on: disk).reported, [1, 2, 3, 4], "short write at \(operation)")
        }
        Study.tell("K4: \(cases) faults, each also followed by a power cut")
    }

    /// K8: one bit of one file of the newest checkpoint changes. It is seen, the file is named, the one before is used.
    func testEveryBitFlipIsSeen() throws {
        let disk = try emptyDisk()
        _ = saveFour(on: disk)
        let store = CheckpointStore(folder, on: disk)
        let files =
            ["MANIFEST", "state.json", "state.safetensors"].map { "\(folder)/train-00000004/\($0)" }
            + ["\(folder)/LATEST"]
        var random = RandomSource(seed: 11)
        let flips = Study.isLong ? 1000 : 200
        for _ in 0..<flips {
            let file = files[random.integer(below: files.count)]
            guard case .file(let size) = disk.kind(of: file) else { return XCTFail("no \(file)") }
            let bit = random.integer(below: size * 8)
            disk.flip(bit: bit, of: file)
            let (found, damaged) = try store.newest(stage: "train")
            let named = (damaged + [store.problemWithLatest()].compactMap(\.self)).map(\.file)
            XCTAssertEqual(named, [file], "bit \(bit)")
            let step = file.hasSuffix("LATEST") ? 4 : 3
            XCTAssertEqual(found?.record, record(step))
            XCTAssertEqual(found?.tensors["weight"]?.floats(), tensors(step)["weight"]!.floats())
            disk.flip(bit: bit, of: file)
        }
        XCTAssertEqual(try store.newest(stage: "train").checkpoint?.record.step, 4)
        Study.tell("K8: \(flips) bit flips, all seen and named")
    }

    func testManifestReadsItsOwnBytesOnly() throws {
        let digest = String(repeating: "a1", count: 32)
        let manifest = CheckpointManifest(digests: ["state.json": digest, "b": digest])
        XCTAssertEqual(CheckpointManifest(parsing: Array(manifest.text.utf8)), manifest)
        XCTAssertTrue(manifest.text.hasSuffix("\(digest)  b\n\(digest)  state.json\n"))
        for bad in [
            "", "\n", "# x\n", manifest.text + "\n", String(manifest.text.dropLast()), manifest.text.uppercased(),
        ] {
            XCTAssertNil(CheckpointManifest(parsing: Array(bad.utf8)), bad)
        }
        let outside = CheckpointManifest(digests: ["../x": digest])
        XCTAssertNil(CheckpointManifest(parsing: Array(outside.text.utf8)))
    }

    /// The simulated disk itself is as cruel as it says: what is not synced is lost, renamed names come back.
    func testSimulatedDiskLoses() throws {
        let disk = try emptyDisk()
        func write(_ path: String, sync: Bool) throws {
            let file = try disk.create(path)
            _ = try [UInt8](repeating: 7, count: 2000).withUnsafeBytes { try disk.write($0, to: file) }
            if sync { try disk.sync(file) }
        }
        try write("/run/a", sync: true)
        XCTAssertNil(disk.afterPowerCut(.everything).kind(of: "/run/a"), "its name was not synced")
        try disk.syncFolder("/run")
        try write("/run/b", sync: false)
        try disk.rename("/run/a", to: "/run/c")
        let after = disk.afterPowerCut(.everything)
        XCTAssertEqual(after.kind(of: "/run/a"), .file(size: 2000))
        XCTAssertNil(after.kind(of: "/run/c"))
        XCTAssertNil(after.kind(of: "/run/b"))
        try disk.syncFolder("/run")
        XCTAssertEqual(disk.afterPowerCut(.everything).kind(of: "/run/b"), .file(size: 0), "its bytes were not synced")
        let torn = (0..<20).map { try? disk.afterPowerCut(.sectors(seed: $0)).read("/run/b") }
        XCTAssertTrue(torn.contains { $0?.contains(0) == true && $0?.contains(7) == true })
        XCTAssertTrue(torn.contains { ($0?.count ?? 0) < 2000 })
        XCTAssertEqual(disk.afterPowerCut(.nothing).kind(of: "/run/c"), .file(size: 2000))
    }

    func testAtomicFileOnFailingDisk() throws {
        let whole = try emptyDisk()
        try AtomicFile.write("old", to: "/run/file", on: whole)
        let start = whole.operations
        try AtomicFile.write("new", to: "/run/file", on: whole)
        for operation in start..<whole.operations {
            for code in [EIO, ENOSPC, EDQUOT, EROFS] {
                let disk = try emptyDisk()
                try AtomicFile.write("old", to: "/run/file", on: disk)
                disk.faults[operation] = .errorHalfway(code)
                XCTAssertThrowsError(try AtomicFile.write("new", to: "/run/file", on: disk)) { error in
                    XCTAssertEqual((error as? StorageError)?.path, "/run/file")
                    XCTAssertEqual(
                        (error as? StorageError)?.cause, StorageError(action: "", path: "", code: code).cause)
                }
                XCTAssertTrue(["old", "new"].contains(String(decoding: try disk.read("/run/file"), as: UTF8.self)))
                XCTAssertEqual(try disk.list("/run"), ["file"], "the temporary file goes")
            }
        }
    }
}
