import CFledgeKernels
import XCTest

/// Many small matrix products against sums in float64.
final class KernelSmallProductsTests: KernelTestCase {
    /// The matrices lie in larger arrays, row by row or column by column.
    private struct Form {
        var m: Int, n: Int, k: Int
        var batch = [2, 3, 4]
        var aByColumns = false, bByColumns = false, repeatsA = false, repeatsB = false, adds = false
        /// Unused numbers after each row.
        var gap = 0
    }

    private func strides(_ rows: Int, _ columns: Int, _ byColumns: Bool, _ gap: Int) -> (
        row: Int, column: Int, size: Int
    ) {
        byColumns ? (1, rows + gap, (rows + gap) * columns) : (columns + gap, 1, (columns + gap) * rows)
    }

    private func check(_ f: Form) {
        let a = strides(f.m, f.k, f.aByColumns, f.gap), b = strides(f.k, f.n, f.bByColumns, f.gap)
        let c = strides(f.m, f.n, false, f.gap)
        func steps(_ size: Int, _ repeated: Bool) -> [Int] {
            [f.batch[1] * f.batch[2] * size, repeated ? 0 : f.batch[2] * size, size]
        }
        let (stepsA, stepsB, stepsC) = (steps(a.size, f.repeatsA), steps(b.size, f.repeatsB), steps(c.size, false))
        let count = f.batch.reduce(1, *)
        let x = numbers(count * a.size), y = numbers(count * b.size, seed: 2)
        var expected = [Double](repeating: 7, count: count * c.size)
        for p in 0..<f.batch[0] {
            for q in 0..<f.batch[1] {
                for r in 0..<f.batch[2] {
                    func at(_ steps: [Int]) -> Int { p * steps[0] + q * steps[1] + r * steps[2] }
                    for i in 0..<f.m {
                        for j in 0..<f.n {
                            expected[at(stepsC) + i * c.row + j] = (0..<f.k).reduce(f.adds ? 7.0 : 0) {
                                $0 + Double(x[at(stepsA) + i * a.row + $1 * a.column])
                                    * Double(y[at(stepsB) + $1 * b.row + j * b.column])
                            }
                        }
                    }
                }
            }
        }
        func wide(_ v: [Int]) -> (Int64, Int64, Int64) { (Int64(v[0]), Int64(v[1]), Int64(v[2])) }
        var shape = fk_small_shape(
            m: Int64(f.m), n: Int64(f.n), k: Int64(f.k), a_row: Int64(a.row), a_column: Int64(a.column),
            b_row: Int64(b.row), b_column: Int64(b.column), c_row: Int64(c.row), size: wide(f.batch),
            a_step: wide(stepsA), b_step: wide(stepsB), c_step: wide(stepsC), adds: f.adds ? 1 : 0)
        withThreadCounts {
            let isVectorial = String(cString: fledge_isa_name()) != "base"
            XCTAssertEqual(fk_small_products_supported(&shape) == 1, isVectorial, "\(f)")
            guard isVectorial else { return }
            // What lies between the rows of c stays as it was.
            var found = [Float](repeating: 7, count: expected.count)
            fk_small_products(&shape, x, y, &found)
            assertClose(found, expected, relative: 1e-5, absolute: 1e-5 * Double(f.k).squareRoot(), "\(f)")
        }
    }

    func testSizes() {
        for (m, n, k) in [
            (1, 1, 1), (5, 5, 32), (5, 32, 5), (17, 17, 33), (8, 16, 16), (1, 16, 288), (1, 288, 16), (16, 288, 1),
            (9, 48, 7), (23, 31, 40), (2, 19, 3), (65, 65, 64),
        ] {
            check(Form(m: m, n: n, k: k))
            check(Form(m: m, n: n, k: k, bByColumns: true))
            check(Form(m: m, n: n, k: k, aByColumns: true, gap: 3))
            check(Form(m: m, n: n, k: k, aByColumns: true, bByColumns: true, gap: 1))
        }
    }

    func testSumsGoOn() {
        for (m, n, k) in [(1, 16, 288), (17, 33, 5), (288, 16, 1)] { check(Form(m: m, n: n, k: k, adds: true, gap: 2)) }
    }

    func testRepeatedMatrices() {
        check(Form(m: 6, n: 20, k: 12, repeatsA: true))
        check(Form(m: 6, n: 20, k: 12, bByColumns: true, repeatsB: true))
    }

    func testLargeMatricesAreRefused() {
        var shape = fk_small_shape(
            m: 4, n: 128, k: 65, a_row: 65, a_column: 1, b_row: 128, b_column: 1, c_row: 128, size: (1, 1, 8),
            a_step: (0, 0, 260), b_step: (0, 0, 8320), c_step: (0, 0, 512), adds: 0)
        onEveryISA { XCTAssertEqual(fk_small_products_supported(&shape), 0) }
    }
}
