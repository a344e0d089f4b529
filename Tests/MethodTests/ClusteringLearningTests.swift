import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTesting
import FledgeTrain
import XCTest

@testable import FledgeMethods

/// Clustering and self-distillation learn on real pictures, and do not where the idea in them is taken out.
final class ClusteringLearningTests: XCTestCase {
    private struct Outcome: CustomStringConvertible {
        var accuracy: Double
        var warnings: [String]
        var logs: [String: Double]
        var description: String { "\(accuracy), \(logs.sorted { $0.key < $1.key }), \(warnings)" }
    }

    /// Trains a task and looks at its features: by neighbours, and by their health.
    private func run<M: Pretraining>(
        _ method: M, on given: LearningContext? = nil, _ make: (LearningContext) throws -> M.Task
    ) throws -> Outcome {
        let context = try given ?? Digits.context(perClass: 10)
        let task = try make(context)
        let trained = try context.pretrain(
            task, method.training, title: M.info.name, groups: method.groups(task))
        var logs = trained.trainer.logs.keys.reduce(into: [:]) { $0[$1] = trained.trainer.lastMean($1)! }
        logs["rank"] = trained.metrics["feature_rank"]
        let outcome = Outcome(
            accuracy: try Digits.neighbours(context), warnings: trained.warnings, logs: logs)
        Study.tell("\(M.info.name): \(outcome)")
        return outcome
    }

    private static let untrained = Result { try Digits.untrained() }

    func testSwAVNeedsItsBalance() throws {
        var config = SwAV.Config()
        config.batchSize = 128
        config.training.steps = 150
        let whole = try run(SwAV(config)) { SwAV.Task(config, $0) }
        // Every sample belongs to every cluster alike.
        config.training.steps = 75
        let uniform = try run(SwAV(config)) { context in
            SwAV.Task(config, context) { Tensor.full($0.shape, 1 / Double($0.shape[1])) }
        }
        let untrained = try Self.untrained.get()
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.04)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(uniform.accuracy, untrained + 0.02)
        XCTAssertTrue(uniform.warnings.contains { $0.contains("nothing was learned") }, "\(uniform)")
    }

    func testDINONeedsItsCentre() throws {
        var config = DINO.Config()
        config.training.steps = 250
        let whole = try run(DINO(config)) { try DINO.Task(config, $0) }
        config.training.steps = 100
        let plain = try run(DINO(config)) { try DINO.Task(config, $0, centring: false) }
        XCTAssertGreaterThan(whole.accuracy, try Self.untrained.get() + 0.02)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertTrue(plain.warnings.contains { $0.contains("collapse") }, "\(plain)")
    }

    /// Learned from its clusters, and from clusters dealt out at random.
    private func deepCluster(newHeads: Bool) throws -> (whole: Outcome, shuffled: Outcome) {
        var config = DeepCluster.Config()
        config.batchSize = 64
        config.training.steps = 150
        config.reinitializedHead = newHeads
        let whole = try run(DeepCluster(config)) { DeepCluster.Task(config, $0) }
        config.training.steps = 75
        let shuffled = try run(DeepCluster(config)) { DeepCluster.Task(config, $0, shuffled: true) }
        let untrained = try Self.untrained.get()
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.02)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(shuffled.accuracy, untrained + 0.015)
        return (whole, shuffled)
    }

    func testDeepClusterNeedsItsClusters() throws {
        let shuffled = try deepCluster(newHeads: false).shuffled
        XCTAssertTrue(shuffled.warnings.contains { $0.contains("nothing was learned") }, "\(shuffled)")
    }

    /// The first version, with a new classifier at each epoch.
    func testDeepClusterWithNewHeadsNeedsItsClusters() throws {
        let (whole, shuffled) = try deepCluster(newHeads: true)
        XCTAssertGreaterThan(whole.logs["nmi"]!, shuffled.logs["nmi"]! + 0.3, "clusters that keep their members")
    }

    func testSeLaNeedsItsOpinion() throws {
        var config = SeLa.Config()
        config.training.steps = 150
        config.relabellings = 15
        let whole = try run(SeLa(config)) { SeLa.Task(config, $0) }
        config.training.steps = 60
        let shuffled = try run(SeLa(config)) { SeLa.Task(config, $0, shuffled: true) }
        let untrained = try Self.untrained.get()
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.04)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(shuffled.accuracy, untrained + 0.015)
        XCTAssertTrue(shuffled.warnings.contains { $0.contains("nothing was learned") }, "\(shuffled)")
    }

    /// IIC is after the clusters themselves: what they tell of the classes, which it never saw.
    func testIICNeedsItsPairs() throws {
        func train(_ steps: Int, paired: Bool) throws -> (classes: Double, outcome: Outcome) {
            var config = IIC.Config()
            config.training.steps = steps
            var task: IIC.Task?
            let outcome = try run(IIC(config)) {
                task = IIC.Task(config, $0, paired: paired)
                return task!
            }
            let context = try Digits.context(perClass: 10)
            let features = try Inference.features(task!.backbone, Digits.test(), input: context.input)
            let clusters = noGradient { task!.heads[0](features) }.argmax().ints()
            let classes = normalizedMutualInformation(clusters, try Digits.test().labels.compactMap { $0 })
            Study.tell("iic: \(classes) of the classes")
            return (classes, outcome)
        }
        let whole = try train(250, paired: true)
        // Views of different pictures tell nothing of each other.
        let unpaired = try train(100, paired: false)
        XCTAssertGreaterThan(whole.classes, 0.55)
        XCTAssertEqual(whole.outcome.warnings, [])
        XCTAssertLessThan(unpaired.classes, 0.4)
        XCTAssertLessThan(unpaired.outcome.accuracy, whole.outcome.accuracy - 0.05)
        XCTAssertTrue(
            unpaired.outcome.warnings.contains { $0.contains("nothing was learned") }, "\(unpaired.outcome)")
    }

    func testCPCNeedsItsPictures() throws {
        var config = CPC.Config()
        config.training.steps = 300
        let whole = try run(CPC(config)) { try CPC.Task(config, $0) }
        // Of the rows below of another picture only the place can be guessed.
        config.training.steps = 75
        let unpaired = try run(CPC(config)) { try CPC.Task(config, $0, paired: false) }
        let untrained = try Self.untrained.get()
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.015)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(unpaired.accuracy, whole.accuracy - 0.008)
        XCTAssertGreaterThan(whole.logs["accuracy"]!, 0.3)
        XCTAssertLessThan(unpaired.logs["accuracy"]!, 0.05)
    }

    /// Digits as sequences of 64 numbers, line by line.
    func testCPCOfSequencesNeedsItsSequences() throws {
        func context() throws -> LearningContext {
            try Digits.context(perClass: 10, model: "small-conv-1d", asRows: true)
        }
        var config = CPC.Config()
        config.training.steps = 200
        let whole = try run(CPC(config), on: context()) { try CPC.Task(config, $0) }
        config.training.steps = 75
        let unpaired = try run(CPC(config), on: context()) { try CPC.Task(config, $0, paired: false) }
        let untrained = try Digits.untrained("small-conv-1d", asRows: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.06)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(unpaired.accuracy, untrained + 0.04)
        XCTAssertGreaterThan(whole.logs["accuracy"]!, 0.3)
        XCTAssertLessThan(unpaired.logs["accuracy"]!, 0.05)
    }

    func testTransitiveInvarianceNeedsItsNeighbours() throws {
        var config = TransitiveInvariance.Config()
        config.training.steps = 300
        let whole = try run(TransitiveInvariance(config)) { TransitiveInvariance.Task(config, $0) }
        let shuffled = try run(TransitiveInvariance(config)) {
            TransitiveInvariance.Task(config, $0, shuffled: true)
        }
        let untrained = try Self.untrained.get()
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.02)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(shuffled.accuracy, whole.accuracy - 0.02)
    }

    /// The prototypes stand still at first, and then move; the teacher's side of DINO is in no group.
    func testFrozenAtFirst() throws {
        let context = try Digits.context(perClass: 2, samples: 200)
        var config = SwAV.Config()
        (config.batchSize, config.training.steps, config.freeze) = (32, 10, 0.5)
        let task = SwAV.Task(config, context)
        let start = task.prototypes.weight.value.floats()
        var moved: [Bool] = []
        let trainer = Trainer(task, data: context.data, settings: config.training, seed: 1)
        try trainer.run(record: { _, _ in
            moved.append(zip(task.prototypes.weight.value.floats(), start).contains { abs($0 - $1) > 1e-5 })
        })
        XCTAssertEqual(moved, (0..<10).map { $0 >= 5 })

        let dino = DINO(DINO.Config())
        let student = try dino.makeTask(context)
        let groups = try XCTUnwrap(dino.groups(student))
        let names = Set(groups.flatMap(\.parameters).map(\.name))
        XCTAssertFalse(names.isEmpty)
        XCTAssertEqual(names, Set(student.parameters().map(\.name).filter { $0.hasPrefix("student") }))
        XCTAssertTrue(names.contains("student_output.weight"), "\(names)")
    }

    /// Multi-crop: more views for the student, targets from the large ones alone; rows of numbers as well.
    func testLocalViews() throws {
        let context = try Digits.context(perClass: 2, samples: 200)
        XCTAssertEqual(context.localViews(ViewSettings(), count: 0, scale: 0.3), [])
        let views = context.localViews(ViewSettings(), count: 3, scale: 0.3)
        XCTAssertEqual(views.count, 3)
        XCTAssertTrue(
            views[0].steps.contains {
                if case .randomResizedCrop(_, _, let scale, _) = $0 { scale == 0.1...0.3 } else { false }
            })
        for name in ["swav", "dino"] {
            let method = try Methods.entry(named: name)
                .make(
                    nil,
                    ["localViews=2", "batchSize=16", "training.steps=2", "queueStart=0"].filter {
                        name == "swav" || !$0.hasPrefix("queue")
                    }
                ).method
            XCTAssertEqual(try method.learn(context).steps, 2)
        }
    }

    /// Downwards, upwards, to the right and to the left.
    func testDirectionsOfCPC() {
        // Two rows, three columns, two samples: piece 10 * row + column of the first, and 100 more of the second.
        let z = Tensor([Float]([0, 100, 1, 101, 2, 102, 10, 110, 11, 111, 12, 112]), shape: [2, 3, 2, 1])
        func read(_ direction: Int) -> [[Float]] {
            let sequences = CPC.Task.sequences(z, direction: direction)
            return (0..<sequences.shape[0]).map { sequences[$0].floats() }
        }
        XCTAssertEqual(read(0), [[0, 10], [100, 110], [1, 11], [101, 111], [2, 12], [102, 112]])
        XCTAssertEqual(read(1), [[10, 0], [110, 100], [11, 1], [111, 101], [12, 2], [112, 102]])
        XCTAssertEqual(read(2), [[0, 1, 2], [100, 101, 102], [10, 11, 12], [110, 111, 112]])
        XCTAssertEqual(read(3), [[2, 1, 0], [102, 101, 100], [12, 11, 10], [112, 111, 110]])
    }

    /// Each patch has a piece of its own cut from it, and a shade of its own.
    func testPiecesOfPatches() throws {
        let context = try Digits.context(perClass: 1, samples: 20)
        let pictures = Tensor.arange(0, 128).reshaped([2, 8, 8, 1])
        let patches = try XCTUnwrap(PatchGrid(3, side: 8)).pieces(of: pictures)
        func pieces(_ crop: Double, _ jitter: Double) throws -> Tensor {
            var config = CPC.Config()
            (config.patchCrop, config.patchJitter) = (crop, jitter)
            return try CPC.Task(config, context).pieces(of: pictures, random: RandomSource(seed: 2))
        }
        XCTAssertEqual(try pieces(1, 0).floats(), patches.floats())
        let cut = try pieces(0.75, 0)
        XCTAssertEqual(cut.shape, [18, 3, 3, 1])
        // How far right and down of the patch's corner.
        let corners = (0..<18).map { Int(cut[$0, 0, 0, 0].item() - patches[$0, 0, 0, 0].item()) }
        XCTAssertEqual(Set(corners), [0, 1, 8, 9])
        for (piece, corner) in corners.enumerated() {
            let same = patches[piece].narrowed(axis: 0, start: corner / 8, length: 3)
                .narrowed(axis: 1, start: corner % 8, length: 3)
            XCTAssertEqual(cut[piece].floats(), same.floats())
        }
        let shaded = try pieces(1, 0.5)
        let contrasts = (0..<18).map { piece in
            (shaded[piece, 3, 3, 0].item() - shaded[piece, 0, 0, 0].item()) / 27
        }
        XCTAssertEqual(Set(contrasts.map { ($0 * 1000).rounded() }).count, 18)
        for contrast in contrasts { XCTAssertEqual(contrast, 1, accuracy: 0.5) }
    }

    /// Patches cover the picture from edge to edge, whatever its size.
    func testPatchGrid() throws {
        let sizes = [(3, 28, 14, 7), (3, 8, 4, 2), (7, 256, 64, 32), (3, 32, 16, 8), (2, 8, 5, 3)]
        for (grid, side, patch, stride) in sizes {
            let found = try XCTUnwrap(PatchGrid(grid, side: side))
            XCTAssertEqual([found.patch, found.stride], [patch, stride])
            XCTAssertLessThanOrEqual((grid - 1) * stride + patch, side)
            XCTAssertGreaterThan((grid - 1) * stride + patch, side - grid)
        }
        XCTAssertNil(PatchGrid(4, side: 8))
        XCTAssertNil(PatchGrid(1, side: 8))
        let picture = Tensor((0..<64).map(Float.init), shape: [1, 8, 8, 1])
        let patches = try XCTUnwrap(PatchGrid(3, side: 8)).pieces(of: concatenate([picture, picture + 100]))
        XCTAssertEqual(patches.shape, [18, 4, 4, 1])
        // In row 1, column 2: of the first picture, then of the second.
        XCTAssertEqual(patches[10, 0, 0, 0].item(), 2 * 8 + 4)
        XCTAssertEqual(patches[11, 0, 0, 0].item(), 120)
        let line = Tensor((0..<8).map(Float.init), shape: [1, 8])
        let stretches = try XCTUnwrap(PatchGrid(3, side: 8)).pieces(of: concatenate([line, line + 100]))
        XCTAssertEqual(stretches.shape, [6, 4])
        XCTAssertEqual(stretches[3].floats(), [102, 103, 104, 105])

        let context = try Digits.context(perClass: 2, samples: 100)
        XCTAssertThrowsError(try Methods.entry(named: "cpc").make(nil, ["grid=5"]).method.learn(context)) {
            XCTAssertEqual($0 as? MethodError, .patchesTooSmall("cpc", grid: 5, side: 8))
        }
        // Networks that take no other size see patches scaled up.
        XCTAssertTrue(context.takes(side: 4))
        for (model, rows) in [("mlp", false), ("raw", false), ("mlp", true)] {
            let context = try Digits.context(perClass: 2, samples: 100, model: model, asRows: rows)
            XCTAssertFalse(context.takes(side: 4), model)
            let method = try Methods.entry(named: "cpc").make(nil, ["batchSize=8", "training.steps=2"]).method
            XCTAssertEqual(try method.learn(context).steps, 2)
        }
    }

    /// Onwards and backwards, and no other way.
    func testCPCReadsRowsInTwoDirections() throws {
        let rows = try Digits.context(perClass: 2, samples: 100, model: "mlp", asRows: true)
        func learn(_ directions: Int) throws -> LearningResult {
            try Methods.entry(named: "cpc").make(
                nil, ["batchSize=8", "training.steps=2", "directions=\(directions)"]
            ).method.learn(rows)
        }
        XCTAssertEqual(try learn(2).steps, 2)
        XCTAssertThrowsError(try learn(3)) {
            XCTAssertEqual($0 as? MethodError, .tooManyDirections("cpc", 3))
        }
    }
}
