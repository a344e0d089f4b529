import CFledgeKernels
import XCTest

/// What the tests of the C kernels share: every instruction set of this processor, numbers, comparison with float64.
class KernelTestCase: XCTestCase {
    /// Sizes around the widths of vectors, and one that several threads share.
    static let sizes = [0, 1, 7, 15, 16, 17, 33, 1000, 40000]

    /// Runs the body on every instruction set that this processor has, and restores the best one.
    func onEveryISA(_ body: () throws -> Void) rethrows {
        defer { _ = fledge_set_isa(2) }
        for isa in Int32(0)...2 where fledge_set_isa(isa) == isa { try body() }
    }

    /// Numbers of (-scale, scale), always the same for a seed.
    func numbers(_ count: Int, seed: UInt64 = 1, scale: Float = 2, offset: Float = 0) -> [Float] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (Float(state >> 40) * 0x1p-23 - 1) * scale + offset
        }
    }

    /// |actual - expected| <= relative * |expected| + absolute for all elements; NaN and infinities must agree.
    func assertClose(
        _ actual: [Float], _ expected: [Double], relative: Double = 1e-6, absolute: Double = 1e-6,
        _ message: @autoclosure () -> String = "", file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertEqual(actual.count, expected.count, message(), file: file, line: line)
        for (i, (a, e)) in zip(actual, expected).enumerated() {
            let same =
                e.isNaN
                ? a.isNaN
                : e.isInfinite || a.isInfinite
                    ? Double(a) == Double(Float(e)) : abs(Double(a) - e) <= relative * abs(e) + absolute
            if !same {
                let isa = String(cString: fledge_isa_name())
                return XCTFail("\(message()) [\(isa)] element \(i): \(a), expected \(e)", file: file, line: line)
            }
        }
    }

    /// Runs the body on every instruction set with one thread, and on the best with two.
    func withThreadCounts(_ body: () throws -> Void) rethrows {
        let before = fledge_threads()
        defer { fledge_set_threads(before) }
        fledge_set_threads(1)
        try onEveryISA(body)
        fledge_set_threads(2)
        try body()
    }
}

extension Array where Element == Float {
    var doubles: [Double] { map(Double.init) }
}
