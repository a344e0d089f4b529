import FledgeCore
import FledgeTesting
import XCTest

final class AutogradTests: XCTestCase {
    func testBackwardAddsIntoLeaves() {
        let x = Tensor([1.0, 2, 3] as [Float]).requiringGradient()
        let y = (x * x + x * 3).sum()
        y.backward()
        XCTAssertEqual(x.gradient!.floats(), [5, 7, 9])
        (x * 2).sum().backward()
        XCTAssertEqual(x.gradient!.floats(), [7, 9, 11])
    }

    func testGradientsOfIntermediateResults() {
        let x = Tensor([2.0, 3] as [Float]).requiringGradient()
        let h = x * x
        let y = (h * h).sum()
        XCTAssertEqual(gradients(of: y, for: [h, x])[0]!.floats(), [8, 18])
        XCTAssertNil(x.gradient, "gradients(of:for:) leaves the leaves alone")
    }

    func testSecondAndThirdDerivative() {
        let x = Tensor(float64: [1.5]).requiringGradient()
        let y = (x * x * x * x).sum()
        let first = gradients(of: y, for: [x], createGraph: true)[0]!
        let second = gradients(of: first.sum(), for: [x], createGraph: true)[0]!
        let third = gradients(of: second.sum(), for: [x])[0]!
        XCTAssertEqual(first.item(), 4 * 3.375, accuracy: 1e-12)
        XCTAssertEqual(second.item(), 12 * 2.25, accuracy: 1e-12)
        XCTAssertEqual(third.item(), 24 * 1.5, accuracy: 1e-12)
    }

    func testDetachedAndNoGradientStopGradients() {
        let x = Tensor([2.0] as [Float]).requiringGradient()
        (x * x.detached()).sum().backward()
        XCTAssertEqual(x.gradient!.floats(), [2])
        XCTAssertFalse(noGradient { x * x }.requiresGradient)
    }

    func testHooksSeeAndReplaceGradients() {
        let x = Tensor([1.0, 1] as [Float]).requiringGradient()
        let h = x * 3
        h.onGradient { $0 * 10 }
        h.sum().backward()
        XCTAssertEqual(x.gradient!.floats(), [30, 30])
    }

    func testCustomGradientReverses() {
        let x = Tensor([1.0, 2] as [Float]).requiringGradient()
        let y = customGradient([x], forward: { $0[0] }, backward: { g, _, _ in [g * -0.5] })
        XCTAssertEqual(y.floats(), [1, 2])
        y.sum().backward()
        XCTAssertEqual(x.gradient!.floats(), [-0.5, -0.5])
    }

    func testCheckpointGivesTheSameGradients() {
        let x = wave([3, 4]).requiringGradient()
        let w = wave([4, 4], offset: 2).requiringGradient()
        func body(_ x: [Tensor]) -> Tensor { x[0].matmul(w).tanh() }
        body([x]).square().sum().backward()
        let expected = (x.gradient!.doubles(), w.gradient!.doubles())
        x.gradient = nil
        w.gradient = nil
        checkpoint([x], body).square().sum().backward()
        XCTAssertEqual(x.gradient!.doubles(), expected.0)
        XCTAssertEqual(w.gradient!.doubles(), expected.1)
    }

    func testJacobianVectorProduct() {
        let x = wave([4])
        let v = wave([4], offset: 3)
        let (value, product) = jacobianVectorProduct({ $0.sin() * $0.sum() }, at: x, vector: v)
        let h = 1e-6
        func f(_ t: Tensor) -> Tensor { t.sin() * t.sum() }
        let numeric = (f(x + v * h) - f(x - v * h)) / (2 * h)
        XCTAssertEqual(value.doubles(), f(x).doubles())
        XCTAssertLessThan(largestDifference(product, numeric)!, 1e-8)
    }

    func testMillionNodesWithoutRecursion() {
        let x = Tensor([1.0] as [Float]).requiringGradient()
        let before = Autograd.liveNodeCount
        var y = x
        for _ in 0..<1_000_000 { y = y + x }
        XCTAssertGreaterThanOrEqual(Autograd.liveNodeCount - before, 1_000_000)
        y.backward()
        XCTAssertEqual(x.gradient!.item(), 1_000_001)
        y = x
        XCTAssertEqual(Autograd.liveNodeCount, before)
    }

    func testMillionNodesReleasedWithoutBackward() {
        let x = Tensor([1.0] as [Float]).requiringGradient()
        let before = (Autograd.liveNodeCount, Storage.liveCount)
        var y: Tensor? = x
        for _ in 0..<1_000_000 { y = y! * x }
        y = nil
        XCTAssertEqual(Autograd.liveNodeCount, before.0)
        XCTAssertEqual(Storage.liveCount, before.1)
    }

    func testNothingStaysAliveOverSteps() {
        let w = Tensor.ones([8, 8]).requiringGradient()
        func step(_ backward: Bool) {
            let y = (w.matmul(w).relu() * 0.01).exp().sum()
            if backward {
                y.backward()
                w.gradient = nil
            }
        }
        for backward in [true, false] {
            step(backward)
            let before = (Autograd.liveNodeCount, Storage.liveCount)
            for _ in 0..<1000 { step(backward) }
            XCTAssertEqual(Autograd.liveNodeCount, before.0)
            XCTAssertEqual(Storage.liveCount, before.1)
        }
    }

    func testElementwiseGradients() {
        let x = [wave([3, 4], amplitude: 0.9)]
        let positive = [wave([3, 4], amplitude: 0.4) + 1.0]
        let cases: [(String, [Tensor], (Tensor) -> Tensor)] = [
            ("neg", x, { -$0 }), ("exp", x, { $0.exp() }), ("log", positive, { $0.log() }),
            ("log1p", positive, { $0.log1p() }), ("expm1", x, { $0.expm1() }), ("sqrt", positive, { $0.sqrt() }),
            ("rsqrt", positive, { $0.rsqrt() }), ("reciprocal", positive, { $0.reciprocal() }),
            ("square", x, { $0.square() }), ("abs", x, { $0.abs() }), ("sin", x, { $0.sin() }),
            ("cos", x, { $0.cos() }),
            ("tanh", x, { $0.tanh() }), ("sigmoid", x, { $0.sigmoid() }), ("softplus", x, { $0.softplus() }),
            ("relu", x, { $0.relu() }), ("leaky", x, { $0.leakyRelu(slope: 0.2) }), ("elu", x, { $0.elu(alpha: 0.7) }),
            ("erf", x, { $0.erf() }), ("gelu", x, { $0.gelu() }), ("geluTanh", x, { $0.geluTanh() }),
            ("silu", x, { $0.silu() }), ("clamp", x, { $0.clamped(-0.5, 0.45) }), ("pow", positive, { $0.pow(2.5) }),
            ("scalars", positive, { 2 / $0 + (3 - $0) * 0.5 - 1 }), ("softmax", x, { $0.softmax() }),
            ("softmax0", x, { $0.softmax(axis: 0) }), ("logSoftmax", x, { $0.logSoftmax() }),
        ]
        for (name, inputs, f) in cases {
            XCTAssertNil(gradientFailure(at: inputs, secondOrder: true) { f($0[0]) }, name)
        }
    }

    func testPartsOfASplitThatAreNotUsed() {
        let x = wave([2, 6]).requiringGradient()
        let parts = x.split(3, axis: 1)
        (parts[1].sum() + (parts[1] * 2).sum()).backward()
        XCTAssertEqual(x.gradient?.doubles(), [0, 0, 3, 3, 0, 0, 0, 0, 3, 3, 0, 0])
    }

    /// Sums of gradients are written in place; what a caller or a hook holds must not change under it.
    func testGradientsThatAreHeldStayAsTheyWere() throws {
        let x = Tensor([1, 2, 3] as [Float]).requiringGradient()
        var seen: [Tensor] = []
        func backward() {
            let y = x * 2
            y.onGradient {
                seen.append($0)
                return nil
            }
            (y + y + y.square()).sum().backward()
        }
        backward()
        let first = try XCTUnwrap(x.gradient)
        backward()
        XCTAssertEqual(first.floats(), [12, 20, 28])
        XCTAssertEqual(x.gradient?.floats(), [24, 40, 56])
        XCTAssertEqual(seen.map { $0.floats() }, [[6, 10, 14], [6, 10, 14]])
    }

    /// Rules may spend the memory of a gradient, but not of one that anybody else can see.
    func testGradientsThatOthersHoldKeepTheirValues() {
        func run(_ device: Device, _ dtype: DType) -> [[Double]] {
            func leaf(_ offset: Double) -> Tensor {
                wave([4, 16], offset: offset).to(device).cast(to: dtype).requiringGradient()
            }
            let x = leaf(0), w = leaf(1)[0].detached(), start = leaf(2).detached()
            let operations: [(Tensor) -> Tensor] = [
                { $0.tanh() }, { $0.gelu() }, { $0.softmax() }, { $0.logSoftmax() }, { $0.layerNorm(weight: w) },
                { $0.batchNorm(weight: w, relu: true).y }, { $0.batchNorm(residual: x, relu: false).y },
                { $0.batchNorm(residual: x, relu: true).y },
            ]
            var found: [[Double]] = []
            for operation in operations {
                // One gradient goes to both terms of a sum, a hook sees it, and the caller asks for it.
                var seen: [Tensor] = []
                let inner = x * 1.5
                let a = operation(inner)
                let b = operation(inner.exp())
                a.onGradient {
                    seen.append($0)
                    return nil
                }
                let results = gradients(of: a + b, for: [x, inner, a, b], gradient: start)
                found += ([start] + seen + results.map { $0! }).map { $0.doubles() }
                XCTAssertEqual(seen.map { $0.doubles() }, [start.doubles()])
            }
            return found
        }
        for (a, b) in zip(run(.cpu, .float32), run(.reference, .float64)) {
            XCTAssertEqual(a.count, b.count)
            for (x, y) in zip(a, b) { XCTAssertEqual(x, y, accuracy: 2e-5 * max(1, abs(y))) }
        }
    }

    /// The starting gradient, which the walk holds, and one more are all that a chain of such rules needs.
    func testGradientsThatNobodyElseHoldsAreWrittenOver() {
        let x = Tensor.zeros([1 << 20]).requiringGradient()
        let y = (0..<6).reduce(x) { h, _ in h.tanh() }
        let pool = MemoryPool.shared
        pool.trim()  // a block that is left over may be larger than what it serves
        pool.resetPeak()
        let before = pool.statistics.liveBytes
        y.backward(gradient: .ones(like: y), retainGraph: true)
        XCTAssertEqual(x.gradient?[0].item(), 1)
        XCTAssertLessThan(pool.statistics.peakLiveBytes - before, 10 << 20, "two of 4 MiB, not three")
    }

    /// Of a factor of several products the gradients are added by the products themselves, whether the factor lies row
    /// after row, transposed, or out of order; not where the sum is seen by others.
    func testProductsAddToTheSumOfTheirGradients() {
        func run(_ device: Device, _ dtype: DType) -> [[Double]] {
            func leaf(_ shape: [Int], _ offset: Double) -> Tensor {
                wave(shape, offset: offset).to(device).cast(to: dtype).requiringGradient()
            }
            var found: [[Double]] = []
            for batch in [[], [3], [10, 2]] {
                let x = leaf(batch + [4, 5], 0)
                for w in [
                    leaf(batch + [5, 6], 1), leaf(batch + [6, 5], 2).transposed(),
                    leaf([5] + batch + [6], 3).movedAxis(from: 0, to: batch.count),
                ] {
                    for isSeen in [false, true] {
                        let inner = x * 2
                        var seen: [Tensor] = []
                        var sum = inner.matmul(w).square().sum()
                        for step in 1...3 {
                            let y = (inner + Double(step)).matmul(w) + inner.matmul(w)
                            sum = sum + y.sin().sum()
                        }
                        let start = sum * 3
                        if isSeen {
                            w.onGradient {
                                seen.append($0)
                                return nil
                            }
                        }
                        found += gradients(of: start, for: [x, inner, w]).map { $0!.doubles() }
                        found += seen.map { $0.doubles() }
                    }
                }
            }
            return found
        }
        for (a, b) in zip(run(.cpu, .float32), run(.reference, .float64)) {
            XCTAssertEqual(a.count, b.count)
            for (x, y) in zip(a, b) { XCTAssertEqual(x, y, accuracy: 1e-4 * max(1, abs(y))) }
        }
    }

    /// Memory for one gradient of a matrix of 4 MiB, although four arrive.
    func testProductsNeedNoMemoryForTheirShares() {
        let w = Tensor.zeros([1024, 1024]).requiringGradient()
        let rows = Tensor.ones([4, 1024])
        let y = (0..<4).reduce(Tensor.zeros([4, 1024])) { sum, _ in sum + rows.matmul(w) }
        let pool = MemoryPool.shared
        pool.trim()  // a block that is left over may be larger than what it serves
        pool.resetPeak()
        let before = pool.statistics.liveBytes
        y.sum().backward(retainGraph: true)
        XCTAssertEqual(w.gradient?[0][0].item(), 16)
        XCTAssertLessThan(pool.statistics.peakLiveBytes - before, 6 << 20)
    }

    /// A weight that is used inside a checkpoint and outside, before it and after.
    func testCheckpointsShareWeights() {
        func run(_ wrap: @escaping (Tensor, @escaping (Tensor) -> Tensor) -> Tensor) -> [[Double]] {
            let w = wave([4, 4], offset: 1).requiringGradient(), x = wave([3, 4], offset: 0).requiringGradient()
            let inner = wrap(x.matmul(w)) { $0.tanh().matmul(w) }
            let outer = wrap(inner * 2) { $0.sin().matmul(w) }
            (outer.matmul(w) * inner).sum().backward()
            return [x.gradient!.doubles(), w.gradient!.doubles()]
        }
        let plain = run { $1($0) }, kept = run { x, body in checkpoint([x]) { body($0[0]) } }
        for (a, b) in zip(plain, kept) {
            for (x, y) in zip(a, b) { XCTAssertEqual(x, y, accuracy: 1e-5 * max(1, abs(x))) }
        }
    }
}
