import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTesting
import FledgeTrain
import Foundation
import XCTest

@testable import FledgeMethods

/// Every method of the registry keeps the promises that the command and the run folder rely on.
final class RegistryTests: XCTestCase {
    /// A file that declares a method and forgets its line in the registry would never be found.
    func testEveryMethodIsRegistered() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/FledgeMethods")
        let registry = try String(contentsOf: folder.appendingPathComponent("Registry.swift"), encoding: .utf8)
        let files = try XCTUnwrap(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var found = 0
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(
                of: /(?:struct|class|enum) (\w+)\s*:\s*(?:[\w, ]+, )?(?:\w*Method|Pretraining)\b/)
            {
                found += 1
                XCTAssertTrue(
                    registry.contains("MethodEntry(\(match.1).self)"),
                    "\(match.1) in \(file.lastPathComponent) has no line in Registry.swift")
            }
        }
        XCTAssertEqual(found, Methods.all.count, "methods declared in another way than the others")
    }

    func testDescriptions() throws {
        XCTAssertEqual(Set(Methods.all.map(\.info.name)).count, Methods.all.count)
        for entry in Methods.all {
            let info = entry.info
            XCTAssertNotNil(try /[a-z0-9]+(-[a-z0-9]+)*/.wholeMatch(in: info.name), info.name)
            XCTAssertTrue(info.summary.count > 20 && info.summary.hasSuffix("."), info.name)
            XCTAssertTrue(info.paper.contains(/\b(19|20)\d\d\b/), "\(info.name) names no paper with its year")
            XCTAssertFalse(info.needs.isEmpty, info.name)
            XCTAssertEqual(try entry.settingProblems(), [], info.name)
            for field in try entry.fields() where ["int", "float"].contains(field.type.description) {
                XCTAssertNotNil(field.range, "\(info.name): \(field.name) takes any number")
            }
            XCTAssertEqual(try Methods.entry(named: info.name).info, info)
        }
    }

    func testUnknownMethod() {
        XCTAssertThrowsError(try Methods.entry(named: "sim-clr")) { error in
            XCTAssertEqual(error as? MethodError, .unknown("sim-clr", nearest: ["simclr"]))
        }
    }

    func testSettingsOutOfRange() throws {
        XCTAssertThrowsError(try Methods.entry(named: "fixmatch").make(nil, ["threshold=1.5"])) { error in
            let error = error as? SettingsError
            XCTAssertEqual(error?.what, "setting 'threshold' cannot be '1.5'")
            XCTAssertEqual(error?.why, "it must be at least 0 and at most 1")
            XCTAssertEqual(error?.place, "'threshold=1.5'")
        }
        for good in ["threshold=0", "threshold=1", "training.momentum=0", "training.warmup=0.5"] {
            XCTAssertNoThrow(try Methods.entry(named: "fixmatch").make(nil, [good]))
        }
        XCTAssertThrowsError(try Methods.entry(named: "label-spreading").make(nil, ["temperature=1e-300"]))
        XCTAssertThrowsError(try Methods.entry(named: "supervised").make(nil, ["batchSize=1"]))
        for bad in ["training.momentum=1", "training.steps=-1", "batchSize=0", "unlabelledWeight=-0.1"] {
            XCTAssertThrowsError(try Methods.entry(named: "fixmatch").make(nil, [bad]), bad)
        }
    }

    // MARK: Running

    /// Settings for a try: those of them that the method has.
    private func small(_ entry: MethodEntry) throws -> [String] {
        let names = Set(try entry.fields().map(\.name))
        // A low threshold, so that guesses count from the first step.
        return try (["training.steps=3", "batchSize=16", "threshold=0.1"] + Digits.needed.get()).filter {
            names.contains(String($0.prefix { $0 != "=" }))
        }
    }

    private func makeTrainer<M: TrainedMethod>(
        of method: M, _ context: LearningContext, _ settings: TrainingSettings
    ) throws -> Trainer {
        let task = try method.makeTask(context)
        return Trainer(
            task, data: context.data, settings: settings, seed: 5, groups: method.groups(task))
    }

    /// Few steps on few pictures.
    private func learn(_ entry: MethodEntry, seed: UInt64 = 3, workers: Int = 1) throws -> LearningResult {
        var context = try LearningContext.suiting(entry.info, perClass: 2, seed: seed, samples: 200)
        context.workers = workers
        return try entry.make(nil, small(entry)).method.learn(context)
    }

    private func bytes(_ model: FittedModel) throws -> [UInt8] {
        let folder = try TemporaryFolder()
        try model.save(to: folder.path + "/model.safetensors")
        return try FileBytes.read(folder.path + "/model.safetensors")
    }

    func testEveryMethodRunsAndItsResultIsStored() throws {
        let digits = try Digits.test().subset(Array(0..<50))
        let scenes = Scenes.pictures(50, size: 8, seed: 2)
        for entry in Methods.all {
            let name = entry.info.name
            let sample = entry.info.needs.contains(.colour) ? scenes : digits
            let result = try learn(entry)
            let features = try result.model.features(of: sample)
            XCTAssertEqual(features.shape[0], 50)
            XCTAssertTrue(features.floats().allSatisfy(\.isFinite), name)
            XCTAssertTrue(result.curves.allSatisfy { $0.values.allSatisfy(\.isFinite) }, name)
            XCTAssertEqual(
                result.model.canClassify, entry.info.needs.contains(.labels) || entry.info.needs.contains(.votes), name)

            let folder = try TemporaryFolder()
            try result.model.save(to: folder.path + "/m.safetensors")
            let loaded = try FittedModel.load(from: folder.path + "/m.safetensors")
            XCTAssertEqual(try loaded.features(of: sample).floats(), features.floats(), name)
            XCTAssertEqual(loaded.method, name)
            XCTAssertEqual(loaded.classNames, result.model.classNames)
            XCTAssertEqual(loaded.input, result.model.input)
            XCTAssertEqual(try bytes(loaded), try bytes(result.model), name)
            guard result.model.canClassify else { continue }
            let probabilities = try result.model.probabilities(of: sample)
            XCTAssertEqual(try loaded.probabilities(of: sample), probabilities, name)
            let classes = loaded.classNames.count
            XCTAssertEqual(loaded.positive, result.model.positive, name)
            XCTAssertEqual(try XCTUnwrap(loaded.labels(of: sample), name).count, 50)
            for row in 0..<50 {
                let shares = probabilities[row * classes..<(row + 1) * classes]
                XCTAssertEqual(shares.reduce(0, +), 1, accuracy: 1e-4, name)
            }
        }
    }

    /// How a new sample is asked about comes from the settings and goes with the model.
    func testLabelSpreadingKeepsItsVote() throws {
        let context = try Digits.context(perClass: 2, samples: 200, model: "raw")
        let model = try Methods.entry(named: "label-spreading").make(nil, ["neighbours=3", "temperature=0.05"])
            .method.learn(context).model
        let folder = try TemporaryFolder()
        try model.save(to: folder.path + "/m.safetensors")
        let loaded = try FittedModel.load(from: folder.path + "/m.safetensors")
        XCTAssertEqual(loaded.vote, LabelSpreadingGraph.Vote(neighbours: 3, temperature: 0.05))
    }

    func testSameSeedSameBytesForAnyNumberOfWorkers() throws {
        for entry in Methods.all {
            let first = try bytes(learn(entry).model)
            XCTAssertEqual(try bytes(learn(entry).model), first, entry.info.name)
            XCTAssertEqual(try bytes(learn(entry, workers: 4).model), first, "\(entry.info.name), 4 workers")
            XCTAssertEqual(try bytes(learn(entry, workers: 0).model), first, "\(entry.info.name), no workers")
            XCTAssertNotEqual(try bytes(learn(entry, seed: 4).model), first, "\(entry.info.name), another seed")
        }
    }

    // MARK: Settings

    /// Settings that three steps on 200 pictures do not show by themselves: a value, and what must be set for it to act.
    private static let conditions: [String: (value: String, others: [String])] = [
        "swav.queueSize": ("32", ["queueStart=0", "queueSize=16", "training.steps=5"]),
        "swav.localScale": ("0.5", ["localViews=1"]), "dino.localScale": ("0.5", ["localViews=1"]),
        "dino.teacherWarmup": ("0.9", ["lastTeacherTemperature=0.2"]), "deepcluster.iterations": ("1", []),
        "deepcluster.components": ("4", ["reinitializedHead=true"]), "sela.relabellings": ("1", []),
        "exemplar.classes": ("20", []), "counting.margin": ("1000", []),
        "temporal-ensembling.passes": ("1", []),
        "fixmatch.distributionAlignment": ("false", ["training.learningRate=0.1", "training.steps=8"]),
        "fixmatch.flexibleThresholds": ("true", ["threshold=0.5", "training.steps=8"]),
        "co-training.poolFactor": ("1", []), "tri-training.rounds": ("1", ["training.steps=40"]),
        "auto-ssl.folds": ("2", []), "auto-ssl.searchLength": ("1", []),
        "nnpu.unlabelledBatch": ("8", []), "two-step.unlabelledBatch": ("8", []), "two-step.spies": ("0.5", []),
        "two-step.quantile": ("0.5", ["spies=0.5"]),
    ]

    private static let needColour: Set = ["relative-patch.colourDropping"]

    /// Other values of a setting; nil for names of files and the like.
    private func otherValues(of field: SettingField) -> [String]? {
        switch (field.type, field.defaultValue) {
        case (.bool, .bool(let value)): ["\(!value)"]
        case (.choice(let all), .text(let value)): all.filter { $0 != value }
        case (_, .integer(let value)): ["\(value + 1)", "\(value - 1)"]
        case (_, .number(let value)): ["\(value / 2)", "\(value + 0.25)", "1"]
        default: nil
        }
    }

    /// A setting that nothing reads would be worse than none.
    func testEverySettingActs() throws {
        for entry in Methods.all {
            func outcome(_ overrides: [String], colour: Bool = false) throws -> [String] {
                let context =
                    colour
                    ? try Scenes.context(perClass: 3, seed: 3, count: 200, size: 8, model: "small-conv")
                    : try LearningContext.suiting(entry.info, perClass: 3, seed: 3, samples: 200)
                let result = try entry.make(nil, small(entry) + overrides).method.learn(context)
                return ["\(try bytes(result.model).hashValue)", "\(result.metrics.sorted { $0.key < $1.key })"]
                    + result.curves.map { "\($0.values)" }
            }
            let plain = try outcome([])
            XCTAssertEqual(try outcome([]), plain, "\(entry.info.name) differs by itself")
            for field in try entry.fields() where !field.name.hasPrefix("training.") {
                let name = "\(entry.info.name).\(field.name)"
                guard var values = otherValues(of: field) else { continue }
                var (others, without) = ([String](), plain)
                let colour = Self.needColour.contains(name)
                if let condition = Self.conditions[name] { (values, others) = ([condition.value], condition.others) }
                if colour || !others.isEmpty { without = try outcome(others, colour: colour) }
                values = values.filter { (try? entry.make(nil, ["\(field.name)=\($0)"])) != nil }
                // What these data are too small for acts as well: it throws.
                let acts = values.contains {
                    (try? outcome(others + ["\(field.name)=\($0)"], colour: colour)) != without
                }
                XCTAssertTrue(acts, "\(name) changes nothing: \(values)")
            }
        }
    }

    // MARK: Continuing

    private struct Interrupted: Error {}

    /// Six steps are the same as three, a checkpoint, and three more in a new process.
    func testTrainingContinuesExactly() throws {
        for entry in Methods.all {
            guard let method = try entry.make(nil, small(entry)).method as? any TrainedMethod else { continue }
            for optimizer in [TrainingSettings.OptimizerName.adamw, .sgd] {
                var settings = TrainingSettings()
                (settings.steps, settings.optimizer, settings.averaging) = (6, optimizer, 0.9)
                (settings.learningRate, settings.warmup, settings.accumulation) = (0.01, 0.2, 2)
                func trainer() throws -> Trainer {
                    let context = try LearningContext.suiting(entry.info, perClass: 2, samples: 200)
                    return try makeTrainer(of: method, context, settings)
                }
                let whole = try trainer()
                try whole.run()

                let folder = try TemporaryFolder()
                let first = try trainer()
                XCTAssertThrowsError(try first.run(record: { step, _ in if step == 3 { throw Interrupted() } })) {
                    XCTAssertTrue($0 is Interrupted)
                }
                try Safetensors.save(first.state(), to: folder.path + "/checkpoint")
                let second = try trainer()
                try second.load(try Safetensors.load(folder.path + "/checkpoint"))
                XCTAssertEqual(second.step, 3)
                try second.run()
                try Safetensors.save(second.state(), to: folder.path + "/continued")
                try Safetensors.save(whole.state(), to: folder.path + "/whole")
                XCTAssertEqual(
                    try FileBytes.read(folder.path + "/continued"), try FileBytes.read(folder.path + "/whole"),
                    "\(entry.info.name), \(optimizer)")
            }
        }
    }
}
