import FledgeCore
import FledgeTesting
import XCTest

final class AttentionTests: XCTestCase {
    private let q = wave([2, 3, 2, 4])
    private let k = wave([2, 5, 2, 4], offset: 1)
    private let v = wave([2, 5, 2, 3], offset: 2)

    /// The formula, one query at a time. `bias(b, h, i, j)` is added to the products.
    private func explicit(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, scale: Double, bias: (Int, Int, Int, Int) -> Double = { _, _, _, _ in 0 }
    ) -> Tensor {
        var rows: [Tensor] = []
        for b in 0..<q.shape[0] {
            for i in 0..<q.shape[1] {
                for h in 0..<q.shape[2] {
                    let products = (0..<k.shape[1]).map { j in
                        (q[b, i, h] * k[b, j, h]).sum().item() * scale + bias(b, h, i, j)
                    }
                    let weights = Tensor(float64: products, device: .reference).softmax()
                    rows.append((weights.unsqueezed(axis: 1) * v[b, 0..., h]).sum(axis: 0))
                }
            }
        }
        return stack(rows).reshaped([q.shape[0], q.shape[1], q.shape[2], v.shape[3]])
    }

    func testEqualsTheFormula() {
        let y = scaledDotProductAttention(q, k, v)
        XCTAssertEqual(y.shape, [2, 3, 2, 3])
        XCTAssertLessThan(largestDifference(y, explicit(q, k, v, scale: 0.5))!, 1e-13)
        let scaled = scaledDotProductAttention(q, k, v, scale: 1.7)
        XCTAssertLessThan(largestDifference(scaled, explicit(q, k, v, scale: 1.7))!, 1e-13)
    }

    func testCausal() {
        let y = scaledDotProductAttention(q, k, v, causal: true)
        let expected = explicit(q, k, v, scale: 0.5) { _, _, i, j in j > i ? -.infinity : 0 }
        XCTAssertLessThan(largestDifference(y, expected)!, 1e-13)
        // The first query sees the first key alone.
        XCTAssertLessThan(largestDifference(y[0..., 0], v[0..., 0])!, 1e-14)
    }

    func testMasks() {
        let allowed = (0..<5).map { $0 != 1 }
        let keys = Tensor(allowed, device: .reference)
        let expected = explicit(q, k, v, scale: 0.5) { _, _, _, j in allowed[j] ? 0 : -.infinity }
        XCTAssertLessThan(largestDifference(scaledDotProductAttention(q, k, v, mask: keys), expected)!, 1e-13)

        let bias = wave([2, 1, 3, 5], offset: 4)
        let added = explicit(q, k, v, scale: 0.5) { b, _, i, j in bias[b, 0, i, j].item() }
        XCTAssertLessThan(largestDifference(scaledDotProductAttention(q, k, v, mask: bias), added)!, 1e-13)

        let both = explicit(q, k, v, scale: 0.5) { _, _, i, j in allowed[j] && j <= i ? 0 : -.infinity }
        let y = scaledDotProductAttention(q, k, v, mask: keys, causal: true)
        XCTAssertLessThan(largestDifference(y, both)!, 1e-13)
    }

    /// The second sample has no keys at all: zeros, and gradients stay finite.
    func testNothingToAttendTo() {
        let mask = Tensor(
            [true, true, false, true, true] + [Bool](repeating: false, count: 5), shape: [2, 1, 1, 5],
            device: .reference)
        let leaves = [q, k, v].map { $0.requiringGradient() }
        let y = scaledDotProductAttention(leaves[0], leaves[1], leaves[2], mask: mask)
        XCTAssertEqual(y[1].doubles(), [Double](repeating: 0, count: 18))
        XCTAssertLessThan(largestDifference(y[0], scaledDotProductAttention(q, k, v, mask: mask[0])[0])!, 1e-14)
        y.square().sum().backward()
        for leaf in leaves {
            XCTAssertTrue(leaf.gradient!.isFinite().all())
            XCTAssertEqual(leaf.gradient![1].abs().sum().item(), 0)
        }
    }

    func testDropoutDropsWeights() {
        Randomness.current = RandomSource(seed: 2)
        let one = Tensor.ones([1, 1, 1, 1])
        let keys = Tensor.zeros([1, 400, 1, 1])
        // Equal weights of 1 / 400, half of them dropped and the others doubled: near 1, never exactly.
        let y = scaledDotProductAttention(one, keys, Tensor.ones([1, 400, 1, 1]), dropout: 0.5).item()
        XCTAssertNotEqual(y, 1)
        XCTAssertEqual(y, 1, accuracy: 0.25)
    }

    func testGradients() {
        let bias = wave([3, 5], offset: 4)
        let keys = Tensor([true, false, true, true, true], device: .reference)
        let none = Tensor(
            [true, true, true, true, true] + [Bool](repeating: false, count: 5), shape: [2, 1, 1, 5], device: .reference
        )
        let small = [q, k, v]
        let forms: [(String, [Tensor], ([Tensor]) -> Tensor)] = [
            ("plain", small, { scaledDotProductAttention($0[0], $0[1], $0[2]) }),
            ("causal", small, { scaledDotProductAttention($0[0], $0[1], $0[2], mask: keys, causal: true) }),
            ("nothing", small, { scaledDotProductAttention($0[0], $0[1], $0[2], mask: none) }),
            ("bias", small + [bias], { scaledDotProductAttention($0[0], $0[1], $0[2], mask: $0[3], scale: 0.9) }),
        ]
        for (name, inputs, f) in forms {
            XCTAssertNil(gradientFailure(at: inputs, secondOrder: name != "nothing", f), name)
        }
    }

    func testEmptyBatch() {
        let x = Tensor.zeros([0, 3, 2, 4]).requiringGradient()
        let y = scaledDotProductAttention(x, x, x, causal: true)
        XCTAssertEqual(y.shape, [0, 3, 2, 4])
        y.sum().backward()
        XCTAssertEqual(x.gradient!.shape, x.shape)
    }
}
