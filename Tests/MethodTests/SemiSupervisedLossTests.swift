import FledgeCore
import FledgeData
import FledgeNN
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods

/// Losses of the semi-supervised methods and what they are made of, against values computed in float64 with PyTorch by
/// the papers' formulas. A and B are logits of 3 samples and 4 classes, 2 sin(a + 3i + 7j) for a = 1 and 2.
final class SemiSupervisedLossTests: XCTestCase {
    private let a = Table(3, 4) { 2 * sin(1 + 3 * $0 + 7 * $1) }
    private let b = Table(3, 4) { 2 * sin(2 + 3 * $0 + 7 * $1) }

    private func check(
        _ values: [Double], _ expected: [Double], accuracy: Double = 1e-6, file: StaticString = #filePath,
        line: UInt = #line
    ) {
        XCTAssertEqual(values.count, expected.count, file: file, line: line)
        for (value, wanted) in zip(values, expected) {
            XCTAssertEqual(value, wanted, accuracy: accuracy, file: file, line: line)
        }
    }

    func testConsistency() {
        checkLoss([a, b], value: 0.036656, gradients: [(0.081180, -0.018332), nil]) {
            consistency($0[0].softmax(), $0[1].softmax().detached())
        }
        checkLoss([a, b], value: 0.036656, gradients: [(0.081180, -0.018332), (0.088086, 0.019071)]) {
            consistency($0[0].softmax(), $0[1].softmax())
        }
        checkLoss([a, b], value: 0.146623, gradients: [(0.324719, -0.073330), (0.352346, 0.076284)]) {
            consistency($0[0].softmax(), $0[1].softmax(), reduction: .sum)
        }
        XCTAssertEqual(consistency(a.exact, a.exact).item(), 0)
    }

    func testEntropyAndSharpening() {
        check(a.exact.softmax()[0].doubles(), [0.311626, 0.418877, 0.212605, 0.056892])
        checkLoss([a], value: 1.213905, gradients: [(0.440569, -0.005625)]) { predictionEntropy($0[0]) }
        let p = a.exact.softmax()
        check(sharpen(p, temperature: 0.5)[0].doubles(), [0.302519, 0.546587, 0.140810, 0.010083])
        check(sharpen(p, temperature: 1).doubles(), p.doubles(), accuracy: 1e-12)
        // Powers that vanish all together in 32-bit numbers.
        let flat = Tensor([Float](repeating: 0.001, count: 1000), shape: [1, 1000])
        XCTAssertEqual(sharpen(flat, temperature: 0.01).sum().item(), 1, accuracy: 1e-4)
    }

    func testRampsAndAnnealing() {
        XCTAssertEqual(gaussianRamp(0.2, over: 0.4), 0.286505, accuracy: 1e-6)
        XCTAssertEqual(gaussianRamp(0, over: 0.4), 0.006738, accuracy: 1e-6)
        XCTAssertEqual(gaussianRamp(0.4, over: 0.4), 1)
        XCTAssertEqual(gaussianRamp(0, over: 0), 1)
        check([0.1, 0.35, 0.6, 1].map { linearRamp($0, 0.1, 0.6) }, [0, 0.5, 1, 1], accuracy: 1e-12)
        check(
            [Annealing.linear, .exp, .log].map { $0.threshold(0.5, classes: 10)! }, [0.55, 0.173876, 0.926124])
        XCTAssertNil(Annealing.none.threshold(0.5, classes: 10))
        // The label's probabilities are 0.3116, 0.1006 and 0.2957.
        let labels = Tensor([0, 1, 2])
        func loss(_ threshold: Double?) -> ([Tensor]) -> Tensor {
            { annealedCrossEntropy($0[0], labels.to($0[0].device), threshold: threshold) }
        }
        checkLoss([a], value: 1.560334, gradients: [(1.528031, -0.229458)], loss(0.35))
        checkLoss([a], value: 1.560334, gradients: [(1.528031, -0.229458)], loss(nil))
        let p = a.exact.logSoftmax().doubles()
        XCTAssertEqual(loss(0.3)([a.exact]).item(), (-p[5] - p[10]) / 2, accuracy: 1e-9)
        XCTAssertEqual(loss(0.05)([a.exact]).item(), 0)
    }

    func testPseudoLabel() {
        checkLoss([a], value: 0.780683, gradients: [(1.072266, 0.103875)]) { pseudoLabelLoss($0[0], threshold: 0).loss }
        checkLoss([a], value: 0.187175, gradients: [(0.286441, 0)]) { pseudoLabelLoss($0[0], threshold: 0.5).loss }
        XCTAssertEqual(pseudoLabelLoss(a.exact, threshold: 0.5).counted.doubles(), [0, 1, 0])
    }

    /// The target is sharpened: the wrong forms in circulation have 0.139522, 0.293011 and 0.640503.
    func testUDA() {
        checkLoss([a, b], value: 0.427002, gradients: [(0.661820, -0.203084), nil]) {
            let counted = ($0[1].detached().softmax().max(axis: -1) .> 0.6).cast(to: $0[0].dtype)
            return UDA.loss($0[0], weak: $0[1], counted: counted, temperature: 0.4)
        }
    }

    /// Without tempering the plain cross-entropy of answers. At a temperature of 4, less the teacher's own entropy, it is
    /// Hinton's 16 KL = 0.400369; without the square it would be 0.025023.
    func testDistillation() {
        checkLoss([a, b], value: 1.151869, gradients: [(0.623984, -0.119680), nil]) {
            distillationLoss($0[0], teacher: $0[1], temperature: 1)
        }
        checkLoss([a, b], value: 21.767458, gradients: [(0.763791, -0.119321), nil]) {
            distillationLoss($0[0], teacher: $0[1], temperature: 4)
        }
        checkLoss([a, b], value: 0.267138, gradients: [(0.433311, -0.095003), nil]) {
            distillationLoss($0[0], teacher: $0[1], temperature: 0.5)
        }
        XCTAssertEqual(21.767458 - 16 * predictionEntropy(b.exact * 0.25).item(), 0.400369, accuracy: 1e-6)
    }

    /// q = softmax(A), bounds B + 3. What is least is the free energy of the bounds, where q is what they say.
    func testUnlabelledBound() {
        let bounds = Table(3, 4) { 3 + 2 * sin(2 + 3 * $0 + 7 * $1) }
        checkLoss([a, bounds], value: 2.449788, gradients: [(1.345139, 0.122519), (1, 0.103875)]) {
            unlabelledBound($0[0], bounds: $0[1])
        }
        let least = -(bounds.exact * -1).exp().sum(axis: 1).log().mean().item()
        XCTAssertEqual(least, 0.975520, accuracy: 1e-6)
        XCTAssertEqual(unlabelledBound(bounds.exact * -1, bounds: bounds.exact).item(), least, accuracy: 1e-9)
    }

    func testFixMatchGradient() {
        checkLoss([a, b], value: 0.575826, gradients: [(0.745357, -0.229458), nil]) {
            let guess = $0[1].detached().softmax()
            return FixMatch.loss(
                $0[0], labels: guess.argmax(), confident: (guess.max(axis: -1) .>= 0.6).cast(to: $0[0].dtype))
        }
    }

    /// Four samples sure to be of class 0, two of class 1, two never sure: the most is 4.
    func testFlexibleThresholds() {
        check(
            FixMatch.flexibleThresholds([0, 0, 0, 0, 1, 1, -1, -1], classes: 3, threshold: 0.9), [0.9, 0.3, 0],
            accuracy: 1e-12)
        // Early on nobody is sure, and the unsure are the most.
        check(
            FixMatch.flexibleThresholds([0, -1, -1, -1], classes: 2, threshold: 0.9), [0.9 / 5, 0], accuracy: 1e-12)
    }

    /// A moving average with decay 0.9 from 1 over 2 and 3, and how Mean Teacher's decay begins.
    func testMovingAverage() {
        final class Box: Module {
            let p: Parameter
            init(_ value: Float) { p = Parameter(Tensor([value])) }
        }
        let teacher = Box(1)
        for value in [2, 3] as [Float] { teacher.follow(Box(value), decay: 0.9) }
        XCTAssertEqual(teacher.p.value.item(), 1.29, accuracy: 1e-6)
        check((0..<3).map { MeanTeacher.decay(step: $0, limit: 0.7) }, [1 / 2, 2 / 3, 0.7], accuracy: 1e-12)
    }

    func testPredictionMemory() throws {
        let memory = PredictionMemory(samples: 3, classes: 2, momentum: 0.6)
        XCTAssertEqual(memory.targets([1]).isKnown.floats(), [0])
        XCTAssertEqual(memory.targets([1]).target.floats(), [0, 0])
        memory.remember(Tensor([1.0, 0], shape: [1, 2]).cast(to: .float32), of: [1])
        check(memory.targets([1]).target.doubles(), [1, 0])
        memory.remember(Tensor([0.5, 0.5], shape: [1, 2]).cast(to: .float32), of: [1])
        check(try XCTUnwrap(memory.state()["average"])[1].doubles(), [0.44, 0.2])
        let (target, isKnown) = memory.targets([0, 1])
        check(target.doubles(), [0, 0, 0.6875, 0.3125])
        XCTAssertEqual(isKnown.floats(), [0, 1])
    }

    /// A linear network, in one power step, against the exact Hessian's direction to four digits.
    func testVirtualAdversarialDisturbance() {
        let w = Table(2, 4) { sin(3 + 3 * $0 + 7 * $1) }
        for (device, dtype, tolerance) in [(Device.reference, DType.float64, 2e-6), (.cpu, .float32, 1e-3)] {
            let weight = w.tensor(device, dtype)
            let x = Table([0.5, -0.25], [1, 2]).tensor(device, dtype)
            let logits = x.matmul(weight)
            let r = virtualAdversarialDisturbance(
                x, logits, direction: Table([1, 2], [1, 2]).tensor(device, dtype), xi: 1e-3, epsilon: 0.5
            ) { $0.matmul(weight) }
            check(r.doubles(), [-0.331239, 0.374540], accuracy: tolerance)
            XCTAssertFalse(r.requiresGradient)
            XCTAssertEqual(
                virtualAdversarialLoss(logits, (x + r).matmul(weight)).item(), 0.061551, accuracy: tolerance)
        }
        checkLoss([a, b], value: 0.275045, gradients: [(0.623984, -0.119680), nil]) {
            virtualAdversarialLoss($0[1], $0[0])
        }
    }

    /// What the direction is worth in 32-bit numbers: that of a try of length 1e-6 is noise, that of 1e-3 the exact one.
    func testLengthOfTheTry() {
        func directions(_ device: Device, _ dtype: DType, _ xi: Double) -> [Double] {
            var random = RandomSource(seed: 1)
            let network = Sequential(
                Linear(784, 256, random: &random), ReLU(), Linear(256, 10, random: &random))
            network.convert(to: dtype, device: device)
            let x = Tensor.uniform([16, 784], random: &random).cast(to: dtype).to(device)
            let d = Tensor.normal([16, 784], random: &random).cast(to: dtype).to(device)
            return virtualAdversarialDisturbance(
                x, network(x), direction: d, xi: xi, epsilon: 1, network.callAsFunction
            ).doubles()
        }
        let exact = directions(.reference, .float64, 1e-5)
        func cosine(_ other: [Double]) -> Double { zip(exact, other).reduce(0) { $0 + $1.0 * $1.1 } / 16 }
        XCTAssertGreaterThan(cosine(directions(.cpu, .float32, 1e-3)), 0.99)
        XCTAssertLessThan(cosine(directions(.cpu, .float32, 1e-6)), 0.8)
    }

    func testMixing() {
        let plan = MixPlan(weights: [0.7, 0.7, 0.7], partners: [2, 0, 1])
        check(plan.mix(Tensor(float64: [1, 2, 3], shape: [3, 1])).doubles(), [1.6, 1.7, 2.7], accuracy: 1e-6)
        let q = plan.mix(Tensor.eye(4)[0..<3])
        checkLoss([a], value: 1.519143, gradients: [(1.077238, -0.129458)]) {
            crossEntropy($0[0], soft: q.cast(to: $0[0].dtype).to($0[0].device))
        }
        checkLoss([a], value: 0.107782, gradients: [(0.147678, -0.022201)]) {
            consistency($0[0].softmax(), q.cast(to: $0[0].dtype).to($0[0].device))
        }
        // The larger share stays with the sample, and each has its own.
        let drawn = MixPlan.mixup(
            count: 50, alpha: 0.75, perSample: true, largerStays: true, random: RandomSource(seed: 2))
        XCTAssertTrue(drawn.weights.allSatisfy { $0 >= 0.5 })
        XCTAssertGreaterThan(Set(drawn.weights).count, 40)
    }

    /// Every row is in one pass, and every pass has its share of the first rows.
    func testInterleaving() {
        let passes = MixMatch.interleaved(9, passes: 3)
        XCTAssertEqual(passes, [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
        XCTAssertEqual(MixMatch.interleaved(7, passes: 3).joined().sorted(), Array(0..<7))
    }

    func testGuessLogs() {
        XCTAssertEqual(effectiveCount(of: [5, 5, 0, 5, 5]), 4, accuracy: 1e-12)
        XCTAssertEqual(effectiveCount(of: [7]), 1)
    }
}
