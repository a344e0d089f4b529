import XCTest

@testable import FledgeCore

/// Each routine is checked by its definition: the factors multiplied together give the matrix again.
final class LapackTests: XCTestCase {
    func testCholesky() throws {
        try cholesky(Float.self, 2e-5)
        try cholesky(Double.self, 1e-12)
    }
    func testTriangularSolve() throws {
        try triangular(Float.self, 1e-4)
        try triangular(Double.self, 1e-11)
    }
    func testLU() throws {
        try lu(Float.self, 1e-3)
        try lu(Double.self, 1e-10)
    }
    func testInverse() throws {
        try inverse(Float.self, 1e-3)
        try inverse(Double.self, 1e-10)
    }
    func testQR() throws {
        try qr(Float.self, 1e-5)
        try qr(Double.self, 1e-13)
    }
    func testSymmetricEigen() throws {
        try eigen(Float.self, 2e-5)
        try eigen(Double.self, 1e-12)
    }
    func testSVD() throws {
        try svd(Float.self, 2e-5)
        try svd(Double.self, 1e-12)
    }

    private func cholesky<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        for n in [1, 2, 7, 40] {
            let a = positiveDefinite(n, batch: 3, T.self)
            var l = a
            for index in 0..<3 { for i in 0..<n { for j in i + 1..<n { l[(index * n + i) * n + j] = .nan } } }
            // NaN above the diagonal must not matter: that triangle is not read.
            try Lapack.cholesky(&l, n: n, batch: 3)
            for index in 0..<3 {
                let lower = slice(l, index, n * n)
                for i in 0..<n { for j in i + 1..<n { XCTAssertEqual(lower[i * n + j], 0) } }
                assertClose(
                    multiply(lower, transpose(lower, n, n), n, n, n), slice(a, index, n * n), tolerance * Double(n))
            }
        }
        var bad: [T] = [4, 0, 0, 9, 1, 2, 2, 1]
        XCTAssertThrowsError(try Lapack.cholesky(&bad, n: 2, batch: 2)) {
            XCTAssertEqual(
                $0 as? LapackFailure,
                LapackFailure(operation: "cholesky", matrix: 1, reason: .notPositiveDefinite(leadingMinor: 2)))
        }
        var nan: [T] = [.nan]
        XCTAssertThrowsError(try Lapack.cholesky(&nan, n: 1)) {
            XCTAssertEqual(($0 as? LapackFailure)?.reason, .notFinite)
        }
    }

    private func triangular<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        let n = 9
        let columns = 4
        for lower in [true, false] {
            for transposed in [true, false] {
                for unit in [true, false] {
                    var a = random(2 * n * n, T.self)
                    var clean = a
                    for index in 0..<2 {
                        for i in 0..<n {
                            for j in 0..<n {
                                let at = (index * n + i) * n + j
                                if i == j {
                                    a[at] = unit ? 77 : 3
                                    clean[at] = unit ? 1 : 3
                                }
                                if i != j && (j > i) == lower {
                                    clean[at] = 0
                                } else if i != j {
                                    a[at] /= 4
                                    clean[at] = a[at]
                                }
                            }
                        }
                    }
                    let b = random(2 * n * columns, T.self)
                    var x = b
                    try Lapack.triangularSolve(
                        a, &x, n: n, columns: columns, lower: lower, transposed: transposed, unitDiagonal: unit,
                        batch: 2)
                    for index in 0..<2 {
                        let matrix = slice(clean, index, n * n)
                        let used = transposed ? transpose(matrix, n, n) : matrix
                        assertClose(
                            multiply(used, slice(x, index, n * columns), n, n, columns), slice(b, index, n * columns),
                            tolerance)
                    }
                }
            }
        }
        let singular: [T] = [1, 0, 5, 0]
        var b: [T] = [1, 1]
        XCTAssertThrowsError(try Lapack.triangularSolve(singular, &b, n: 2, columns: 1, lower: true)) {
            XCTAssertEqual(($0 as? LapackFailure)?.reason, .singular(pivot: 2))
        }
    }

    private func lu<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        let n = 12
        let columns = 3
        let batch = 2
        let a = random(batch * n * n, T.self)
        let b = random(batch * n * columns, T.self)
        var factors = a
        var pivots = [Int32](repeating: 0, count: batch * n)
        XCTAssertEqual(try Lapack.luFactor(&factors, pivots: &pivots, n: n, batch: batch), [])
        for transposed in [false, true] {
            var x = b
            try Lapack.luSolve(
                factors, pivots: pivots, &x, n: n, columns: columns, transposed: transposed, batch: batch)
            for index in 0..<batch {
                let matrix = slice(a, index, n * n)
                let used = transposed ? transpose(matrix, n, n) : matrix
                let product = multiply(used, slice(x, index, n * columns), n, n, columns)
                assertClose(product, slice(b, index, n * columns), tolerance)
            }
            if !transposed {
                var matrix = a
                var direct = b
                try Lapack.solve(&matrix, &direct, n: n, columns: columns, batch: batch)
                XCTAssertEqual(direct, x)
            }
        }
        // Determinants: by hand, with a row exchange, and a singular one.
        var three: [T] = [0, 2, 3, 0, 1, 2, 2, 4, -1, 0, 0, -3]
        var sign = [T](repeating: 9, count: 3)
        var logarithm = sign
        try Lapack.logDeterminant(&three, sign: &sign, logarithm: &logarithm, n: 2, batch: 3)
        XCTAssertEqual(sign, [-1, 0, 1])
        XCTAssertEqual(Double(logarithm[0]), log(6), accuracy: 1e-6)
        XCTAssertEqual(logarithm[1], -.infinity)
        XCTAssertEqual(Double(logarithm[2]), log(3), accuracy: 1e-6)
        var singular: [T] = [1, 2, 2, 4]
        var right: [T] = [1, 1]
        XCTAssertThrowsError(try Lapack.solve(&singular, &right, n: 2, columns: 1)) {
            XCTAssertEqual(($0 as? LapackFailure)?.reason, .singular(pivot: 2))
        }
    }

    private func inverse<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        let n = 11
        let a = random(2 * n * n, T.self)
        var inverse = a
        try Lapack.inverse(&inverse, n: n, batch: 2)
        for index in 0..<2 {
            assertClose(multiply(slice(inverse, index, n * n), slice(a, index, n * n), n, n, n), identity(n), tolerance)
        }
        var zero: [T] = [0]
        XCTAssertThrowsError(try Lapack.inverse(&zero, n: 1)) {
            XCTAssertEqual(
                ($0 as? LapackFailure)?.description, "inverse: matrix 0 of the batch is singular (pivot 1 is zero)")
        }
    }

    private func qr<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        for (m, n) in [(6, 6), (13, 4), (3, 8), (1, 1)] {
            let k = min(m, n)
            let a = random(2 * m * n, T.self)
            var work = a
            var q = [T](repeating: 0, count: 2 * m * k)
            var r = [T](repeating: 0, count: 2 * k * n)
            try Lapack.qr(&work, q: &q, r: &r, m: m, n: n, batch: 2)
            for index in 0..<2 {
                let q = slice(q, index, m * k)
                let r = slice(r, index, k * n)
                assertClose(multiply(q, r, m, k, n), slice(a, index, m * n), tolerance * 10)
                assertClose(multiply(transpose(q, m, k), q, k, m, k), identity(k), tolerance * 10)
                for i in 0..<k { for j in 0..<min(i, n) { XCTAssertEqual(r[i * n + j], 0) } }
            }
        }
    }

    private func eigen<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        for n in [1, 5, 33] {
            let a = positiveDefinite(n, batch: 2, T.self)
            var vectors = a
            var values = [T](repeating: 0, count: 2 * n)
            for index in 0..<2 { for i in 0..<n { for j in i + 1..<n { vectors[(index * n + i) * n + j] = 1e9 } } }
            try Lapack.symmetricEigen(&vectors, values: &values, n: n, batch: 2)
            for index in 0..<2 {
                let v = slice(vectors, index, n * n)
                let w = slice(values, index, n)
                XCTAssertEqual(w, w.sorted())
                var scaled = v
                for i in 0..<n { for j in 0..<n { scaled[i * n + j] *= w[j] } }
                let again = multiply(scaled, transpose(v, n, n), n, n, n)
                assertClose(again, slice(a, index, n * n), tolerance * Double(n))
            }
        }
    }

    private func svd<T: LapackScalar>(_: T.Type, _ tolerance: Double) throws {
        for (m, n) in [(5, 5), (17, 6), (4, 9)] {
            let k = min(m, n)
            let a = random(2 * m * n, T.self)
            var work = a
            var s = [T](repeating: 0, count: 2 * k)
            var u = [T](repeating: 0, count: 2 * m * k)
            var v = [T](repeating: 0, count: 2 * k * n)
            try Lapack.svd(&work, u: &u, s: &s, v: &v, m: m, n: n, batch: 2)
            for index in 0..<2 {
                let s = slice(s, index, k)
                let v = slice(v, index, k * n)
                var us = slice(u, index, m * k)
                assertClose(multiply(transpose(us, m, k), us, k, m, k), identity(k), tolerance * 10)
                assertClose(multiply(v, transpose(v, k, n), k, n, k), identity(k), tolerance * 10)
                XCTAssertEqual(s, s.sorted(by: >))
                for i in 0..<m { for j in 0..<k { us[i * k + j] *= s[j] } }
                assertClose(multiply(us, v, m, k, n), slice(a, index, m * n), tolerance * 10)
            }
        }
        var nan: [Double] = [1, .nan, 0, 1]
        var s = [0.0, 0]
        var u = [0.0, 0, 0, 0]
        var v = u
        XCTAssertThrowsError(try Lapack.svd(&nan, u: &u, s: &s, v: &v, m: 2, n: 2))
    }

    // MARK: Plain matrices

    private var state: UInt64 = 20_240_229

    private func random<T: LapackScalar>(_ count: Int, _: T.Type) -> [T] {
        (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return T(Double(state >> 11) / Double(1 << 52) - 1)
        }
    }

    private func positiveDefinite<T: LapackScalar>(_ n: Int, batch: Int, _: T.Type) -> [T] {
        (0..<batch).flatMap { _ in
            let x = random(n * n, T.self)
            var a = multiply(x, transpose(x, n, n), n, n, n)
            for i in 0..<n { a[i * n + i] += 1 }
            return a
        }
    }

    private func slice<T>(_ values: [T], _ index: Int, _ count: Int) -> [T] {
        Array(values[index * count..<(index + 1) * count])
    }

    private func identity<T: LapackScalar>(_ n: Int) -> [T] { (0..<n * n).map { $0 % (n + 1) == 0 ? 1 : 0 } }

    private func transpose<T>(_ a: [T], _ m: Int, _ n: Int) -> [T] {
        (0..<n).flatMap { j in (0..<m).map { i in a[i * n + j] } }
    }

    private func multiply<T: LapackScalar>(_ a: [T], _ b: [T], _ m: Int, _ k: Int, _ n: Int) -> [T] {
        var c = [T](repeating: 0, count: m * n)
        for i in 0..<m {
            for j in 0..<n {
                c[i * n + j] = T((0..<k).reduce(0.0) { $0 + Double(a[i * k + $1]) * Double(b[$1 * n + j]) })
            }
        }
        return c
    }

    private func assertClose<T: LapackScalar>(
        _ a: [T], _ b: [T], _ tolerance: Double, file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertEqual(a.count, b.count, file: file, line: line)
        let worst = zip(a, b).map { abs(Double($0) - Double($1)) }.max() ?? 0
        XCTAssertLessThanOrEqual(worst, tolerance, file: file, line: line)
        XCTAssertFalse(worst.isNaN || a.contains { !$0.isFinite }, file: file, line: line)
    }
}
