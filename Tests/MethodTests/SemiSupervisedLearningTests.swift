import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTesting
import XCTest

@testable import FledgeMethods
@testable import FledgeTrain

/// Each semi-supervised method gains from 3,800 digits without labels, beside two of each class with one, and does not
/// where the idea in it is taken out.
final class SemiSupervisedLearningTests: XCTestCase {
    private struct Outcome {
        let accuracy: Double
        let warnings: [String]
        func warns(_ word: String) -> Bool { warnings.contains { $0.contains(word) } }
    }

    /// Trains the task that `make` makes of the method, or the method's own.
    private func run<M: SemiSupervisedMethod>(
        _ method: M, _ make: ((LearningContext) throws -> M.Task)? = nil,
        samples: Int? = nil, wrap: ((M.Task) -> any SemiSupervisedTask)? = nil
    ) throws -> Outcome {
        let context = try Digits.context(perClass: 2, samples: samples)
        let task = try make?(context) ?? method.makeTask(context)
        let trained = wrap?(task) ?? task
        let trainer = try context.train(
            trained, method.training, title: M.info.name, groups: wrap == nil ? method.groups(task) : nil)
        let result = try trainer.finished(trained, context, method: M.info.name)
        return Outcome(
            accuracy: try Digits.accuracy(result.model.probabilities(of: Digits.test())), warnings: result.warnings)
    }

    /// Small enough for a test.
    private func shortened<C: Settings>(
        _ batchSize: WritableKeyPath<C, Int>, _ ratio: WritableKeyPath<C, Int>,
        _ training: WritableKeyPath<C, TrainingSettings>, steps: Int = 300, _ change: (inout C) -> Void = { _ in }
    ) -> C {
        var config = C()
        config[keyPath: batchSize] = 32
        config[keyPath: ratio] = 4
        config[keyPath: training].steps = steps
        change(&config)
        return config
    }

    /// The views, or the places, of an unlabelled batch belong to other samples.
    private final class Mismatched: SemiSupervisedTask {
        let task: any SemiSupervisedTask
        private let places: Bool
        var classifier: Classifier { task.classifier }
        var answer: Classifier { task.answer }
        var feeds: [Feed] { task.feeds }
        init(_ task: any SemiSupervisedTask, places: Bool = false) {
            self.task = task
            self.places = places
        }

        func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            var batches = batches
            let batch = batches["unlabelled"]!
            var views = batch.views, indices = batch.indices
            if places {
                // Another order at every step, or the pairing would stay the same.
                var random = context.random
                indices = random.permutation(indices.count).map { batch.indices[$0] }
            } else {
                views[1] = views[1].rolled(by: 1, axis: 0)
            }
            batches["unlabelled"] = TrainingBatch(views: views, labels: batch.labels, indices: indices)
            return try task.step(batches, context)
        }
        func didUpdate(_ context: StepContext) { task.didUpdate(context) }
        func remarks(_ trainer: Trainer, _ context: LearningContext) throws -> [String] {
            try task.remarks(trainer, context)
        }
    }

    private static let supervised = Result {
        var config = Supervised.Config()
        config.batchSize = 32
        config.training.steps = 300
        return try Digits.accuracy(
            Supervised(config).learn(Digits.context(perClass: 2)).model.probabilities(of: Digits.test()))
    }

    func testPseudoLabel() throws {
        func run(_ change: (inout PseudoLabel.Config) -> Void) throws -> Outcome {
            try self.run(PseudoLabel(shortened(\.batchSize, \.unlabelledRatio, \.training, change)))
        }
        let whole = try run { _ in }
        let masked = try run { $0.threshold = 2 }
        XCTAssertGreaterThan(whole.accuracy, masked.accuracy + 0.03)
        XCTAssertTrue(masked.warns("taught nothing") && masked.warns("confident enough"))
        XCTAssertFalse(whole.warns("taught nothing"))
    }

    func testPiModel() throws {
        let method = PiModel(shortened(\.batchSize, \.unlabelledRatio, \.training))
        let whole = try run(method)
        let mismatched = try run(method, wrap: { Mismatched($0) })
        XCTAssertGreaterThan(whole.accuracy, mismatched.accuracy + 0.05)
        XCTAssertGreaterThan(whole.accuracy, try Self.supervised.get() + 0.02)
    }

    /// Few samples, so that each is seen often.
    func testTemporalEnsembling() throws {
        let method = TemporalEnsembling(shortened(\.batchSize, \.unlabelledRatio, \.training) { $0.passes = 20 })
        let whole = try run(method, samples: 1000)
        let mismatched = try run(method, samples: 1000, wrap: { Mismatched($0, places: true) })
        XCTAssertGreaterThan(whole.accuracy, mismatched.accuracy + 0.05)
        XCTAssertFalse(whole.warns("of 1000 unlabelled samples"))
    }

    /// Of more samples than 10 steps can see twice, a part is used, and the run says so.
    func testTemporalEnsemblingTakesWhatItCanSeeOften() throws {
        let config: TemporalEnsembling.Config = shortened(\.batchSize, \.unlabelledRatio, \.training, steps: 10) {
            $0.passes = 2
        }
        XCTAssertTrue(try run(TemporalEnsembling(config), samples: 1000).warns("640 of 1000 unlabelled samples"))
        let context = try Digits.context(perClass: 2, samples: 1000)
        let part = try XCTUnwrap(TemporalEnsembling(config).makeTask(context).feeds[1].samples)
        XCTAssertEqual(Set(part).count, 640)
        XCTAssertTrue(part.allSatisfy((0..<1000).contains))
    }

    /// A student whose answer is the teacher's learns nothing from it.
    func testMeanTeacher() throws {
        let config: MeanTeacher.Config = shortened(\.batchSize, \.unlabelledRatio, \.training) {
            ($0.consistency.weight, $0.lateDecay) = (100, 0.99)
        }
        let whole = try run(MeanTeacher(config))
        let same = try run(
            MeanTeacher(config), { try MeanTeacher.Task(config, $0, studentAnswersAsTeacher: true) })
        XCTAssertGreaterThan(whole.accuracy, same.accuracy + 0.005)
        XCTAssertTrue(same.warns("taught nothing"))
        XCTAssertFalse(whole.warns("taught nothing"))
    }

    /// Teacher and student see different views and so differ from the first step on; only the student is trained, and the
    /// teacher moves nevertheless.
    func testMeanTeacherPullsItsStudent() throws {
        var config = MeanTeacher.Config()
        config.consistency.rampUp = 0
        config.training.steps = 4
        let context = try Digits.context(perClass: 2, samples: 200)
        let task = try MeanTeacher.Task(config, context)
        let weight = task.teacher.head.weight
        let start = weight.value.floats()
        let trainer = Trainer(task, data: context.data, settings: config.training, seed: 1)
        try trainer.run { step, numbers in
            XCTAssertGreaterThan(numbers.first { $0.0 == "unlabelled loss" }!.1, 0, "step \(step)")
            XCTAssertNotEqual(weight.value.floats(), task.classifier.head.weight.value.floats())
        }
        XCTAssertNotEqual(weight.value.floats(), start)
        XCTAssertTrue(task.teacher.parameters().allSatisfy { !$0.item.isTrainable })
        XCTAssertTrue(task.classifier.parameters().allSatisfy { $0.item.isTrainable })
    }

    func testVAT() throws {
        func run(_ change: (inout VAT.Config) -> Void) throws -> Outcome {
            try self.run(
                VAT(
                    shortened(\.batchSize, \.unlabelledRatio, \.training) {
                        $0.entropyWeight = 0
                        change(&$0)
                    }))
        }
        let whole = try run { _ in }
        let without = try run { $0.unlabelledWeight = 0 }
        XCTAssertGreaterThan(whole.accuracy, without.accuracy + 0.03)
        XCTAssertFalse(whole.warns("xi"))
    }

    /// A try too short for 32-bit numbers finds directions that are noise, and the run says so.
    func testVATNeedsALongerTry() throws {
        func warns(xi: Double) throws -> Bool {
            let config: VAT.Config = shortened(\.batchSize, \.unlabelledRatio, \.training, steps: 30) { $0.xi = xi }
            return try run(VAT(config)).warns("directions are noise")
        }
        XCTAssertFalse(try warns(xi: 1e-3))
        XCTAssertTrue(try warns(xi: 1e-6))
    }

    func testUDA() throws {
        func run(_ change: (inout UDA.Config) -> Void) throws -> Outcome {
            try self.run(UDA(shortened(\.batchSize, \.unlabelledRatio, \.training, change)))
        }
        let whole = try run { _ in }
        let masked = try run { $0.threshold = 2 }
        XCTAssertGreaterThan(whole.accuracy, masked.accuracy + 0.03)
    }

    func testMixMatch() throws {
        let config: MixMatch.Config = shortened(\.batchSize, \.unlabelledRatio, \.training) { $0.unlabelledRatio = 2 }
        XCTAssertGreaterThan(try run(MixMatch(config)).accuracy, try Self.supervised.get() + 0.05)
    }

    /// The running statistics of batch normalisation are those of labelled and unlabelled rows in their proportion, one
    /// to two here. Without interleaving, which costs little accuracy on digits, they are the labelled rows' alone.
    func testMixMatchInterleaves() throws {
        func firstMean(_ pass: (MixMatch.Task) throws -> Void, interleaves: Bool = true) throws -> [Float] {
            let context = try Digits.context(perClass: 2, samples: 100)
            var config = MixMatch.Config()
            config.alpha = 0
            let task = MixMatch.Task(config, context, interleaves: interleaves)
            try pass(task)
            return task.classifier.modules().compactMap { $0.item as? BatchNorm }[0].runningMean.value.floats()
        }
        let (dark, bright) = (Tensor.zeros([6, 8, 8, 1]), Tensor.ones([6, 8, 8, 1]))
        let labels = Tensor([0, 1, 2, 3, 4, 5])
        func step(_ task: MixMatch.Task) throws {
            let context = StepContext(step: 0, progress: 0, random: RandomSource(seed: 1))
            _ = try task.step(
                [
                    "labelled": TrainingBatch(views: [dark], labels: labels, indices: Array(0..<6)),
                    "unlabelled": TrainingBatch(views: [bright, bright], labels: labels, indices: Array(0..<6)),
                ], context)
        }
        let (darkMean, brightMean) = (
            try firstMean { _ = $0.classifier(dark) }, try firstMean { _ = $0.classifier(bright) }
        )
        let both = zip(darkMean, brightMean).map { $0 / 3 + $1 * 2 / 3 }
        let interleaved = try firstMean(step), straight = try firstMean(step, interleaves: false)
        for channel in both.indices { XCTAssertEqual(interleaved[channel], both[channel], accuracy: 1e-5) }
        XCTAssertEqual(straight, darkMean)
        XCTAssertGreaterThan(zip(straight, both).map { abs($0 - $1) }.max()!, 0.001)
    }

    /// Copies must be of the sample that they are said to be of, and pictures must be turned.
    func testS4L() throws {
        func config(_ pretext: S4L.Pretext) -> S4L.Config {
            shortened(\.batchSize, \.unlabelledRatio, \.training) { $0.pretext = pretext }
        }
        let whole = try run(S4L(config(.auto)))
        let mismatched = try run(S4L(config(.exemplar)), wrap: { Mismatched($0) })
        XCTAssertGreaterThan(whole.accuracy, try Self.supervised.get() + 0.02)
        XCTAssertGreaterThan(whole.accuracy, mismatched.accuracy + 0.02)
        XCTAssertTrue(mismatched.warns("copies of a sample were not found"))
        XCTAssertFalse(whole.warns("copies of a sample were not found"))

        let turned = try run(S4L(config(.rotation)))
        let unturned = try run(S4L(config(.rotation)), { S4L.Task(config(.rotation), $0, turning: { x, _ in x }) })
        XCTAssertTrue(unturned.warns("turns were not learned"))
        XCTAssertFalse(turned.warns("turns were not learned"))
    }

    /// Rough views that are gentle ones teach little, and FixMatch says so.
    func testFixMatchNeedsRoughViews() throws {
        func run(_ change: (inout FixMatch.Config) -> Void) throws -> Outcome {
            try self.run(
                FixMatch(
                    shortened(\.batchSize, \.unlabelledRatio, \.training) {
                        $0.threshold = 0.8
                        change(&$0)
                    }))
        }
        let flexible = try run { $0.flexibleThresholds = true }
        let gentle = try run { ($0.magnitude, $0.cutout) = (0, 0) }
        XCTAssertGreaterThan(flexible.accuracy, try Self.supervised.get() + 0.04)
        XCTAssertFalse(flexible.warns("rough views"))
        XCTAssertTrue(gentle.warns("rough views"))
    }

    // MARK: Rounds

    private func accuracy(_ result: LearningResult) throws -> Double {
        try Digits.accuracy(result.model.probabilities(of: Digits.test()))
    }

    /// A teacher whose answers are about other samples.
    func testNoisyStudent() throws {
        var config = NoisyStudent.Config()
        (config.rounds, config.batchSize, config.training.steps) = (1, 32, 200)
        let whole = try accuracy(NoisyStudent(config).learn(Digits.context(perClass: 2)))
        let broken = try accuracy(
            NoisyStudent(config).learn(Digits.context(perClass: 2)) { table in
                // The digits are sorted by class.
                AnswerTable(Array(table.values[20000...] + table.values[..<20000]), classes: 10)
            })
        XCTAssertGreaterThan(whole, broken + 0.02)
        XCTAssertGreaterThan(whole, try Self.supervised.get() + 0.01)
    }

    /// A teacher that ranks other samples teaches nothing.
    func testBillionScale() throws {
        var config = BillionScale.Config()
        (config.batchSize, config.training.steps) = (32, 300)
        let whole = try accuracy(BillionScale(config).learn(Digits.context(perClass: 2)))
        let broken = try accuracy(
            BillionScale(config).learn(Digits.context(perClass: 2)) { table in
                AnswerTable(Array(table.values[20000...] + table.values[..<20000]), classes: 10)
            })
        XCTAssertGreaterThan(whole, broken + 0.03)
        XCTAssertGreaterThan(whole, try Self.supervised.get() + 0.01)
    }

    /// Nor do words that belong to other samples.
    func testHashtags() throws {
        func run(spoilt: Bool) throws -> Double {
            var config = Hashtags.Config()
            (config.tags, config.batchSize, config.training.steps) = (try Digits.tags(spoilt: spoilt), 32, 200)
            return try accuracy(Hashtags(config).learn(Digits.context(perClass: 2)))
        }
        let (whole, spoilt) = (try run(spoilt: false), try run(spoilt: true))
        Study.tell("hashtags: \(whole), with the words of other samples \(spoilt)")
        XCTAssertGreaterThan(whole, spoilt + 0.04)
        XCTAssertGreaterThan(whole, try Self.supervised.get() + 0.03)
    }

    /// From pretrained features, as the paper has it. Of a teacher whose answers are about other samples nothing is left.
    func testDistillation() throws {
        var simclr = SimCLR.Config()
        (simclr.batchSize, simclr.training.steps) = (128, 100)
        let pretrained = try Digits.context(perClass: 2)
        _ = try SimCLR(simclr).learn(pretrained)
        let start = pretrained.backbone.state()
        func context() throws -> LearningContext {
            let context = try Digits.context(perClass: 2)
            try context.backbone.load(start)
            return context
        }
        var config = Distillation.Config()
        (config.batchSize, config.unlabelledRatio, config.training.steps) = (32, 2, 100)
        var supervised = Supervised.Config()
        (supervised.batchSize, supervised.view, supervised.training) = (32, .weak, config.training)
        let teacher = try accuracy(Supervised(supervised).learn(context()))
        let whole = try Distillation(config).learn(context())
        let broken = try accuracy(Distillation(config).learn(context()) { $0.rolled(by: 1, axis: 0) })
        XCTAssertGreaterThan(try accuracy(whole), teacher - 0.02)
        XCTAssertLessThan(broken, teacher - 0.2)
        XCTAssertEqual(whole.steps, 200)

        // A smaller network of another kind takes over most of what the teacher knows.
        config.student = "mlp"
        let small = try Distillation(config).learn(context())
        XCTAssertEqual(small.model.modelName, "mlp")
        XCTAssertGreaterThan(try accuracy(small), teacher - 0.08)
        config.student = "no-such-network"
        XCTAssertThrowsError(try Distillation(config).learn(context())) {
            guard case .unknown = $0 as? ModelError else { return XCTFail("\($0)") }
        }
    }

    /// With all weight on the labels, the teacher's answers do not matter; between, they do.
    func testDistillationWeighsTheLabels() throws {
        func answers(_ share: Double, _ change: @escaping (Tensor) -> Tensor) throws -> [Float] {
            var config = Distillation.Config()
            (config.batchSize, config.training.steps, config.distilledShare) = (16, 4, share)
            let context = try Digits.context(perClass: 2, samples: 100)
            return try Distillation(config).learn(context, changing: change).model
                .probabilities(of: Digits.test().subset(Array(0..<5)))
        }
        XCTAssertEqual(try answers(0) { $0 }, try answers(0) { -$0 })
        XCTAssertNotEqual(try answers(0.5) { $0 }, try answers(0.5) { -$0 })
    }

    func testCoTraining() throws {
        var config = CoTraining.Config()
        (config.rounds, config.perClass, config.batchSize) = (3, 10, 32)
        (config.training.steps, config.roundLength) = (200, 0.3)
        let whole = try accuracy(CoTraining(config).learn(Digits.context(perClass: 5)))
        let broken = try accuracy(
            CoTraining(config).learn(Digits.context(perClass: 5)) { $0.mapValues { ($0 + 1) % 10 } })
        XCTAssertGreaterThan(whole, broken + 0.1)
    }

    func testDeepCoTraining() throws {
        func run(_ change: (inout DeepCoTraining.Config) -> Void) throws -> Outcome {
            try self.run(DeepCoTraining(shortened(\.batchSize, \.unlabelledRatio, \.training, steps: 200, change)))
        }
        let whole = try run { _ in }
        let alone = try run { ($0.agreementWeight, $0.differenceWeight) = (0, 0) }
        XCTAssertGreaterThan(whole.accuracy, alone.accuracy + 0.02)
    }

    func testTriTraining() throws {
        var config = TriTraining.Config()
        (config.rounds, config.batchSize) = (1, 32)
        (config.training.steps, config.roundLength) = (200, 0.5)
        let whole = try accuracy(TriTraining(config).learn(Digits.context(perClass: 5)))
        let broken = try accuracy(
            TriTraining(config).learn(Digits.context(perClass: 5)) { $0.mapValues { ($0 + 1) % 10 } })
        XCTAssertGreaterThan(whole, broken + 0.1)
    }

    func testAutoSSL() throws {
        var config = AutoSSL.Config()
        (config.candidates, config.folds, config.searchLength) = ([.fixMatch], 2, 0.4)
        (config.batchSize, config.training.steps) = (16, 150)
        let result = try AutoSSL(config).learn(Digits.context(perClass: 4))
        XCTAssertNotNil(result.metrics["margin_fixmatch"])
        XCTAssertGreaterThan(try accuracy(result), 0.7)
        // One label of a class validates nothing.
        config.training.steps = 20
        let single = try AutoSSL(config).learn(Digits.context(perClass: 1))
        XCTAssertTrue(single.warnings.contains { $0.contains("one label only") })
        XCTAssertNil(single.metrics["margin_fixmatch"])
    }
}
