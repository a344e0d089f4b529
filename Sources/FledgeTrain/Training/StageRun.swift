import FledgeCore
import FledgeNN
import Foundation

/// A disk with too little room for the checkpoints of a run, seen before the first update.
public struct DiskShortage: ExplainedError, Equatable {
    public let path: String
    public let need: Int
    public let free: Int

    public var what: String { "the disk has too little room for this training" }
    public var place: String? { path }
    public var why: String? {
        "checkpoints need \(need >> 20) MiB (three of \((need / 3) >> 10) KiB), and \(free >> 20) MiB are free"
    }
    public var next: String? { "free some space, or choose a folder on another disk with --out" }
}

/// A look at one update again is done: `fledge replay` shows what was seen.
public struct ReplayFinished: Error {
    public let stage: String
    public let examination: StepExamination
    /// The step of the checkpoint that was gone on from; 0 for the beginning.
    public let from: Int
}

/// Training one stage of a run: where it goes on, when it is saved, what happens when something is in the way.
extension RunFolder {
    /// Trains to the end of the stage, from the newest sound checkpoint where the run is continued. A stage that was
    /// finished before is not trained again: its results are taken from its last checkpoint.
    /// - Throws: `StoppedBySignal` after everything was saved; `NumericFailure`, likewise, before the update;
    ///   `ChangedRun`, `MemoryShortage`, `DiskShortage`, `StorageError`; `ReplayFinished` when this is a replay and the
    ///   update was in this stage.
    public func train(_ trainer: Trainer, stage title: String, progress: TrainingProgress? = nil) throws {
        let run = try StageRun(trainer, beginStage(title), self)
        do {
            try run.train(progress)
        } catch let stopped as StoppedBySignal {
            throw StoppedBySignal(number: stopped.number, run: path)
        }
    }
}

private final class StageRun {
    private let trainer: Trainer
    private let stage: String
    private let folder: RunFolder
    private let identity: RunIdentity
    private var settings: CheckpointSettings { trainer.settings.checkpoints }
    private var best: BestStep?
    private var lastSave = Date()
    private var lastSaved: Int?
    private var rollBacks = 0

    /// More roll-backs than this are no accidents.
    private static let rollBackLimit = 5

    init(_ trainer: Trainer, _ stage: String, _ folder: RunFolder) throws {
        self.trainer = trainer
        self.stage = stage
        self.folder = folder
        identity = RunIdentity(data: try trainer.data.fingerprint(), settings: folder.settings)
    }

    func train(_ progress: TrainingProgress?) throws {
        switch folder.purpose {
        case .new: break
        case .resume:
            if try restore() { return }
            try folder.dropMetrics(stage: stage, after: trainer.step)
        case .replay(let step, let wanted):
            return try replay(step, wanted)
        }
        try trainer.checkMemory()
        try checkDisk()
        if trainer.settings.onNumericFailure == .rollBack, trainer.step == 0 { try save() }
        while true {
            do {
                try trainer.run(progress: progress, record: recorded)
                break
            } catch let stopped as StoppedBySignal {
                if trainer.step > 0 { try save() }
                throw stopped
            } catch let failure as NumericFailure {
                guard trainer.settings.onNumericFailure == .rollBack, rollBacks < Self.rollBackLimit else {
                    // The state is that before the failing update, so that it can be looked at again.
                    if trainer.step > 0 { try save() }
                    throw failure
                }
                try rollBack(after: failure)
            }
        }
        if !trainer.skipped.isEmpty {
            let list = trainer.skipped.map(String.init).joined(separator: ", ")
            try folder.note("\(stage): skipped updates whose loss or gradient was no number: \(list)")
        }
        // Where the last step is the best one, its weights are there.
        if settings.weights == .best, let best, best.step != trainer.step,
            let checkpoint = try folder.checkpoints.newest(stage: stage, upTo: best.step).checkpoint,
            checkpoint.record.step == best.step
        {
            try trainer.loadWeights(of: checkpoint.tensors)
        }
        try save(isFinished: true)
    }

    /// After every update: numbers to the folder, and a checkpoint when it is time.
    private func recorded(_ step: Int, _ numbers: [(String, Double)]) throws {
        var record: [String: Double] = ["step": Double(step)]
        for (name, value) in numbers { record[name] = value }
        try withRoom { try folder.appendMetrics(StageRecord(stage: stage, numbers: record)) }

        let isLast = trainer.settings.minutes == 0 && step >= trainer.totalSteps
        if StopSignal.takeSaveRequest(), !isLast { return try save() }
        if settings.weights == .best, step % interval == 0 {
            let loss = record["validation loss"] ?? meanLoss(of: interval)
            if loss < best?.loss ?? .infinity { best = BestStep(step: step, loss: loss) }
            return isLast ? () : try save()
        }
        // The end of the stage is saved anyway.
        if isLast { return }
        let isTime = settings.minutes > 0 && Date().timeIntervalSince(lastSave) >= settings.minutes * 60
        if isTime || (settings.steps > 0 && step % settings.steps == 0) { try save() }
    }

    /// Steps between two looks for the best weights. Never by time: results must not depend on the machine's speed.
    private var interval: Int {
        if trainer.validation != nil { return trainer.validationInterval }
        return settings.steps > 0 ? settings.steps : max(1, trainer.totalSteps / 20)
    }

    private func meanLoss(of count: Int) -> Double {
        let last = trainer.losses.suffix(count)
        return last.isEmpty ? .infinity : last.reduce(0, +) / Double(last.count)
    }

    // MARK: Saving

    private func save(isFinished: Bool = false) throws {
        // Two reasons to save may meet at one step.
        if lastSaved == trainer.step, !isFinished { return }
        let record = CheckpointRecord(
            stage: stage, step: trainer.step, isFinished: isFinished, seconds: trainer.seconds, identity: identity,
            best: best)
        let state = trainer.state()
        try withRoom {
            try folder.syncMetrics()
            try folder.checkpoints.save(
                record, state, keep: settings.keep, protected: best.map { [$0.step] } ?? [])
        }
        lastSaved = trainer.step
        lastSave = Date()
    }

    /// Does `body`; on a full disk, where the settings say so, waits for room and does it again.
    private func withRoom(_ body: () throws -> Void) throws {
        var hasTold = false
        while true {
            do {
                return try body()
            } catch let error as StorageError where error.isLackOfSpace && settings.onFullDisk == .pause {
                if !hasTold { folder.warn("\(error.why ?? error.what); waiting for space at \(folder.path)") }
                hasTold = true
                let end = Date(timeIntervalSinceNow: folder.fullDiskPause)
                while Date() < end {
                    // Nothing more can be saved: a wish to stop ends the wait, and the last checkpoint stands.
                    if StopSignal.number != nil { throw error }
                    usleep(50_000)
                }
            }
        }
    }

    /// Three checkpoints: two that are kept and one that is written.
    private func checkDisk() throws {
        let weights = trainer.task.state().values.reduce(0) { $0 + $1.count * $1.dtype.size }
        let slots = trainer.optimizer.rule.slots.count + (trainer.average == nil ? 0 : 1)
        let need = 3 * weights * (1 + slots)
        let free = Int(clamping: try Machine.freeSpace(at: folder.path))
        if free < need { throw DiskShortage(path: folder.path, need: need, free: free) }
    }

    // MARK: Going on

    /// Takes over the newest sound checkpoint. Returns whether the stage is done.
    private func restore() throws -> Bool {
        let (found, damaged) = try folder.checkpoints.newest(stage: stage)
        for damage in damaged { try folder.note("\(damage.file): \(damage.reason); going back to an earlier one") }
        if let problem = folder.checkpoints.problemWithLatest() {
            try folder.note("\(problem.file): \(problem.reason)")
        }
        guard let found else { return false }
        try folder.accept(found.record.identity.differences(now: identity))
        try take(found)
        try folder.log("\(stage): going on after update \(trainer.step)\(found.record.isFinished ? ", its last" : "")")
        return found.record.isFinished
    }

    private func take(_ checkpoint: Checkpoint) throws {
        trainer.task.train()
        try trainer.load(checkpoint.tensors)
        trainer.seconds = checkpoint.record.seconds
        best = checkpoint.record.best
        lastSaved = trainer.step
    }

    private func rollBack(after failure: NumericFailure) throws {
        rollBacks += 1
        let found = try folder.checkpoints.newest(stage: stage)
        for damage in found.damaged { try folder.note("\(damage.file): \(damage.reason)") }
        guard let checkpoint = found.checkpoint else { throw failure }
        let scale = trainer.rateScale
        try take(checkpoint)
        trainer.slowDown(to: scale / 2)
        try folder.dropMetrics(stage: stage, after: trainer.step)
        try folder.note(
            "\(stage): \(failure.what) (\(failure.place ?? "")): back to update \(trainer.step), at half the learning rate"
        )
        // The slower rate is part of what must survive.
        lastSaved = nil
        try save()
    }

    // MARK: Looking again

    private func replay(_ step: Int, _ wanted: String?) throws {
        let (last, _) = try folder.checkpoints.newest(stage: stage)
        if let last { try folder.accept(last.record.identity.differences(now: identity)) }
        // Without a name, the stage that the run was in.
        guard (wanted ?? folder.checkpoints.latestStage() ?? stage) == stage else {
            if let last, last.record.isFinished { return try take(last) }
            return try trainer.run()
        }
        let (start, _) = try folder.checkpoints.newest(stage: stage, upTo: step - 1)
        if let start { try take(start) }
        let from = trainer.step
        struct Reached: Error {}
        if trainer.step < step - 1 {
            do {
                try trainer.run { number, _ in if number == step - 1 { throw Reached() } }
            } catch is Reached {}
        }
        throw ReplayFinished(stage: stage, examination: try trainer.examine(), from: from)
    }
}

/// One line of `metrics.jsonl`: the stage, and beside it the step, the loss and what else was watched.
private struct StageRecord: Encodable {
    let stage: String
    let numbers: [String: Double]

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(stage, forKey: Key(stringValue: "stage"))
        for (name, value) in numbers { try container.encode(value, forKey: Key(stringValue: name)) }
    }
}
