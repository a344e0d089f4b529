import FledgeCore
import FledgeTesting
import XCTest

final class ConvolutionTests: XCTestCase {
    struct Case {
        var x: [Int], weight: [Int]
        var stride = (1, 1), padding = (0, 0), dilation = (1, 1), groups = 1
    }

    let cases = [
        Case(x: [2, 4, 5, 2], weight: [3, 2, 3, 3]),
        Case(x: [1, 5, 4, 2], weight: [2, 2, 3, 2], stride: (2, 1), padding: (1, 0)),
        Case(x: [1, 7, 6, 1], weight: [2, 1, 3, 3], stride: (2, 3), padding: (2, 1), dilation: (2, 1)),
        Case(x: [1, 4, 3, 4], weight: [4, 2, 2, 3], padding: (1, 1), groups: 2),
        Case(x: [1, 3, 4, 3], weight: [6, 1, 3, 3], stride: (2, 2), padding: (1, 1), groups: 3),
        Case(x: [2, 3, 3, 2], weight: [3, 2, 1, 1], stride: (2, 2)),
    ]

    func testGradients() {
        for c in cases {
            let inputs = [wave(c.x), wave(c.weight, offset: 1), wave([c.weight[0]], offset: 2)]
            let failure = gradientFailure(at: inputs, secondOrder: true) {
                $0[0].convolution2D(
                    $0[1], bias: $0[2], stride: c.stride, padding: c.padding, dilation: c.dilation, groups: c.groups)
            }
            XCTAssertNil(failure, "\(c)")
        }
    }

    /// A curved function of the convolution has derivatives of every order; the third exists and is right.
    func testThirdDerivative() {
        let (x, w) = (wave([1, 3, 3, 1]), wave([2, 1, 2, 2], offset: 1))
        let failure = gradientFailure(at: [x, w], secondOrder: true) { inputs in
            let leaves = inputs.map { $0.requiresGradient ? $0 : $0.requiringGradient() }
            let y = withGradient { leaves[0].convolution2D(leaves[1], padding: (1, 0)).sin().sum() }
            return gradients(of: y, for: [leaves[0]], createGraph: true)[0]!
        }
        XCTAssertNil(failure)
    }

    func testIsTheSumOverTaps() {
        let x = wave([1, 3, 4, 2])
        let w = wave([1, 2, 2, 2], offset: 1)
        let y = x.convolution2D(w, stride: (1, 2), padding: (1, 0))
        XCTAssertEqual(y.shape, [1, 4, 2, 1])
        var expected: [Double] = []
        for oy in 0..<4 {
            for ox in 0..<2 {
                var sum = 0.0
                for ky in 0..<2 where (0..<3).contains(oy - 1 + ky) {
                    for kx in 0..<2 {
                        for c in 0..<2 { sum += x[0, oy - 1 + ky, ox * 2 + kx, c].item() * w[0, c, ky, kx].item() }
                    }
                }
                expected.append(sum)
            }
        }
        XCTAssertLessThan(largestDifference(y, Tensor(float64: expected, shape: y.shape, device: .reference))!, 1e-14)
    }

    func testOneDimensional() {
        let inputs = [wave([2, 7, 4]), wave([4, 2, 3], offset: 1), wave([4], offset: 2)]
        XCTAssertNil(
            gradientFailure(at: inputs, secondOrder: true) {
                $0[0].convolution1D($0[1], bias: $0[2], stride: 2, padding: 2, dilation: 2, groups: 2)
            })
        XCTAssertNil(
            gradientFailure(
                at: [wave([2, 3, 4]), wave([4, 2, 3], offset: 1), wave([4], offset: 2)], secondOrder: true
            ) {
                $0[0].transposedConvolution1D($0[1], bias: $0[2], stride: 2, padding: 1, outputPadding: 1, groups: 2)
            })
    }

    /// <conv(x), g> = <x, convT(g)> with the same weights, for every geometry.
    func testTransposedIsTheAdjoint() {
        for c in cases {
            let (x, w) = (wave(c.x), wave(c.weight, offset: 1))
            let y = x.convolution2D(w, stride: c.stride, padding: c.padding, dilation: c.dilation, groups: c.groups)
            let g = wave(y.shape, offset: 5)
            // What a strided convolution leaves over at the far edge is the output padding of its adjoint.
            func rest(_ n: Int, _ k: Int, _ stride: Int, _ padding: Int, _ dilation: Int) -> Int {
                (n + 2 * padding - dilation * (k - 1) - 1) % stride
            }
            let back = g.transposedConvolution2D(
                w, stride: c.stride, padding: c.padding,
                outputPadding: (
                    rest(c.x[1], c.weight[2], c.stride.0, c.padding.0, c.dilation.0),
                    rest(c.x[2], c.weight[3], c.stride.1, c.padding.1, c.dilation.1)
                ), dilation: c.dilation, groups: c.groups)
            XCTAssertEqual(back.shape, c.x)
            XCTAssertEqual((y * g).sum().item(), (x * back).sum().item(), accuracy: 1e-10)
        }
    }

    func testTransposedGradients() {
        let inputs = [wave([2, 3, 2, 4]), wave([4, 2, 3, 2], offset: 1), wave([4], offset: 2)]
        XCTAssertNil(
            gradientFailure(at: inputs, secondOrder: true) {
                $0[0].transposedConvolution2D(
                    $0[1], bias: $0[2], stride: (2, 3), padding: (1, 0), outputPadding: (1, 2), dilation: (2, 1),
                    groups: 2)
            })
    }

    func testEmptyBatch() {
        let x = Tensor.zeros([0, 5, 5, 2]).requiringGradient()
        let w = Tensor.ones([3, 2, 3, 3]).requiringGradient()
        let b = Tensor.ones([3]).requiringGradient()
        let y = x.convolution2D(w, bias: b, stride: (2, 2), padding: (1, 1))
        XCTAssertEqual(y.shape, [0, 3, 3, 3])
        y.sum().backward()
        XCTAssertEqual(x.gradient!.shape, x.shape)
        XCTAssertEqual(w.gradient!.floats(), [Float](repeating: 0, count: 54))
        XCTAssertEqual(b.gradient!.floats(), [0, 0, 0])
        XCTAssertEqual(Tensor.zeros([0, 2, 2, 3]).transposedConvolution2D(w, stride: (2, 2)).shape, [0, 5, 5, 2])
    }
}

final class PoolingTests: XCTestCase {
    func testMax() {
        let x = Tensor([1, 2, 3, 4, 9, 6, 7, 8, 5] as [Float], shape: [1, 3, 3, 1])
        XCTAssertEqual(x.maxPool2D(kernel: (2, 2)).floats(), [9])
        XCTAssertEqual(x.maxPool2D(kernel: (2, 2), ceiling: true).floats(), [9, 6, 8, 5])
        XCTAssertEqual(x.maxPool2D(kernel: (3, 3), stride: (2, 2), padding: (1, 1)).floats(), [9, 9, 9, 9])
        XCTAssertEqual(x.maxPool2D(kernel: (2, 2), dilation: (2, 2)).floats(), [7])
        // Padding never wins, and the first of equals takes the gradient.
        let low = Tensor.full([1, 2, 2, 1], -3).requiringGradient()
        let y = low.maxPool2D(kernel: (3, 3), padding: (1, 1))
        XCTAssertEqual(y.floats(), [-3])
        y.sum().backward()
        XCTAssertEqual(low.gradient!.floats(), [1, 0, 0, 0])
    }

    func testAverage() {
        let x = Tensor([1, 2, 3, 4, 5, 6, 7, 8, 9] as [Float], shape: [1, 3, 3, 1])
        XCTAssertEqual(x.averagePool2D(kernel: (2, 2), stride: (1, 1)).floats(), [3, 4, 6, 7])
        XCTAssertEqual(
            x.averagePool2D(kernel: (2, 2), stride: (2, 2), padding: (1, 1)).floats(), [0.25, 1.25, 2.75, 7])
        XCTAssertEqual(
            x.averagePool2D(kernel: (2, 2), stride: (2, 2), padding: (1, 1), countsPadding: false).floats(),
            [1, 2.5, 5.5, 7])
        XCTAssertEqual(x.averagePool2D(kernel: (2, 2), ceiling: true).floats(), [3, 4.5, 7.5, 9])
        XCTAssertEqual(x.globalAveragePool2D().floats(), [5])
    }

    func testAdaptive() {
        let x = Tensor((0..<35).map { Float(($0 * 13) % 37) }, shape: [1, 5, 7, 1])
        func windows(_ n: Int, _ k: Int) -> [Range<Int>] { (0..<k).map { $0 * n / k..<(($0 + 1) * n + k - 1) / k } }
        for size in [(2, 3), (5, 7), (1, 1), (3, 2), (7, 9)] {
            let cells = windows(5, size.0).flatMap { r in windows(7, size.1).map { x[0..., r, $0] } }
            let means = x.adaptiveAveragePool2D(size)
            XCTAssertEqual(means.shape, [1, size.0, size.1, 1])
            for (a, b) in zip(means.floats(), cells) { XCTAssertEqual(Double(a), b.mean().item(), accuracy: 1e-5) }
            XCTAssertEqual(x.adaptiveMaxPool2D(size).doubles(), cells.map { $0.max().item() })
        }
    }

    func testGradients() {
        let x = [wave([2, 5, 6, 2])]
        let cases: [(String, (Tensor) -> Tensor)] = [
            ("max", { $0.maxPool2D(kernel: (2, 3)) }),
            ("overlapping max", { $0.maxPool2D(kernel: (3, 3), stride: (2, 1), padding: (1, 1)) }),
            ("dilated max", { $0.maxPool2D(kernel: (2, 2), stride: (1, 2), padding: (1, 0), dilation: (2, 3)) }),
            ("ceiling max", { $0.maxPool2D(kernel: (2, 2), stride: (3, 2), ceiling: true) }),
            ("average", { $0.averagePool2D(kernel: (2, 2)) }),
            ("padded average", { $0.averagePool2D(kernel: (3, 2), stride: (2, 1), padding: (1, 1)) }),
            ("uncounted", { $0.averagePool2D(kernel: (3, 3), stride: (2, 2), padding: (1, 1), countsPadding: false) }),
            ("ceiling average", { $0.averagePool2D(kernel: (2, 4), padding: (1, 1), ceiling: true) }),
            ("adaptive average", { $0.adaptiveAveragePool2D((3, 4)) }),
            ("even adaptive average", { $0.adaptiveAveragePool2D((5, 2)) }),
            ("adaptive max", { $0.adaptiveMaxPool2D((3, 4)) }),
            ("global", { $0.globalAveragePool2D() }),
        ]
        for (name, f) in cases {
            XCTAssertNil(gradientFailure(at: x) { f($0[0]) }, name)
            // Squared, so that the second derivative is not zero everywhere.
            XCTAssertNil(gradientFailure(at: [wave([1, 5, 6, 1])], secondOrder: true) { f($0[0]).square() }, name)
        }
    }

    func testEmptyBatch() {
        let pools: [(String, (Tensor) -> Tensor, [Int])] = [
            ("max", { $0.maxPool2D(kernel: (2, 2)) }, [0, 2, 2, 3]),
            ("average", { $0.averagePool2D(kernel: (2, 2)) }, [0, 2, 2, 3]),
            ("adaptive", { $0.adaptiveAveragePool2D((3, 3)) }, [0, 3, 3, 3]),
            ("adaptive max", { $0.adaptiveMaxPool2D((3, 3)) }, [0, 3, 3, 3]),
            ("global", { $0.globalAveragePool2D() }, [0, 3]),
        ]
        for (name, pool, shape) in pools {
            let x = Tensor.zeros([0, 4, 5, 3]).requiringGradient()
            let y = pool(x)
            XCTAssertEqual(y.shape, shape, name)
            y.sum().backward()
            XCTAssertEqual(x.gradient!.shape, x.shape, name)
        }
    }
}
