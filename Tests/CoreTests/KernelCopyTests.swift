import CFledgeKernels
import Foundation
import XCTest

/// Copies, conversions, rows by index, random numbers and optimizers.
final class KernelCopyTests: KernelTestCase {
    func testStridedCopies() {
        let cases: [([Int64], [Int64], [Int64])] = [
            ([], [], []), ([0, 3], [3, 1], [3, 1]), ([12_000], [1], [1]), ([64, 50], [1, 64], [50, 1]),
            ([130, 70], [70, 1], [1, 130]), ([3, 40, 50], [2000, 1, 40], [2000, 50, 1]), ([7], [-1], [1]),
            ([4, 5, 6, 7], [7, 28, 140, 1], [210, 42, 7, 1]), ([10, 8], [0, 1], [8, 1]), ([9, 9], [1, 0], [9, 1]),
            ([5, 6], [12, 2], [6, 1]), ([2, 3, 4, 5], [1, 2, 6, 24], [60, 20, 5, 1]), ([6, 4], [-4, 1], [4, 1]),
            ([12_000], [0], [1]), ([4000], [3], [1]), ([4000], [1], [3]), ([90, 100], [1, 0], [100, 1]),
            ([2, 3, 70, 16], [3360, 1120, 16, 1], [48, 16, 96, 1]),
            ([70, 2, 16, 3], [3, 3360, 210, 1], [96, 48, 1, 16]),
        ]
        withThreadCounts {
            for (shape, from, to) in cases {
                check(UInt8.self, shape, from, to) { UInt8(truncatingIfNeeded: $0) }
                check(UInt16.self, shape, from, to) { UInt16(truncatingIfNeeded: $0) }
                check(Float.self, shape, from, to) { Float($0) }
                check(Int64.self, shape, from, to) { Int64($0) }
            }
        }
    }

    private func check<T: BitwiseCopyable & Equatable & ExpressibleByIntegerLiteral>(
        _ type: T.Type, _ shape: [Int64], _ from: [Int64], _ to: [Int64], _ value: (Int) -> T
    ) {
        let base = 100
        let size = 12_300
        let source = (0..<size + 200).map(value)
        var actual = [T](repeating: 0, count: size), expected = actual
        var positions = [(0, 0)]
        for d in shape.indices {
            positions = positions.flatMap { start in
                (0..<Int(shape[d])).map { (start.0 + $0 * Int(from[d]), start.1 + $0 * Int(to[d])) }
            }
        }
        for (a, b) in positions { expected[b] = source[base + a] }
        source.withUnsafeBufferPointer {
            fk_copy(
                Int32(MemoryLayout<T>.size), Int32(shape.count), shape, $0.baseAddress! + base, from, &actual, to)
        }
        XCTAssertTrue(actual == expected, "\(type) \(shape) \(from) \(to)")
    }

    func testFill() {
        onEveryISA {
            for n in Self.sizes {
                var y = [Float](repeating: 0, count: n + 1)
                fk_fill(&y, Int64(n), -0.0)
                XCTAssertTrue(y.prefix(n).allSatisfy { $0.sign == .minus })
                XCTAssertEqual(y[n].sign, .plus)
            }
        }
    }

    func testConversions() {
        func convert<A: BitwiseCopyable, B: BitwiseCopyable>(
            _ from: fk_type, _ to: fk_type, _ values: [A], as: B.Type, zero: B
        ) -> [B] {
            var result = [B](repeating: zero, count: values.count)
            fk_cast(from, to, values, &result, Int64(values.count))
            return result
        }
        onEveryISA {
            let reals: [Float] = [0, 1, -1, 2.5, -2.5, 255, 300, 1e10, -1e10, .nan, .infinity, -.infinity]
            XCTAssertEqual(
                convert(FK_F32, FK_I32, reals, as: Int32.self, zero: 0),
                [0, 1, -1, 2, -2, 255, 300, .max, .min, 0, .max, .min])
            XCTAssertEqual(
                convert(FK_F32, FK_I64, reals, as: Int64.self, zero: 0),
                [0, 1, -1, 2, -2, 255, 300, 10_000_000_000, -10_000_000_000, 0, .max, .min])
            XCTAssertEqual(
                convert(FK_F32, FK_U8, [0, 1, 254.9, 255] as [Float], as: UInt8.self, zero: 0), [0, 1, 254, 255])
            XCTAssertEqual(
                convert(FK_F32, FK_BOOL, [0, -0.0, 0.1, .nan] as [Float], as: UInt8.self, zero: 9), [0, 0, 1, 1])
            XCTAssertEqual(
                convert(FK_F64, FK_F32, [1e300, 0.1, 1] as [Double], as: Float.self, zero: 0), [.infinity, 0.1, 1])
            XCTAssertEqual(convert(FK_F32, FK_F64, [0.5, -3] as [Float], as: Double.self, zero: 0), [0.5, -3])
            XCTAssertEqual(convert(FK_I64, FK_F32, [-3, 1 << 40] as [Int64], as: Float.self, zero: 0), [-3, 0x1p40])
            XCTAssertEqual(convert(FK_I64, FK_I32, [-3, 7] as [Int64], as: Int32.self, zero: 0), [-3, 7])
            XCTAssertEqual(convert(FK_I32, FK_I64, [-3, 7] as [Int32], as: Int64.self, zero: 0), [-3, 7])
            XCTAssertEqual(convert(FK_U8, FK_F32, [0, 200] as [UInt8], as: Float.self, zero: 0), [0, 200])
            XCTAssertEqual(convert(FK_BOOL, FK_I64, [0, 1, 2] as [UInt8], as: Int64.self, zero: 0), [0, 1, 1])
            XCTAssertEqual(convert(FK_U8, FK_BOOL, [0, 1, 2] as [UInt8], as: UInt8.self, zero: 0), [0, 1, 1])
            XCTAssertEqual(convert(FK_I64, FK_U8, [255, 256, -1] as [Int64], as: UInt8.self, zero: 0), [255, 0, 255])
            // bfloat16: ties to even, carries into the exponent, quiet NaN, infinity.
            let bits: [(UInt32, UInt16)] = [
                (0x3F80_0000, 0x3F80), (0x3F80_8000, 0x3F80), (0x3F81_8000, 0x3F82), (0x3F80_8001, 0x3F81),
                (0x3FFF_FFFF, 0x4000), (0x7F7F_FFFF, 0x7F80), (0x7F80_0000, 0x7F80), (0xFF80_0000, 0xFF80),
                (0x7F80_0001, 0x7FC0), (0x8000_0000, 0x8000), (0x0000_0001, 0x0000),
            ]
            let rounded = convert(
                FK_F32, FK_BF16, bits.map { Float(bitPattern: $0.0) }, as: UInt16.self, zero: 0)
            XCTAssertEqual(rounded, bits.map(\.1))
            let back = convert(FK_BF16, FK_F32, rounded, as: Float.self, zero: 0)
            XCTAssertEqual(back.map(\.bitPattern), rounded.map { UInt32($0) << 16 })
            XCTAssertEqual(convert(FK_BF16, FK_BF16, rounded, as: UInt16.self, zero: 0), rounded)
            let many = numbers(40000, scale: 1000)
            XCTAssertEqual(convert(FK_F32, FK_I32, many, as: Int32.self, zero: 0), many.map { Int32($0) })
        }
    }

    func testRowsByIndex() {
        withThreadCounts {
            for (rowLength, rows, count) in [(1, 5, 40), (3, 100, 20000), (17, 10, 33), (300, 7, 200), (8, 50000, 5)] {
                let source = numbers(rows * rowLength)
                let index = (0..<count).map { Int64($0 * $0 * 7 % rows) }
                var gathered = [Float](repeating: 0, count: count * rowLength)
                fk_gather_rows(source, Int64(rowLength), index, Int64(count), &gathered)
                XCTAssertEqual(
                    gathered, index.flatMap { source[Int($0) * rowLength..<(Int($0) + 1) * rowLength] })
                var sums = [Float](repeating: 1, count: rows * rowLength), expected = sums
                fk_scatter_add_rows(gathered, Int64(rowLength), index, Int64(count), &sums, Int64(rows))
                for (i, row) in index.enumerated() {
                    for c in 0..<rowLength { expected[Int(row) * rowLength + c] += gathered[i * rowLength + c] }
                }
                XCTAssertEqual(sums, expected)
            }
        }
    }

    // MARK: Random numbers

    /// The known-answer vectors of Random123 1.14 (kat_vectors, philox4x32 10).
    func testPhiloxKnownAnswers() {
        let cases: [(UInt64, UInt64, [UInt32])] = [
            (0, 0, [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
        ]
        onEveryISA {
            for (key, block, words) in cases {
                var out = [Float](repeating: 0, count: 4)
                fk_uniform(key, block * 4, &out, 4)
                XCTAssertEqual(out, words.map { Float($0 >> 8) * 0x1p-24 })
            }
        }
    }

    /// Vectors, threads and offsets give the numbers of the plain generator.
    func testUniformIsThePlainStream() {
        let key: UInt64 = 0x0123_4567_89AB_CDEF
        for first in [0, 1, 2, 3, 4, 63, 64, 65, (UInt64(1) << 34) - 5] as [UInt64] {
            for n in first == 3 ? [40000] : [0, 1, 7, 16, 63, 300] {
                let expected = (0..<UInt64(n)).map { Float(philoxWord(key, first + $0) >> 8) * 0x1p-24 }
                withThreadCounts {
                    var out = [Float](repeating: -1, count: n)
                    fk_uniform(key, first, &out, Int64(n))
                    XCTAssertEqual(out, expected, "first word \(first), \(n) numbers")
                }
            }
        }
    }

    /// Word `index` of the stream, written out separately from the engine.
    private func philoxWord(_ key: UInt64, _ index: UInt64) -> UInt32 {
        let block = index / 4
        var c: [UInt32] = [UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), 0, 0]
        philox(&c, UInt32(truncatingIfNeeded: key), UInt32(key >> 32))
        return c[Int(index % 4)]
    }
    private func philox(_ c: inout [UInt32], _ k0: UInt32, _ k1: UInt32) {
        var (k0, k1) = (k0, k1)
        for _ in 0..<10 {
            let a = UInt64(0xD251_1F53) * UInt64(c[0]), b = UInt64(0xCD9E_8D57) * UInt64(c[2])
            c = [
                UInt32(b >> 32) ^ c[1] ^ k0, UInt32(truncatingIfNeeded: b), UInt32(a >> 32) ^ c[3] ^ k1,
                UInt32(truncatingIfNeeded: a),
            ]
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
    }
    /// The plain generator of these tests against the two published vectors that the stream's counters cannot reach.
    func testPlainPhiloxAgainstPublishedVectors() {
        var ones = [UInt32](repeating: .max, count: 4)
        philox(&ones, .max, .max)
        XCTAssertEqual(ones, [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
        var pi: [UInt32] = [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344]
        philox(&pi, 0xA409_3822, 0x299F_31D0)
        XCTAssertEqual(pi, [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1])
    }

    func testDropout() {
        withThreadCounts {
            for (n, p) in [(0, 0.5), (17, 0.1), (40000, 0.3), (1000, 0), (1000, 1)] as [(Int, Float)] {
                let x = numbers(n)
                var u = x, y = x
                var mask = [UInt8](repeating: 9, count: n)
                fk_uniform(5, 3, &u, Int64(n))
                y.withUnsafeMutableBufferPointer {
                    fk_dropout($0.baseAddress, $0.baseAddress, &mask, Int64(n), p, 5, 3)
                }
                XCTAssertEqual(mask, u.map { $0 >= p ? 1 : 0 })
                let expected = zip(x, u).map { $1 >= p ? Double($0) / Double(1 - p) : 0 }
                assertClose(y, expected, relative: 2e-7, absolute: 0)
            }
        }
    }

    // MARK: Optimizers

    func testSGD() {
        onEveryISA {
            let settings: [(Float, Float, Int32)] = [(0, 0, 0), (0.9, 0, 0), (0.9, 0.2, 0), (0.9, 0, 1)]
            for (momentum, dampening, nesterov) in settings {
                let n = 37
                var p = numbers(n), m = [Float](repeating: 0, count: n)
                var expected = p.doubles, average = m.doubles
                for step in 0..<3 {
                    let g = numbers(n, seed: UInt64(step + 5))
                    p.withUnsafeMutableBufferPointer { p in
                        m.withUnsafeMutableBufferPointer { m in
                            fk_sgd(
                                p.baseAddress, g, momentum == 0 ? nil : m.baseAddress, Int64(n), 0.1, momentum,
                                dampening, 0.01, nesterov)
                        }
                    }
                    for i in 0..<n {
                        let d = Double(g[i]) + 0.01 * expected[i]
                        average[i] = Double(momentum) * average[i] + (1 - Double(dampening)) * d
                        let change = momentum == 0 ? d : nesterov == 1 ? d + Double(momentum) * average[i] : average[i]
                        expected[i] -= 0.1 * change
                    }
                }
                assertClose(p, expected)
            }
        }
    }

    func testAdam() {
        onEveryISA {
            for decoupled in [Int32(0), 1] {
                let n = 37
                var p = numbers(n), m = [Float](repeating: 0, count: n), v = m
                var expected = p.doubles, first = m.doubles, second = m.doubles
                for step in 1...4 {
                    let g = numbers(n, seed: UInt64(step + 5))
                    fk_adam(&p, g, &m, &v, Int64(n), 0.01, 0.9, 0.99, 1e-8, 0.1, decoupled, Int64(step))
                    for i in 0..<n {
                        let d = Double(g[i]) + (decoupled == 1 ? 0 : 0.1 * expected[i])
                        if decoupled == 1 { expected[i] *= 1 - 0.01 * 0.1 }
                        first[i] += 0.1 * (d - first[i])
                        second[i] += 0.01 * (d * d - second[i])
                        let root = (second[i] / (1 - pow(0.99, Double(step)))).squareRoot() + 1e-8
                        expected[i] -= 0.01 * first[i] / (1 - pow(0.9, Double(step))) / root
                    }
                }
                assertClose(p, expected)
            }
        }
    }

    func testRMSprop() {
        onEveryISA {
            for (centred, momentum) in [(false, 0), (true, 0), (true, 0.9)] as [(Bool, Float)] {
                let n = 37
                var p = numbers(n), v = [Float](repeating: 0, count: n), mean = v, m = v
                var expected = p.doubles, square = v.doubles, average = v.doubles, buffer = v.doubles
                for step in 1...3 {
                    let g = numbers(n, seed: UInt64(step + 5), scale: 1, offset: 0.1)
                    mean.withUnsafeMutableBufferPointer { mean in
                        m.withUnsafeMutableBufferPointer { m in
                            fk_rmsprop(
                                &p, g, &v, centred ? mean.baseAddress : nil, momentum == 0 ? nil : m.baseAddress,
                                Int64(n), 0.01, 0.9, 1e-3, 0.1, momentum)
                        }
                    }
                    for i in 0..<n {
                        let d = Double(g[i]) + 0.1 * expected[i]
                        square[i] += 0.1 * (d * d - square[i])
                        average[i] += 0.1 * (d - average[i])
                        let root = (square[i] - (centred ? average[i] * average[i] : 0)).squareRoot() + 1e-3
                        buffer[i] = Double(momentum) * buffer[i] + d / root
                        expected[i] -= 0.01 * buffer[i]
                    }
                }
                assertClose(p, expected, relative: 1e-5, absolute: 1e-5)
            }
        }
    }

    func testUpdates() {
        onEveryISA {
            for n in Self.sizes {
                let p = numbers(n), q = numbers(n, seed: 2)
                var lerp = p, axpy = p, scaled = p
                fk_lerp(&lerp, q, Int64(n), 0.25)
                fk_axpy(&axpy, q, Int64(n), 0.25)
                fk_scale(&scaled, Int64(n), 0.25)
                assertClose(lerp, zip(p, q).map { Double($0) + 0.25 * (Double($1) - Double($0)) })
                assertClose(axpy, zip(p, q).map { Double($0) + 0.25 * Double($1) })
                XCTAssertEqual(scaled, p.map { $0 * 0.25 })
            }
        }
    }
}
