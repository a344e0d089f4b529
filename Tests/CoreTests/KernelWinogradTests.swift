import CFledgeKernels
import Foundation
import XCTest

/// Winograd convolution against direct sums in float64, at a sample of the outputs.
final class KernelWinogradTests: KernelTestCase {
    private struct Shape {
        var n: Int, h: Int, w: Int, c: Int, k: Int, stride = 1, pad = 1
        var oh: Int { (h + 2 * pad - 3) / stride + 1 }
        var ow: Int { (w + 2 * pad - 3) / stride + 1 }
        var kernels: fk_winograd_shape {
            fk_winograd_shape(
                n: Int64(n), h: Int64(h), w: Int64(w), c: Int64(c), k: Int64(k), stride: Int64(stride),
                pad: Int64(pad))
        }
    }

    /// Together they take every scheme: tile and column split (one and several super blocks), private sums, shared
    /// blocks, block split, and both tile sizes of either stride.
    private static let shapes = [
        Shape(n: 1, h: 28, w: 28, c: 32, k: 32), Shape(n: 2, h: 28, w: 28, c: 32, k: 64),
        Shape(n: 3, h: 7, w: 7, c: 64, k: 64), Shape(n: 2, h: 16, w: 16, c: 64, k: 64),
        Shape(n: 1, h: 4, w: 4, c: 128, k: 128), Shape(n: 3, h: 4, w: 4, c: 128, k: 160),
        Shape(n: 3, h: 9, w: 7, c: 48, k: 80), Shape(n: 2, h: 10, w: 11, c: 32, k: 48, pad: 0),
        Shape(n: 2, h: 5, w: 6, c: 48, k: 32, pad: 2), Shape(n: 1, h: 66, w: 66, c: 32, k: 32),
        Shape(n: 8, h: 4, w: 4, c: 320, k: 320), Shape(n: 9, h: 16, w: 16, c: 320, k: 304),
        Shape(n: 1, h: 1, w: 1, c: 32, k: 32), Shape(n: 1, h: 3, w: 3, c: 32, k: 32, pad: 0),
        Shape(n: 2, h: 16, w: 32, c: 32, k: 64, stride: 2), Shape(n: 3, h: 7, w: 8, c: 64, k: 48, stride: 2),
        Shape(n: 33, h: 14, w: 31, c: 32, k: 32, stride: 2), Shape(n: 1, h: 8, w: 8, c: 128, k: 128, stride: 2),
        Shape(n: 2, h: 65, w: 64, c: 32, k: 48, stride: 2), Shape(n: 3, h: 16, w: 15, c: 160, k: 320, stride: 2),
        Shape(n: 36, h: 15, w: 15, c: 240, k: 192, stride: 2), Shape(n: 65, h: 4, w: 4, c: 64, k: 48, stride: 2),
        Shape(n: 3, h: 28, w: 27, c: 32, k: 64, stride: 2), Shape(n: 1, h: 11, w: 12, c: 48, k: 160, stride: 2),
        Shape(n: 40, h: 3, w: 4, c: 320, k: 240, stride: 2),
    ]

    func testRule() {
        onEveryISA {
            let vectors = String(cString: fledge_isa_name()) != "base"
            XCTAssertEqual(isSupported(Shape(n: 1, h: 8, w: 8, c: 64, k: 32)), vectors)
            XCTAssertFalse(isSupported(Shape(n: 1, h: 8, w: 8, c: 16, k: 64)))
            XCTAssertFalse(isSupported(Shape(n: 1, h: 8, w: 8, c: 64, k: 40)))
            XCTAssertFalse(isSupported(Shape(n: 1, h: 8, w: 8, c: 64, k: 64, pad: 3)))
            XCTAssertFalse(isSupported(Shape(n: 1, h: 2, w: 8, c: 64, k: 64, pad: 0)))
            XCTAssertEqual(isSupported(Shape(n: 1, h: 7, w: 7, c: 64, k: 32, stride: 2)), vectors)
            XCTAssertFalse(isSupported(Shape(n: 1, h: 14, w: 14, c: 64, k: 32, stride: 2)))
            XCTAssertFalse(isSupported(Shape(n: 1, h: 8, w: 8, c: 64, k: 64, stride: 2, pad: 0)))
            XCTAssertFalse(isSupported(Shape(n: 1, h: 16, w: 16, c: 64, k: 64, stride: 3)))
        }
    }

    func testAllDirections() {
        for shape in Self.shapes {
            let x = numbers(shape.n * shape.h * shape.w * shape.c, seed: 1, scale: 1)
            let weights = numbers(shape.k * shape.c * 9, seed: 2, scale: 0.1)
            let dy = numbers(shape.n * shape.oh * shape.ow * shape.k, seed: 3, scale: 1)
            let y = referenceForward(shape, x, weights)
            let dx = referenceBackwardData(shape, dy, weights)
            let dw = referenceBackwardWeights(shape, x, dy)
            withThreadCounts {
                guard isSupported(shape) else { return }
                assertClose(forward(shape, x, weights), y, shape, "forward")
                assertClose(backwardData(shape, dy, weights), dx, shape, "backward data")
                assertClose(backwardWeights(shape, x, dy), dw, shape, "backward weights")
            }
        }
    }

    func testFusedBiasAndReLU() {
        let shape = Shape(n: 2, h: 9, w: 9, c: 32, k: 48)
        let x = numbers(shape.n * shape.h * shape.w * shape.c), weights = numbers(shape.k * shape.c * 9, seed: 2)
        let bias = numbers(shape.k, seed: 3)
        onEveryISA {
            guard isSupported(shape) else { return }
            let plain = forward(shape, x, weights)
            let fused = forward(shape, x, weights, bias: bias, relu: true)
            for (i, v) in plain.enumerated() { XCTAssertEqual(fused[i], max(v + bias[i % shape.k], 0)) }
        }
    }

    func testRunsAgreeBitForBit() {
        for shape in [Self.shapes[1], Self.shapes[3], Self.shapes[9]] {
            let x = numbers(shape.n * shape.h * shape.w * shape.c)
            let dy = numbers(shape.n * shape.oh * shape.ow * shape.k, seed: 3)
            let weights = numbers(shape.k * shape.c * 9, seed: 2)
            withThreadCounts {
                guard isSupported(shape) else { return }
                XCTAssertEqual(forward(shape, x, weights), forward(shape, x, weights))
                XCTAssertEqual(backwardWeights(shape, x, dy), backwardWeights(shape, x, dy))
            }
        }
    }

    // MARK: Calls

    private func isSupported(_ s: Shape) -> Bool {
        var shape = s.kernels
        return fk_winograd_supported(&shape) == 1
    }
    private func withScratch(
        _ s: Shape, _ direction: fk_winograd_direction,
        _ body: (UnsafePointer<fk_winograd_shape>, UnsafeMutableRawPointer) -> Void
    ) {
        withUnsafePointer(to: s.kernels) { shape in
            let bytes = fk_winograd_scratch(shape, direction)
            let guardBytes = 64
            let scratch = UnsafeMutableRawPointer.allocate(byteCount: bytes + guardBytes, alignment: 64)
            memset(scratch, 0xFF, bytes + guardBytes)  // NaN: nothing may be read before it is written
            body(shape, scratch)
            let end = UnsafeRawBufferPointer(start: scratch + bytes, count: guardBytes)
            XCTAssertTrue(end.allSatisfy { $0 == 0xFF }, "wrote beyond its scratch")
            scratch.deallocate()
        }
    }
    private func forward(
        _ s: Shape, _ x: [Float], _ weights: [Float], bias: [Float]? = nil, relu: Bool = false
    ) -> [Float] {
        var y = [Float](repeating: .nan, count: s.n * s.oh * s.ow * s.k)
        withScratch(s, FK_WINOGRAD_FORWARD) { fk_winograd_forward($0, x, weights, bias, relu ? 1 : 0, &y, $1) }
        return y
    }
    private func backwardData(_ s: Shape, _ dy: [Float], _ weights: [Float]) -> [Float] {
        var dx = [Float](repeating: .nan, count: s.n * s.h * s.w * s.c)
        withScratch(s, FK_WINOGRAD_BACKWARD_DATA) { fk_winograd_backward_data($0, dy, weights, &dx, $1) }
        return dx
    }
    private func backwardWeights(_ s: Shape, _ x: [Float], _ dy: [Float]) -> [Float] {
        var dw = [Float](repeating: .nan, count: s.k * s.c * 9)
        withScratch(s, FK_WINOGRAD_BACKWARD_WEIGHTS) { fk_winograd_backward_weights($0, x, dy, &dw, $1) }
        return dw
    }

    // MARK: Direct convolution in float64 at about 500 outputs

    private struct Sample {
        var index: Int
        var value: Double
    }
    private func samples(of count: Int, _ value: (Int) -> Double) -> [Sample] {
        stride(from: 0, to: count, by: max(1, count / 500) | 1).map { Sample(index: $0, value: value($0)) }
    }
    private func assertClose(_ actual: [Float], _ expected: [Sample], _ s: Shape, _ direction: String) {
        XCTAssertFalse(actual.contains { $0.isNaN }, "\(direction) of \(s) left outputs unset")
        let largest = expected.map { abs($0.value) }.max()!
        let error = expected.map { abs(Double(actual[$0.index]) - $0.value) }.max()!
        XCTAssertLessThan(error, 5e-6 * largest, "\(direction) of \(s) on \(String(cString: fledge_isa_name()))")
    }

    private func referenceForward(_ s: Shape, _ x: [Float], _ weights: [Float]) -> [Sample] {
        samples(of: s.n * s.oh * s.ow * s.k) { index in
            let k = index % s.k, j = index / s.k % s.ow, i = index / s.k / s.ow % s.oh, n = index / s.k / s.ow / s.oh
            var sum = 0.0
            for (a, b) in taps {
                let r = i * s.stride + a - s.pad, q = j * s.stride + b - s.pad
                guard r >= 0, r < s.h, q >= 0, q < s.w else { continue }
                for c in 0..<s.c {
                    sum +=
                        Double(x[((n * s.h + r) * s.w + q) * s.c + c])
                        * Double(weights[(k * s.c + c) * 9 + a * 3 + b])
                }
            }
            return sum
        }
    }
    private func referenceBackwardData(_ s: Shape, _ dy: [Float], _ weights: [Float]) -> [Sample] {
        samples(of: s.n * s.h * s.w * s.c) { index in
            let c = index % s.c, q = index / s.c % s.w, r = index / s.c / s.w % s.h, n = index / s.c / s.w / s.h
            var sum = 0.0
            for (a, b) in taps {
                let (i, left) = (r - a + s.pad).quotientAndRemainder(dividingBy: s.stride)
                let (j, over) = (q - b + s.pad).quotientAndRemainder(dividingBy: s.stride)
                guard left == 0, over == 0, i >= 0, i < s.oh, j >= 0, j < s.ow else { continue }
                for k in 0..<s.k {
                    sum +=
                        Double(dy[((n * s.oh + i) * s.ow + j) * s.k + k])
                        * Double(weights[(k * s.c + c) * 9 + a * 3 + b])
                }
            }
            return sum
        }
    }
    private func referenceBackwardWeights(_ s: Shape, _ x: [Float], _ dy: [Float]) -> [Sample] {
        samples(of: s.k * s.c * 9) { index in
            let (a, b) = taps[index % 9], c = index / 9 % s.c, k = index / 9 / s.c
            var sum = 0.0
            for n in 0..<s.n {
                for i in 0..<s.oh {
                    for j in 0..<s.ow {
                        let r = i * s.stride + a - s.pad, q = j * s.stride + b - s.pad
                        guard r >= 0, r < s.h, q >= 0, q < s.w else { continue }
                        sum +=
                            Double(x[((n * s.h + r) * s.w + q) * s.c + c])
                            * Double(dy[((n * s.oh + i) * s.ow + j) * s.k + k])
                    }
                }
            }
            return sum
        }
    }
    private let taps = (0..<9).map { ($0 / 3, $0 % 3) }
}
