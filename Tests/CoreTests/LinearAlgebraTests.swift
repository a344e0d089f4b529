import FledgeTesting
import XCTest

@testable import FledgeCore

final class LinearAlgebraTests: XCTestCase {
    /// Matrices far from singular, single and in a batch.
    private func regular(_ n: Int, batch: [Int] = []) -> Tensor {
        wave(batch + [n, n], offset: 0.2) + Tensor.eye(n, dtype: .float64, device: .reference) * 2
    }
    private func positive(_ x: Tensor) -> Tensor {
        x.matmul(x.transposed()) + Tensor.eye(x.shape[x.rank - 1], dtype: x.dtype, device: x.device) * 0.5
    }
    private func identity(_ n: Int) -> Tensor { Tensor.eye(n, dtype: .float64, device: .reference) }

    private func assertClose(
        _ a: Tensor, _ b: Tensor, _ tolerance: Double = 1e-12, _ message: String = "", line: UInt = #line
    ) {
        XCTAssertEqual(a.shape, b.shape, message, line: line)
        XCTAssertLessThan(largestDifference(a, b) ?? .infinity, tolerance, message, line: line)
    }

    func testCholesky() {
        for x in [wave([4, 4]), wave([2, 3, 3, 3]), wave([1, 1])] {
            let a = positive(x)
            let factor = a.cholesky()
            assertClose(factor.matmul(factor.transposed()), a)
            assertClose(factor, factor.lowerTriangle(), 0.5e-300)
            XCTAssertNil(gradientFailure(at: [x], secondOrder: true) { self.positive($0[0]).cholesky() })
        }
        // Only the lower triangle counts.
        let a = positive(wave([3, 3]))
        assertClose(
            (a.lowerTriangle() + 7 - Tensor.full([3, 3], 7, dtype: .float64, device: .reference).lowerTriangle())
                .cholesky(), a.cholesky())
    }

    func testTryCholeskyNamesTheMatrix() {
        let good = identity(2)
        let bad = Tensor(float64: [1, 2, 2, 1], shape: [2, 2], device: .reference)
        XCTAssertThrowsError(try stack([good, good, bad]).tryCholesky()) { error in
            XCTAssertEqual(
                error as? LapackFailure,
                LapackFailure(operation: "cholesky", matrix: 2, reason: .notPositiveDefinite(leadingMinor: 2)))
        }
        XCTAssertThrowsError(try (good * .nan).tryCholesky()) { error in
            XCTAssertEqual((error as? LapackFailure)?.reason, .notFinite)
        }
        XCTAssertNoThrow(try good.tryCholesky())
    }

    func testTriangularSolve() {
        let a = regular(3, batch: [2])
        let b = wave([2, 3, 4], offset: 1)
        for upper in [false, true] {
            for transposed in [false, true] {
                for unit in [false, true] {
                    let name = "upper \(upper), transposed \(transposed), unit \(unit)"
                    let x = a.triangularSolve(b, upper: upper, transposed: transposed, unit: unit)
                    var triangle = upper ? a.upperTriangle() : a.lowerTriangle()
                    if unit { triangle = triangle - triangle.diagonal().diagonalMatrix() + identity(3) }
                    assertClose((transposed ? triangle.transposed() : triangle).matmul(x), b, 1e-12, name)
                    XCTAssertNil(
                        gradientFailure(at: [a, b], secondOrder: true) {
                            $0[0].triangularSolve($0[1], upper: upper, transposed: transposed, unit: unit)
                        }, name)
                }
            }
        }
    }

    func testSolve() {
        let a = regular(4)
        let b = wave([3, 4, 2], offset: 1)
        assertClose(a.matmul(a.solve(b)), b)
        assertClose(a.matmul(a.solve(wave([4]))), wave([4]))
        XCTAssertNil(gradientFailure(at: [regular(3), wave([3])], secondOrder: true) { $0[0].solve($0[1]) })
        XCTAssertNil(
            gradientFailure(at: [regular(3, batch: [2]), wave([3, 2], offset: 1)], secondOrder: true) {
                $0[0].solve($0[1])
            })
        XCTAssertNil(gradientFailure(at: [regular(3), wave([2, 3, 2], offset: 1)]) { $0[0].solve($0[1]) })
    }

    func testInverse() {
        for a in [regular(4), regular(3, batch: [2, 2]), regular(1)] {
            let n = a.shape[a.rank - 1]
            assertClose(a.matmul(a.inverse()), identity(n).expanded(to: a.shape))
        }
        XCTAssertNil(gradientFailure(at: [regular(3, batch: [2])], secondOrder: true) { $0[0].inverse() })
        assertClose(regular(4).transposed().inverse(), regular(4).inverse().transposed())
    }

    func testDeterminant() {
        let a = Tensor(float64: [2, 1, 0, 1, 3, 1, 0, 1, -4], shape: [3, 3], device: .reference)
        XCTAssertEqual(a.determinant().item(), 2 * (-12 - 1) - 1 * -4, accuracy: 1e-12)
        let (sign, logarithm) = a.logAbsDeterminant()
        XCTAssertEqual(sign.item(), -1)
        XCTAssertEqual(logarithm.exp().item(), 22, accuracy: 1e-12)
        let batch = regular(3, batch: [2])
        XCTAssertEqual(batch.determinant().shape, [2])
        XCTAssertNil(gradientFailure(at: [batch], secondOrder: true) { $0[0].determinant() })
        XCTAssertNil(gradientFailure(at: [batch], secondOrder: true) { $0[0].logAbsDeterminant().logarithm })
        // Singular, of rank 2 and of rank 1.
        let singular = Tensor(
            float64: [1, 2, 3, 2, 4, 6, 1, 0, 1, 1, 2, 3, 2, 4, 6, 3, 6, 9], shape: [2, 3, 3], device: .reference)
        XCTAssertEqual(singular.determinant().doubles(), [0, 0])
        XCTAssertEqual(singular.logAbsDeterminant().sign.doubles(), [0, 0])
        XCTAssertEqual(singular.logAbsDeterminant().logarithm.doubles(), [-.infinity, -.infinity])
        XCTAssertNil(gradientFailure(at: [singular], tolerance: 1e-8) { $0[0].determinant() })
        XCTAssertEqual(Tensor.zeros([2, 0, 0], device: .reference).determinant().floats(), [1, 1])
    }

    func testQR() {
        for shape in [[4, 4], [5, 3], [3, 5], [2, 4, 2], [3, 1]] {
            let a = wave(shape, offset: 0.5)
            let (q, r) = a.qr()
            let k = min(shape[shape.count - 2], shape[shape.count - 1])
            assertClose(q.matmul(r), a)
            assertClose(q.transposed().matmul(q), identity(k).expanded(to: shape.dropLast(2) + [k, k]))
            assertClose(r, r.upperTriangle(), 0.5e-300)
        }
        for shape in [[3, 3], [4, 2], [2, 3, 2]] {
            let a = wave(shape, offset: 0.5)
            XCTAssertNil(gradientFailure(at: [a], secondOrder: true) { $0[0].qr().q }, "Q \(shape)")
            XCTAssertNil(gradientFailure(at: [a], secondOrder: true) { $0[0].qr().r }, "R \(shape)")
            XCTAssertNil(
                gradientFailure(at: [a]) {
                    let (q, r) = $0[0].qr()
                    return q.sin().matmul(r.square())
                }, "both \(shape)")
        }
    }

    func testSymmetricEigen() {
        for x in [wave([4, 4]), wave([2, 3, 3], offset: 0.9)] {
            let a = x + x.transposed()
            let (w, v) = a.symmetricEigen()
            assertClose(v.matmul(w.diagonalMatrix()).matmul(v.transposed()), a)
            XCTAssertTrue((w.sorted().values .== w).all(), "rising")
            func symmetric(_ x: [Tensor]) -> Tensor { x[0] + x[0].transposed() }
            XCTAssertNil(gradientFailure(at: [x], secondOrder: true) { symmetric($0).symmetricEigen().values })
            XCTAssertNil(
                gradientFailure(at: [x], secondOrder: true, tolerance: 1e-6) { symmetric($0).symmetricEigen().vectors })
            XCTAssertNil(
                gradientFailure(at: [x]) {
                    let (w, v) = symmetric($0).symmetricEigen()
                    return (v * w.exp().unsqueezed(axis: -2)).matmul(v.transposed())
                })
        }
        // Equal eigenvalues do not disturb gradients of values.
        let leaf = identity(3).requiringGradient()
        leaf.symmetricEigen().values.sum().backward()
        assertClose(leaf.gradient!, identity(3))
    }

    func testSVD() {
        for shape in [[4, 4], [5, 3], [3, 5], [2, 4, 2], [2, 2, 4]] {
            let a = wave(shape, offset: 0.5)
            let (u, s, vh) = a.svd()
            let k = min(shape[shape.count - 2], shape[shape.count - 1])
            let one = identity(k).expanded(to: shape.dropLast(2) + [k, k])
            assertClose(u.matmul(s.diagonalMatrix()).matmul(vh), a)
            assertClose(u.transposed().matmul(u), one)
            assertClose(vh.matmul(vh.transposed()), one)
            XCTAssertTrue((s.sorted(descending: true).values .== s).all(), "falling")
        }
        for shape in [[3, 3], [4, 2], [2, 4], [2, 3, 2]] {
            let a = wave(shape, offset: 0.5)
            XCTAssertNil(gradientFailure(at: [a], secondOrder: true) { $0[0].svd().s }, "s \(shape)")
            XCTAssertNil(gradientFailure(at: [a], secondOrder: true) { $0[0].svd().u }, "U \(shape)")
            XCTAssertNil(gradientFailure(at: [a], secondOrder: true) { $0[0].svd().vh }, "V \(shape)")
            XCTAssertNil(
                gradientFailure(at: [a]) {
                    let (u, s, vh) = $0[0].svd()
                    return (u * s.sin().unsqueezed(axis: -2)).matmul(vh)
                }, "all \(shape)")
        }
    }

    /// float32 on every device and float64 on the CPU against float64 on the reference, forward and gradient.
    func testDevicesAndTypes() {
        let x = wave([2, 3, 3], offset: 0.2)
        let operations: [(String, (Tensor) -> Tensor)] = [
            ("cholesky", { self.positive($0).cholesky() }), ("inverse", { self.positive($0).inverse() }),
            ("solve", { self.positive($0).solve($0) }), ("determinant", { $0.determinant() }),
            ("logDeterminant", { $0.logAbsDeterminant().logarithm }), ("qr", { $0.qr().q.square() }),
            ("eigen", { self.positive($0).symmetricEigen().values }), ("svd", { $0.svd().s }),
            ("triangularSolve", { self.positive($0).triangularSolve($0) }),
        ]
        for (name, operation) in operations {
            let exact = x.requiringGradient()
            let expected = operation(exact)
            expected.square().sum().backward()
            for device in Device.allCases {
                for dtype in [DType.float32, .float64] {
                    let input = x.cast(to: dtype).to(device).requiringGradient()
                    let found = operation(input)
                    found.square().sum().backward()
                    XCTAssertEqual(found.dtype, dtype)
                    XCTAssertEqual(found.device, device)
                    let tolerance = dtype == .float32 ? 2e-4 : 1e-10
                    assertClose(found, expected, tolerance, "\(name) \(device) \(dtype)")
                    assertClose(input.gradient!, exact.gradient!, tolerance, "\(name) gradient \(device) \(dtype)")
                }
            }
        }
    }

    func testEmptyBatchesAndMatrices() {
        let none = Tensor.zeros([0, 3, 3], dtype: .float64, device: .reference)
        XCTAssertEqual(none.cholesky().shape, [0, 3, 3])
        XCTAssertEqual(none.inverse().shape, [0, 3, 3])
        XCTAssertEqual(none.determinant().shape, [0])
        XCTAssertEqual(none.svd().s.shape, [0, 3])
        XCTAssertEqual(none.qr().r.shape, [0, 3, 3])
        XCTAssertEqual(none.symmetricEigen().values.shape, [0, 3])
        XCTAssertEqual(identity(3).solve(Tensor.zeros([3, 0], dtype: .float64, device: .reference)).shape, [3, 0])
        XCTAssertEqual(Tensor.zeros([2, 0, 4], device: .reference).svd().vh.shape, [2, 0, 4])
    }
}
