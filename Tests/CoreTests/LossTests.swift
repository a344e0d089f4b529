import FledgeTesting
import Foundation
import XCTest

@testable import FledgeCore

final class LossTests: XCTestCase {
    private let logits: [[Double]] = [[1, 2, 3], [0.5, -1, 0], [2, 2, -2], [-0.5, 0.25, 4]]
    private let labels = [2, 0, 1, 1]

    private func tensor(_ rows: [[Double]]) -> Tensor {
        Tensor(float64: rows.flatMap { $0 }, shape: [rows.count, rows[0].count], device: .reference)
    }
    private func indices(_ values: [Int], _ shape: [Int]? = nil) -> Tensor {
        Tensor(values, shape: shape, device: .reference)
    }
    private func vector(_ values: [Double]) -> Tensor { Tensor(float64: values, device: .reference) }
    private func logSoftmax(_ row: [Double]) -> [Double] {
        let total = log(row.map { exp($0) }.reduce(0, +))
        return row.map { $0 - total }
    }

    func testCrossEntropyValues() {
        let x = tensor(logits)
        let expected = zip(logits, labels).map { -logSoftmax($0)[$1] }
        XCTAssertEqual(expected[0], 0.40760596444438, accuracy: 1e-12)
        let each = crossEntropy(x, indices(labels), reduction: .none).doubles()
        for (a, b) in zip(each, expected) { XCTAssertEqual(a, b, accuracy: 1e-12) }
        XCTAssertEqual(crossEntropy(x, indices(labels)).item(), expected.reduce(0, +) / 4, accuracy: 1e-12)
        XCTAssertEqual(
            crossEntropy(x, indices(labels), reduction: .sum).item(), expected.reduce(0, +), accuracy: 1e-12)
        // Ignored rows leave the mean; weights do not.
        let some = indices([2, -100, 1, -100])
        XCTAssertEqual(crossEntropy(x, some).item(), (expected[0] + expected[2]) / 2, accuracy: 1e-12)
        XCTAssertEqual(crossEntropy(x, some, reduction: .none).doubles()[1], 0)
        XCTAssertEqual(
            crossEntropy(x, indices(labels), weights: vector([1, 0, 0.5, 0])).item(),
            (expected[0] + 0.5 * expected[2]) / 4, accuracy: 1e-12)
        XCTAssertTrue(crossEntropy(x, indices([-100, -100, -100, -100])).item().isNaN)
    }

    func testCrossEntropySmoothing() {
        let smoothing = 0.2
        let found = crossEntropy(tensor(logits), indices(labels), labelSmoothing: smoothing, reduction: .none).doubles()
        for ((row, label), value) in zip(zip(logits, labels), found) {
            let p = logSoftmax(row)
            let expected = -(1 - smoothing) * p[label] - smoothing * p.reduce(0, +) / 3
            XCTAssertEqual(value, expected, accuracy: 1e-12)
        }
    }

    func testCrossEntropyOfLargeLogitsIsFinite() {
        for device in Device.allCases {
            let x = Tensor([1000, -1000, 0, 1e30, -1e30, 0] as [Float], shape: [2, 3], device: device)
            let loss = crossEntropy(x, Tensor([1, 0], device: device), reduction: .none)
            XCTAssertEqual(loss.floats(), [2000, 0])
        }
    }

    func testCrossEntropyOverPositionsAndEmptyBatch() {
        let x = wave([2, 3, 4])
        let flat = crossEntropy(x.reshaped([6, 4]), indices([0, 1, 2, 3, 0, 1]), reduction: .none)
        let deep = crossEntropy(x, indices([0, 1, 2, 3, 0, 1], [2, 3]), reduction: .none)
        XCTAssertEqual(deep.shape, [2, 3])
        XCTAssertEqual(deep.doubles(), flat.doubles())
        let none = Tensor.zeros([0, 4], device: .reference)
        XCTAssertEqual(crossEntropy(none, Tensor([Int](), device: .reference), reduction: .sum).item(), 0)
    }

    func testCrossEntropyGradients() {
        let x = wave([4, 3], amplitude: 2)
        let w = wave([4], offset: 1) + 1.5
        for smoothing in [0, 0.1] {
            for labels in [[2, 0, 1, 1], [2, -100, 1, -100]] {
                let index = indices(labels)
                XCTAssertNil(
                    gradientFailure(at: [x, w], secondOrder: true) {
                        crossEntropy($0[0], index, weights: $0[1], labelSmoothing: smoothing)
                    })
            }
        }
        XCTAssertNil(
            gradientFailure(at: [x, wave([4, 3], offset: 2) + 1], secondOrder: true) {
                crossEntropy($0[0], soft: $0[1], labelSmoothing: 0.1, reduction: .none)
            })
    }

    /// The fused gradient of a device, the composed one and the plain softmax form are the same function.
    func testFusedCrossEntropyGradientAgrees() {
        let values = wave([5, 7], amplitude: 3)
        let labels = [6, 0, -100, 3, 2]
        for device in Device.allCases {
            let x = values.cast(to: .float32).to(device).requiringGradient()
            let index = Tensor(labels, device: device)
            let loss = crossEntropy(x, index, labelSmoothing: 0.1)
            let fused = gradients(of: loss, for: [x], retainGraph: true)[0]!
            let composed = gradients(of: loss, for: [x], createGraph: true)[0]!
            let exact = values.requiringGradient()
            crossEntropy(exact, indices(labels), labelSmoothing: 0.1).backward()
            XCTAssertLessThan(largestDifference(fused, exact.gradient!)!, 1e-6, "\(device)")
            XCTAssertLessThan(largestDifference(composed, exact.gradient!)!, 1e-6, "\(device)")
            XCTAssertEqual(fused[2].floats(), [Float](repeating: 0, count: 7))
        }
    }

    func testSoftCrossEntropyOfOneHotIsCrossEntropy() {
        let x = tensor(logits)
        let hard = crossEntropy(x, indices(labels), labelSmoothing: 0.3)
        let soft = crossEntropy(
            x, soft: indices(labels).oneHot(classes: 3, dtype: .float64), labelSmoothing: 0.3)
        XCTAssertEqual(hard.item(), soft.item(), accuracy: 1e-12)
    }

    func testBinaryCrossEntropy() {
        let (x, t) = ([-2, 0.5, 3, 800, -800], [0, 1, 0.25, 0, 1])
        let positive = 3.0
        let loss = binaryCrossEntropyWithLogits(
            vector(x), vector(t), positiveWeight: vector([positive]), weights: vector([1, 2, 1, 1, 1]),
            reduction: .none
        ).doubles()
        for i in 0..<3 {
            let p = 1 / (1 + exp(-x[i]))
            let expected = (i == 1 ? 2 : 1) * -(positive * t[i] * log(p) + (1 - t[i]) * log(1 - p))
            XCTAssertEqual(loss[i], expected, accuracy: 1e-12)
        }
        XCTAssertEqual(loss[3], 800)
        XCTAssertEqual(loss[4], 2400)
        let targets = wave([3, 4], offset: 2, amplitude: 0.4) + 0.5
        XCTAssertNil(
            gradientFailure(at: [wave([3, 4], amplitude: 2), targets], secondOrder: true) {
                binaryCrossEntropyWithLogits($0[0], $0[1], positiveWeight: self.vector([2, 0.5, 1, 3]))
            })
    }

    func testKLDivergence() {
        let p = [0.7, 0.3, 0, 0.5, 0.25, 0.25]
        let q = [0.2, 0.3, 0.5, 0.1, 0.1, 0.8]
        let terms = zip(p, q).map { $0 == 0 ? 0 : $0 * (log($0) - log($1)) }
        let target = Tensor(float64: p, shape: [2, 3], device: .reference)
        let logInput = Tensor(float64: q.map { log($0) }, shape: [2, 3], device: .reference)
        let total = terms.reduce(0, +)
        XCTAssertEqual(klDivergence(logInput, target).item(), total / 6, accuracy: 1e-12)
        XCTAssertEqual(klDivergence(logInput, target, reduction: .batchMean).item(), total / 2, accuracy: 1e-12)
        let positive = wave([2, 3], offset: 2, amplitude: 0.4) + 1
        XCTAssertEqual(
            klDivergence(logInput, positive.log(), logTarget: true, reduction: .sum).item(),
            klDivergence(logInput, positive, reduction: .sum).item(), accuracy: 1e-12)
        XCTAssertNil(
            gradientFailure(at: [wave([2, 3]), positive], secondOrder: true) { klDivergence($0[0], $0[1]) })
        XCTAssertNil(
            gradientFailure(at: [wave([2, 3]), wave([2, 3], offset: 1)], secondOrder: true) {
                klDivergence($0[0], $0[1], logTarget: true)
            })
        let zero = vector([0, 0.5]).requiringGradient()
        klDivergence(vector([-1, -2]), zero, reduction: .sum).backward()
        XCTAssertEqual(zero.gradient!.doubles(), [1, log(0.5) + 1 + 2])
    }

    func testRegressionLosses() {
        let (a, b) = (vector([0, 1, -3, 0.5]), vector([0.5, 1, 1, -1.5]))
        XCTAssertEqual(meanSquaredError(a, b, reduction: .none).doubles(), [0.25, 0, 16, 4])
        XCTAssertEqual(meanAbsoluteError(a, b).item(), 6.5 / 4)
        XCTAssertEqual(huber(a, b, delta: 2, reduction: .none).doubles(), [0.125, 0, 6, 2])
        XCTAssertEqual(smoothL1(a, b, beta: 2, reduction: .none).doubles(), [0.0625, 0, 3, 1])
        XCTAssertEqual(smoothL1(a, b, beta: 0, reduction: .sum).item(), 6.5)
        XCTAssertEqual(hinge(a, vector([1, -1, -1, 1]), reduction: .none).doubles(), [1, 2, 0, 0.5])
        let losses: [(String, (Tensor, Tensor) -> Tensor)] = [
            ("mse", { meanSquaredError($0, $1) }), ("mae", { meanAbsoluteError($0, $1, reduction: .sum) }),
            ("huber", { huber($0, $1, delta: 0.6) }), ("smoothL1", { smoothL1($0, $1, beta: 0.3) }),
            ("hinge", { hinge($0, $1) }),
        ]
        for (name, loss) in losses {
            XCTAssertNil(
                gradientFailure(at: [wave([3, 4]), wave([3, 4], offset: 2)], secondOrder: true) { loss($0[0], $0[1]) },
                name)
        }
    }

    func testNormalizedAndCosine() {
        let x = tensor([[3, 4], [0, 0]])
        XCTAssertEqual(x.l2Normalized().doubles(), [0.6, 0.8, 0, 0])
        XCTAssertEqual(cosineSimilarity(x, tensor([[4, -3], [1, 1]])).doubles(), [0, 0])
        XCTAssertEqual(cosineSimilarity(x, x).doubles()[0], 1, accuracy: 1e-15)
        // Each length is limited on its own.
        XCTAssertEqual(cosineSimilarity(vector([1e-10, 0]), vector([2, 0])).item(), 0.01, accuracy: 1e-12)
        XCTAssertNil(gradientFailure(at: [wave([3, 4])], secondOrder: true) { $0[0].l2Normalized(axis: 0) })
        XCTAssertNil(
            gradientFailure(at: [wave([3, 4]), wave([1, 4], offset: 2)], secondOrder: true) {
                cosineSimilarity($0[0], $0[1])
            })
        let zero = Tensor.zeros([2], device: .reference).requiringGradient()
        zero.l2Normalized().sum().backward()
        XCTAssertTrue(zero.gradient!.isFinite().all())
    }

    func testPairwiseDistances() {
        let (a, b) = (wave([2, 3, 4]), wave([5, 4], offset: 2))
        let (p, q) = (a.doubles(), b.doubles())
        let squared = pairwiseDistances(a, b, squared: true)
        XCTAssertEqual(squared.shape, [2, 3, 5])
        let roots = pairwiseDistances(a, b).doubles()
        for (place, value) in squared.doubles().enumerated() {
            let (i, j) = (place / 5, place % 5)
            let expected = (0..<4).reduce(0.0) { $0 + pow(p[i * 4 + $1] - q[j * 4 + $1], 2) }
            XCTAssertEqual(value, expected, accuracy: 1e-12)
            XCTAssertEqual(roots[place], sqrt(expected), accuracy: 1e-12)
        }
        for squared in [true, false] {
            XCTAssertNil(
                gradientFailure(at: [a, b], secondOrder: true) { pairwiseDistances($0[0], $0[1], squared: squared) })
        }
        // A point and itself.
        let x = Tensor([3, 4] as [Float], shape: [1, 2], device: .reference).requiringGradient()
        let zero = pairwiseDistances(x, x)
        XCTAssertEqual(zero.item(), 0)
        zero.backward()
        XCTAssertEqual(x.gradient!.floats(), [0, 0])
        // A common offset costs nothing.
        let far = pairwiseDistances(a.cast(to: .float32) + 1000, b.cast(to: .float32) + 1000)
        XCTAssertLessThan(largestDifference(far, pairwiseDistances(a, b).cast(to: .float32))!, 1e-3)
        XCTAssertEqual(
            pairwiseDistances(wave([3, 4]), Tensor.zeros([0, 4], dtype: .float64, device: .reference)).shape, [3, 0])
    }
}
