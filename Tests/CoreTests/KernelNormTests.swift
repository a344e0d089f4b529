import CFledgeKernels
import Foundation
import XCTest

/// Layer norm, batch norm, pooling.
final class KernelNormTests: KernelTestCase {
    func testLayerNorm() {
        withThreadCounts {
            for (rows, cols) in [(1, 1), (3, 7), (5, 16), (300, 33), (70, 256), (2, 5000), (0, 8)] {
                for affine in [true, false] {
                    let x = numbers(rows * cols, scale: 1, offset: 30), dy = numbers(rows * cols, seed: 2)
                    let gamma = affine ? numbers(cols, seed: 3, offset: 2) : nil
                    let beta = affine ? numbers(cols, seed: 4) : nil
                    var y = x, mean = [Float](repeating: 0, count: rows), rstd = mean
                    fk_layer_norm(x, gamma, beta, 1e-5, Int64(rows), Int64(cols), &y, &mean, &rstd)
                    var dx = x, dgamma = [Float](repeating: 9, count: cols), dbeta = dgamma
                    fk_layer_norm_grad(
                        dy, x, gamma, mean, rstd, Int64(rows), Int64(cols), &dx, &dgamma, &dbeta)
                    var alone = x
                    fk_layer_norm_grad(dy, x, gamma, mean, rstd, Int64(rows), Int64(cols), &alone, nil, nil)
                    XCTAssertEqual(alone, dx)
                    fk_layer_norm(x, gamma, beta, 1e-5, Int64(rows), Int64(cols), &alone, nil, nil)
                    XCTAssertEqual(alone, y)

                    var expectedY: [Double] = [], expectedDx: [Double] = []
                    var expectedDgamma = [Double](repeating: 0, count: cols), expectedDbeta = expectedDgamma
                    let n = Double(cols)
                    for r in 0..<rows {
                        let row = x[r * cols..<(r + 1) * cols].map(Double.init)
                        let g = dy[r * cols..<(r + 1) * cols].map(Double.init)
                        let m = row.reduce(0, +) / n
                        let s = 1 / (row.reduce(0) { $0 + ($1 - m) * ($1 - m) } / n + 1e-5).squareRoot()
                        let normal = row.map { ($0 - m) * s }
                        let h = (0..<cols).map { g[$0] * Double(gamma?[$0] ?? 1) }
                        let meanH = h.reduce(0, +) / n, meanHN = zip(h, normal).reduce(0) { $0 + $1.0 * $1.1 } / n
                        for i in 0..<cols {
                            expectedY.append(normal[i] * Double(gamma?[i] ?? 1) + Double(beta?[i] ?? 0))
                            expectedDx.append(s * (h[i] - meanH - normal[i] * meanHN))
                            expectedDgamma[i] += g[i] * normal[i]
                            expectedDbeta[i] += g[i]
                        }
                    }
                    // x is 30 with a spread of 1: its rounding is 1e-6 of the spread; cols 1 divides by sqrt(eps).
                    assertClose(y, expectedY, relative: 1e-5, absolute: 2e-5)
                    assertClose(dx, expectedDx, relative: 1e-5, absolute: cols == 1 ? 1e-4 : 2e-5)
                    assertClose(dgamma, expectedDgamma, relative: 1e-5, absolute: 1e-4)
                    assertClose(dbeta, expectedDbeta, relative: 1e-5, absolute: 1e-5)
                }
            }
        }
    }

    func testBatchNormStatisticsOfShiftedData() {
        withThreadCounts {
            for (rows, c) in [(1, 3), (17, 5), (1000, 16), (3000, 33), (130, 64), (40000, 3)] {
                let x = numbers(rows * c, scale: 1, offset: 1000)
                var mean = [Float](repeating: 0, count: c), variance = mean
                fk_batch_norm_stats(x, Int64(rows), Int64(c), &mean, &variance)
                let columns = (0..<c).map { i in (0..<rows).map { Double(x[$0 * c + i]) } }
                let means = columns.map { $0.reduce(0, +) / Double(rows) }
                assertClose(mean, means, relative: 1e-7, absolute: 0)
                let variances = zip(columns, means).map { column, m in
                    column.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(rows)
                }
                assertClose(
                    variance, variances, relative: 5e-6, absolute: 1e-8)
            }
            var mean: Float = 0, variance: Float = 0
            fk_batch_norm_stats([1, .nan, 2], 3, 1, &mean, &variance)
            XCTAssertTrue(mean.isNaN && variance.isNaN)
        }
    }

    func testBatchNorm() {
        withThreadCounts {
            for (rows, c) in [(9, 3), (33, 17), (1000, 16), (400, 70)] {
                let settings: [(Int32, Bool, Bool)] = [
                    (0, false, true), (1, false, true), (1, true, true), (0, true, false),
                ]
                for (relu, residual, affine) in settings {
                    checkBatchNorm(rows, c, relu: relu, residual: residual, affine: affine)
                }
            }
        }
    }

    /// Large results are stored past the caches where they are aligned; one float further they are not.
    func testLargeBatchNormsAreTheSameWhereverTheyAreStored() {
        let (rows, c) = (131_072, 64)
        let x = numbers(rows * c), dy = numbers(rows * c, seed: 2)
        let (mean, rstd) = (numbers(c, seed: 3), numbers(c, seed: 4, scale: 0.5, offset: 1))
        let results = (0..<2).map { shift in
            let y = UnsafeMutableRawPointer.allocate(byteCount: (rows * c + 16) * 4, alignment: 64)
                .assumingMemoryBound(to: Float.self)
            defer { y.deallocate() }
            fk_batch_norm_apply(x, Int64(rows), Int64(c), mean, rstd, nil, nil, 1, nil, y + shift)
            let value = Array(UnsafeBufferPointer(start: y + shift, count: rows * c))
            fk_batch_norm_grad(
                dy, x, nil, mean, rstd, nil, nil, Int64(rows), Int64(c), 1, y + shift, nil, nil, nil)
            return (value, Array(UnsafeBufferPointer(start: y + shift, count: rows * c)))
        }
        XCTAssertTrue(results[0].0 == results[1].0 && results[0].1 == results[1].1)
        XCTAssertTrue(results[0].0.contains { $0 > 0 } && results[0].1.contains { $0 != 0 })
    }

    private func checkBatchNorm(_ rows: Int, _ c: Int, relu: Int32, residual: Bool, affine: Bool) {
        let n = rows * c
        let x = numbers(n, scale: 1, offset: 0.5), dy = numbers(n, seed: 2)
        let z = residual ? numbers(n, seed: 3) : nil
        let gamma = affine ? numbers(c, seed: 4, offset: 3) : nil, beta = affine ? numbers(c, seed: 5) : nil
        var mean = [Float](repeating: 0, count: c), variance = mean
        fk_batch_norm_stats(x, Int64(rows), Int64(c), &mean, &variance)
        let rstd = variance.map { 1 / ($0 + 1e-5).squareRoot() }
        var y = x
        fk_batch_norm_apply(x, Int64(rows), Int64(c), mean, rstd, gamma, beta, relu, z, &y)
        var dx = x, dz = x, dgamma = mean, dbeta = mean
        fk_batch_norm_grad(
            dy, x, y, mean, rstd, gamma, beta, Int64(rows), Int64(c), relu, &dx, &dz, &dgamma, &dbeta)
        if !residual {
            var again = x
            fk_batch_norm_grad(
                dy, x, nil, mean, rstd, gamma, beta, Int64(rows), Int64(c), relu, &again, nil, nil, nil)
            XCTAssertEqual(again, dx)
        }

        var expectedY = [Double](repeating: 0, count: n), expectedDx = expectedY, expectedDz = expectedY
        var expectedDgamma = [Double](repeating: 0, count: c), expectedDbeta = expectedDgamma
        for i in 0..<c {
            let column = (0..<rows).map { Double(x[$0 * c + i]) }
            let m = column.reduce(0, +) / Double(rows)
            let s = 1 / (column.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(rows) + 1e-5).squareRoot()
            let scale = Double(gamma?[i] ?? 1)
            let normal = column.map { ($0 - m) * s }
            var g = [Double](repeating: 0, count: rows)
            for r in 0..<rows {
                let v = normal[r] * scale + Double(beta?[i] ?? 0) + Double(z?[r * c + i] ?? 0)
                expectedY[r * c + i] = relu == 1 ? max(v, 0) : v
                // Where the sign is within rounding, follow the kernel.
                g[r] = relu == 1 && y[r * c + i] <= 0 ? 0 : Double(dy[r * c + i])
                expectedDz[r * c + i] = g[r]
            }
            let sumG = g.reduce(0, +), sumGN = zip(g, normal).reduce(0) { $0 + $1.0 * $1.1 }
            expectedDgamma[i] = sumGN
            expectedDbeta[i] = sumG
            for r in 0..<rows {
                expectedDx[r * c + i] = scale * s * (g[r] - sumG / Double(rows) - normal[r] * sumGN / Double(rows))
            }
        }
        assertClose(y, expectedY, relative: 1e-5, absolute: 1e-5)
        assertClose(dx, expectedDx, relative: 1e-5, absolute: 3e-5)
        assertClose(dz, expectedDz, relative: 0, absolute: 0)
        assertClose(dgamma, expectedDgamma, relative: 1e-5, absolute: 1e-4)
        assertClose(dbeta, expectedDbeta, relative: 1e-5, absolute: 1e-4)
    }

    // MARK: Pooling

    private func shapes(dilated: Bool) -> [fk_pool_shape] {
        func shape(
            _ n: Int64, _ h: Int64, _ w: Int64, _ c: Int64, kernel: (Int64, Int64), stride: (Int64, Int64),
            pad: Int64, dilation: Int64 = 1, roundUp: Int64 = 0
        ) -> fk_pool_shape {
            let oh = (h + 2 * pad - dilation * (kernel.0 - 1) - 1 + roundUp * (stride.0 - 1)) / stride.0 + 1
            let ow = (w + 2 * pad - dilation * (kernel.1 - 1) - 1 + roundUp * (stride.1 - 1)) / stride.1 + 1
            return fk_pool_shape(
                n: n, h: h, w: w, c: c, kernel_h: kernel.0, kernel_w: kernel.1, stride_h: stride.0,
                stride_w: stride.1, pad_top: pad, pad_left: pad, pad_bottom: pad, pad_right: pad,
                dilation_h: dilation, dilation_w: dilation, oh: oh, ow: ow)
        }
        var all = [
            shape(1, 4, 4, 1, kernel: (2, 2), stride: (2, 2), pad: 0),
            shape(2, 7, 9, 3, kernel: (3, 3), stride: (2, 2), pad: 1),
            shape(3, 8, 8, 17, kernel: (3, 2), stride: (1, 2), pad: 1),
            shape(2, 6, 7, 70, kernel: (2, 3), stride: (2, 2), pad: 0, roundUp: 1),
            shape(4, 16, 16, 32, kernel: (2, 2), stride: (2, 2), pad: 0),
        ]
        if dilated { all.append(shape(2, 9, 9, 5, kernel: (3, 3), stride: (1, 1), pad: 1, dilation: 2)) }
        return all
    }

    /// Positions in the image that each window covers, row by row.
    private func window(_ s: fk_pool_shape, _ oh: Int, _ ow: Int) -> [Int] {
        (0..<Int(s.kernel_h)).flatMap { a in
            (0..<Int(s.kernel_w)).compactMap { b in
                let i = oh * Int(s.stride_h) - Int(s.pad_top) + a * Int(s.dilation_h)
                let j = ow * Int(s.stride_w) - Int(s.pad_left) + b * Int(s.dilation_w)
                return i >= 0 && i < s.h && j >= 0 && j < s.w ? i * Int(s.w) + j : nil
            }
        }
    }

    /// Calls body(image, channel, output offset, window) for every output.
    private func forEachWindow(_ s: fk_pool_shape, _ body: (Int, Int, Int, [Int], (Int, Int)) -> Void) {
        for n in 0..<Int(s.n) {
            for oh in 0..<Int(s.oh) {
                for ow in 0..<Int(s.ow) {
                    let taps = window(s, oh, ow)
                    for c in 0..<Int(s.c) {
                        body(n, c, ((n * Int(s.oh) + oh) * Int(s.ow) + ow) * Int(s.c) + c, taps, (oh, ow))
                    }
                }
            }
        }
    }

    func testMaxPooling() {
        withThreadCounts {
            for var s in shapes(dilated: true) {
                let pixels = Int(s.h * s.w), c = Int(s.c)
                var x = numbers(Int(s.n) * pixels * c).map { ($0 * 2).rounded() }
                x[0] = .nan
                let outputs = Int(s.n * s.oh * s.ow) * c
                var y = [Float](repeating: 0, count: outputs), index = [Int32](repeating: -5, count: outputs)
                fk_max_pool(&s, x, &y, &index)
                var withoutIndex = y
                fk_max_pool(&s, x, &withoutIndex, nil)
                let dy = numbers(outputs, seed: 2)
                var dx = x, expectedDx = [Double](repeating: 0, count: x.count)
                var expectedY = [Double](repeating: 0, count: outputs), expectedIndex = index
                forEachWindow(s) { n, channel, o, taps, _ in
                    func value(_ p: Int) -> Float { x[(n * pixels + p) * c + channel] }
                    var best = taps[0]
                    for p in taps where value(p) > value(best) || value(p).isNaN && !value(best).isNaN { best = p }
                    expectedY[o] = Double(value(best))
                    expectedIndex[o] = Int32(best)
                    expectedDx[(n * pixels + best) * c + channel] += Double(dy[o])
                }
                assertClose(y, expectedY)
                assertClose(withoutIndex, expectedY)
                XCTAssertEqual(index, expectedIndex)
                fk_max_pool_grad(&s, dy, index, &dx)
                assertClose(dx, expectedDx)
            }
        }
    }

    func testMaxPoolingOfMinusInfinityHasAWinner() {
        onEveryISA {
            var s = shapes(dilated: false)[0]
            var y = [Float](repeating: 0, count: 4), index = [Int32](repeating: -5, count: 4)
            fk_max_pool(&s, [Float](repeating: -.infinity, count: 16), &y, &index)
            XCTAssertEqual(index, [0, 2, 8, 10])
        }
    }

    func testAveragePooling() {
        withThreadCounts {
            for var s in shapes(dilated: false) {
                for includePad in [Int32(0), 1] {
                    let pixels = Int(s.h * s.w), c = Int(s.c), outputs = Int(s.n * s.oh * s.ow) * c
                    let x = numbers(Int(s.n) * pixels * c), dy = numbers(outputs, seed: 2)
                    var y = [Float](repeating: 0, count: outputs), dx = x
                    fk_avg_pool(&s, includePad, x, &y)
                    fk_avg_pool_grad(&s, includePad, dy, &dx)
                    var expectedY = [Double](repeating: 0, count: outputs)
                    var expectedDx = [Double](repeating: 0, count: x.count)
                    forEachWindow(s) { n, channel, o, taps, place in
                        let bottom = Int(s.h + s.pad_bottom + s.pad_top), right = Int(s.w + s.pad_right + s.pad_left)
                        let height = min(Int(s.kernel_h), bottom - place.0 * Int(s.stride_h))
                        let width = min(Int(s.kernel_w), right - place.1 * Int(s.stride_w))
                        let count = Double(includePad == 1 ? height * width : taps.count)
                        for p in taps {
                            expectedY[o] += Double(x[(n * pixels + p) * c + channel]) / count
                            expectedDx[(n * pixels + p) * c + channel] += Double(dy[o]) / count
                        }
                    }
                    assertClose(y, expectedY)
                    assertClose(dx, expectedDx)
                }
            }
        }
    }
}
