import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Losses of instance discrimination and of methods without negatives, at inputs made by formula, against values
/// computed once in float64 by the official implementations.
final class InstanceLossTests: XCTestCase {
    private let (za, zb) = (Table.za.exact, Table.zb.exact)
    private let same = Tensor.full([8, 6], 1, dtype: .float64, device: .reference)

    func testMomentumContrast() {
        func loss(_ q: Tensor, _ k: Tensor, _ queue: Tensor) -> Tensor {
            momentumContrast(q, keys: k, queue: queue.l2Normalized(axis: -1), temperature: 0.2)
        }
        checkLoss(
            [.za, .zb, .zq(10)], value: 0.581526, gradients: [(1.151328, -0.018445), nil, nil]
        ) { loss($0[0], $0[1], $0[2]) }
        let queue = Table.zq(10).exact
        checkSymmetry(swaps: false) { loss($0, $1, queue) }
        // The order of the queue does not matter; nothing to choose from costs nothing, and a guess among 1 + K ln(1 +
        // K).
        XCTAssertEqual(loss(za, zb, queue.rolled(by: 3, axis: 0)).item(), loss(za, zb, queue).item(), accuracy: 1e-12)
        XCTAssertEqual(loss(za, zb, queue[0..<0]).item(), 0)
        XCTAssertEqual(
            loss(same, same, Tensor.full([10, 6], 1, dtype: .float64, device: .reference)).item(), log(11),
            accuracy: 1e-9)
    }

    func testBatchContrast() {
        func loss(_ a: Tensor, _ b: Tensor) -> Tensor {
            batchContrast(a, keys: b, temperature: 0.2) + batchContrast(b, keys: a, temperature: 0.2)
        }
        checkLoss(
            [.za, .zb], value: 0.184162, gradients: [(0.414597, -0.002012), (0.281719, 0.001142)], differences: false
        ) { loss($0[0], $0[1]) }
        checkSymmetry { loss($0, $1) }
        // One direction has no gradient for the keys, which is what central differences can look at.
        checkLoss(
            [.za, .zb], value: batchContrast(za, keys: zb, temperature: 0.2).item(),
            gradients: [
                gradientSummary { batchContrast($0, keys: self.zb, temperature: 0.2) }, nil,
            ]
        ) { batchContrast($0[0], keys: $0[1], temperature: 0.2) }
        XCTAssertEqual(loss(same, same).item(), 2 * 2 * 0.2 * log(8), accuracy: 1e-9)
    }

    func testRegressionLoss() {
        func loss(_ a: Tensor, _ b: Tensor) -> Tensor { regressionLoss(a, target: b) + regressionLoss(b, target: a) }
        checkLoss(
            [.za, .zb], value: 0.200370, gradients: [(0.870035, -0.016255), (0.831826, 0.010528)], differences: false
        ) { loss($0[0], $0[1]) }
        checkSymmetry { loss($0, $1) }
        checkLoss(
            [.za, .zb], value: 0.100185, gradients: [gradientSummary { regressionLoss($0, target: self.zb) }, nil]
        ) {
            regressionLoss($0[0], target: $0[1])
        }
        XCTAssertEqual(loss(same, same).item(), 0, accuracy: 1e-12)
        XCTAssertEqual(loss(same, -same).item(), 8, accuracy: 1e-12)
    }

    func testNegativeCosine() {
        func loss(_ a: Tensor, _ b: Tensor) -> Tensor {
            (negativeCosine(a, target: b) + negativeCosine(b, target: a)) * 0.5
        }
        checkLoss(
            [.za, .zb], value: -0.949907, gradients: [(0.217509, -0.004064), (0.207956, 0.002632)], differences: false
        ) { loss($0[0], $0[1]) }
        checkSymmetry { loss($0, $1) }
        checkLoss(
            [.za, .zb], value: -0.949907, gradients: [gradientSummary { negativeCosine($0, target: self.zb) }, nil]
        ) {
            negativeCosine($0[0], target: $0[1])
        }
        XCTAssertEqual(loss(same, same).item(), -1, accuracy: 1e-12)
    }

    func testBarlowTwins() {
        checkLoss([.za, .zb], value: 0.027174, gradients: [(0.225243, -0.007475), (0.209583, 0.002976)]) {
            barlowTwins($0[0], $0[1], redundancyWeight: 5e-3)
        }
        checkSymmetry { barlowTwins($0, $1, redundancyWeight: 5e-3) }
        XCTAssertEqual(barlowTwins(same, same, redundancyWeight: 5e-3).item(), 6, accuracy: 1e-9)
    }

    func testVICReg() {
        func loss(_ a: Tensor, _ b: Tensor) -> Tensor {
            let terms = vicReg(a, b)
            return terms.invariance * 25 + terms.variance * 25 + terms.covariance
        }
        checkLoss([.za, .zb], value: 8.274958, gradients: [(13.173728, -0.654548), (12.210398, -0.155868)]) {
            loss($0[0], $0[1])
        }
        checkSymmetry(scales: false) { loss($0, $1) }
        XCTAssertEqual(loss(same, same).item(), 24.75, accuracy: 1e-9)
    }

    func testSupCon() {
        let labels = [0, 0, 1, 1, 2, 2, 3, 3]
        func loss(_ a: Tensor, _ b: Tensor, _ form: SupConForm) -> Tensor {
            supCon(
                concatenate([a, b]), labels: Tensor(labels + labels, device: a.device), temperature: 0.1, form: form)
        }
        checkLoss([.za, .zb], value: 6.669235, gradients: [(6.667179, 0.212636), (7.177818, 0.045399)]) {
            loss($0[0], $0[1], .out)
        }
        // The official value of 0.061098 leaves the mean over the three positives a sum.
        checkLoss([.za, .zb], value: 0.061098 + log(3), gradients: [(0.632758, -0.000504), (0.409739, -0.000131)]) {
            loss($0[0], $0[1], .in)
        }
        for form in SupConForm.allCases {
            XCTAssertEqual(loss(zb, za, form).item(), loss(za, zb, form).item(), accuracy: 1e-12)
            XCTAssertEqual(loss(za * 3, zb * 0.5, form).item(), loss(za, zb, form).item(), accuracy: 1e-9)
            XCTAssertEqual(loss(same, same, form).item(), log(15), accuracy: 1e-9)
            // One view of each of four classes, three of a fifth: who has no companion costs nothing.
            func some(_ x: Tensor, _ labels: [Int]) -> Tensor {
                supCon(x, labels: Tensor(labels, device: x.device), temperature: 0.1, form: form)
            }
            let leaf = za.requiringGradient()
            let alone = some(leaf, [0, 1, 2, 3, 4, 5, 6, 7])
            XCTAssertEqual(alone.item(), 0)
            XCTAssertEqual(gradients(of: alone, for: [leaf])[0]?.abs().sum().item() ?? 0, 0)
            let mixed = some(leaf, [0, 1, 2, 3, 3, 3, 4, 5])
            XCTAssertTrue(mixed.item().isFinite && mixed.item() > 0)
            XCTAssertTrue(gradients(of: mixed, for: [leaf])[0]!.doubles().allSatisfy(\.isFinite))
        }
        // With two views of samples that all are of different classes it is SimCLR's loss.
        let each = Array(0..<8)
        XCTAssertEqual(
            supCon(concatenate([za, zb]), labels: Tensor(each + each, device: .reference), temperature: 0.5).item(),
            1.173398, accuracy: 1e-6)
    }

    func testInstanceDiscrimination() {
        let own = [0, 3, 5, 7, 9, 2, 4, 6]
        let drawn = own.flatMap { y in (1...3).map { (y + $0) % 10 } }
        func unit(_ x: Tensor) -> Tensor { x.l2Normalized(axis: -1) }
        checkLoss([.za, .zq(10)], value: 8.672963, gradients: [(13.313573, -0.521646), nil]) {
            instanceSoftmax(
                unit($0[0]), memory: unit($0[1]), own: Tensor(own, device: $0[0].device), temperature: 0.1)
        }
        checkLoss([.za, .zq(10)], value: 9.357639, gradients: [(12.348358, -0.150823), nil]) {
            instanceNCE(
                unit($0[0]), memory: unit($0[1]), own: Tensor(own, device: $0[0].device),
                negatives: Tensor(drawn, shape: [8, 3], device: $0[0].device), logNormalizer: log(8886.9014),
                temperature: 0.1)
        }
        let z = instanceLogNormalizer(
            unit(za), memory: unit(Table.zq(10).exact), own: Tensor(own, device: .reference),
            negatives: Tensor(drawn, shape: [8, 3], device: .reference), temperature: 0.1)
        XCTAssertEqual(exp(z.item()), 8886.9014, accuracy: 1e-3)
    }

    /// Sum of absolute values and first element of the gradient for za, in float64: what central differences then
    /// confirm.
    private func gradientSummary(_ loss: (Tensor) -> Tensor) -> (sum: Double, first: Double) {
        let leaf = za.requiringGradient()
        let g = gradients(of: loss(leaf), for: [leaf])[0]!.doubles()
        return (g.reduce(0) { $0 + abs($1) }, g[0])
    }
}
