import CFledgeKernels
import Foundation
import XCTest

final class KernelElementwiseTests: KernelTestCase {
    private struct Unary: Sendable {
        var op: fk_unary_op
        var name: String
        var domain: @Sendable (Float) -> Float = { $0 }
        var parameter: Float = 0
        var relative = 1e-6
        var absolute = 1e-30
        var f: @Sendable (Double) -> Double
        var derivative: (@Sendable (Double) -> Double)?
        var readsOutput = false
    }

    @Sendable private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    @Sendable private static func cdf(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }
    @Sendable private static func geluTanh(_ x: Double) -> Double {
        0.5 * x * (1 + tanh(root2OverPi * (x + 0.044715 * x * x * x)))
    }

    private static let positive: @Sendable (Float) -> Float = { abs($0) + 1e-3 }
    private static let wide: @Sendable (Float) -> Float = { $0 * 20 }
    private static let root2OverPi = (2 / Double.pi).squareRoot()

    private static let table: [Unary] = [
        Unary(op: FK_NEG, name: "neg", f: { -$0 }),
        Unary(op: FK_ABS, name: "abs", f: { abs($0) }, derivative: { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }),
        Unary(op: FK_SIGN, name: "sign", f: { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }),
        Unary(
            op: FK_EXP, name: "exp", domain: wide, relative: 5e-7,
            f: { exp($0) }, derivative: { exp($0) }, readsOutput: true),
        Unary(op: FK_LOG, name: "log", domain: positive, relative: 5e-7, f: { log($0) }, derivative: { 1 / $0 }),
        Unary(
            op: FK_LOG1P, name: "log1p", domain: { abs($0) - 0.9 }, relative: 5e-7,
            f: { log1p($0) }, derivative: { 1 / (1 + $0) }),
        Unary(
            op: FK_EXPM1, name: "expm1", relative: 5e-7,
            f: { expm1($0) }, derivative: { exp($0) }, readsOutput: true),
        Unary(
            op: FK_SQRT, name: "sqrt", domain: positive,
            f: { $0.squareRoot() }, derivative: { 0.5 / $0.squareRoot() }, readsOutput: true),
        Unary(
            op: FK_RSQRT, name: "rsqrt", domain: positive,
            f: { 1 / $0.squareRoot() }, derivative: { -0.5 / ($0 * $0.squareRoot()) }, readsOutput: true),
        Unary(
            op: FK_RECIPROCAL, name: "reciprocal", domain: positive,
            f: { 1 / $0 }, derivative: { -1 / ($0 * $0) }, readsOutput: true),
        Unary(op: FK_SQUARE, name: "square", f: { $0 * $0 }, derivative: { 2 * $0 }),
        Unary(op: FK_SIN, name: "sin", domain: wide, f: { sin($0) }, derivative: { cos($0) }),
        Unary(op: FK_COS, name: "cos", domain: wide, f: { cos($0) }, derivative: { -sin($0) }),
        Unary(
            op: FK_TANH, name: "tanh", domain: { $0 * 5 }, relative: 5e-7,
            f: { tanh($0) }, derivative: { 1 - tanh($0) * tanh($0) }, readsOutput: true),
        Unary(
            op: FK_SIGMOID, name: "sigmoid", domain: wide, relative: 5e-7,
            f: sigmoid, derivative: { sigmoid($0) * sigmoid(-$0) }, readsOutput: true),
        Unary(
            op: FK_SOFTPLUS, name: "softplus", domain: { $0 * 10 },
            f: { max($0, 0) + log1p(exp(-abs($0))) }, derivative: sigmoid),
        Unary(op: FK_RELU, name: "relu", f: { max($0, 0) }, derivative: { $0 > 0 ? 1 : 0 }, readsOutput: true),
        Unary(
            op: FK_ERF, name: "erf", domain: { $0 * 2.5 }, relative: 2e-7, absolute: 2e-8,
            f: { erf($0) }, derivative: { 2 / Double.pi.squareRoot() * exp(-$0 * $0) }),
        Unary(
            op: FK_GELU, name: "gelu", domain: { $0 * 4 }, relative: 2e-7, absolute: 2e-7, f: { $0 * cdf($0) },
            derivative: { cdf($0) + $0 * exp(-0.5 * $0 * $0) / (2 * .pi).squareRoot() }),
        Unary(
            op: FK_GELU_TANH, name: "gelu_tanh", domain: { $0 * 4 }, absolute: 2e-7, f: geluTanh,
            derivative: { x in
                let t = tanh(root2OverPi * (x + 0.044715 * x * x * x))
                return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root2OverPi * (1 + 3 * 0.044715 * x * x)
            }),
        Unary(
            op: FK_SILU, name: "silu", domain: { $0 * 8 }, f: { $0 * sigmoid($0) },
            derivative: { sigmoid($0) * (1 + $0 * sigmoid(-$0)) }),
        Unary(op: FK_FLOOR, name: "floor", domain: wide, f: { $0.rounded(.down) }),
        Unary(op: FK_CEIL, name: "ceil", domain: wide, f: { $0.rounded(.up) }),
        Unary(
            op: FK_ROUND, name: "round", domain: { ($0 * 20 * 2).rounded() / 2 },
            f: { $0.rounded(.toNearestOrEven) }),
        Unary(
            op: FK_LEAKY_RELU, name: "leaky_relu", parameter: 0.1,
            f: { $0 < 0 ? Double(Float(0.1)) * $0 : $0 }, derivative: { $0 < 0 ? Double(Float(0.1)) : 1 }),
        Unary(
            op: FK_ELU, name: "elu", parameter: 1.5,
            f: { $0 < 0 ? 1.5 * expm1($0) : $0 }, derivative: { $0 < 0 ? 1.5 * exp($0) : 1 }),
        Unary(op: FK_ADD_SCALAR, name: "add_scalar", parameter: 1.5, absolute: 1e-7, f: { $0 + 1.5 }),
        Unary(op: FK_MUL_SCALAR, name: "mul_scalar", parameter: 1.5, f: { $0 * 1.5 }),
        Unary(op: FK_SUB_FROM, name: "sub_from", parameter: 1.5, absolute: 1e-7, f: { 1.5 - $0 }),
        Unary(op: FK_DIV_INTO, name: "div_into", domain: positive, parameter: 1.5, f: { 1.5 / $0 }),
        Unary(op: FK_POW_SCALAR, name: "pow", domain: positive, parameter: 2.5, f: { pow($0, 2.5) }),
        Unary(op: FK_POW_SCALAR, name: "pow 3", parameter: 3, f: { $0 * $0 * $0 }),
        Unary(op: FK_POW_SCALAR, name: "pow -1", domain: positive, parameter: -1, f: { 1 / $0 }),
        Unary(op: FK_POW_SCALAR, name: "pow 1/2", domain: positive, parameter: 0.5, f: { $0.squareRoot() }),
        Unary(op: FK_MAX_SCALAR, name: "max_scalar", parameter: 0.5, f: { max($0, 0.5) }),
        Unary(op: FK_MIN_SCALAR, name: "min_scalar", parameter: 0.5, f: { min($0, 0.5) }),
    ]

    func testUnaryOperations() {
        for n in Self.sizes {
            // The longest arrays are there for the division among threads: two operations will do.
            for entry in Self.table where n < 40000 || entry.op == FK_EXP || entry.op == FK_NEG {
                let x = numbers(n).map(entry.domain), expected = x.doubles.map(entry.f)
                withThreadCounts {
                    var y = [Float](repeating: -7, count: n)
                    fk_unary_p(entry.op, x, &y, Int64(n), entry.parameter)
                    assertClose(y, expected, relative: entry.relative, absolute: entry.absolute, entry.name)
                    var inPlace = x
                    inPlace.withUnsafeMutableBufferPointer {
                        fk_unary_p(entry.op, $0.baseAddress, $0.baseAddress, Int64(n), entry.parameter)
                    }
                    XCTAssertEqual(inPlace, y, entry.name)
                }
            }
        }
    }

    func testUnaryGradients() {
        onEveryISA {
            for n in [0, 1, 17, 1000] {
                for entry in Self.table {
                    guard let derivative = entry.derivative else { continue }
                    let x = numbers(n).map(entry.domain)
                    let g = numbers(n, seed: 2)
                    let y = x.map { Float(entry.f(Double($0))) }
                    var dx = [Float](repeating: -7, count: n)
                    fk_unary_grad(
                        entry.op, entry.readsOutput ? nil : x, entry.readsOutput ? y : nil, g, &dx, Int64(n),
                        entry.parameter)
                    let expected = zip(x.doubles, g.doubles).map { derivative($0) * $1 }
                    assertClose(dx, expected, relative: 4e-6, absolute: 1e-6, entry.name)
                }
            }
        }
    }

    func testValuesAtTheEdges() {
        let inf = Float.infinity
        let cases: [(fk_unary_op, Float, Float)] = [
            (FK_EXP, 89, inf), (FK_EXP, 88.5, Float(exp(88.5))), (FK_EXP, inf, inf), (FK_EXP, -inf, 0),
            (FK_EXP, -104, 0), (FK_EXP, -100, Float(exp(-100.0))), (FK_EXP, 0, 1), (FK_EXP, .nan, .nan),
            (FK_LOG, 0, -inf), (FK_LOG, -1, .nan), (FK_LOG, inf, inf), (FK_LOG, .nan, .nan), (FK_LOG, 1, 0),
            (FK_LOG, 0x1p-140, Float(-140 * log(2.0))), (FK_LOG1P, -1, -inf), (FK_LOG1P, -2, .nan),
            (FK_LOG1P, inf, inf), (FK_LOG1P, 1e-12, 1e-12), (FK_LOG1P, 1e30, 69.077553), (FK_EXPM1, 1e-12, 1e-12),
            (FK_EXPM1, 89, inf), (FK_EXPM1, 88.5, Float(exp(88.5))), (FK_EXPM1, -inf, -1), (FK_EXPM1, .nan, .nan),
            (FK_TANH, inf, 1), (FK_TANH, -inf, -1), (FK_TANH, 1e-10, 1e-10), (FK_TANH, .nan, .nan),
            (FK_SIGMOID, inf, 1), (FK_SIGMOID, -inf, 0), (FK_SIGMOID, -100, Float(exp(-100.0))),
            (FK_SIGMOID, .nan, .nan), (FK_SOFTPLUS, 200, 200), (FK_SOFTPLUS, -200, 0), (FK_SOFTPLUS, .nan, .nan),
            (FK_RELU, .nan, .nan), (FK_RELU, -1, 0), (FK_ERF, inf, 1), (FK_ERF, -inf, -1),
            (FK_ERF, 1e-20, 1.1283792e-20), (FK_ERF, .nan, .nan), (FK_GELU, 100, 100), (FK_GELU, -100, 0),
            (FK_GELU, .nan, .nan),
            (FK_SQRT, -1, .nan), (FK_RSQRT, 0, inf), (FK_RECIPROCAL, 0, inf), (FK_SIGN, .nan, .nan), (FK_SIGN, -0.0, 0),
            (FK_ROUND, 2.5, 2), (FK_ROUND, -3.5, -4), (FK_ROUND, 1e10, 1e10), (FK_ROUND, .nan, .nan),
            (FK_SILU, -200, 0), (FK_SILU, 200, 200), (FK_GELU_TANH, -50, 0),
        ]
        onEveryISA {
            for (op, x, expected) in cases {
                var y: Float = -7
                fk_unary(op, [x], &y, 1)
                assertClose([y], [Double(expected)], relative: 1e-6, absolute: 1e-38, "op \(op.rawValue) of \(x)")
            }
            for (x, expected) in [(-2, -1), (3, 1), (0.5, 0.5)] as [(Float, Float)] {
                var y: Float = 0
                fk_clamp([x], &y, 1, -1, 1)
                XCTAssertEqual(y, expected)
            }
            var y: Float = 0
            fk_clamp([.nan], &y, 1, -1, 1)
            XCTAssertTrue(y.isNaN)
        }
    }

    /// Error of exp, log, tanh, sigmoid in units of relative error over their whole ranges.
    func testAccuracyOverWideRanges() {
        let spread = (0..<20000).map { Float($0) / 10000 - 1 }
        onEveryISA {
            for (op, scale, f) in [
                (FK_EXP, 87, { exp($0) }), (FK_TANH, 9, { tanh($0) }), (FK_SIGMOID, 87, { 1 / (1 + exp(-$0)) }),
                (FK_EXPM1, 80, { expm1($0) }), (FK_LOG1P, 0.999, { log1p($0) }),
            ] as [(fk_unary_op, Float, (Double) -> Double)] {
                let x = spread.map { $0 * scale }
                var y = x
                fk_unary(op, x, &y, Int64(x.count))
                assertClose(y, x.doubles.map(f), relative: 5e-7, absolute: 0, "op \(op.rawValue)")
            }
            let x = spread.map { Float(pow(10, Double($0) * 37)) }
            var y = x
            fk_unary(FK_LOG, x, &y, Int64(x.count))
            assertClose(y, x.doubles.map { log($0) }, relative: 5e-7, absolute: 0, "log")
        }
    }

    func testBinaryOperationsBroadcast() {
        // Shape, strides of a, strides of b.
        let cases: [([Int64], [Int64], [Int64])] = [
            ([], [], []), ([0], [1], [1]), ([1], [1], [1]), ([17], [1], [1]), ([35000], [1], [1]), ([33], [1], [0]),
            ([33], [0], [1]), ([5, 7], [7, 1], [0, 1]), ([5, 37], [0, 1], [37, 1]), ([5, 37], [37, 1], [1, 0]),
            ([6, 5], [1, 6], [5, 1]), ([3, 1, 4, 5], [20, 20, 5, 1], [5, 5, 0, 1]),
            ([2, 3, 4], [12, 4, 1], [4, 0, 1]),
            ([2, 3, 4], [1, 2, 6], [1, 2, 6]), ([300, 3], [3, 1], [0, 1]), ([4, 9], [-9, 1], [9, 1]),
            ([2, 2, 2, 2, 2, 2, 2, 2], [128, 64, 32, 16, 8, 4, 2, 1], [1, 2, 4, 8, 16, 32, 64, 128]),
        ]
        let operations: [(fk_binary_op, (Double, Double) -> Double)] = [
            (FK_ADD, { $0 + $1 }), (FK_SUB, { $0 - $1 }), (FK_MUL, { $0 * $1 }), (FK_DIV, { $0 / $1 }),
            (FK_POW, { pow($0, $1) }), (FK_MAX, { max($0, $1) }), (FK_MIN, { min($0, $1) }),
        ]
        let comparisons: [(fk_compare_op, (Float, Float) -> Bool)] = [
            (FK_EQ, { $0 == $1 }), (FK_NE, { $0 != $1 }), (FK_LT, { $0 < $1 }), (FK_LE, { $0 <= $1 }),
            (FK_GT, { $0 > $1 }), (FK_GE, { $0 >= $1 }),
        ]
        let a = numbers(50000, seed: 3).map { ($0 * 4).rounded() / 4 + 3 }
        let b = numbers(50000, seed: 4).map { ($0 * 4).rounded() / 4 + 3 }
        let condition: [UInt8] = (0..<50000).map { $0 % 3 == 0 ? 0 : UInt8($0 % 200 + 1) }
        withThreadCounts {
            for (shape, strideA, strideB) in cases {
                let count = shape.reduce(1, *)
                let indexA = indices(shape, strideA), indexB = indices(shape, strideB)
                let base = 300  // room for negative strides
                let label = "\(shape) \(strideA) \(strideB)"
                func at(_ body: (UnsafePointer<Float>, UnsafePointer<Float>) -> Void) {
                    a.withUnsafeBufferPointer { pa in
                        b.withUnsafeBufferPointer { pb in body(pa.baseAddress! + base, pb.baseAddress! + base) }
                    }
                }
                for (op, f) in operations {
                    var y = [Float](repeating: 0, count: Int(count))
                    at { fk_binary(op, Int32(shape.count), shape, $0, strideA, $1, strideB, &y) }
                    let expected = zip(indexA, indexB).map { f(Double(a[base + $0]), Double(b[base + $1])) }
                    assertClose(y, expected, relative: 1e-6, absolute: 1e-7, "\(op.rawValue) \(label)")
                }
                for (op, f) in comparisons {
                    var y = [UInt8](repeating: 9, count: Int(count))
                    at { fk_compare(op, Int32(shape.count), shape, $0, strideA, $1, strideB, &y) }
                    let expected: [UInt8] = zip(indexA, indexB).map { f(a[base + $0], b[base + $1]) ? 1 : 0 }
                    XCTAssertEqual(y, expected, label)
                }
                var y = [Float](repeating: 0, count: Int(count))
                condition.withUnsafeBufferPointer { c in
                    let start = c.baseAddress! + base
                    at { fk_where(Int32(shape.count), shape, start, strideB, $0, strideA, $1, strideB, &y) }
                }
                var expected: [Float] = []
                for (i, j) in zip(indexA, indexB) {
                    expected.append(condition[base + j] != 0 ? a[base + i] : b[base + j])
                }
                XCTAssertEqual(y, expected, label)
            }
        }
    }

    private func indices(_ shape: [Int64], _ strides: [Int64]) -> [Int] {
        var result = [0]
        for (size, stride) in zip(shape, strides) {
            result = result.flatMap { start in (0..<Int(size)).map { start + $0 * Int(stride) } }
        }
        return result
    }

    func testMaximumAndMinimumPassNaNOn() {
        onEveryISA {
            for n in [1, 20] {
                let nan = [Float](repeating: .nan, count: n), one = [Float](repeating: 1, count: n)
                for (a, b) in [(nan, one), (one, nan)] {
                    for op in [FK_MAX, FK_MIN] {
                        var y = one
                        fk_binary(op, 1, [Int64(n)], a, [1], b, [1], &y)
                        XCTAssertTrue(y.allSatisfy(\.isNaN))
                    }
                }
                var equal = [UInt8](repeating: 9, count: n)
                fk_compare(FK_EQ, 1, [Int64(n)], nan, [1], nan, [1], &equal)
                XCTAssertEqual(equal, [UInt8](repeating: 0, count: n))
                fk_compare(FK_NE, 1, [Int64(n)], nan, [1], nan, [1], &equal)
                XCTAssertEqual(equal, [UInt8](repeating: 1, count: n))
            }
        }
    }
}
