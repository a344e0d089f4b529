import Fledge
import FledgeTesting
import Foundation
import XCTest

/// Losses and assignments of the clustering methods at inputs made by formula, against values computed once in float64
/// from the papers' formulas in PyTorch.
final class ClusteringValueTests: XCTestCase {
    private static let prototypes = Table(5, 6) { i, j in sin(0.3 + 2.1 * i - 1.3 * j + 0.7 * i * j) }

    private func swav(_ a: Tensor, _ b: Tensor, _ prototypes: Tensor) -> Tensor {
        let scores = [a, b].map { $0.l2Normalized(axis: -1).linear(prototypes) }
        let codes = scores.map { sinkhornCodes($0, epsilon: 0.05, iterations: 3) }
        return swappedPrediction(scores, codes: codes, temperature: 0.1)
    }

    func testSwAV() {
        let unit = Table(Self.prototypes.exact.l2Normalized(axis: 1).doubles(), [5, 6])
        // Central differences would move the codes as well, which are constants.
        checkLoss(
            [.za, .zb, unit], value: 1.629357,
            gradients: [(4.158740, -0.012692), (4.708464, -0.002505), (4.864667, -0.047349)], differences: false
        ) { self.swav($0[0], $0[1], $0[2]) }
        let scores = [Table.za, .zb].map { $0.exact.l2Normalized(axis: -1).linear(unit.exact) }
        let codes = scores.map { sinkhornCodes($0, epsilon: 0.05, iterations: 3) }
        XCTAssertNil(
            gradientFailure(at: scores) { swappedPrediction($0, codes: codes, temperature: 0.1) })
        checkSymmetry { self.swav($0, $1, unit.exact) }
        // Nothing learned: ln K.
        let same = Tensor.ones([8, 5], dtype: .float64, device: .reference)
        XCTAssertEqual(
            swappedPrediction([same, same], codes: codes, temperature: 0.1).item(), log(5), accuracy: 1e-9)
        // A third view predicts the codes of the first two, and has none itself.
        let third = scores[0].rolled(by: 1, axis: 0)
        let pairs = [(0, scores[1]), (0, third), (1, scores[0]), (1, third)].map { code, score in
            crossEntropy(score / 0.1, soft: codes[code]).item()
        }
        XCTAssertEqual(
            swappedPrediction(scores + [third], codes: codes, temperature: 0.1).item(), pairs.reduce(0, +) / 4,
            accuracy: 1e-12)
    }

    func testSinkhornBalances() {
        for (device, dtype, tolerance) in [(Device.reference, DType.float64, 1e-6), (.cpu, .float32, 1e-4)] {
            let scores = Table(32, 5) { i, j in sin(1 + 3 * i + 7 * j + 0.5 * i * j) + 0.3 * j }.tensor(device, dtype)
            let codes = sinkhornCodes(scores.requiringGradient(), epsilon: 0.5, iterations: 50)
            for sum in codes.sum(axis: 1).doubles() { XCTAssertEqual(sum, 1, accuracy: tolerance) }
            for sum in codes.sum(axis: 0).doubles() { XCTAssertEqual(sum, 32.0 / 5, accuracy: tolerance * 6) }
            XCTAssertFalse(codes.requiresGradient, "codes are constants")
            // Where exp(scores / epsilon) itself would be infinite in float32.
            for epsilon in [0.01, 1e-4] {
                let hard = sinkhornCodes(scores, epsilon: epsilon, iterations: 50)
                XCTAssertTrue(hard.isFinite().all())
                for sum in hard.sum(axis: 1).doubles() { XCTAssertEqual(sum, 1, accuracy: 1e-4) }
            }
        }
    }

    func testDINO() {
        let temperature = 0.04
        for (device, dtype, tolerance) in [(Device.reference, DType.float64, 1e-6), (.cpu, .float32, 1e-5)] {
            let outputs = [Table.za.tensor(device, dtype), Table.zb.tensor(device, dtype)]
            let centre = dinoCentre(
                .zeros([6], dtype: dtype, device: device), outputs: outputs, momentum: 0.9)
            for (found, wanted) in zip(centre.doubles(), [0.006651, 0.014602, 0.003110]) {
                XCTAssertEqual(found, wanted, accuracy: tolerance)
            }
        }
        checkLoss(
            [.za, .zb], value: 1.238582, gradients: [(4.130948, 0.062342), (4.696308, 0.156297)], differences: false
        ) { outputs in
            // The teacher says the same as the student, and is a constant.
            let targets = outputs.map {
                dinoTarget($0, centre: .zeros([6], dtype: $0.dtype, device: $0.device), temperature: temperature)
            }
            return dinoLoss(outputs, targets: targets, temperature: 0.1)
        }
        let centre = Table(1, 6) { _, j in 0.1 * j }.exact[0]
        let targets = [Table.zb.exact, Table.za.exact].map {
            dinoTarget($0.requiringGradient(), centre: centre, temperature: temperature)
        }
        XCTAssertFalse(targets[0].requiresGradient, "the teacher is a constant")
        XCTAssertNil(
            gradientFailure(at: [Table.za.exact, Table.zb.exact]) {
                dinoLoss($0, targets: targets, temperature: 0.1)
            })
        // What all outputs have in common is no information: the centre takes it away.
        let shifted = dinoTarget(Table.zb.exact + centre, centre: centre + centre, temperature: temperature)
        for (a, b) in zip(shifted.doubles(), targets[0].doubles()) { XCTAssertEqual(a, b, accuracy: 1e-12) }
    }

    /// The labels, the iterations and the masses of the official code's Sinkhorn at these inputs.
    func testSeLaLabels() {
        let logits = Table(8, 4) { i, j in sin(1 + 3 * i + 7 * j + 0.5 * i * j) }.exact
        let found = BalancedLabels(logits.logSoftmax(), power: 10)
        XCTAssertEqual(logits.argmax().ints(), [1, 3, 0, 2, 3, 3, 2, 1])
        XCTAssertEqual(found.labels, [0, 3, 0, 2, 0, 3, 2, 1])
        XCTAssertEqual(found.iterations, 141)
        for (mass, wanted) in zip(found.masses, [2.001552, 2.001612, 1.995208, 2.001628]) {
            XCTAssertEqual(mass, wanted, accuracy: 1e-5)
        }
        // Sure of one cluster for all samples, where p^lambda leaves the range of doubles.
        let sure = Tensor(float64: (0..<12).flatMap { [0, -90 - Double($0), -200 - Double($0 % 5)] }, shape: [12, 3])
        let balanced = BalancedLabels(sure, power: 10)
        XCTAssertEqual((0..<3).map { y in balanced.labels.count { $0 == y } }, [4, 4, 4])
        for mass in balanced.masses { XCTAssertEqual(mass, 4, accuracy: 0.05) }
    }

    func testIIC() {
        for (weight, value, a, b) in [
            (1.0, -0.016170582, (0.051049806, -0.001728205), (0.047003388, -0.001279558)),
            (1.5, -1.806484939, (0.053859807, -0.003056929), (0.049100587, -0.002827303)),
        ] {
            checkLoss([.za, .zb], value: value, gradients: [a, b]) {
                mutualInformationLoss($0[0].softmax(), $0[1].softmax(), entropyWeight: weight)
            }
        }
        checkSymmetry(scales: false) { mutualInformationLoss($0.softmax(), $1.softmax()) }
        // Sure, equal and equally large clusters: -ln K. The same answer for all: nothing.
        let sure = Tensor([0, 1, 2, 3, 0, 1, 2, 3]).oneHot(classes: 4)
        XCTAssertEqual(mutualInformationLoss(sure, sure).item(), -log(4), accuracy: 1e-5)
        let same = Tensor([Int](repeating: 2, count: 8)).oneHot(classes: 4)
        XCTAssertEqual(mutualInformationLoss(same, same).item(), 0, accuracy: 1e-6)
    }

    func testCPC() {
        let weight = Table(6, 6) { i, j in sin(0.3 + 0.8 * i - 0.6 * j) }
        checkLoss(
            [.za, .zb, weight], value: 1.644585,
            gradients: [(2.230631, 0.014744), (2.819737, -0.000135), (5.282565, -0.129784)]
        ) { infoNCE($0[0], contexts: $0[1], weight: $0[2]).loss }
        checkSymmetry(swaps: false, scales: false) { infoNCE($0, contexts: $1, weight: weight.exact).loss }
        let same = Tensor.ones([8, 6])
        XCTAssertEqual(
            infoNCE(same, contexts: same, weight: weight.tensor(.cpu, .float32)).loss.item(), log(8), accuracy: 1e-5)
    }

    func testTripletHinge() {
        // Some triplets lie within their hinge, none at it.
        checkLoss(
            [.za, .zb, Table.zq(8)], value: 0.194868, gradients: [(0.227973, 0), (0.193189, 0), (0.077174, 0)]
        ) { tripletHinge($0[0], $0[1], $0[2], margin: 0.5) }
    }

    func testKMeansFindsGroups() {
        // Three bundles of directions, and more clusters than bundles.
        let x = Table(60, 4) { i, j in
            (Int(i) % 3 == Int(j) ? 1 : 0) + 0.05 * sin(3 * i + 7 * j)
        }.tensor(.cpu, .float32).l2Normalized(axis: -1)
        let truth = (0..<60).map { $0 % 3 }
        for seed in 0..<5 {
            var random = RandomSource(seed: UInt64(seed))
            let found = KMeans(x, clusters: 3, iterations: 20, random: &random)
            XCTAssertEqual(normalizedMutualInformation(found.assignments, truth), 1, accuracy: 1e-9)
            for length in found.centroids.norm(axes: [1]).floats() { XCTAssertEqual(length, 1, accuracy: 1e-5) }
            let finer = KMeans(x, clusters: 12, iterations: 20, random: &random)
            XCTAssertGreaterThan(normalizedMutualInformation(finer.assignments, truth), 0.5)
        }
        // A cluster that nobody is in takes half of the largest.
        let centroids = KMeans.centroids(x, truth, clusters: 4)
        XCTAssertEqual(centroids.norm(axes: [1]).min().item(), 1, accuracy: 1e-5)
        // More clusters than different vectors.
        var random = RandomSource(seed: 0)
        let copies = KMeans(Tensor.ones([5, 2]).l2Normalized(axis: -1), clusters: 5, iterations: 3, random: &random)
        XCTAssertTrue(copies.centroids.isFinite().all())
    }

    func testMutualInformation() {
        XCTAssertEqual(normalizedMutualInformation([0, 0, 1, 1], [5, 5, 3, 3]), 1, accuracy: 1e-12)
        XCTAssertEqual(normalizedMutualInformation([0, 0, 1, 1], [0, 1, 0, 1]), 0, accuracy: 1e-12)
        // By hand: H(a) = ln 2, H(b) = ln 4 / 2 + ln 2 / 2... of (1/2, 1/4, 1/4), H(a, b) = H(b).
        XCTAssertEqual(
            normalizedMutualInformation([0, 0, 1, 1], [0, 0, 1, 2]), 2 * log(2) / (log(2) + 1.5 * log(2)),
            accuracy: 1e-12)
    }
}
