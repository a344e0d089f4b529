import XCTest

@testable import FledgeCore

/// Convolutions that go through `WinogradConvolution`, against float64: values and both gradients within 5e-6 of the
/// largest element.
final class WinogradConvolutionTests: XCTestCase {
    private func largestError(_ found: Tensor, _ expected: Tensor) -> Double {
        let (a, b) = (found.doubles(), expected.doubles())
        XCTAssertEqual(found.shape, expected.shape)
        return zip(a, b).map { abs($0 - $1) }.max()! / b.map { abs($0) }.max()!
    }

    func testAgainstFloat64() throws {
        if Engine.instructionSet == "base" { throw XCTSkip("needs AVX2") }
        var random = RandomSource(seed: 11)
        let cases: [(x: [Int], outputs: Int, padding: Int)] = [
            ([3, 17, 14, 32], 48, 1), ([2, 8, 8, 64], 64, 0), ([1, 7, 5, 32], 32, 2), ([16, 12, 12, 32], 32, 1),
        ]
        for (shape, outputs, padding) in cases {
            let values = [shape, [outputs, shape[3], 3, 3], [outputs]].map {
                Tensor.normal($0, random: &random, dtype: .float64, device: .reference)
            }
            func run(_ dtype: DType, _ device: Device) -> [Tensor] {
                let leaves = values.map { $0.cast(to: dtype).to(device).requiringGradient() }
                let y = leaves[0].convolution2D(leaves[1], bias: leaves[2], padding: (padding, padding))
                return [y] + gradients(of: (y * y).sum(), for: leaves).map { $0! }
            }
            let p = ConvolutionParameters(top: padding, left: padding, bottom: padding, right: padding)
            XCTAssertNotNil(WinogradConvolution(x: shape, weight: values[1].shape, p), "\(shape) should take this path")
            for (i, (found, expected)) in zip(run(.float32, .cpu), run(.float64, .reference)).enumerated() {
                XCTAssertLessThan(largestError(found, expected), 5e-6, "\(shape), tensor \(i)")
            }
        }
    }

    func testOtherGeometriesAreLeftToOneDNN() {
        let (x, w) = ([4, 16, 16, 32], [32, 32, 3, 3])
        func takes(_ weight: [Int], _ p: ConvolutionParameters) -> Bool {
            WinogradConvolution(x: x, weight: weight, p) != nil
        }
        XCTAssertFalse(takes(w, ConvolutionParameters(strideH: 2, strideW: 2)))
        XCTAssertFalse(takes(w, ConvolutionParameters(dilationH: 2, dilationW: 2)))
        XCTAssertFalse(takes(w, ConvolutionParameters(top: 1)))
        XCTAssertFalse(takes([32, 16, 3, 3], ConvolutionParameters(groups: 2)))
        XCTAssertFalse(takes([32, 32, 1, 1], ConvolutionParameters()))
        XCTAssertFalse(takes([32, 32, 5, 5], ConvolutionParameters()))
    }
}
