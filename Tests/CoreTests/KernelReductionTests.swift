import CFledgeKernels
import Foundation
import XCTest

/// Reductions, scans, softmax, cross-entropy.
final class KernelReductionTests: KernelTestCase {
    private static let shapes: [(Int, Int, Int)] = [
        (1, 1, 1), (1, 40000, 1), (3, 17, 1), (1100, 33, 1), (2, 9000, 1), (1, 7, 5), (1, 5000, 3), (2, 600, 15),
        (3, 33, 16), (1, 700, 64), (2, 70, 100), (1, 3, 5000), (5, 1, 9), (1, 130, 1100),
    ]

    private func columns(_ x: [Float], _ outer: Int, _ mid: Int, _ inner: Int) -> [[Double]] {
        (0..<outer * inner).map { o in
            (0..<mid).map { Double(x[(o / inner * mid + $0) * inner + o % inner]) }
        }
    }

    func testReductions() {
        let operations: [(fk_reduce_op, ([Double]) -> Double)] = [
            (FK_REDUCE_SUM, { $0.reduce(0, +) }), (FK_REDUCE_MAX, { $0.max()! }), (FK_REDUCE_MIN, { $0.min()! }),
            (FK_REDUCE_SUM_SQUARES, { $0.reduce(0) { $0 + $1 * $1 } }),
            (FK_REDUCE_SUM_ABS, { $0.reduce(0) { $0 + abs($1) } }),
        ]
        for (outer, mid, inner) in Self.shapes {
            let x = numbers(outer * mid * inner, scale: 1, offset: 0.25)
            let near = numbers(outer * mid * inner, scale: 0.01, offset: 1)
            let all = columns(x, outer, mid, inner), allNear = columns(near, outer, mid, inner)
            withThreadCounts {
                for (op, f) in operations {
                    var y = [Float](repeating: -7, count: outer * inner)
                    fk_reduce(op, x, Int64(outer), Int64(mid), Int64(inner), &y)
                    assertClose(
                        y, all.map(f), relative: 1e-6, absolute: 2e-6 * Double(mid).squareRoot(),
                        "\(op.rawValue) of \(outer), \(mid), \(inner)")
                }
                var y = [Float](repeating: -7, count: outer * inner)
                fk_reduce(FK_REDUCE_PROD, near, Int64(outer), Int64(mid), Int64(inner), &y)
                assertClose(
                    y, allNear.map { $0.reduce(1, *) },
                    relative: 1e-6 + 1e-7 * Double(mid).squareRoot(), "product of \(outer), \(mid), \(inner)")
            }
        }
    }

    func testSumsAreTheSameForAnyNumberOfThreads() {
        let before = fledge_threads()
        defer { fledge_set_threads(before) }
        for (outer, mid, inner) in [(1, 200_000, 1), (1, 5000, 48), (3, 3000, 7)] {
            let x = numbers(outer * mid * inner)
            var results: [[Float]] = []
            for threads in Int32(1)...3 {
                fledge_set_threads(threads)
                var y = [Float](repeating: 0, count: outer * inner)
                fk_reduce(FK_REDUCE_SUM, x, Int64(outer), Int64(mid), Int64(inner), &y)
                results.append(y)
            }
            XCTAssertEqual(results[0], results[1])
            XCTAssertEqual(results[0], results[2])
        }
    }

    func testLongSumIsAccurate() {
        let n = 3_000_000
        let x = [Float](repeating: 0.1, count: n)
        onEveryISA {
            var y: Float = 0
            fk_reduce(FK_REDUCE_SUM, x, 1, Int64(n), 1, &y)
            assertClose([y], [Double(Float(0.1)) * Double(n)], relative: 5e-6)
            var three = [Float](repeating: 0, count: 3)
            fk_reduce(FK_REDUCE_SUM, x, 1, Int64(n / 3), 3, &three)
            assertClose(three, [Double](repeating: Double(Float(0.1)) * Double(n / 3), count: 3), relative: 5e-6)
        }
    }

    func testEmptyReductionsGiveTheNeutralElement() {
        onEveryISA {
            for (op, neutral) in [(FK_REDUCE_SUM, 0), (FK_REDUCE_PROD, 1), (FK_REDUCE_MAX, -Float.infinity)] {
                var y: [Float] = [5, 5]
                fk_reduce(op, [], 2, 0, 1, &y)
                XCTAssertEqual(y, [neutral, neutral])
            }
            XCTAssertEqual(fk_sum_squares([], 0), 0)
            XCTAssertEqual(fk_dot([], [], 0), 0)
            XCTAssertEqual(fk_all_finite([], 0), 1)
        }
    }

    func testMaximaPassNaNOn() {
        onEveryISA {
            for (mid, inner) in [(33, 1), (200, 1), (10, 3), (40, 3), (10, 20), (6000, 1)] {
                for place in [0, mid / 2, mid - 1] {
                    var x = numbers(mid * inner)
                    x[place * inner] = .nan
                    for (op, maximum) in [(FK_REDUCE_MAX, Int32(1)), (FK_REDUCE_MIN, 0)] {
                        var y = [Float](repeating: 0, count: inner)
                        fk_reduce(op, x, 1, Int64(mid), Int64(inner), &y)
                        XCTAssertTrue(y[0].isNaN)
                        XCTAssertTrue(y.dropFirst().allSatisfy { !$0.isNaN })
                        var index = [Int64](repeating: -1, count: inner)
                        fk_arg_reduce(maximum, x, 1, Int64(mid), Int64(inner), &index)
                        XCTAssertEqual(index[0], Int64(place))
                    }
                }
            }
        }
    }

    func testPositionsOfExtremes() {
        for (outer, mid, inner) in Self.shapes {
            // Few different values, so that ties are common.
            let x = numbers(outer * mid * inner).map { ($0 * 3).rounded() }
            let all = columns(x, outer, mid, inner)
            withThreadCounts {
                for maximum in [Int32(0), 1] {
                    var index = [Int64](repeating: -1, count: outer * inner)
                    fk_arg_reduce(maximum, x, Int64(outer), Int64(mid), Int64(inner), &index)
                    let expected = all.map { c in Int64(c.firstIndex(of: maximum == 1 ? c.max()! : c.min()!)!) }
                    XCTAssertEqual(index, expected, "\(outer), \(mid), \(inner)")
                }
            }
        }
    }

    func testRunningSums() {
        for (outer, mid, inner) in Self.shapes {
            let x = numbers(outer * mid * inner)
            var expected = x.doubles
            for o in 0..<outer {
                for m in 1..<max(mid, 1) {
                    for i in 0..<inner {
                        expected[(o * mid + m) * inner + i] += expected[(o * mid + m - 1) * inner + i]
                    }
                }
            }
            withThreadCounts {
                var y = x
                fk_cumsum(x, Int64(outer), Int64(mid), Int64(inner), &y)
                assertClose(y, expected)
            }
        }
    }

    func testSumOfSquaresDotAndFinite() {
        withThreadCounts {
            for n in Self.sizes {
                let a = numbers(n), b = numbers(n, seed: 2)
                let squares = a.reduce(0) { $0 + Double($1) * Double($1) }
                XCTAssertEqual(fk_sum_squares(a, Int64(n)), squares, accuracy: 1e-6 * squares)
                let dot = zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
                XCTAssertEqual(fk_dot(a, b, Int64(n)), dot, accuracy: 1e-6 * squares)
                XCTAssertEqual(fk_all_finite(a, Int64(n)), 1)
                for bad in [Float.nan, .infinity, -.infinity] where n > 0 {
                    var c = a
                    c[n * 2 / 3] = bad
                    XCTAssertEqual(fk_all_finite(c, Int64(n)), 0)
                }
            }
        }
    }

    // MARK: Softmax

    private static let matrices = [(1, 1), (5, 3), (7, 10), (3, 33), (2, 9000), (900, 10), (0, 4), (40, 257)]

    private func logSumExp(_ row: [Double]) -> Double {
        let m = row.max()!
        return m.isInfinite ? m : m + log(row.reduce(0) { $0 + exp($1 - m) })
    }
    private func logSoftmax(_ row: [Double]) -> [Double] {
        let sum = logSumExp(row)
        return row.map { $0 - sum }
    }
    private func rows(_ x: [Float], _ cols: Int) -> [[Double]] {
        stride(from: 0, to: x.count, by: cols).map { x[$0..<$0 + cols].map(Double.init) }
    }

    func testSoftmaxAndItsGradients() {
        withThreadCounts {
            for (r, c) in Self.matrices {
                let x = numbers(r * c, scale: 8, offset: 100), g = numbers(r * c, seed: 2)
                let (rr, cc) = (Int64(r), Int64(c))
                let logP = rows(x, c).map(logSoftmax)
                let p = logP.map { $0.map { exp($0) } }
                var y = x, logY = x, sums = [Float](repeating: 0, count: r), dx = x
                fk_softmax(x, &y, rr, cc)
                assertClose(y, p.flatMap { $0 }, relative: 5e-6, absolute: 1e-9)
                fk_log_softmax(x, &logY, rr, cc)
                assertClose(logY, logP.flatMap { $0 }, relative: 1e-6, absolute: 2e-6)
                fk_logsumexp(x, rr, cc, &sums)
                assertClose(sums, rows(x, c).map(logSumExp))
                fk_softmax_grad(y, g, &dx, rr, cc)
                let gradients = rows(g, c)
                assertClose(
                    dx,
                    zip(p, gradients).flatMap { p, g in
                        let mean = zip(p, g).reduce(0) { $0 + $1.0 * $1.1 }
                        return zip(p, g).map { $0 * ($1 - mean) }
                    }, relative: 1e-5, absolute: 1e-6)
                fk_log_softmax_grad(logY, g, &dx, rr, cc)
                assertClose(
                    dx,
                    zip(p, gradients).flatMap { p, g in
                        let sum = g.reduce(0, +)
                        return zip(p, g).map { $1 - $0 * sum }
                    }, relative: 1e-5, absolute: 1e-5)
            }
        }
    }

    func testSoftmaxOfInfinities() {
        let inf = Float.infinity
        onEveryISA {
            var y = [Float](repeating: 0, count: 3), sum: Float = 0
            fk_softmax([-inf, 0, 0], &y, 1, 3)
            assertClose(y, [0, 0.5, 0.5])
            fk_softmax([1, .nan, 0], &y, 1, 3)
            XCTAssertTrue(y.allSatisfy(\.isNaN))
            fk_softmax([1e30, -1e30, 0], &y, 1, 3)
            XCTAssertEqual(y, [1, 0, 0])
            fk_logsumexp([-inf, -inf], 1, 2, &sum)
            XCTAssertEqual(sum, -inf)
            fk_logsumexp([inf, 0], 1, 2, &sum)
            XCTAssertEqual(sum, inf)
            fk_logsumexp([.nan, 0], 1, 2, &sum)
            XCTAssertTrue(sum.isNaN)
        }
    }

    func testCrossEntropy() {
        withThreadCounts {
            for (r, c) in Self.matrices {
                for smoothing in [0, 0.1] as [Float] {
                    let x = numbers(r * c, scale: 8, offset: -50)
                    let labels = (0..<r).map { Int64($0 % 5 == 4 ? -100 : $0 * 7 % c) }
                    let scale = numbers(r, seed: 3)
                    var loss = [Float](repeating: 9, count: r), p = x, dx = x
                    fk_cross_entropy(x, labels, Int64(r), Int64(c), smoothing, -100, &loss, &p)
                    fk_cross_entropy_grad(p, labels, scale, Int64(r), Int64(c), smoothing, -100, &dx)
                    var alone = loss
                    fk_cross_entropy(x, labels, Int64(r), Int64(c), smoothing, -100, &alone, nil)
                    XCTAssertEqual(alone, loss)
                    var expectedLoss: [Double] = [], expectedP: [Double] = [], expectedDx: [Double] = []
                    let s = Double(smoothing)
                    for (i, row) in rows(x, c).enumerated() {
                        let logP = logSoftmax(row)
                        expectedP += logP.map { exp($0) }
                        let label = Int(labels[i])
                        let mean = logP.reduce(0, +) / Double(c)
                        expectedLoss.append(label < 0 ? 0 : -(1 - s) * logP[label] - s * mean)
                        for (j, l) in logP.enumerated() {
                            let target = (j == label ? 1 - s : 0) + s / Double(c)
                            expectedDx.append(label < 0 ? 0 : Double(scale[i]) * (exp(l) - target))
                        }
                    }
                    assertClose(loss, expectedLoss)
                    assertClose(p, expectedP, relative: 5e-6, absolute: 1e-9)
                    assertClose(dx, expectedDx, relative: 5e-6, absolute: 1e-6)
                }
            }
        }
    }
}
