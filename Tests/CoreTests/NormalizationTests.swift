import FledgeCore
import FledgeTesting
import XCTest

final class NormalizationTests: XCTestCase {
    let affine = [wave([3], offset: 1) + 1.5, wave([3], offset: 2)]

    /// (x - mean) / sqrt(variance + epsilon) over `axes`, from the definition.
    private func normalized(_ x: Tensor, axes: [Int], epsilon: Double = 1e-5) -> Tensor {
        (x - x.mean(axes: axes, keepDims: true))
            / (x.variance(axes: axes, keepDims: true) + epsilon).sqrt()
    }

    func testBatchNormFollowsTheDefinition() {
        let x = wave([2, 3, 2, 3])
        let (w, b) = (affine[0], affine[1])
        let (y, mean, variance) = x.batchNorm(weight: w, bias: b, epsilon: 1e-3)
        let expected = normalized(x, axes: [0, 1, 2], epsilon: 1e-3) * w + b
        XCTAssertLessThan(largestDifference(y, expected)!, 1e-13)
        XCTAssertLessThan(largestDifference(mean, x.mean(axes: [0, 1, 2]))!, 1e-14)
        XCTAssertLessThan(largestDifference(variance, x.variance(axes: [0, 1, 2]))!, 1e-14)
        let given = x.batchNorm(mean: mean, variance: variance, weight: w, bias: b, epsilon: 1e-3)
        XCTAssertLessThan(largestDifference(given, expected)!, 1e-13)
        XCTAssertEqual(
            x.batchNorm(weight: w, bias: b, relu: true).y.doubles(), x.batchNorm(weight: w, bias: b).y.relu().doubles())
        XCTAssertLessThan(largestDifference(x.batchNorm().y, normalized(x, axes: [0, 1, 2]))!, 1e-13)
    }

    func testBatchStatisticsHaveNoHistory() {
        let (y, mean, variance) = wave([4, 3]).requiringGradient().batchNorm()
        XCTAssertTrue(y.requiresGradient)
        XCTAssertFalse(mean.requiresGradient || variance.requiresGradient)
    }

    func testBatchNormGradients() {
        for shape in [[4, 3], [2, 1, 3, 3]] {
            for relu in [false, true] {
                let failure = gradientFailure(at: [wave(shape)] + affine, secondOrder: true) {
                    $0[0].batchNorm(weight: $0[1], bias: $0[2], epsilon: 1e-2, relu: relu).y
                }
                XCTAssertNil(failure, "\(shape), relu \(relu)")
            }
        }
        let mean = wave([3], offset: 4)
        let variance = wave([3], offset: 5).square() + 0.3
        for relu in [false, true] {
            let failure = gradientFailure(at: [wave([2, 2, 3])] + affine, secondOrder: true) {
                $0[0].batchNorm(mean: mean, variance: variance, weight: $0[1], bias: $0[2], relu: relu).square()
            }
            XCTAssertNil(failure, "given statistics, relu \(relu)")
        }
        XCTAssertNil(gradientFailure(at: [wave([5, 3])], secondOrder: true) { $0[0].batchNorm(epsilon: 1e-2).y })
    }

    func testLayerNorm() {
        let x = wave([2, 4, 3])
        let expected = normalized(x, axes: [2]) * affine[0] + affine[1]
        XCTAssertLessThan(largestDifference(x.layerNorm(weight: affine[0], bias: affine[1]), expected)!, 1e-13)
        let forms: [(String, ([Tensor]) -> Tensor)] = [
            ("plain", { $0[0].layerNorm(epsilon: 1e-2) }),
            ("weight", { $0[0].layerNorm(weight: $0[1], epsilon: 1e-2) }),
            ("bias", { $0[0].layerNorm(bias: $0[2], epsilon: 1e-2) }),
            ("both", { $0[0].layerNorm(weight: $0[1], bias: $0[2], epsilon: 1e-2) }),
        ]
        for (name, f) in forms {
            XCTAssertNil(gradientFailure(at: [wave([2, 2, 3])] + affine, secondOrder: true, f), name)
        }
    }

    func testGroupAndInstanceNorm() {
        let x = wave([2, 3, 2, 4])
        let (w, b) = (wave([4], offset: 1), wave([4], offset: 2))
        let split = x.reshaped([2, 3, 2, 2, 2])
        let byGroup = normalized(split, axes: [1, 2, 4]).reshaped(x.shape) * w + b
        XCTAssertLessThan(largestDifference(x.groupNorm(groups: 2, weight: w, bias: b), byGroup)!, 1e-13)
        let byChannel = normalized(x, axes: [1, 2]) * w + b
        XCTAssertLessThan(largestDifference(x.instanceNorm(weight: w, bias: b), byChannel)!, 1e-13)
        XCTAssertLessThan(largestDifference(x.groupNorm(groups: 4, weight: w, bias: b), byChannel)!, 1e-13)
        let wholeSample = normalized(x, axes: [1, 2, 3]) * w + b
        XCTAssertLessThan(largestDifference(x.groupNorm(groups: 1, weight: w, bias: b), wholeSample)!, 1e-13)
        for groups in [1, 2, 4] {
            let failure = gradientFailure(at: [wave([2, 2, 2, 4]), w, b], secondOrder: groups == 2) {
                $0[0].groupNorm(groups: groups, weight: $0[1], bias: $0[2], epsilon: 1e-2)
            }
            XCTAssertNil(failure, "\(groups) groups")
        }
    }

    func testEmptyBatch() {
        let norms: [(String, (Tensor, Tensor, Tensor) -> Tensor)] = [
            ("batch", { $0.batchNorm(weight: $1, bias: $2, relu: true).y }),
            ("given", { $0.batchNorm(mean: .zeros([3]), variance: .ones([3]), weight: $1, bias: $2) }),
            ("layer", { $0.layerNorm(weight: $1, bias: $2) }),
            ("group", { $0.groupNorm(groups: 3, weight: $1, bias: $2) }),
            ("instance", { $0.instanceNorm(weight: $1, bias: $2) }),
        ]
        for (name, norm) in norms {
            let x = Tensor.zeros([0, 2, 2, 3]).requiringGradient()
            let w = Tensor.ones([3]).requiringGradient()
            let b = Tensor.zeros([3]).requiringGradient()
            norm(x, w, b).sum().backward()
            XCTAssertEqual(x.gradient!.shape, x.shape, name)
            XCTAssertEqual(w.gradient!.floats(), [0, 0, 0], name)
            XCTAssertEqual(b.gradient!.floats(), [0, 0, 0], name)
        }
        let (_, mean, variance) = Tensor.zeros([0, 3]).batchNorm()
        XCTAssertEqual(mean.floats(), [0, 0, 0])
        XCTAssertEqual(variance.floats(), [1, 1, 1])
    }
}

final class DropoutTests: XCTestCase {
    override func setUp() { Randomness.current = RandomSource(seed: 11) }

    func testStatistics() {
        let n = 40_000
        for rate in [0.1, 0.5, 0.8] {
            let y = Tensor.ones([n]).dropout(rate).floats()
            let kept = y.filter { $0 != 0 }
            XCTAssertTrue(kept.allSatisfy { abs(Double($0) - 1 / (1 - rate)) < 1e-6 })
            // Within five standard deviations of the binomial.
            let deviation = (Double(n) * rate * (1 - rate)).squareRoot()
            XCTAssertEqual(Double(kept.count), Double(n) * (1 - rate), accuracy: 5 * deviation)
            // Neighbours are independent.
            let pairs = zip(y, y.dropFirst()).filter { $0 != 0 && $1 != 0 }.count
            XCTAssertEqual(Double(pairs), Double(n) * (1 - rate) * (1 - rate), accuracy: 8 * deviation)
        }
        let x = Tensor([1, 2, 3] as [Float])
        XCTAssertEqual(x.dropout(0).floats(), [1, 2, 3])
        XCTAssertEqual(x.dropout(1).floats(), [0, 0, 0])
    }

    func testMaskDependsOnTheStreamAlone() {
        func draw(_ device: Device, _ dtype: DType) -> [Bool] {
            Randomness.current = RandomSource(seed: 3).stream("step")
            return Tensor.ones([7, 5], dtype: dtype, device: device).dropout(0.4).doubles().map { $0 != 0 }
        }
        let mask = draw(.cpu, .float32)
        XCTAssertEqual(draw(.reference, .float32), mask)
        XCTAssertEqual(draw(.reference, .float64), mask)
        XCTAssertEqual(Set(mask).count, 2)
    }

    func testStreamMovesOn() {
        let x = Tensor.ones([200])
        let before = Randomness.current
        let first = x.dropout(0.5).floats()
        XCTAssertNotEqual(x.dropout(0.5).floats(), first)
        Randomness.current = before
        XCTAssertEqual(x.dropout(0.5).floats(), first)
        let after = Randomness.current
        _ = x.dropout(0)
        XCTAssertEqual(Randomness.current, after)
    }

    func testGradientUsesTheSameMask() {
        XCTAssertNil(
            gradientFailure(at: [wave([3, 5])], secondOrder: true) {
                Randomness.current = RandomSource(seed: 5)
                return $0[0].dropout(0.3).square()
            })
    }
}
