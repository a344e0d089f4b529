import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Losses at inputs made by formula, against values computed once in float64 by the official implementations.
final class LossValueTests: XCTestCase {
    func testNTXent() {
        let cases: [(Double, Double, (Double, Double), (Double, Double))] = [
            (0.5, 1.173398, (0.787214, -0.010248), (0.688615, 0.008542)),
            (0.1, 0.149934, (1.542161, -0.000508), (0.893506, -0.000131)),
        ]
        for (temperature, value, a, b) in cases {
            checkLoss([.za, .zb], value: value, gradients: [a, b]) { ntXent($0[0], $0[1], temperature: temperature) }
        }
        checkSymmetry { ntXent($0, $1, temperature: 0.2) }
        // Pairs that do not belong together cost more, and vectors that are all the same leave a guess among 2B - 1.
        let (za, zb) = (Table.za.exact, Table.zb.exact)
        let loss = ntXent(za, zb, temperature: 0.2).item()
        XCTAssertGreaterThan(ntXent(za, zb.rolled(by: 1, axis: 0), temperature: 0.2).item(), loss + 1)
        let same = Tensor.full([8, 6], 1, dtype: .float64, device: .reference)
        XCTAssertEqual(ntXent(same, same, temperature: 0.2).item(), log(15), accuracy: 1e-9)
    }

    /// Sohn et al.'s loss with weak logits B and rough logits A, threshold 0.6.
    func testFixMatchValue() {
        for (device, dtype, tolerance) in [(Device.reference, DType.float64, 1e-6), (.cpu, .float32, 1e-4)] {
            let a = Table(3, 4) { 2 * sin(1 + 3 * $0 + 7 * $1) }.tensor(device, dtype)
            let b = Table(3, 4) { 2 * sin(2 + 3 * $0 + 7 * $1) }.tensor(device, dtype)
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
        let a = Table(3, 4) { 2 * sin(1 + 3 * $0 + 7 * $1) }.exact
        let b = Table(3, 4) { 2 * sin(2 + 3 * $0 + 7 * $1) }.exact
        let weight = Parameter(b)
        let pull = DistanceFromStart(strength: 1, of: [Named("w", weight)])
        XCTAssertEqual(pull().item(), 0)
        weight.value = a
        XCTAssertEqual(pull().item(), 11.203521, accuracy: 1e-6)
    }
}
