import XCTest

@testable import FledgeTrain

/// Expected values are worked out by hand in the comments, or are those that scikit-learn 1.x documents.
final class MetricsTests: XCTestCase {
    func testAccuracyAndTopK() {
        XCTAssertEqual(Metrics.accuracy(predicted: [0, 2, 1, 3], labels: [0, 1, 2, 3]), 0.5)
        XCTAssertTrue(Metrics.accuracy(predicted: [], labels: []).isNaN)
        // scikit-learn's example of top_k_accuracy_score: 0.75 for k = 2.
        let scores: [Float] = [0.5, 0.2, 0.2, 0.3, 0.4, 0.2, 0.2, 0.4, 0.3, 0.7, 0.2, 0.1]
        let labels = [0, 1, 2, 2]
        XCTAssertEqual(Metrics.topK(scores: scores, classes: 3, labels: labels, k: 2), 0.75)
        XCTAssertEqual(Metrics.topK(scores: scores, classes: 3, labels: labels, k: 1), 0.5)
        XCTAssertEqual(Metrics.topK(scores: scores, classes: 3, labels: labels, k: 3), 1)
    }

    func testInterval() {
        // The ends are the shares from which what was counted is 1.96 deviations away: (p - share)^2 = z^2 p (1 - p) / n.
        for (share, count) in [(0.8, 10), (0.5, 1000), (0.999, 1000), (0.3, 1)] {
            let ends = Metrics.interval(of: share, count: count)
            XCTAssertTrue(ends[0] < share && share < ends[1])
            for p in ends {
                XCTAssertEqual(pow((p - share) / 1.959964, 2), p * (1 - p) / Double(count), accuracy: 1e-12)
            }
        }
        XCTAssertEqual(Metrics.interval(of: 0.8, count: 10)[0], 0.4902, accuracy: 1e-4)
        XCTAssertEqual(Metrics.interval(of: 1, count: 10)[0], 10 / (10 + 1.959964 * 1.959964), accuracy: 1e-12)
        XCTAssertEqual(Metrics.interval(of: 1, count: 10)[1], 1, accuracy: 1e-12)
        XCTAssertEqual(Metrics.interval(of: 0, count: 10)[0], 0)
        XCTAssertEqual(Metrics.interval(of: .nan, count: 0), [0, 1])
    }

    func testSignTest() {
        func test(_ more: Int, _ fewer: Int, both: Int = 3) -> (more: Int, fewer: Int, probability: Double) {
            let labels = [Int](repeating: 1, count: more + fewer + both)
            let first = labels.indices.map { $0 < more || $0 >= more + fewer ? 1 : 0 }
            let second = labels.indices.map { $0 < more ? 0 : 1 }
            return Metrics.signTest(first, against: second, labels: labels)
        }
        // 2 (1 + 10 + 45) / 1024.
        XCTAssertEqual(test(8, 2).more, 8)
        XCTAssertEqual(test(8, 2).fewer, 2)
        XCTAssertEqual(test(8, 2).probability, 0.109375, accuracy: 1e-12)
        XCTAssertEqual(test(2, 8).probability, 0.109375, accuracy: 1e-12)
        XCTAssertEqual(test(10, 0).probability, 2.0 / 1024, accuracy: 1e-12)
        XCTAssertEqual(test(4, 4).probability, 1)
        XCTAssertEqual(test(0, 0).probability, 1)
        // Of thousands: the normal distribution, 2 P(z > (200 - 1) / sqrt(4000)) with the correction for continuity.
        XCTAssertEqual(test(2100, 1900).probability, erfc(199 / 4000.0.squareRoot() / 2.0.squareRoot()), accuracy: 1e-5)
    }

    func testTopOneAgreesWithPredictionsWhenScoresAreTied() {
        let scores: [Float] = [1, 1, 1, 0, 2, 2, .nan, 1, 1]
        XCTAssertEqual(Metrics.predictions(scores: scores, classes: 3), [0, 1, 1])
        for labels in [[0, 1, 1], [1, 2, 2], [2, 1, 0]] {
            let predicted = Metrics.predictions(scores: scores, classes: 3)
            XCTAssertEqual(
                Metrics.topK(scores: scores, classes: 3, labels: labels, k: 1),
                Metrics.accuracy(predicted: predicted, labels: labels))
        }
        XCTAssertEqual(Metrics.topK(scores: [.nan, 0, 0], classes: 3, labels: [0], k: 3), 0, "a NaN is never a hit")
    }

    func testConfusionMatrixAndScores() {
        // scikit-learn's example: y_true = [2, 0, 2, 2, 0, 1], y_pred = [0, 0, 2, 2, 0, 2].
        let matrix = ConfusionMatrix(predicted: [0, 0, 2, 2, 0, 2], labels: [2, 0, 2, 2, 0, 1], classes: 3)
        XCTAssertEqual(matrix.counts, [[2, 0, 0], [0, 0, 1], [1, 0, 2]])
        XCTAssertEqual(matrix.accuracy, 4.0 / 6)
        let scores = matrix.perClass
        XCTAssertEqual(scores.map(\.precision), [2.0 / 3, 0, 2.0 / 3])
        XCTAssertEqual(scores.map(\.recall), [1, 0, 2.0 / 3])
        XCTAssertEqual(scores[0].f1, 0.8, accuracy: 1e-15)
        XCTAssertEqual(scores[2].f1, 2.0 / 3, accuracy: 1e-15)
        XCTAssertEqual(scores.map(\.support), [2, 1, 3])
        XCTAssertEqual(matrix.macroF1, (0.8 + 0 + 2.0 / 3) / 3, accuracy: 1e-15)
        XCTAssertEqual(matrix.balancedAccuracy, (1 + 0 + 2.0 / 3) / 3, accuracy: 1e-15)
        let mistakes = matrix.commonMistakes(limit: 5)
        XCTAssertEqual(mistakes.map { [$0.label, $0.predicted, $0.count] }, [[1, 2, 1], [2, 0, 1]])
    }

    func testClassThatNeverOccursDoesNotLowerMacroF1() {
        let matrix = ConfusionMatrix(predicted: [0, 1], labels: [0, 1], classes: 5)
        XCTAssertEqual(matrix.macroF1, 1)
        XCTAssertEqual(matrix.balancedAccuracy, 1)
    }

    func testAUROC() {
        // scikit-learn's example of roc_auc_score: 0.75.
        XCTAssertEqual(
            Metrics.auroc(scores: [0.1, 0.4, 0.35, 0.8], isPositive: [false, false, true, true]), 0.75)
        XCTAssertEqual(Metrics.auroc(scores: [1, 1, 1, 1], isPositive: [true, false, true, false]), 0.5)
        // Pairs (positive, negative): 2>1, 2=2, 3>1, 3>2: 3.5 of 4.
        XCTAssertEqual(Metrics.auroc(scores: [2, 1, 3, 2], isPositive: [true, false, true, false]), 0.875)
        XCTAssertTrue(Metrics.auroc(scores: [1, 2], isPositive: [true, true]).isNaN)
    }

    func testMacroAUROC() {
        // Class 0: positives 0.6, 0.2, negatives 0.3, 0.1: 3 of 4. Class 1: positives 0.5, 0.6, negatives 0.3, 0.5:
        // 1 + 0.5 + 1 + 1 of 4 = 0.875. Class 2 has no sample and is left out.
        let scores: [Float] = [0.6, 0.3, 0.1, 0.2, 0.5, 0.3, 0.3, 0.5, 0.2, 0.1, 0.6, 0.3]
        XCTAssertEqual(Metrics.macroAUROC(scores: scores, classes: 3, labels: [0, 0, 1, 1]), (0.75 + 0.875) / 2)
    }

    func testCalibration() {
        // Two samples at confidence 0.9, one right: |0.5 - 0.9| · 2/4. One at 0.6, right: 0.4 · 1/4.
        // One at 0.7, wrong: 0.7 · 1/4. Bins of 1/15: 0.9 is in (13/15, 14/15], 0.7 in (10/15, 11/15], 0.6 = 9/15.
        let probabilities: [Float] = [0.9, 0.1, 0.9, 0.1, 0.4, 0.6, 0.3, 0.7]
        let calibration = Calibration(probabilities: probabilities, classes: 2, labels: [0, 1, 1, 0])
        XCTAssertEqual(calibration.expectedError, 0.2 + 0.1 + 0.175, accuracy: 1e-6)
        XCTAssertEqual(calibration.bins.count, 15)
        XCTAssertEqual(calibration.bins.map(\.count).reduce(0, +), 4)
        XCTAssertEqual(calibration.bins[13].count, 2)
        XCTAssertEqual(calibration.bins[13].accuracy, 0.5)
        // Each squared distance counts for both classes: 2 (0.01 + 0.81 + 0.16 + 0.49) / 4.
        XCTAssertEqual(calibration.brier, 2 * 1.47 / 4, accuracy: 1e-6)
        let expected = -(log(0.9) + log(0.1) + log(0.6) + log(0.3)) / 4
        XCTAssertEqual(calibration.negativeLogLikelihood, expected, accuracy: 1e-6)
    }

    func testCalibrationAtTheEnds() {
        let calibration = Calibration(probabilities: [1, 0, 0, 1], classes: 2, labels: [0, 0])
        XCTAssertEqual(calibration.bins[14].count, 2)
        XCTAssertEqual(calibration.expectedError, 0.5)
        XCTAssertEqual(calibration.negativeLogLikelihood, -log(1e-12) / 2, accuracy: 1e-9)
    }

    func testSpread() {
        let spread = Spread([0.9, 0.92, 0.94])
        XCTAssertEqual(spread.mean, 0.92, accuracy: 1e-12)
        XCTAssertEqual(spread.deviation!, 0.02, accuracy: 1e-12)
        XCTAssertEqual(spread.text, "0.9200 ± 0.0200")
        XCTAssertNil(Spread([1]).deviation)
    }
}
