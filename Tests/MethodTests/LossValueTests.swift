import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Losses at inputs made by formula, against values computed once in float64 by the official implementations.
final class LossValueTests: XCTestCase {
    /// 8 vectors of 6 numbers, and a second view of each.
    static let za = table(8, 6) { i, j in sin(1 + 3 * i + 7 * j + 0.5 * i * j) }
    static let zb = table(8, 6) { i, j in sin(1 + 3 * i + 7 * j + 0.5 * i * j) + 0.3 * cos(0.5 + 2 * i + 5 * j) }

    static func table(_ rows: Int, _ columns: Int, _ f: (Double, Double) -> Double) -> [Double] {
        (0..<rows * columns).map { f(Double($0 / columns), Double($0 % columns)) }
    }

    private let places: [(Device, DType, Double)] = [(.reference, .float64, 1e-6), (.cpu, .float32, 1e-4)]

    private func tensor(_ values: [Double], _ shape: [Int], _ device: Device, _ dtype: DType) -> Tensor {
        Tensor(float64: values, shape: shape, device: device).cast(to: dtype)
    }

    func testNTXentValues() {
        let expected: [(Double, Double, a: (Double, Double), b: (Double, Double))] = [
            (0.5, 1.173398, (0.787214, -0.010248), (0.688615, 0.008542)),
            (0.1, 0.149934, (1.542161, -0.000508), (0.893506, -0.000131)),
        ]
        for (device, dtype, tolerance) in places {
            for (temperature, value, a, b) in expected {
                let za = tensor(Self.za, [8, 6], device, dtype).requiringGradient()
                let zb = tensor(Self.zb, [8, 6], device, dtype).requiringGradient()
                let loss = ntXent(za, zb, temperature: temperature)
                XCTAssertEqual(loss.item(), value, accuracy: max(tolerance, 1e-6), "\(device)")
                for (gradient, wanted) in zip(gradients(of: loss, for: [za, zb]), [a, b]) {
                    let g = gradient!.doubles()
                    XCTAssertEqual(g.reduce(0) { $0 + abs($1) }, wanted.0, accuracy: 2 * tolerance, "\(device)")
                    XCTAssertEqual(g[0], wanted.1, accuracy: tolerance, "\(device)")
                }
            }
        }
    }

    func testNTXentProperties() {
        let za = tensor(Self.za, [8, 6], .reference, .float64), zb = tensor(Self.zb, [8, 6], .reference, .float64)
        let loss = ntXent(za, zb, temperature: 0.2).item()
        let order = [5, 2, 7, 0, 1, 6, 3, 4]
        let permuted = ntXent(
            za.indexSelect(axis: 0, order), zb.indexSelect(axis: 0, order), temperature: 0.2)
        XCTAssertEqual(permuted.item(), loss, accuracy: 1e-12, "the order of the batch")
        XCTAssertEqual(ntXent(zb, za, temperature: 0.2).item(), loss, accuracy: 1e-12, "the order of the views")
        XCTAssertEqual(ntXent(za * 3, zb * 3, temperature: 0.2).item(), loss, accuracy: 1e-9, "the length")
        // Pairs that do not belong together cost more, and vectors that are all the same leave a guess among 2B - 1.
        XCTAssertGreaterThan(ntXent(za, zb.rolled(by: 1, axis: 0), temperature: 0.2).item(), loss + 1)
        let same = Tensor.full([8, 6], 1, dtype: .float64, device: .reference)
        XCTAssertEqual(ntXent(same, same, temperature: 0.2).item(), log(15), accuracy: 1e-9)
        XCTAssertNil(gradientFailure(at: [za, zb]) { ntXent($0[0], $0[1], temperature: 0.5) })
    }

    /// Sohn et al.'s loss with weak logits B and rough logits A, threshold 0.6.
    func testFixMatchValue() {
        for (device, dtype, tolerance) in places {
            let a = tensor(Self.table(3, 4) { 2 * sin(1 + 3 * $0 + 7 * $1) }, [3, 4], device, dtype)
            let b = tensor(Self.table(3, 4) { 2 * sin(2 + 3 * $0 + 7 * $1) }, [3, 4], device, dtype)
            let guess = b.softmax()
            XCTAssertEqual(guess.argmax().doubles(), [0, 3, 0])
            let confident = (guess.max(axis: -1) .>= 0.6).cast(to: dtype)
            XCTAssertEqual(confident.doubles(), [1, 1, 0])
            let loss = FixMatch.loss(a, labels: guess.argmax(), confident: confident)
            XCTAssertEqual(loss.item(), 0.575826, accuracy: max(tolerance, 1e-6))
            // Nobody confident: no loss, and not a division by nobody.
            XCTAssertEqual(FixMatch.loss(a, labels: guess.argmax(), confident: confident * 0).item(), 0)
        }
    }

    /// Half the squared distance of A to B; the term that fine-tuning with L2-SP adds.
    func testL2SPValue() {
        let a = tensor(Self.table(3, 4) { 2 * sin(1 + 3 * $0 + 7 * $1) }, [3, 4], .reference, .float64)
        let b = tensor(Self.table(3, 4) { 2 * sin(2 + 3 * $0 + 7 * $1) }, [3, 4], .reference, .float64)
        let weight = Parameter(b)
        let pull = DistanceFromStart(strength: 1, of: [Named("w", weight)])
        XCTAssertEqual(pull().item(), 0)
        weight.value = a
        XCTAssertEqual(pull().item(), 11.203521, accuracy: 1e-6)
    }
}
