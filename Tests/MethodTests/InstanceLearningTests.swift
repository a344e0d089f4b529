import FledgeCore
import FledgeData
import FledgeNN
import XCTest

@testable import FledgeMethods
@testable import FledgeTrain

/// Instance discrimination and learning without negatives on real pictures: each method makes features that neighbours
/// agree on more than the untrained network's, and does not, or says so, with its idea taken out.
final class InstanceLearningTests: XCTestCase {
    private static let untrained = Result { try Digits.untrained() }

    private func untrained() throws -> Double { try Self.untrained.get() }

    /// The same after training, and the result.
    private func learn<M: Pretraining>(
        _ method: M, _ make: ((LearningContext) throws -> M.Task)? = nil
    ) throws -> (accuracy: Double, result: LearningResult) {
        let context = try Digits.context(perClass: 10)
        let result = try method.learn(context, task: try make?(context) ?? method.makeTask(context))
        return (try Digits.neighbours(context), result)
    }

    /// The same with the batches spoilt on their way to the method.
    private func learn<M: Pretraining>(
        _ method: M, spoiling spoil: @escaping (TrainingBatch, inout RandomSource) -> TrainingBatch
    ) throws -> Double {
        let context = try Digits.context(perClass: 10)
        _ = try context.train(Spoilt(try method.makeTask(context), spoil), method.training, title: "spoilt")
        return try Digits.neighbours(context)
    }

    /// The second views belong to other pictures than the first.
    private func unpaired(_ batch: TrainingBatch, _ random: inout RandomSource) -> TrainingBatch {
        let others = batch.views.dropFirst().map { $0.rolled(by: 1, axis: 0) }
        return TrainingBatch(views: [batch.views[0]] + others, labels: batch.labels, indices: batch.indices)
    }

    private func assertWarns(
        _ result: LearningResult, _ start: String, file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertTrue(
            result.warnings.contains { $0.hasPrefix(start) }, "\(result.warnings)", file: file, line: line)
    }

    func testMoCo() throws {
        var config = MoCo.Config()
        config.batchSize = 128
        config.symmetric = true
        config.head = .linear
        config.temperature = 0.07
        config.training.steps = 150
        let whole = try learn(MoCo(config))
        let apart = try learn(MoCo(config), spoiling: unpaired)
        XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.04)
        XCTAssertLessThan(apart, whole.accuracy - 0.04)
        XCTAssertEqual(whole.result.warnings, [])
    }

    /// Version 2, with the mistake that a query meets its own key among the negatives, and with a queue that is too
    /// long.
    func testMoCoWatchesItsQueue() throws {
        var config = MoCo.Config()
        config.batchSize = 64
        config.training.steps = 20
        let whole = try learn(MoCo(config))
        XCTAssertEqual(whole.result.warnings.filter { !$0.hasPrefix("nothing was learned") }, [])
        let age = try XCTUnwrap(whole.result.curves.first { $0.name == "queue age" }).values
        XCTAssertEqual(age[3], 4 * 64 / 3823.0, accuracy: 1e-9)
        let early = try learn(MoCo(config)) { try MoCo.Task(config, $0, enqueuesFirst: true) }
        assertWarns(early.result, "nearly every sample met its own key as a negative")
        config.queueSize = 3900
        config.training.steps = 1
        assertWarns(try learn(MoCo(config)).result, "the queue of 3900 keys spans more than one epoch of 3823 samples")
    }

    func testMoCoV3() throws {
        var config = MoCoV3.Config()
        config.batchSize = 128
        config.training.steps = 150
        let whole = try learn(MoCoV3(config))
        let apart = try learn(MoCoV3(config), spoiling: unpaired)
        XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.025)
        XCTAssertLessThan(apart, try untrained())
        XCTAssertEqual(whole.result.warnings, [])
    }

    func testBYOLNeedsItsPredictor() throws {
        var config = BYOL.Config()
        config.batchSize = 128
        config.momentum = 0.9
        config.training.steps = 150
        let whole = try learn(BYOL(config))
        let bare = try learn(BYOL(config)) { try BYOL.Task(config, $0, predicts: false) }
        // So few steps only begin to help; a collapse is complete by then.
        XCTAssertGreaterThan(whole.accuracy, try untrained() - 0.02)
        XCTAssertLessThan(bare.accuracy, try untrained() - 0.03)
        XCTAssertLessThan(bare.accuracy, whole.accuracy - 0.04)
        assertWarns(bare.result, "collapse")
        XCTAssertEqual(whole.result.warnings, [])
    }

    func testSimSiamNeedsItsStopGradient() throws {
        var config = SimSiam.Config()
        config.batchSize = 128
        config.training.steps = 150
        let whole = try learn(SimSiam(config))
        let bare = try learn(SimSiam(config)) { SimSiam.Task(config, $0, stopsGradient: false) }
        XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.01)
        XCTAssertLessThan(bare.accuracy, try untrained() - 0.05)
        XCTAssertEqual(whole.result.warnings, [])
    }

    func testBarlowTwins() throws {
        var config = BarlowTwins.Config()
        config.batchSize = 128
        config.training.steps = 150
        let whole = try learn(BarlowTwins(config))
        let apart = try learn(BarlowTwins(config), spoiling: unpaired)
        XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.025)
        XCTAssertLessThan(apart, try untrained() - 0.05)
        XCTAssertEqual(whole.result.warnings, [])
    }

    func testVICRegNeedsItsVariance() throws {
        var config = VICReg.Config()
        config.batchSize = 128
        config.training.steps = 150
        let whole = try learn(VICReg(config))
        config.varianceWeight = 0
        let bare = try learn(VICReg(config))
        XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.04)
        XCTAssertLessThan(bare.accuracy, try untrained() - 0.1)
        assertWarns(bare.result, "collapse: the features hardly vary")
        XCTAssertEqual(whole.result.warnings, [])
    }

    func testSupCon() throws {
        var config = SupCon.Config()
        config.batchSize = 64
        config.training.steps = 150
        for form in SupConForm.allCases {
            config.form = form
            let whole = try learn(SupCon(config))
            XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.05)
            let accuracy = try Digits.accuracy(whole.result.model.probabilities(of: Digits.test()))
            XCTAssertGreaterThan(accuracy, 0.9, "its linear classifier")
            XCTAssertEqual(whole.result.warnings, [])
        }
        // Labels of other samples.
        let mixed = try learn(SupCon(config)) { batch, random in
            let order = random.permutation(batch.indices.count)
            return TrainingBatch(
                views: batch.views, labels: batch.labels.indexSelect(axis: 0, order), indices: batch.indices)
        }
        XCTAssertLessThan(mixed, try untrained() + 0.04)
        var context = try Digits.context(perClass: 2, samples: 100)
        context.data.labelled = []
        XCTAssertThrowsError(try SupCon(config).learn(context)) {
            XCTAssertEqual($0 as? MethodError, .needsLabels("supcon"))
        }
    }

    /// Told from all other samples, or from some that are drawn.
    func testNPID() throws {
        for negatives in [0, 256] {
            var config = NPID.Config()
            (config.batchSize, config.negatives, config.training.steps) = (128, negatives, 200)
            let whole = try learn(NPID(config))
            // Every sample finds another's place in the memory.
            let mixed = try learn(NPID(config)) { batch, random in
                let order = random.permutation(batch.indices.count)
                return TrainingBatch(
                    views: batch.views, labels: batch.labels, indices: order.map { batch.indices[$0] })
            }
            XCTAssertGreaterThan(whole.accuracy, try untrained() + 0.025)
            XCTAssertLessThan(mixed, whole.accuracy - 0.02)
            XCTAssertEqual(whole.result.warnings, [])
            let learned = try XCTUnwrap(whole.result.metrics["loss_learned"])
            XCTAssertTrue(learned > 0.02 && learned < 1, "\(learned)")
        }
    }

    /// A sample's place in the memory moves half of the way to what the network said of it, the others stay.
    func testNPIDRemembers() throws {
        let context = try Digits.context(perClass: 2, samples: 100)
        let task = NPID(NPID.Config()).makeTask(context)
        let before = task.memory.value
        let batch = TrainingBatch(
            views: [Tensor.ones([2, 8, 8, 1]) * Tensor([1, 2] as [Float], shape: [2, 1, 1, 1])],
            labels: Tensor([-1, -1]), indices: [7, 3])
        task.eval()
        let v = noGradient { task.projection(context.backbone(batch.views[0])).l2Normalized(axis: -1) }
        _ = try task.step(["pictures": batch], StepContext(step: 0, progress: 0, random: context.random("test")))
        for row in 0..<100 {
            let old = before[row]
            let wanted =
                batch.indices.firstIndex(of: row).map { ((old + v[$0]) * 0.5).l2Normalized(axis: -1) } ?? old
            XCTAssertLessThan((task.memory.value[row] - wanted).abs().max().item(), 1e-6, "\(row)")
        }
    }

    /// The predictor of SimSiam keeps its rate while the others' falls.
    func testSimSiamsPredictorKeepsItsRate() throws {
        var config = SimSiam.Config()
        config.batchSize = 16
        config.training.steps = 4
        for constant in [true, false] {
            config.constantPredictorRate = constant
            let context = try Digits.context(perClass: 2, samples: 100)
            let method = SimSiam(config)
            let task = method.makeTask(context)
            let groups = try XCTUnwrap(method.groups(task))
            XCTAssertEqual(groups.flatMap(\.parameters).count, task.parameters().count)
            for group in groups {
                let isPredictor = group.parameters.allSatisfy { $0.name.hasPrefix("predictor.") }
                XCTAssertEqual(group.isScheduled, !(isPredictor && constant), group.parameters[0].name)
            }
            let trainer = try context.train(task, config.training, title: "simsiam", groups: groups)
            XCTAssertEqual(trainer.optimizer.constantRate, config.training.learningRate)
            XCTAssertLessThan(trainer.optimizer.learningRate, 0.2 * config.training.learningRate)
        }
    }
}

/// A task that gets other batches than it asked for.
private final class Spoilt: TrainingTask {
    let task: any TrainingTask
    let spoil: (TrainingBatch, inout RandomSource) -> TrainingBatch
    var feeds: [Feed] { task.feeds }

    init(_ task: any TrainingTask, _ spoil: @escaping (TrainingBatch, inout RandomSource) -> TrainingBatch) {
        self.task = task
        self.spoil = spoil
    }

    func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
        var random = context.random.stream("spoil")
        return try task.step(batches.mapValues { spoil($0, &random) }, context)
    }

    func didUpdate(_ context: StepContext) { task.didUpdate(context) }
}
