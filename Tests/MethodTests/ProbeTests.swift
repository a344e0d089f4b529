import Fledge
import FledgeTesting
import Foundation
import XCTest

final class ProbeTests: XCTestCase {
    func testKNNValues() {
        let bank = Table.zb.tensor(.cpu, .float32)
        let queries = Table.zq(4).tensor(.cpu, .float32)
        let probe = KNNProbe(
            features: bank, labels: [0, 0, 1, 1, 2, 2, 3, 3], classes: 4, k: 3, temperature: 0.1)
        let votes = probe.probabilities(queries)
        XCTAssertEqual(Metrics.predictions(scores: votes, classes: 4), [1, 0, 1, 2])
        let total = 53.3313 + 17.905
        for (vote, expected) in zip(votes, [0, 53.3313 / total, 17.905 / total, 0]) {
            XCTAssertEqual(Double(vote), expected, accuracy: 1e-5)
        }
        // Lengths do not matter, and a k beyond the bank takes all of it.
        let scaled = KNNProbe(
            features: bank * 7, labels: [0, 0, 1, 1, 2, 2, 3, 3], classes: 4, k: 3, temperature: 0.1)
        for (a, b) in zip(scaled.probabilities(queries * 0.1), votes) { XCTAssertEqual(a, b, accuracy: 1e-5) }
        let all = KNNProbe(features: bank, labels: [0, 0, 1, 1, 2, 2, 3, 3], classes: 4, k: 100).probabilities(queries)
        for row in 0..<4 { XCTAssertEqual(all[row * 4..<row * 4 + 4].reduce(0, +), 1, accuracy: 1e-5) }
    }

    func testNearestNeighboursAgainstSorting() {
        let rows = Tensor(waves([40, 5]).map(Float.init), shape: [40, 5]).l2Normalized()
        let similarities = rows.matmul(rows.transposed()).floats()
        let found = NearestNeighbours.search(rows, in: rows, count: 6, skippingSelf: true)
        XCTAssertEqual(found.count, 6)
        for i in 0..<40 {
            let expected = (0..<40).filter { $0 != i }.sorted { similarities[i * 40 + $0] > similarities[i * 40 + $1] }
            XCTAssertEqual(found.indices[i * 6..<i * 6 + 6].map(Int.init), Array(expected.prefix(6)))
        }
    }

    func testLBFGSOnAQuadratic() {
        // f = 1/2 sum d_i (x_i - i)^2 with curvatures from 1 to 80.
        let curvature = (0..<20).map { pow(10, Double($0) / 10) }
        let found = LBFGS.minimize(from: [Double](repeating: 0, count: 20), maximumSteps: 500, tolerance: 1e-9) { x in
            let d = x.indices.map { x[$0] - Double($0) }
            return (
                0.5 * zip(curvature, d).reduce(0) { $0 + $1.0 * $1.1 * $1.1 }, zip(curvature, d).map { $0 * $1 }
            )
        }
        for (i, value) in found.point.enumerated() { XCTAssertEqual(value, Double(i), accuracy: 1e-5) }
        XCTAssertLessThan(found.steps, 100)
    }

    func testLBFGSOnRosenbrock() {
        let found = LBFGS.minimize(from: [-1.2, 1], maximumSteps: 500, tolerance: 1e-9) { p in
            let (x, y) = (p[0], p[1])
            let a = 1 - x, b = y - x * x
            return (a * a + 100 * b * b, [-2 * a - 400 * x * b, 200 * b])
        }
        XCTAssertEqual(found.point[0], 1, accuracy: 1e-6)
        XCTAssertEqual(found.point[1], 1, accuracy: 1e-6)
        XCTAssertLessThan(found.steps, 100)
    }

    /// Two samples at -1 and 1 of classes 0 and 1. By symmetry the weights are -w and w on the standardised feature z,
    /// and the gradient vanishes where w l2 = z sigmoid(-2 w z).
    func testLinearProbeAgainstTheOptimum() {
        let l2 = 0.3
        let features = Tensor([-1, 1] as [Float], shape: [2, 1])
        let deviation = Double((features.variance(axis: 0) + 1e-6).sqrt().floats()[0])
        let z = 1 / deviation
        var (low, high) = (0.0, 100.0)
        for _ in 0..<200 {
            let w = (low + high) / 2
            if w * l2 < z / (1 + exp(2 * w * z)) { low = w } else { high = w }
        }
        let probe = LinearProbe(features: features, labels: [0, 1], classes: 2, l2: l2)
        XCTAssertEqual(Double(probe.weight.floats()[1]), low / deviation, accuracy: 1e-4)
        XCTAssertEqual(Double(probe.weight.floats()[0]), -low / deviation, accuracy: 1e-4)
        XCTAssertEqual(Double(probe.bias.floats()[0]), 0, accuracy: 1e-5)
        XCTAssertEqual(
            Double(probe.probabilities(features)[0]), 1 / (1 + exp(-2 * low * z)), accuracy: 1e-4)
    }

    /// On features of other means and scales the gradient of the penalised loss is zero at what the probe found.
    func testLinearProbeIsStationary() {
        let (n, d, classes) = (60, 7, 3)
        let values = waves([n, d]).enumerated().map { $1 * pow(10, Double($0 % d) - 3) + Double($0 % d) }
        let labels = (0..<n).map { (values[$0 * d + 3] > 3 ? 1 : 0) + (values[$0 * d + 4] > 4 ? 1 : 0) }
        let features = Tensor(values.map(Float.init), shape: [n, d])
        let probe = LinearProbe(features: features, labels: labels, classes: classes)
        let probabilities = probe.probabilities(features).map(Double.init)
        let weight = probe.weight.doubles()
        let deviation = (features.variance(axis: 0) + 1e-6).sqrt().doubles()
        let mean = features.mean(axis: 0).doubles()
        for c in 0..<classes {
            let error = (0..<n).map { (probabilities[$0 * classes + c] - (labels[$0] == c ? 1 : 0)) / Double(n) }
            XCTAssertEqual(error.reduce(0, +), 0, accuracy: 1e-4)
            for j in 0..<d {
                let slope = (0..<n).reduce(0) { $0 + error[$1] * (values[$1 * d + j] - mean[j]) / deviation[j] }
                XCTAssertEqual(slope + weight[c * d + j] * deviation[j] / Double(n), 0, accuracy: 1e-4)
            }
        }
    }

    func testLabelSpreadingAgainstTheClosedForm() {
        let (n, classes, alpha, temperature) = (9, 3, 0.9, 0.4)
        let features = Tensor(waves([n, 4]).map(Float.init), shape: [n, 4])
        var labels = [Int?](repeating: nil, count: n)
        (labels[0], labels[3], labels[4], labels[7]) = (0, 1, 2, 2)
        let graph = LabelSpreadingGraph(features: features, neighbours: n - 1, temperature: temperature)
        let found = graph.spread(labels, classes: classes, alpha: alpha, iterations: 400)

        // F = (1 - alpha) (I - alpha S)^-1 Y on the complete graph, each class starting with 1 in all.
        let unit = features.cast(to: .float64).l2Normalized()
        let identity = Tensor.eye(n, dtype: .float64)
        let w = ((unit.matmul(unit.transposed()) - 1) * (1 / temperature)).exp() * (1 - identity)
        let scale = w.sum(axis: -1, keepDims: true).rsqrt()
        let s = w * scale * scale.transposed()
        var start = [Double](repeating: 0, count: n * classes)
        (start[0], start[3 * 3 + 1], start[4 * 3 + 2], start[7 * 3 + 2]) = (1, 1, 0.5, 0.5)
        let y = Tensor(float64: start, shape: [n, classes])
        let f = (identity - s * alpha).solve(y)
        let expected = (f / f.sum(axis: -1, keepDims: true)).doubles()
        for (a, b) in zip(found, expected) { XCTAssertEqual(Double(a), b, accuracy: 1e-4) }
    }

    /// A sample of the graph that nothing points at, and one that is asked about later.
    func testLabelSpreadingEdges() {
        // Two pairs at right angles; nobody knows the second pair.
        let features = Tensor([1, 0, 1, 0.01, 0, 1, 0.01, 1] as [Float], shape: [4, 2])
        let graph = LabelSpreadingGraph(features: features, neighbours: 1, temperature: 0.1)
        let spread = graph.spread([0, nil, nil, nil], classes: 2)
        XCTAssertEqual(Array(spread[0..<4]), [1, 0, 1, 0])
        XCTAssertEqual(Array(spread[4..<8]), [0.5, 0.5, 0.5, 0.5])
        let asked = LabelSpreadingGraph.classify(
            Tensor([5, 0.1] as [Float], shape: [1, 2]), bank: features, distributions: Tensor(spread, shape: [4, 2]),
            vote: .init(neighbours: 2))
        XCTAssertEqual(asked, [1, 0])
    }

    /// Two clear groups: each half of the labels is found from the other half. With one label of a class there is no half.
    func testLabelSpreadingChecksItself() {
        let features = Tensor([1, 0, 1, 0.1, 1, 0.2, 0, 1, 0.1, 1, 0.2, 1] as [Float], shape: [6, 2])
        let graph = LabelSpreadingGraph(features: features, neighbours: 2)
        XCTAssertEqual(graph.crossValidatedAccuracy([0, 0, nil, 1, 1, nil], classes: 2), 1)
        // Each group is told the half it is not asked about: nothing reaches it, and a guess is right half the time.
        XCTAssertEqual(graph.crossValidatedAccuracy([0, 1, nil, 1, 0, nil], classes: 2), 0.5)
        // The only label of a class is told each time, never asked for.
        XCTAssertEqual(graph.crossValidatedAccuracy([0, nil, nil, 1, 1, nil], classes: 2), 1)
        XCTAssertEqual(graph.crossValidatedAccuracy([0, nil, nil, 1, 1, nil], classes: 3), 1)
        XCTAssertNil(graph.crossValidatedAccuracy([0, nil, nil, 1, nil, nil], classes: 2))
    }

    // MARK: Mean classifier

    /// Weights are the means of unit vectors; a class nobody showed is never the answer.
    func testMeanProbeValues() {
        let features = Tensor([3, 4, 0, 2, 5, 0] as [Float], shape: [3, 2])
        let probe = MeanProbe(features: features, labels: [0, 0, 2], classes: 4)
        for (weight, expected) in zip(probe.weight.floats(), [0.3, 0.9, 0, 0, 1, 0, 0, 0] as [Float]) {
            XCTAssertEqual(weight, expected, accuracy: 1e-6)
        }
        // Of length 1 it is (-0.6, 0.8): products 0.54 and -0.6, and the unknown classes' 0 does not win.
        let found = probe.probabilities(Tensor([-6, 8] as [Float], shape: [1, 2]))
        let share = 1 / (1 + exp(-0.6 - 0.54))
        for (probability, expected) in zip(found, [share, 0, 1 - share, 0]) {
            XCTAssertEqual(Double(probability), expected, accuracy: 1e-6)
        }
        let two = probe.probabilities(Tensor([-6, -8] as [Float], shape: [1, 2]))
        XCTAssertEqual(Metrics.predictions(scores: two, classes: 4), [2])
    }

    /// The theory's bound (Arora et al. 2019, lemma 4.3): with classes drawn alike, of which two draws coincide with
    /// probability tau, the mean classifier's loss on pairs of classes is at most (contrastive loss - tau) / (1 - tau),
    /// whatever the features. Exact over a population of 3 classes with 5 samples each.
    func testMeanProbeKeepsTheBound() {
        let (classes, members, width) = (3, 5, 4)
        func loss(_ margin: Double) -> Double { log2(1 + exp(-margin)) }
        /// Features that stand around their class's own direction, the nearer the less noise there is.
        func measure(noise: Double, meansOf told: (Int) -> Int) -> (means: Double, bound: Double) {
            let labels = (0..<classes * members).map { $0 / members }
            let values = zip(waves([labels.count, width]), (0..<labels.count * width)).map { value, i in
                noise * value + (i % width == labels[i / width] ? 1 : 0)
            }
            let features = Tensor(values.map(Float.init), shape: [labels.count, width]).l2Normalized(axis: -1)
            let f = features.doubles()
            func product(_ a: Int, _ b: Int) -> Double {
                (0..<width).reduce(0) { $0 + f[a * width + $1] * f[b * width + $1] }
            }
            let weight = MeanProbe(features: features, labels: labels.map(told), classes: classes).weight.doubles()
            func score(_ sample: Int, _ c: Int) -> Double {
                (0..<width).reduce(0) { $0 + f[sample * width + $1] * weight[c * width + $1] }
            }
            var (contrast, triples, means, tasks) = (0.0, 0.0, 0.0, 0.0)
            for sample in labels.indices {
                for negative in labels.indices {
                    for positive in labels.indices where labels[positive] == labels[sample] {
                        contrast += loss(product(sample, positive) - product(sample, negative))
                        triples += 1
                    }
                }
                for other in 0..<classes where other != labels[sample] {
                    means += loss(score(sample, labels[sample]) - score(sample, other))
                    tasks += 1
                }
            }
            let tau = 1 / Double(classes)
            return (means / tasks, (contrast / triples - tau) / (1 - tau))
        }
        for noise in [0, 0.2, 0.5, 1, 3] {
            let found = measure(noise: noise) { $0 }
            XCTAssertLessThanOrEqual(found.means, found.bound + 1e-6, "noise \(noise)")
        }
        // Where all samples of a class are one the bound is reached, and means of other classes break it.
        let exact = measure(noise: 0) { $0 }
        XCTAssertEqual(exact.means, exact.bound, accuracy: 1e-6)
        let wrong = measure(noise: 0.2) { ($0 + 1) % classes }
        XCTAssertGreaterThan(wrong.means, wrong.bound + 0.1)
    }

    /// Fine-tuning mirrors pictures where the run did: those in colour, unless something else is said.
    func testFineTuningMirrorsAsTheRun() throws {
        let context = try Digits.context(perClass: 1, samples: 100)
        let test = try Digits.test()
        func draws(_ flip: Bool?) throws -> [Double] {
            var comparison = FeatureComparison(train: context.data.dataset, test: test, seed: 1) {
                var random = RandomSource(seed: 1)
                return FittedModel(
                    backbone: try Models.make("small-conv", inputShape: context.input.shape, random: &random),
                    head: nil, modelName: "small-conv", method: "none", classNames: context.data.classNames,
                    input: context.input)
            }
            comparison.flip = flip
            return try comparison.measure(.finetune, labelsPerClass: [1], draws: 1).flatMap(\.draws)
        }
        XCTAssertFalse(context.flip)
        XCTAssertNotEqual(try draws(true), try draws(nil))
    }
}
