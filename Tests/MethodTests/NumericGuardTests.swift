import FledgeCore
import FledgeData
import FledgeNN
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods
@testable import FledgeTrain

/// N1: a number that is none, in the loss, a gradient, a weight or a sample, never reaches an update, and its place is
/// named.
final class NumericGuardTests: XCTestCase {
    /// A task in which something goes wrong at one step.
    private final class Poisoned: TrainingTask {
        enum Kind: CaseIterable { case loss, gradient, weight, input }

        let base: any TrainingTask
        private let kind: Kind
        private let isPoisonedAt: (Int) -> Bool
        private let value: Double
        /// The parameter that gets the bad value, or the bad gradient.
        private let victim: Int
        var feeds: [Feed] { base.feeds }
        var trained: any Module { base.trained }

        init(
            _ base: any TrainingTask, _ kind: Kind, value: Double, victim: Int, at isPoisonedAt: @escaping (Int) -> Bool
        ) {
            self.base = base
            self.kind = kind
            self.value = value
            self.victim = victim
            self.isPoisonedAt = isPoisonedAt
        }

        var victimName: String {
            let all = base.parameters()
            return "base." + all[victim % all.count].name
        }

        func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            guard isPoisonedAt(context.step) else { return try base.step(batches, context) }
            let all = base.parameters()
            let parameter = all[victim % all.count].item
            let bad = value
            switch kind {
            case .loss:
                var output = try base.step(batches, context)
                output.loss = output.loss * bad
                return output
            case .gradient:
                var output = try base.step(batches, context)
                output.loss =
                    output.loss
                    + customGradient([parameter.value], forward: { $0[0].sum() * 0 }) { _, saved, _ in
                        [Tensor.full(saved[0].shape, bad)]
                    }
                return output
            case .weight:
                let good = parameter.value.detached()
                parameter.value = Tensor.full(good.shape, bad)
                return try base.step(batches, context)
            case .input:
                return try base.step(
                    batches.mapValues {
                        TrainingBatch(
                            views: $0.views.map { .full($0.shape, bad) }, labels: $0.labels, indices: $0.indices)
                    }, context)
            }
        }

        func didUpdate(_ context: StepContext) { base.didUpdate(context) }
    }

    private func settings(_ steps: Int) -> TrainingSettings {
        var settings = TrainingSettings()
        (settings.steps, settings.averaging, settings.learningRate) = (steps, 0.9, 0.01)
        return settings
    }

    private func supervised(_ settings: TrainingSettings) throws -> (task: any TrainingTask, context: LearningContext) {
        var config = Supervised.Config()
        (config.batchSize, config.training) = (16, settings)
        let context = try Digits.context(perClass: 2, samples: 200)
        return (Supervised.Task(config, context), context)
    }

    private func bytes(_ state: [String: Tensor]) throws -> [UInt8] {
        let folder = try TemporaryFolder()
        try Safetensors.save(state, to: folder.path + "/state")
        return try FileBytes.read(folder.path + "/state")
    }

    func testNothingIsUpdatedWithABadNumber() throws {
        var random = RandomSource(seed: 1)
        let trials = Study.isLong ? 100 : 20
        for trial in 0..<trials {
            let kind = Poisoned.Kind.allCases[trial % 4]
            let value: Double = random.uniform() < 0.5 ? .nan : .infinity
            let step = random.integer(below: 6)
            let settings = settings(8)
            let (base, context) = try supervised(settings)
            let task = Poisoned(
                base, kind, value: value, victim: random.integer(below: base.parameters().count), at: { $0 == step })
            let trainer = Trainer(task, data: context.data, settings: settings, seed: 5, workers: 0)
            var failure: NumericFailure?
            XCTAssertThrowsError(try trainer.run()) { failure = $0 as? NumericFailure }
            let what = "\(kind) \(value) at step \(step), \(task.victimName)"
            XCTAssertEqual(failure?.step, step + 1, what)
            XCTAssertEqual(trainer.step, step, what)
            XCTAssertEqual(trainer.losses.count, step, what)
            XCTAssertTrue(trainer.optimizer.parameters.allSatisfy { $0.item.gradient == nil }, what)
            let origin = try XCTUnwrap(failure?.origin, what)
            switch kind {
            case .gradient, .weight:
                let name = task.victimName
                XCTAssertEqual(origin.module, String(name[..<name.lastIndex(of: ".")!]), what)
            case .loss: XCTAssertTrue(origin.module.hasPrefix("base.classifier.head"), "\(what): \(origin)")
            case .input: XCTAssertTrue(origin.module.hasPrefix("base.classifier.backbone"), "\(what): \(origin)")
            }
            // The state is that after the last good update, to the bit.
            guard kind != .weight else { continue }
            let clean = try supervised(settings)
            let same = Trainer(
                Poisoned(clean.task, kind, value: value, victim: 0, at: { _ in false }), data: clean.context.data,
                settings: settings, seed: 5, workers: 0)
            struct Enough: Error {}
            if step > 0 { XCTAssertThrowsError(try same.run { number, _ in if number == step { throw Enough() } }) }
            XCTAssertEqual(try bytes(trainer.state()), try bytes(same.state()), what)
        }
        Study.tell("N1: \(trials) bad numbers, all stopped before the update, every place named")
    }

    /// A sample whose values are no numbers is named itself.
    func testBadSampleIsNamed() throws {
        let settings = settings(40)
        var context = try Digits.context(perClass: 2, samples: 200)
        let bad = context.data.labelled[7]
        context.data.dataset = WatchedDataset(context.data.dataset) { index, output in
            if index == bad { output[3] = .nan }
        }
        var config = Supervised.Config()
        (config.batchSize, config.training, config.view) = (4, settings, .plain)
        let trainer = Trainer(
            Supervised.Task(config, context), data: context.data, settings: settings, seed: 5, workers: 0)
        XCTAssertThrowsError(try trainer.run()) { error in
            let origin = (error as? NumericFailure)?.origin
            XCTAssertEqual(origin?.module, "input labelled")
            XCTAssertTrue(origin?.finding.contains("sample \(bad) ") == true, "\(error)")
        }
    }

    func testSkipLeavesTheBatchOut() throws {
        var settings = settings(8)
        settings.onNumericFailure = .skip
        let (base, context) = try supervised(settings)
        let task = Poisoned(base, .gradient, value: .nan, victim: 2, at: { $0 == 2 || $0 == 5 })
        let trainer = Trainer(task, data: context.data, settings: settings, seed: 5, workers: 0)
        try trainer.run()
        XCTAssertEqual(trainer.skipped, [3, 6])
        XCTAssertEqual(trainer.step, 8)
        XCTAssertEqual(trainer.logs["loss"]?.steps, [1, 2, 4, 5, 7, 8])
        XCTAssertTrue(task.state().values.allSatisfy { $0.doubles().allSatisfy(\.isFinite) })

        // All of them are no accident.
        let hopeless = Poisoned(base, .loss, value: .nan, victim: 0, at: { _ in true })
        settings.steps = 100
        let stopped = Trainer(hopeless, data: context.data, settings: settings, seed: 5, workers: 0)
        XCTAssertThrowsError(try stopped.run()) { XCTAssertTrue($0 is NumericFailure) }
        XCTAssertEqual(stopped.skipped.count, 11)
    }

    func testRollBackGoesOnAtHalfTheRate() throws {
        var settings = settings(10)
        settings.onNumericFailure = .rollBack
        settings.checkpoints.steps = 2
        let (base, context) = try supervised(settings)
        final class Box { var trainer: Trainer? }
        let box = Box()
        let task = Poisoned(base, .loss, value: .nan, victim: 0, at: { $0 == 5 && box.trainer?.rateScale == 1 })
        let trainer = Trainer(task, data: context.data, settings: settings, seed: 5, workers: 0)
        box.trainer = trainer
        let folder = try TemporaryFolder()
        let run = try RunFolder.create(at: folder.path + "/run")
        try run.writeSettings(["seed": 5])
        try run.train(trainer, stage: "supervised")
        XCTAssertEqual(trainer.rateScale, 0.5)
        XCTAssertEqual(trainer.step, 10)
        XCTAssertEqual(trainer.losses.count, 10)
        let lines = try String(contentsOfFile: run.metricsPath, encoding: .utf8).split(separator: "\n")
        XCTAssertEqual(lines.count, 10, "every update once")
        let log = try String(contentsOfFile: run.logPath, encoding: .utf8)
        XCTAssertTrue(log.contains("back to update 4, at half the learning rate"), log)
    }

    /// The state at a failure is saved, so that it can be looked at again.
    func testFailureIsSavedBeforeIt() throws {
        let settings = settings(10)
        let (base, context) = try supervised(settings)
        let task = Poisoned(base, .loss, value: .nan, victim: 0, at: { $0 == 5 })
        let folder = try TemporaryFolder()
        let run = try RunFolder.create(at: folder.path + "/run")
        try run.writeSettings(["seed": 5])
        XCTAssertThrowsError(
            try run.train(
                Trainer(task, data: context.data, settings: settings, seed: 5, workers: 0), stage: "supervised"))
        XCTAssertEqual(try run.checkpoints.newest(stage: "supervised").checkpoint?.record.step, 5)

        let again = try RunFolder.open(at: run.path, for: .replay(step: 6, stage: nil))
        try again.writeSettings(["seed": 5])
        let other = try supervised(settings)
        let poisoned = Poisoned(other.task, .loss, value: .nan, victim: 0, at: { $0 == 5 })
        XCTAssertThrowsError(
            try again.train(
                Trainer(poisoned, data: other.context.data, settings: settings, seed: 5, workers: 0),
                stage: "supervised")
        ) { error in
            let seen = error as? ReplayFinished
            XCTAssertEqual(seen?.from, 5)
            XCTAssertEqual(seen?.examination.failure?.step, 6)
            XCTAssertNotNil(seen?.examination.failure?.origin)
        }
    }

    func testBestWeightsAreKept() throws {
        var settings = settings(12)
        settings.checkpoints.steps = 3
        settings.checkpoints.weights = .best
        settings.averaging = 0
        // Its rate grows beyond all reason: the best step is an early one.
        (settings.optimizer, settings.schedule, settings.learningRate, settings.momentum) = (.sgd, .constant, 0.05, 0)
        final class Growing: TrainingTask {
            let base: any TrainingTask
            var feeds: [Feed] { base.feeds }
            var trained: any Module { base.trained }
            init(_ base: any TrainingTask) { self.base = base }
            func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
                var output = try base.step(batches, context)
                if context.step >= 6 { output.loss = output.loss * -1 + 100 }
                return output
            }
        }
        let (base, context) = try supervised(settings)
        let trainer = Trainer(Growing(base), data: context.data, settings: settings, seed: 5, workers: 0)
        let folder = try TemporaryFolder()
        let run = try RunFolder.create(at: folder.path + "/run")
        try run.writeSettings(["seed": 5])
        try run.train(trainer, stage: "supervised")
        let last = try XCTUnwrap(run.checkpoints.newest(stage: "supervised").checkpoint)
        let best = try XCTUnwrap(last.record.best)
        XCTAssertTrue([3, 6].contains(best.step), "\(best)")
        XCTAssertTrue(last.record.isFinished)
        let saved = try XCTUnwrap(
            run.checkpoints.newest(stage: "supervised", upTo: best.step).checkpoint, "the best one is never removed")
        XCTAssertEqual(saved.record.step, best.step)
        for (name, tensor) in saved.tensors where name.hasPrefix("task.") {
            XCTAssertEqual(trainer.state()[name]?.doubles(), tensor.doubles(), name)
        }
    }

    func testBestWeightsByValidation() throws {
        var settings = settings(20)
        (settings.checkpoints.weights, settings.validationInterval, settings.averaging) = (.best, 4, 0)
        // Far too fast: what it gains by training it loses for others.
        (settings.optimizer, settings.learningRate, settings.schedule) = (.sgd, 0.5, .constant)
        var context = try supervised(settings).1
        let labelled = context.data.labelled
        context.data.holdOut(share: 0.5, seed: 1)
        XCTAssertEqual(Set(context.data.labelled).union(context.data.validation), Set(labelled))
        XCTAssertTrue(Set(context.data.labelled).isDisjoint(with: context.data.validation))
        let task = Supervised.Task(Supervised.Config(), context)
        let trainer = Trainer(task, data: context.data, settings: settings, seed: 5, workers: 0)
        let folder = try TemporaryFolder()
        let run = try RunFolder.create(at: folder.path + "/run")
        try run.writeSettings(["seed": 5])
        try run.train(trainer, stage: "supervised")
        let log = try XCTUnwrap(trainer.logs["validation loss"])
        XCTAssertEqual(log.steps, [4, 8, 12, 16, 20])
        let best = try XCTUnwrap(run.checkpoints.newest(stage: "supervised").checkpoint?.record.best)
        XCTAssertEqual(best.loss, log.values.min())
        XCTAssertEqual(Double(best.step), zip(log.steps, log.values).min { $0.1 < $1.1 }?.0)
        // The weights are those that were measured then.
        task.eval()
        let samples = context.data.dataset.subset(context.data.validation)
        let features = try Inference.features(task.classifier.backbone, samples, input: context.input)
        let loss = crossEntropy(task.classifier.head(features), Tensor(samples.labels.compactMap { $0 })).item()
        XCTAssertEqual(loss, best.loss, accuracy: 1e-4)
    }

    /// The only cost of the guard in a sound step is one pass over the gradients.
    func testGuardCostsLittle() throws {
        for (model, batch) in [("small-conv", 64)] + (Study.isLong ? [("resnet18", 64)] : []) {
            let settings = settings(12)
            var config = Supervised.Config()
            (config.batchSize, config.training) = (batch, settings)
            let context = try Digits.context(perClass: 8, samples: 200, model: model)
            let trainer = Trainer(
                Supervised.Task(config, context), data: context.data, settings: settings, seed: 5, workers: 0)
            var times: [Double] = []
            var last = Date()
            try trainer.run { _, _ in
                times.append(Date().timeIntervalSince(last))
                last = Date()
            }
            // Gradients have the sizes of the weights.
            for parameter in trainer.optimizer.parameters { parameter.item.gradient = parameter.item.value.detached() }
            let norms = (0..<50).map { _ in
                let start = Date()
                _ = gradientNorm(of: trainer.optimizer.parameters)
                return Date().timeIntervalSince(start)
            }
            let share = norms.sorted()[25] / times.dropFirst(2).sorted()[5]
            XCTAssertLessThan(share, Study.isLong ? 0.01 : 0.05, model)
            Study.tell(
                "N1: the guard takes \(String(format: "%.2f", share * 100)) % of a step (\(model), batch \(batch))")
        }
    }

    // MARK: Memory and disk

    func testMemoryIsEstimated() throws {
        for (model, batch) in [("small-conv", 64), ("mlp", 128), ("resnet18", 32)] {
            var settings = settings(3)
            settings.steps = 2
            var config = Supervised.Config()
            (config.batchSize, config.training) = (batch, settings)
            let context = try Digits.context(perClass: 4, samples: 200, model: model)
            let trainer = Trainer(
                Supervised.Task(config, context), data: context.data, settings: settings, seed: 5, workers: 0)
            let before = try bytes(trainer.state())
            let need = try trainer.memoryNeed()
            XCTAssertEqual(try bytes(trainer.state()), before, "looking changes nothing")

            XCTAssertNoThrow(try trainer.checkMemory(MemoryAvailable(bytes: need.total, limit: "test")))
            XCTAssertThrowsError(try trainer.checkMemory(MemoryAvailable(bytes: need.total / 2, limit: "test"))) {
                error in
                XCTAssertTrue((error as? MemoryShortage)?.next?.contains("use a smaller batch") == true)
                XCTAssertTrue("\(error)".contains("GiB"), "\(error)")
            }
            let pool = MemoryPool.shared
            pool.trim()
            pool.resetPeak()
            let start = pool.statistics.liveBytes
            try trainer.run()
            let used = pool.statistics.peakLiveBytes - start
            let expected = need.total - need.batches
            // Some kernels need less for each sample of a larger batch, so too much is expected rather than too little.
            XCTAssertGreaterThan(Double(expected), 0.8 * Double(used), "\(model): \(expected) expected, \(used) used")
            XCTAssertLessThan(Double(expected), 1.3 * Double(used), "\(model): \(expected) expected, \(used) used")
            Study.tell("M1: \(model), batch \(batch): \(expected >> 10) KiB expected, \(used >> 10) KiB used")
        }
    }

    /// A disk that is full for the first so many new checkpoints.
    private final class FullDisk: Disk, @unchecked Sendable {
        // Unchecked: used from one thread.
        private let system = SystemDisk()
        var refusals: Int
        init(refusals: Int) { self.refusals = refusals }
        func create(_ path: String) throws(StorageError) -> DiskFile {
            if path.hasSuffix("state.safetensors"), refusals > 0 {
                refusals -= 1
                throw StorageError(action: "write", path: path, cause: .diskFull)
            }
            return try system.create(path)
        }
        func openForAppending(_ path: String) throws(StorageError) -> DiskFile { try system.openForAppending(path) }
        func write(_ bytes: UnsafeRawBufferPointer, to file: DiskFile) throws(StorageError) -> Int {
            try system.write(bytes, to: file)
        }
        func sync(_ file: DiskFile) throws(StorageError) { try system.sync(file) }
        func close(_ file: DiskFile) { system.close(file) }
        func truncate(_ path: String, to size: Int) throws(StorageError) { try system.truncate(path, to: size) }
        func rename(_ path: String, to new: String) throws(StorageError) { try system.rename(path, to: new) }
        func remove(_ path: String) throws(StorageError) { try system.remove(path) }
        func makeFolder(_ path: String) throws(StorageError) { try system.makeFolder(path) }
        func syncFolder(_ path: String) throws(StorageError) { try system.syncFolder(path) }
        func list(_ folder: String) throws(StorageError) -> [String] { try system.list(folder) }
        func read(_ path: String) throws(StorageError) -> [UInt8] { try system.read(path) }
        func kind(of path: String) -> DiskEntry? { system.kind(of: path) }
    }

    func testFullDiskStopsOrWaits() throws {
        for policy in [CheckpointSettings.FullDisk.stop, .pause] {
            var settings = settings(6)
            settings.checkpoints.steps = 2
            settings.checkpoints.onFullDisk = policy
            func trainer() throws -> Trainer {
                let (task, context) = try supervised(settings)
                return Trainer(task, data: context.data, settings: settings, seed: 5, workers: 0)
            }
            let folder = try TemporaryFolder()
            let disk = FullDisk(refusals: 2)
            let run = try RunFolder.create(at: folder.path + "/run", on: disk)
            run.fullDiskPause = 0.01
            var warnings: [String] = []
            run.warn = { warnings.append($0) }
            try run.writeSettings(["seed": 5])
            let first = try trainer()
            if policy == .pause {
                try run.train(first, stage: "s")
                XCTAssertTrue(warnings.first?.contains("the disk is full; waiting for space") == true, "\(warnings)")
                XCTAssertEqual(warnings.count, 1, "said once")
            } else {
                XCTAssertThrowsError(try run.train(first, stage: "s")) {
                    XCTAssertEqual(($0 as? StorageError)?.cause, .diskFull)
                }
                XCTAssertEqual(try run.checkpoints.steps(stage: "s"), [], "no half checkpoint")
                disk.refusals = 0
                let again = try RunFolder.open(at: run.path, on: disk)
                try again.writeSettings(["seed": 5])
                try again.train(try trainer(), stage: "s")
            }
            let whole = try trainer()
            try whole.run()
            let last = try XCTUnwrap(run.checkpoints.newest(stage: "s").checkpoint)
            XCTAssertEqual(try bytes(last.tensors), try bytes(whole.state()))
        }
    }
}
