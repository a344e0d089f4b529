import XCTest

@testable import FledgeCore

/// Convolutions that go past oneDNN's, against float64: values and all gradients within 5e-6 of the largest element.
final class ConvolutionPathTests: XCTestCase {
    private func largestError(_ found: Tensor, _ expected: Tensor) -> Double {
        let (a, b) = (found.doubles(), expected.doubles())
        XCTAssertEqual(found.shape, expected.shape)
        return zip(a, b).map { abs($0 - $1) }.max()! / b.map { abs($0) }.max()!
    }

    private struct Case {
        var x: [Int], outputs: Int, kernel = 3, stride = 1, padding = 1
        var weight: [Int] { [outputs, x[3], kernel, kernel] }
        var parameters: ConvolutionParameters {
            ConvolutionParameters(
                strideH: stride, strideW: stride, top: padding, left: padding, bottom: padding, right: padding)
        }
    }

    private func assertMatchesFloat64(_ s: Case, random: inout RandomSource) {
        let values = [s.x, s.weight, [s.outputs]].map {
            Tensor.normal($0, random: &random, dtype: .float64, device: .reference)
        }
        func run(_ dtype: DType, _ device: Device) -> [Tensor] {
            let leaves = values.map { $0.cast(to: dtype).to(device).requiringGradient() }
            let y = leaves[0].convolution2D(
                leaves[1], bias: leaves[2], stride: (s.stride, s.stride), padding: (s.padding, s.padding))
            return [y] + gradients(of: (y * y).sum(), for: leaves).map { $0! }
        }
        for (i, (found, expected)) in zip(run(.float32, .cpu), run(.float64, .reference)).enumerated() {
            XCTAssertLessThan(largestError(found, expected), 5e-6, "\(s), tensor \(i)")
        }
    }

    func testWinograd() throws {
        if Engine.instructionSet == "base" { throw XCTSkip("needs AVX2") }
        var random = RandomSource(seed: 11)
        for s in [
            Case(x: [3, 17, 14, 32], outputs: 48), Case(x: [2, 8, 8, 64], outputs: 64, padding: 0),
            Case(x: [1, 7, 5, 32], outputs: 32, padding: 2), Case(x: [16, 12, 12, 32], outputs: 32),
            Case(x: [3, 15, 13, 32], outputs: 48, stride: 2), Case(x: [17, 8, 7, 64], outputs: 96, stride: 2),
            Case(x: [9, 4, 4, 64], outputs: 32, stride: 2), Case(x: [2, 28, 12, 32], outputs: 64, stride: 2),
        ] {
            XCTAssertNotNil(WinogradConvolution(x: s.x, weight: s.weight, s.parameters), "\(s) should take this path")
            assertMatchesFloat64(s, random: &random)
        }
    }

    func testWholeImage() {
        var random = RandomSource(seed: 12)
        for s in [
            Case(x: [5, 2, 2, 12], outputs: 7, stride: 2), Case(x: [3, 1, 1, 20], outputs: 9),
            Case(x: [4, 2, 1, 6], outputs: 8, kernel: 5, stride: 3, padding: 2),
            Case(x: [2, 3, 3, 4], outputs: 5, kernel: 5, stride: 4, padding: 2),
            Case(x: [3, 1, 2, 1], outputs: 1, stride: 2),
        ] {
            XCTAssertNotNil(WholeImageConvolution(x: s.x, weight: s.weight, s.parameters), "\(s) should take this path")
            assertMatchesFloat64(s, random: &random)
        }
        for s in [
            Case(x: [5, 2, 2, 12], outputs: 7), Case(x: [5, 3, 3, 12], outputs: 7, stride: 4),
            Case(x: [5, 3, 3, 12], outputs: 7, padding: 0), Case(x: [5, 1, 1, 12], outputs: 7, kernel: 1, padding: 0),
        ] {
            XCTAssertNil(
                WholeImageConvolution(x: s.x, weight: s.weight, s.parameters), "\(s) should not take this path")
        }
    }

    func testOtherGeometriesAreLeftToOneDNN() {
        let (x, w) = ([4, 16, 16, 32], [32, 32, 3, 3])
        func takes(_ weight: [Int], _ p: ConvolutionParameters) -> Bool {
            WinogradConvolution(x: x, weight: weight, p) != nil
        }
        XCTAssertFalse(takes(w, ConvolutionParameters(strideH: 2, strideW: 2)))  // without padding
        XCTAssertFalse(takes(w, ConvolutionParameters(strideH: 2, top: 1, left: 1, bottom: 1, right: 1)))
        XCTAssertFalse(takes(w, ConvolutionParameters(dilationH: 2, dilationW: 2)))
        XCTAssertFalse(takes(w, ConvolutionParameters(top: 1)))
        XCTAssertFalse(takes([32, 16, 3, 3], ConvolutionParameters(groups: 2)))
        XCTAssertFalse(takes([32, 32, 1, 1], ConvolutionParameters()))
        XCTAssertFalse(takes([32, 32, 5, 5], ConvolutionParameters()))
    }

    /// Weights that are not trained are laid out for the kernel once, and anew when somebody wrote to them.
    func testLaidOutWeightsFollowTheirValues() {
        func values(_ shape: [Int]) -> Tensor {
            var random = RandomSource(seed: 12)
            return .normal(shape, random: &random)
        }
        let x = values([1, 5, 5, 16]), shape = [32, 16, 1, 1]
        func run(_ weight: Tensor) -> Tensor { noGradient { x.convolution2D(weight) } }
        var weight = values(shape)
        let trained = weight.detached().requiringGradient()
        let recorded = x.convolution2D(trained)
        XCTAssertNil(trained.storage.rearranged, "weights that will change next are not kept")
        let first = run(weight)
        XCTAssertEqual(first.floats(), recorded.floats())
        let copy = weight.storage.rearranged?.copy
        XCTAssertNotNil(copy, "no kernel of oneDNN takes these weights as they are")
        XCTAssertEqual(run(weight).floats(), first.floats())
        XCTAssertTrue(weight.storage.rearranged?.copy === copy)
        // Seen by `trained` too, the values cannot change where they stand.
        XCTAssertFalse(Tensor.addInPlace(values(shape), to: &weight))
        var own = values(shape)
        _ = run(own)
        XCTAssertTrue(Tensor.addInPlace(values(shape), to: &own))
        XCTAssertEqual(run(own).floats(), (first * 2).floats())
        Tensor.setRows(of: &own, at: Array(0..<32), to: Tensor.zeros(shape))
        XCTAssertEqual(run(own).abs().max().item(), 0)
        // Two weights in one block of memory, in turns.
        let both = stack([weight, weight * 3])
        for _ in 0..<2 {
            XCTAssertEqual(run(both[0]).floats(), first.floats())
            XCTAssertEqual(run(both[1]).floats(), run(weight * 3).floats())
        }
    }
}
