import FledgeCore
import FledgeTesting
import XCTest

final class ResizeTests: XCTestCase {
    private func row(_ values: [Double]) -> Tensor {
        Tensor(float64: values, shape: [1, 1, values.count, 1], device: .reference)
    }

    private func check(
        _ x: Tensor, _ expected: [Double], _ mode: ResizeMode, alignCorners: Bool = false, antialias: Bool = false,
        line: UInt = #line
    ) {
        let y = x.resized(to: (1, expected.count), mode: mode, alignCorners: alignCorners, antialias: antialias)
        for (a, b) in zip(y.doubles(), expected) { XCTAssertEqual(a, b, accuracy: 1e-12, line: line) }
    }

    func testPointWeights() {
        check(row([1, 2]), [1, 1.25, 1.75, 2], .bilinear)
        check(row([1, 2]), [1, 4.0 / 3, 5.0 / 3, 2], .bilinear, alignCorners: true)
        check(row([1, 2, 3, 4, 5]), [1.75, 4.25], .bilinear)
        check(row([10, 20, 30, 40, 50]), [10, 30, 50], .bilinear, alignCorners: true)
        check(row([0, 1, 2, 3, 4, 5, 6]), [0, 1, 3, 5], .nearest)
        check(row([7, 8]), [7, 7, 7, 8, 8], .nearest)
        // Halfway between pixels Keys' kernel with a = -0.75 weighs (-3, 19, 19, -3) / 32.
        check(row([1, 10, 100, 1000]), [(-3.0 + 190 + 1900 - 3000) / 32], .bicubic)
    }

    func testAntialiasWeights() {
        // A triangle two output pixels wide, cut at the border: weights (3, 3, 1) / 7.
        check(row([7, 14, 21, 70]), [(21.0 + 42 + 21) / 7, (14.0 + 63 + 210) / 7], .bilinear, antialias: true)
        // Enlarging has nothing to smooth.
        let x = wave([1, 3, 4, 2])
        let plain = x.resized(to: (5, 9), mode: .bilinear)
        XCTAssertLessThan(largestDifference(x.resized(to: (5, 9), mode: .bilinear, antialias: true), plain)!, 1e-12)
    }

    func testConstantsAndLinesStay() {
        for mode in ResizeMode.allCases {
            for antialias in mode == .nearest ? [false] : [false, true] {
                let y = Tensor.full([1, 6, 5, 1], 3).resized(to: (4, 9), mode: mode, antialias: antialias)
                for value in y.floats() { XCTAssertEqual(value, 3, accuracy: 1e-5) }
            }
        }
        // Linear interpolation between aligned corners reproduces a line; so does the cubic one away from the border.
        check(row([0, 1, 2, 3]), (0..<7).map { Double($0) / 2 }, .bilinear, alignCorners: true)
        let line = row((0..<9).map { Double($0) }).resized(to: (1, 17), mode: .bicubic, alignCorners: true).doubles()
        for i in 2...14 { XCTAssertEqual(line[i], Double(i) / 2, accuracy: 1e-12) }
    }

    func testGradients() {
        for mode in ResizeMode.allCases {
            for size in [(3, 7), (6, 2), (1, 1)] {
                for alignCorners in mode == .nearest ? [false] : [false, true] {
                    for antialias in mode == .nearest ? [false] : [false, true] {
                        let failure = gradientFailure(at: [wave([2, 4, 3, 2])], secondOrder: true) {
                            $0[0].resized(to: size, mode: mode, alignCorners: alignCorners, antialias: antialias)
                                .square()
                        }
                        XCTAssertNil(failure, "\(mode) \(size) \(alignCorners) \(antialias)")
                    }
                }
            }
        }
    }
}

final class GridSampleTests: XCTestCase {
    /// The grid that reads every pixel where it is.
    private func identity(_ height: Int, _ width: Int, alignCorners: Bool) -> Tensor {
        func place(_ i: Int, _ n: Int) -> Double {
            alignCorners ? 2 * Double(i) / Double(n - 1) - 1 : (2 * Double(i) + 1) / Double(n) - 1
        }
        let values = (0..<height).flatMap { y in (0..<width).flatMap { [place($0, width), place(y, height)] } }
        return Tensor(float64: values, shape: [1, height, width, 2], device: .reference)
    }

    func testIdentity() {
        let x = wave([1, 3, 4, 2])
        for mode in GridMode.allCases {
            for alignCorners in [false, true] {
                let grid = identity(3, 4, alignCorners: alignCorners)
                for padding in GridPadding.allCases {
                    let y = x.gridSampled(grid, mode: mode, padding: padding, alignCorners: alignCorners)
                    XCTAssertLessThan(largestDifference(y, x)!, 1e-12, "\(mode) \(padding) \(alignCorners)")
                }
            }
        }
    }

    func testPadding() {
        let x = Tensor(float64: [1, 2, 4], shape: [1, 1, 3, 1], device: .reference)
        func read(_ places: [Double], _ mode: GridMode, _ padding: GridPadding, _ alignCorners: Bool) -> [Double] {
            let grid = Tensor(float64: places.flatMap { [$0, 0] }, shape: [1, 1, places.count, 2], device: .reference)
            return x.gridSampled(grid, mode: mode, padding: padding, alignCorners: alignCorners).doubles()
        }
        // With aligned corners, place p is pixel p + 1.
        let places = [-2, -1.5, -0.5, 0.75, 1.5, 3, 6]
        XCTAssertEqual(read(places, .bilinear, .zeros, true), [0, 0.5, 1.5, 3.5, 2, 0, 0])
        XCTAssertEqual(read(places, .bilinear, .border, true), [1, 1, 1.5, 3.5, 4, 4, 4])
        XCTAssertEqual(read(places, .bilinear, .reflection, true), [2, 1.5, 1.5, 3.5, 3, 1, 2])
        XCTAssertEqual(read([-1.75, -0.75, 0.25, 1.75], .nearest, .zeros, true), [0, 1, 2, 0])
        XCTAssertEqual(read([-1.75, 1.75, 3], .nearest, .reflection, true), [2, 2, 1])
        // Without, the mirrors stand at the outer edges: pixel -1 is pixel 0 and pixel 3 is pixel 2.
        XCTAssertEqual(read([-4.0 / 3, 4.0 / 3], .nearest, .reflection, false), [1, 4])
        XCTAssertEqual(read([-1, 1], .bilinear, .zeros, false), [0.5, 2])
    }

    func testAgreesWithResize() {
        let x = wave([1, 4, 5, 3])
        let y = x.gridSampled(identity(7, 6, alignCorners: false), padding: .border)
        XCTAssertLessThan(largestDifference(y, x.resized(to: (7, 6)))!, 1e-12)
    }

    func testGradients() {
        let x = wave([2, 3, 4, 2])
        let grid = wave([2, 2, 3, 2], offset: 0.9, amplitude: 1.4)
        for padding in GridPadding.allCases {
            for alignCorners in [false, true] {
                let failure = gradientFailure(at: [x, grid], secondOrder: true) {
                    $0[0].gridSampled($0[1], padding: padding, alignCorners: alignCorners)
                }
                XCTAssertNil(failure, "\(padding) \(alignCorners)")
                let nearest = gradientFailure(at: [x]) {
                    $0[0].gridSampled(grid, mode: .nearest, padding: padding, alignCorners: alignCorners)
                }
                XCTAssertNil(nearest, "nearest \(padding) \(alignCorners)")
            }
        }
    }
}

final class WindowTests: XCTestCase {
    func testUnfoldTimesWeightsIsConvolution() {
        let x = wave([2, 5, 6, 3])
        let w = wave([4, 3, 2, 3], offset: 1)
        let columns = x.unfolded(kernel: (2, 3), stride: (2, 1), padding: (1, 2), dilation: (1, 2))
        let y = x.convolution2D(w, stride: (2, 1), padding: (1, 2), dilation: (1, 2))
        XCTAssertEqual(columns.shape, [2, y.shape[1] * y.shape[2], 18])
        let product = columns.matmul(w.reshaped([4, 18]).transposed()).reshaped(y.shape)
        XCTAssertLessThan(largestDifference(product, y)!, 1e-13)
    }

    func testFoldIsTheAdjoint() {
        let x = wave([2, 5, 4, 2])
        let columns = x.unfolded(kernel: (3, 2), stride: (2, 1), padding: (1, 1), dilation: (1, 2))
        let g = wave(columns.shape, offset: 3)
        let back = g.folded(to: (5, 4), kernel: (3, 2), stride: (2, 1), padding: (1, 1), dilation: (1, 2))
        XCTAssertEqual((columns * g).sum().item(), (x * back).sum().item(), accuracy: 1e-11)
        // Windows side by side come apart and together again.
        let tiles = x[0..., 0..<4].unfolded(kernel: (2, 2), stride: (2, 2))
        XCTAssertEqual(tiles.folded(to: (4, 4), kernel: (2, 2), stride: (2, 2)).doubles(), x[0..., 0..<4].doubles())
    }

    func testGradients() {
        XCTAssertNil(
            gradientFailure(at: [wave([1, 4, 5, 2])], secondOrder: true) {
                $0[0].unfolded(kernel: (2, 3), stride: (1, 2), padding: (1, 1), dilation: (2, 1)).square()
            })
        XCTAssertNil(
            gradientFailure(at: [wave([1, 9, 8])], secondOrder: true) {
                $0[0].folded(to: (5, 6), kernel: (2, 2), stride: (2, 2), padding: (1, 0)).square()
            })
        XCTAssertEqual(Tensor.zeros([0, 4, 4, 1]).unfolded(kernel: (2, 2)).shape, [0, 9, 4])
    }

    func testPaddingModes() {
        let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [1, 2, 3, 1])
        func rows(_ mode: PaddingMode) -> [Float] {
            x.padded2D(top: 1, left: 2, bottom: 0, right: 1, mode: mode).floats()
        }
        XCTAssertEqual(rows(.constant(9)), [9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 9, 9, 9, 4, 5, 6, 9])
        XCTAssertEqual(rows(.reflect), [6, 5, 4, 5, 6, 5, 3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5])
        XCTAssertEqual(rows(.replicate), [1, 1, 1, 2, 3, 3, 1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6])
        for mode in [PaddingMode.constant(0), .constant(2), .reflect, .replicate] {
            let failure = gradientFailure(at: [wave([2, 3, 3, 2])], secondOrder: true) {
                $0[0].padded2D(top: 1, left: 2, bottom: 2, right: 0, mode: mode).square()
            }
            XCTAssertNil(failure, "\(mode)")
        }
    }

    func testPixelShuffle() {
        let x = Tensor((0..<8).map { Float($0) }, shape: [1, 1, 1, 8])
        XCTAssertEqual(x.pixelShuffled(2).floats(), [0, 4, 1, 5, 2, 6, 3, 7])
        let image = wave([2, 4, 6, 3])
        XCTAssertEqual(image.pixelUnshuffled(2).pixelShuffled(2).doubles(), image.doubles())
        let deep = wave([2, 3, 2, 18])
        XCTAssertEqual(deep.pixelShuffled(3).pixelUnshuffled(3).doubles(), deep.doubles())
        XCTAssertNil(gradientFailure(at: [wave([1, 2, 2, 8])], secondOrder: true) { $0[0].pixelShuffled(2).square() })
    }
}
