import Fledge
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods

/// Learning from positives and unlabelled samples.
final class PositiveUnlabelledTests: XCTestCase {
    private let p = Table([1, -0.5, 2], [3])

    /// Both parts of the risk with the sigmoid loss, prior 0.4; values in float64 by NumPy.
    func testRisks() {
        let u = Table([-1, 0.3, -2, 0.8, -0.6], [5])
        let parts = puRisks(positive: p.exact, unlabelled: u.exact, prior: 0.4)
        XCTAssertEqual(parts.positive.item(), 0.134747, accuracy: 1e-6)
        XCTAssertEqual(parts.negative.item(), 0.136128, accuracy: 1e-6)
        // The sigmoid loss is symmetric, so the two gradients on P add up.
        let wanted: [(Double, Double)?] = [(0.143096, -0.052430), (0.197752, 0.039322)]
        checkLoss([p, u], value: 0.270875, gradients: wanted) {
            unbiasedRisk(positive: $0[0], unlabelled: $0[1], prior: 0.4)
        }
        // nnPU is uPU while the negatives' risk is not below zero.
        checkLoss([p, u], value: 0.270875, gradients: wanted) {
            nonNegativeRisk(positive: $0[0], unlabelled: $0[1], prior: 0.4)
        }
    }

    /// The value is the reported risk, the gradient that of -R_n: not the derivative of the value.
    func testCorrection() {
        let u = Table([-3, -2, -4, -2.5, -3.5], [5])
        let parts = puRisks(positive: p.exact, unlabelled: u.exact, prior: 0.4)
        XCTAssertEqual(parts.negative.item(), -0.207296, accuracy: 1e-6)
        XCTAssertEqual(
            unbiasedRisk(positive: p.exact, unlabelled: u.exact, prior: 0.4).item(), -0.072549, accuracy: 1e-6)
        checkLoss(
            [p, u], value: 0.134747, gradients: [(0.071548, 0.026215), (0.053279, -0.009035)], differences: false
        ) { nonNegativeRisk(positive: $0[0], unlabelled: $0[1], prior: 0.4) }
        let leaves = [p.exact.requiringGradient(), u.exact.requiringGradient()]
        let found = gradients(of: nonNegativeRisk(positive: leaves[0], unlabelled: leaves[1], prior: 0.4), for: leaves)
        for (gradient, wanted) in zip(
            found, [[0.026215, 0.031334, 0.013999], [-0.009035, -0.020999, -0.003533, -0.014021, -0.005691]])
        {
            for (a, b) in zip(gradient!.doubles(), wanted) { XCTAssertEqual(a, b, accuracy: 1e-6) }
        }
        // Half the step back, and a bound so low that nothing is corrected.
        let half = gradients(
            of: nonNegativeRisk(positive: leaves[0], unlabelled: leaves[1], prior: 0.4, gamma: 0.5), for: leaves)
        XCTAssertEqual(half[0]!.doubles()[0], 0.026215 / 2, accuracy: 1e-6)
        XCTAssertEqual(
            nonNegativeRisk(positive: p.exact, unlabelled: u.exact, prior: 0.4, beta: 0.3).item(), -0.072549,
            accuracy: 1e-6)
        XCTAssertEqual(
            nonNegativeRisk(positive: p.exact, unlabelled: u.exact, prior: 0.4, beta: 0.1).item(), 0.034747,
            accuracy: 1e-6)
    }

    func testSurrogateLosses() {
        let z = Tensor(float64: [-3, 0, 0.5, 2], device: .reference)
        for (loss, wanted) in [
            (SurrogateLoss.sigmoid, [0.952574, 0.5, 0.377541, 0.119203]),
            (.logistic, [3.048587, 0.693147, 0.474077, 0.126928]), (.doubleHinge, [3, 0.5, 0.25, 0]),
        ] {
            for (a, b) in zip(loss(z).doubles(), wanted) { XCTAssertEqual(a, b, accuracy: 1e-6, "\(loss)") }
        }
    }

    /// Values in float64 by NumPy: 0.25 mean log(1 + exp(-g_P)) + 0.75 mean over counted of log(1 + exp(g_U)).
    func testLabelledOrNotRisk() {
        let (u, counted) = (Table([-1, 0.3, -2, 0.8], [4]), Table([1, 0, 1, 1], [4]))
        checkLoss([p, u, counted], value: 0.520678, gradients: [(0.084217, -0.022412), (0.269530, 0.067235), nil]) {
            labelledOrNotRisk(labelled: $0[0], unlabelled: $0[1], counted: $0[2].detached(), share: 0.25)
        }
    }

    func testWeightsAndThresholds() {
        XCTAssertEqual(positiveWeight(0.2, c: 0.4), 0.375, accuracy: 1e-12)
        XCTAssertEqual(positiveWeight(0.9, c: 0.4), 1)
        XCTAssertEqual(positiveWeight(0, c: 0.4), 0)
        XCTAssertEqual(positiveWeight(0.5, c: 1), 0)
        let spies: [Float] = (1...40).map { Float(41 - $0) / 40 }
        XCTAssertEqual(spyThreshold(spies, quantile: 0), 1 / 40)
        XCTAssertEqual(spyThreshold(spies, quantile: 0.05), 3 / 40)
    }

    /// Scores of two normal distributions that hardly overlap, mixed 30 to 70.
    func testClassPrior() {
        var random = RandomSource(seed: 1)
        for share in [0.1, 0.3, 0.6] {
            let positive = (0..<500).map { _ in Float(2 + random.normal()) }
            let unlabelled = (0..<4000).map { _ in Float((random.uniform() < share ? 2 : -2) + random.normal()) }
            XCTAssertEqual(ClassPrior.bestBin(positive: positive, unlabelled: unlabelled), share, accuracy: 0.04)
        }
    }

    // MARK: Even against odd digits

    private static let even = ["0", "2", "4", "6", "8"]

    private func context() throws -> LearningContext { try Digits.context(perClass: 20, model: "mlp") }

    private func accuracy(_ result: LearningResult) throws -> Double {
        let test = try Digits.test()
        let labels = try XCTUnwrap(result.model.labels(of: test)).compactMap { $0 }
        XCTAssertEqual(labels.reduce(0, +), test.labels.count { $0! % 2 == 0 })
        let scores = try result.model.probabilities(of: test)
        return Metrics.accuracy(predicted: Metrics.predictions(scores: scores, classes: 2), labels: labels)
    }

    /// Without its correction the training risk falls below zero and the network gets worse, and the run says so.
    func testNNPUNeedsItsCorrection() throws {
        func run(_ correction: Bool) throws -> (accuracy: Double, result: LearningResult) {
            var config = NNPU.Config()
            config.positive = Self.even
            config.prior = 0.49
            config.correction = correction
            config.training.steps = 500
            let result = try NNPU(config).learn(context())
            return (try accuracy(result), result)
        }
        let (corrected, plain) = (try run(true), try run(false))
        XCTAssertGreaterThan(corrected.accuracy, 0.9)
        XCTAssertLessThan(plain.accuracy, corrected.accuracy - 0.02)
        XCTAssertLessThan(try XCTUnwrap(plain.result.metrics["risk"]), 0)
        XCTAssertGreaterThan(try XCTUnwrap(corrected.result.metrics["risk"]), -0.01)
        XCTAssertTrue(plain.result.warnings.contains { $0.contains("below zero") }, "\(plain.result.warnings)")
        XCTAssertFalse(corrected.result.warnings.contains { $0.contains("below zero") })
    }

    /// The constant matters: taken for 1, everything unlabelled is negative.
    func testElkanNotoNeedsItsConstant() throws {
        for reweight in [true, false] {
            var config = ElkanNoto.Config()
            config.positive = Self.even
            config.reweight = reweight
            let result = try ElkanNoto(config).learn(context())
            let found = try accuracy(result)
            XCTAssertGreaterThan(found, 0.8, "reweight \(reweight)")
        }
        // The first classifier alone, whose half is that of labelled against unlabelled.
        let context = try context().positiveUnlabelled(Self.even)
        let method = ElkanNoto(ElkanNoto.Config())
        let (task, trainer) = try method.train(context)
        var result = try trainer.finished(task.classifier, context, method: "elkan-noto", curves: [])
        result = try context.judge(result, positive: Self.even, prior: nil)
        let naive = try accuracy(result)
        XCTAssertLessThan(naive, 0.7)
    }

    func testTwoStep() throws {
        var config = TwoStep.Config()
        config.positive = Self.even
        let result = try TwoStep(config).learn(context())
        let found = try accuracy(result)
        XCTAssertGreaterThan(found, 0.8)
    }

    /// The prior that is found without being told, over all samples.
    func testPriorOfDigits() throws {
        let context = try Digits.context(perClass: 40, model: "raw")
        for names in [["3"], Self.even] {
            let truth = Double(names.count) / 10
            let found = try context.positiveUnlabelled(names).classPrior(given: 0)
            XCTAssertEqual(found, truth, accuracy: 0.25 * truth + 0.02)
        }
    }

    func testPositiveClasses() throws {
        let context = try Digits.context(perClass: 2, samples: 200)
        XCTAssertThrowsError(try context.positiveUnlabelled([])) {
            XCTAssertEqual($0 as? PositiveClassError, .notNamed(classes: (0..<10).map(String.init)))
        }
        XCTAssertThrowsError(try context.positiveUnlabelled(["11"])) {
            XCTAssertEqual(($0 as? PositiveClassError)?.what, "there is no class \"11\"")
        }
        XCTAssertThrowsError(try context.positiveUnlabelled((0..<10).map(String.init))) {
            XCTAssertEqual($0 as? PositiveClassError, .all)
        }
        // Samples without a label may be of another class, even where no other is named.
        var alone = context
        let one = alone.data.dataset.labels.map { $0 == 3 ? 0 : nil }
        alone.data = TrainingData(
            dataset: alone.data.dataset.relabelled(one, classNames: ["3"]),
            labelled: one.indices.filter { one[$0] != nil }, input: alone.input)
        XCTAssertEqual(try alone.positiveUnlabelled(["3"]).data.classNames, ["not 3", "3"])
        let found = try context.positiveUnlabelled(["3", "5"])
        XCTAssertEqual(found.data.classNames, ["not 3, 5", "3, 5"])
        XCTAssertEqual(found.data.labelled.count, 4)
        // No other label is known any more.
        XCTAssertEqual(found.data.dataset.labelledCount, 4)
        XCTAssertEqual(found.data.labels, [1, 1, 1, 1])
    }
}
