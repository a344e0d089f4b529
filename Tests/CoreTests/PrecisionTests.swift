import XCTest

@testable import FledgeCore

/// Products in bfloat16: exactly those of the rounded factors, summed in float32.
final class PrecisionTests: XCTestCase {
    override func setUpWithError() throws {
        if !Engine.hasBFloat16 { throw XCTSkip("needs a processor with products of bfloat16") }
    }

    private func normal(_ shape: [Int], _ random: inout RandomSource) -> Tensor {
        Tensor.normal(shape, random: &random, device: .cpu)
    }

    private func rounded(_ x: Tensor) -> Tensor {
        x.contiguous().cast(to: .bfloat16).cast(to: .float64).to(.reference)
    }

    /// That `found` is `expected` up to the order of its sums, and not the result of unrounded factors.
    private func assertRounded(_ found: Tensor, _ expected: Tensor, _ unrounded: Tensor, _ what: String) {
        func distance(_ a: Tensor, _ b: Tensor) -> Double {
            let (a, b) = (a.doubles(), b.doubles())
            return zip(a, b).map { abs($0 - $1) }.max()! / b.map { abs($0) }.max()!
        }
        XCTAssertEqual(found.dtype, .float32)
        XCTAssertEqual(found.shape, expected.shape)
        XCTAssertLessThan(distance(found, expected), 5e-6, what)
        XCTAssertGreaterThan(distance(found, unrounded), 2e-4, what)
    }

    func testMatrixProducts() {
        var random = RandomSource(seed: 3)
        let a = normal([96, 160], &random), b = normal([160, 64], &random)
        let batches = normal([3, 80, 96], &random), more = normal([3, 96, 128], &random)
        let pairs = [
            ("plain", a, b), ("transposed", b.transposed(), a.transposed()), ("repeated", batches, a),
            ("many", batches, more), ("cut", normal([96, 200], &random)[TensorIndex.all, 0..<160], b),
            (
                "heads", normal([2, 64, 3, 128], &random).permuted([0, 2, 1, 3]),
                normal([2, 64, 3, 128], &random).permuted([0, 2, 3, 1])
            ),
        ]
        for (name, a, b) in pairs {
            let found = Engine.withPrecision(.bfloat16) { a.matmul(b) }
            assertRounded(found, rounded(a).matmul(rounded(b)), a.matmul(b), name)
        }
        XCTAssertEqual(Engine.precision, .float32)
    }

    func testGradientsOfProducts() {
        var random = RandomSource(seed: 4)
        let x = normal([128, 96], &random).requiringGradient(), weight = normal([64, 96], &random).requiringGradient()
        let bias = normal([64], &random), g = normal([128, 64], &random)
        func run() -> [Tensor] {
            let y = x.linear(weight, bias)
            return [y] + gradients(of: (y * g).sum(), for: [x, weight]).map { $0! }
        }
        let found = Engine.withPrecision(.bfloat16, run), unrounded = run()
        let (rx, rw, rg) = (rounded(x), rounded(weight), rounded(g))
        let expected = [
            rx.matmul(rw.transposed()) + bias.cast(to: .float64).to(.reference), rg.matmul(rw),
            rg.transposed().matmul(rx),
        ]
        for (i, name) in ["value", "of the input", "of the weight"].enumerated() {
            assertRounded(found[i], expected[i], unrounded[i], name)
        }
    }

    /// What waits for the gradient is half as large, and gives the same gradients outside of the scope, and gradients of
    /// gradients.
    func testWhatIsKeptIsRounded() {
        var random = RandomSource(seed: 7)
        let x = normal([512, 512], &random).requiringGradient(), weight = normal([512, 512], &random) * 0.05
        let w = weight.requiringGradient()
        func forward() -> Tensor { (x + 0).linear(w).layerNorm().gelu().linear(w) }
        let pool = MemoryPool.shared
        func held(_ precision: Precision) -> Int {
            pool.trim()  // a block that is left over may be larger than what it serves
            let before = pool.statistics.liveBytes
            let y = Engine.withPrecision(precision, forward)
            return withExtendedLifetime(y) { pool.statistics.liveBytes - before }
        }
        // Of 1 MiB each: two factors, the inputs of the norm and of gelu, and the result; the last is not rounded.
        XCTAssertEqual(Double(held(.float32)), 5 * 1_048_576, accuracy: 20_000)
        XCTAssertEqual(Double(held(.bfloat16)), 3 * 1_048_576, accuracy: 20_000)

        let exact = gradients(of: forward().square().sum(), for: [x, w]).map { $0! }
        let y = Engine.withPrecision(.bfloat16, forward)
        let outside = gradients(of: y.square().sum(), for: [x, w]).map { $0! }
        let inside = Engine.withPrecision(.bfloat16) {
            gradients(of: forward().square().sum(), for: [x, w]).map { $0! }
        }
        let second = Engine.withPrecision(.bfloat16) {
            let first = gradients(of: forward().square().sum(), for: [x], createGraph: true)[0]!
            return gradients(of: first.square().sum(), for: [w])[0]!
        }
        let firstExact = gradients(of: forward().square().sum(), for: [x], createGraph: true)[0]!
        let secondExact = gradients(of: firstExact.square().sum(), for: [w])[0]!
        func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).abs().max().item() / b.abs().max().item() }
        for (found, expected) in zip(outside + inside + [second], exact + exact + [secondExact]) {
            XCTAssertLessThan(distance(found, expected), 0.02)
            XCTAssertGreaterThan(distance(found, expected), 1e-5)
        }
    }

    /// Winograd's filtering stays in float32; direct convolutions do not.
    func testDirectConvolutions() {
        var random = RandomSource(seed: 5)
        for (kernel, stride) in [(1, 1), (1, 2), (5, 2)] {
            let x = normal([4, 14, 14, 32], &random).requiringGradient()
            let weight = normal([64, 32, kernel, kernel], &random).requiringGradient()
            let padding = (kernel / 2, kernel / 2)
            func run(_ x: Tensor, _ weight: Tensor, _ g: Tensor?) -> [Tensor] {
                let y = x.convolution2D(weight, stride: (stride, stride), padding: padding)
                guard let g else { return [y] }
                return [y] + gradients(of: (y * g).sum(), for: [x, weight]).map { $0! }
            }
            let g = normal(run(x, weight, nil)[0].shape, &random)
            let found = Engine.withPrecision(.bfloat16) { run(x, weight, g) }
            let expected = run(rounded(x).requiringGradient(), rounded(weight).requiringGradient(), rounded(g))
            for (i, unrounded) in run(x, weight, g).enumerated() {
                assertRounded(found[i], expected[i], unrounded, "kernel \(kernel), stride \(stride), tensor \(i)")
            }
        }
    }

    func testSmallProductsAreExact() {
        var random = RandomSource(seed: 6)
        let a = normal([16, 20], &random), b = normal([20, 8], &random)
        XCTAssertEqual(Engine.withPrecision(.bfloat16) { a.matmul(b) }.doubles(), a.matmul(b).doubles())
    }
}
