import FledgeCore
import Foundation
import XCTest

final class RandomTests: XCTestCase {
    /// The known answers that come with Random123 1.09 (tests/kat_vectors, philox4x32 10).
    func testPhiloxKnownAnswers() {
        let zero = Philox.block(counter: (0, 0, 0, 0), key: (0, 0))
        XCTAssertTrue(zero == (0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
        let all = UInt32.max
        let ones = Philox.block(counter: (all, all, all, all), key: (all, all))
        XCTAssertTrue(ones == (0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
        let pi = Philox.block(
            counter: (0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344), key: (0xA409_3822, 0x299F_31D0))
        XCTAssertTrue(pi == (0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
    }

    func testWordsComeInOrder() {
        var source = RandomSource(seed: 42)
        for index in 0..<4 {
            let (first, second) = Philox.words(index: UInt64(index), key: 42)
            XCTAssertEqual(source.next(), first)
            XCTAssertEqual(source.next(), second)
        }
        XCTAssertEqual(source.position, 8)
    }

    func testStreamsDependOnNamesAndIndicesOnly() {
        let root = RandomSource(seed: 7)
        var drawn = root
        for _ in 0..<5 { _ = drawn.next() }
        XCTAssertEqual(root.stream("augment"), drawn.stream("augment"), "drawing does not shift streams")
        XCTAssertEqual(root.at(1, 2, 3), drawn.at(1, 2, 3))
        var keys = Set<UInt64>()
        let names = ["a", "b", "ab", "", "augment", "order"]
        for name in names { XCTAssertTrue(keys.insert(root.stream(name).key).inserted, name) }
        for i in -3..<30 {
            for j in 0..<30 { XCTAssertTrue(keys.insert(root.at(i, j).key).inserted, "\(i), \(j)") }
            XCTAssertTrue(keys.insert(root.at(i).key).inserted, "\(i)")
        }
        XCTAssertNotEqual(root.key, RandomSource(seed: 8).stream("a").key)
    }

    /// Neighbouring streams must not move together.
    func testStreamsAreUncorrelated() {
        let root = RandomSource(seed: 1)
        let n = 4000
        func draws(_ source: RandomSource) -> [Double] {
            var source = source
            return (0..<n).map { _ in source.uniform() - 0.5 }
        }
        let streams = [root, root.at(0), root.at(1), root.stream("a"), root.stream("b"), RandomSource(seed: 2)].map(
            draws)
        for i in streams.indices {
            for j in 0..<i {
                let correlation = zip(streams[i], streams[j]).reduce(0) { $0 + $1.0 * $1.1 } * 12 / Double(n)
                XCTAssertLessThan(abs(correlation), 5 / Double(n).squareRoot(), "streams \(i) and \(j)")
            }
        }
    }

    func testStateSurvivesCoding() throws {
        var source = RandomSource(seed: .max).stream("x")
        for _ in 0..<7 { _ = source.next() }
        var restored = try JSONDecoder().decode(RandomSource.self, from: JSONEncoder().encode(source))
        XCTAssertEqual(restored, source)
        for _ in 0..<5 { XCTAssertEqual(restored.next(), source.next()) }
    }

    // MARK: Distributions

    /// Mean and variance of many draws, within five standard errors (estimated from the draws).
    private func check(_ name: String, mean: Double, variance: Double, _ draw: (inout RandomSource) -> Double) {
        var source = RandomSource(seed: 11).stream(name)
        let n = 20_000
        let values = (0..<n).map { _ in draw(&source) }
        let average = values.reduce(0, +) / Double(n)
        let squares = values.map { ($0 - mean) * ($0 - mean) }
        let spread = squares.reduce(0, +) / Double(n)
        let fourth = squares.reduce(0) { $0 + ($1 - spread) * ($1 - spread) } / Double(n)
        XCTAssertEqual(average, mean, accuracy: 5 * (variance / Double(n)).squareRoot(), "mean of \(name)")
        XCTAssertEqual(spread, variance, accuracy: 5 * (fourth / Double(n)).squareRoot(), "variance of \(name)")
    }

    func testMoments() {
        check("uniform", mean: 0.5, variance: 1.0 / 12) { $0.uniform() }
        check("uniform range", mean: 1, variance: 16.0 / 12) { $0.uniform(-1, 3) }
        check("normal", mean: 0, variance: 1) { $0.normal() }
        for shape in [0.3, 1, 2.5, 20] { check("gamma \(shape)", mean: shape, variance: shape) { $0.gamma(shape) } }
        for (a, b) in [(0.2, 0.2), (1, 1), (2, 5)] {
            check("beta \(a) \(b)", mean: a / (a + b), variance: a * b / ((a + b) * (a + b) * (a + b + 1))) {
                $0.beta(a, b)
            }
        }
    }

    func testRanges() {
        var source = RandomSource(seed: 5)
        for _ in 0..<5000 {
            let u = source.uniform()
            XCTAssertTrue(u >= 0 && u < 1)
            let b = source.beta(0.1, 0.1)
            XCTAssertTrue(b >= 0 && b <= 1)
            XCTAssertTrue((0..<7).contains(source.integer(below: 7)))
        }
        XCTAssertEqual(source.integer(below: 1), 0)
    }

    /// The share of normal draws below a bound follows the distribution function.
    func testNormalTails() {
        var source = RandomSource(seed: 9)
        let n = 20_000
        let values = (0..<n).map { _ in source.normal() }
        for (bound, share) in [(-2.0, 0.02275), (-1, 0.15866), (0, 0.5), (1, 0.84134), (2, 0.97725)] {
            let found = Double(values.count { $0 < bound }) / Double(n)
            XCTAssertEqual(found, share, accuracy: 5 * (share * (1 - share) / Double(n)).squareRoot(), "below \(bound)")
        }
    }

    /// Chi-square over counts that should be equal; the bound is far beyond the 99.99 % point.
    private func chiSquare(_ counts: [Int]) -> Double {
        let expected = Double(counts.reduce(0, +)) / Double(counts.count)
        return counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    }

    func testIntegersAreUniform() {
        var source = RandomSource(seed: 21)
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<14_000 { counts[source.integer(below: 7)] += 1 }
        XCTAssertLessThan(chiSquare(counts), 28, "6 degrees of freedom: \(counts)")
    }

    func testPermutationsAreUniform() {
        var source = RandomSource(seed: 22)
        var counts: [[Int]: Int] = [:]
        for _ in 0..<12_000 {
            let order = source.permutation(4)
            XCTAssertEqual(order.sorted(), [0, 1, 2, 3])
            counts[order, default: 0] += 1
        }
        XCTAssertEqual(counts.count, 24)
        XCTAssertLessThan(chiSquare(Array(counts.values)), 56, "23 degrees of freedom")
        XCTAssertEqual(source.permutation(0), [])
        XCTAssertEqual(source.permutation(1), [0])
        XCTAssertEqual(source.permutation(1000).sorted(), Array(0..<1000))
    }
}
