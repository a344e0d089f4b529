import XCTest

@testable import FledgeCore

final class RandomFillTests: XCTestCase {
    /// Filling a tensor takes the same draws from the stream as asking for them one by one.
    func testFillsAreTheScalarDraws() {
        var start = RandomSource(seed: 11).stream("weights")
        _ = start.next()  // so that pairs of words lie across blocks
        // More than one thread's share, and an odd number.
        let count = 10_001
        for dtype in [DType.float32, .float64, .bfloat16] {
            var (one, many) = (start, start)
            let uniform = Tensor.uniform([count], -2, 5, random: &many, dtype: dtype)
            let expected = Tensor(float64: (0..<count).map { _ in one.uniform(-2, 5) }).cast(to: dtype)
            XCTAssertEqual(uniform.doubles(), expected.doubles(), "\(dtype)")
            XCTAssertEqual(one, many)

            let normal = Tensor.normal([count], mean: 1, deviation: 0.3, random: &many, dtype: dtype)
            let draws = Tensor(float64: (0..<count).map { _ in 1 + 0.3 * one.normal() }).cast(to: dtype)
            XCTAssertEqual(normal.doubles(), draws.doubles(), "\(dtype)")
            XCTAssertEqual(one, many)
        }
        var many = start
        XCTAssertEqual(Tensor.normal([0, 3], random: &many, dtype: .float64).count, 0)
        XCTAssertEqual(many, start)
    }
}
