import FledgeCore
import FledgeData
import FledgeNN
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods

/// What methods that label and train in rounds decide by.
final class SelfTrainingTests: XCTestCase {
    private let a = Table(3, 4) { 2 * sin(1 + 3 * $0 + 7 * $1) }
    private let b = Table(3, 4) { 2 * sin(2 + 3 * $0 + 7 * $1) }

    func testJensenShannon() {
        checkLoss([a, b], value: 0.069402, gradients: [(0.143789, -0.027242), (0.130517, 0.026638)]) {
            jensenShannon($0[0], $0[1])
        }
        XCTAssertEqual(jensenShannon(a.exact, a.exact).item(), 0, accuracy: 1e-12)
        XCTAssertEqual(jensenShannon(a.exact, b.exact).item(), jensenShannon(b.exact, a.exact).item(), accuracy: 1e-12)
        // Certain and contrary: the logarithm of 2, without a logarithm of 0.
        let sure = Tensor(float64: [200, -200, -200, 200], shape: [2, 2])
        XCTAssertEqual(jensenShannon(sure, sure.flipped(axes: [1])).item(), log(2), accuracy: 1e-9)
        // Each withstands what misleads the other: a cross-entropy with gradients on both sides.
        checkLoss([a, b], value: 1.528714, gradients: [(0.957499, -0.116894), (0.623984, 0.119680)]) {
            crossEntropy($0[1], soft: $0[0].softmax())
        }
    }

    /// By hand from the algorithm: e' = 0.5 at first.
    func testTriTrainingBound() {
        var bound = TriTrainingBound()
        XCTAssertNil(bound.accepted(100, error: 0.5), "as wrong as guessing")
        // l' = floor(0.1 / 0.4 + 1) = 1, and 100 mistakes in 1000 are more than 0.5: ceil(0.5 / 0.1 - 1) are taken.
        XCTAssertEqual(bound.accepted(1000, error: 0.1), 4)
        XCTAssertNil(bound.accepted(1000, error: 0.1), "no better than before")
        // 0.03 * 10 < 0.1 * 4: all.
        XCTAssertEqual(bound.accepted(10, error: 0.03), 10)
        // 0.019 * 50 > 0.03 * 10, so ceil(0.3 / 0.019 - 1).
        XCTAssertEqual(bound.accepted(50, error: 0.019), 15)
        XCTAssertEqual(bound.accepted(500, error: 0), 500)
        XCTAssertNil(bound.accepted(1000, error: 0))
    }

    func testMostConfident() {
        let table = AnswerTable([0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.6, 0.4, 0.3, 0.7], classes: 2)
        XCTAssertEqual(table.best(1).label, 1)
        XCTAssertEqual(table.mostConfident(1, of: [0, 1, 2, 3, 4]), [0: 0, 1: 1])
        // Of equal ones the first.
        XCTAssertEqual(table.mostConfident(2, of: [1, 2, 3]), [1: 1, 2: 0, 3: 0])
        XCTAssertEqual(table.mostConfident(1, of: [3, 2]), [2: 0])
    }

    /// Every class gets its samples, however unsure; one that is among the likeliest of two classes may go to both.
    func testHighestRanked() {
        let table = AnswerTable([0.7, 0.2, 0.1, 0.6, 0.3, 0.1, 0.5, 0.1, 0.4, 0.5, 0.1, 0.4], classes: 3)
        XCTAssertEqual(table.highestRanked(2, of: [0, 1, 2, 3], bestClasses: 1), [[0, 1], [], []])
        XCTAssertEqual(table.highestRanked(1, of: [0, 1, 2, 3], bestClasses: 2), [[0], [1], [2]])
        XCTAssertEqual(table.highestRanked(3, of: [3, 2, 1], bestClasses: 2), [[1, 2, 3], [1], [2, 3]])
    }

    func testAutoSSLIsSafe() {
        typealias Trial = AutoSSL.Trial
        func trial(_ candidate: AutoSSL.Candidate?, right: Int, margin: Double) -> Trial {
            Trial(candidate: candidate, right: (0..<100).map { $0 < right }, margin: margin)
        }
        let alone = trial(nil, right: 80, margin: 0.5)
        XCTAssertEqual(alone.standardError, 0.04, accuracy: 1e-12)
        XCTAssertNil(Trial.choice(among: []))
        XCTAssertNil(Trial.choice(among: [alone]))
        XCTAssertNil(Trial.choice(among: [alone, trial(.vat, right: 75, margin: 0.9)]), "surer and worse")
        XCTAssertNil(Trial.choice(among: [alone, trial(.vat, right: 90, margin: 0.4)]), "in more doubt")
        XCTAssertEqual(
            Trial.choice(among: [
                alone, trial(.vat, right: 77, margin: 0.7), trial(.uda, right: 85, margin: 0.6),
                trial(.fixMatch, right: 10, margin: 0.99),
            ]), .vat)
    }

    /// A given head is begun with again, too.
    func testEveryRoundBeginsWithTheSameWeights() throws {
        var context = try Digits.context(perClass: 2, samples: 100)
        var random = RandomSource(seed: 5)
        let head = Linear(context.backbone.featureCount, 10, random: &random)
        context.head = head
        let start = StartingPoint(context)
        func weights() -> [[Float]] {
            (context.backbone.parameters() + head.parameters()).map { $0.item.value.floats() }
        }
        let before = weights()
        var config = Supervised.Config()
        config.training.steps = 2
        _ = try Supervised(config).learn(context)
        XCTAssertNotEqual(weights(), before)
        XCTAssertNotEqual(head.weight.value.floats(), before[before.count - 2])
        try start.restore()
        XCTAssertEqual(weights(), before)
    }

    /// A network of co-training is blind for the half that it does not see.
    func testHalvesAreBlind() throws {
        let context = try Digits.context(perClass: 2, samples: 100)
        let mask = Tensor([Float](repeating: 1, count: 32) + [Float](repeating: 0, count: 32), shape: [8, 8, 1])
        let network = HalfBlind(context.backbone, seeing: mask)
        network.eval()
        var random = RandomSource(seed: 1)
        let x = Tensor.uniform([2, 8, 8, 1], random: &random)
        let unseen = x + (1 - mask) * Tensor.uniform([2, 8, 8, 1], random: &random)
        XCTAssertEqual(network(unseen).floats(), network(x).floats())
        XCTAssertNotEqual(network(x + mask).floats(), network(x).floats())
    }
}
