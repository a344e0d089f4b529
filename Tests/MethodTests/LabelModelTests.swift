import Fledge
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods

/// Labels from votes.
final class LabelModelTests: XCTestCase {
    /// Three sources of known accuracy and coverage on two classes of shares 0.6 and 0.4.
    private let balance = [0.6, 0.4]
    private let truth: [Double] = rates(0.8, 0.9) + rates(0.7, 0.5) + rates(0.9, 0.7)

    private static func rates(_ accuracy: Double, _ coverage: Double) -> [Double] {
        let (right, wrong) = (coverage * accuracy, coverage * (1 - accuracy))
        return [right, wrong, wrong, right]
    }

    /// The overlaps of endlessly many samples.
    private var population: MatrixFit {
        var overlaps = [Double](repeating: 0, count: 36)
        for a in 0..<6 {
            for b in 0..<6 where a == b || a / 2 != b / 2 {
                for y in 0..<2 {
                    let other = a == b ? 1 : truth[b * 2 + y]
                    overlaps[a * 6 + b] += balance[y] * truth[a * 2 + y] * other
                }
            }
        }
        return MatrixFit(overlaps: overlaps, classes: 2)
    }

    func testMatrixLoss() {
        let fit = population
        XCTAssertEqual(fit.overlaps[2], 0.162, accuracy: 1e-12)
        XCTAssertEqual(fit.overlaps[0], 0.504, accuracy: 1e-12)
        XCTAssertEqual(fit.loss(truth, balance: balance).value, 0, accuracy: 1e-12)
        let start = fit.start(balance: balance)
        let (value, gradient) = fit.loss(start, balance: balance)
        XCTAssertEqual(value, 0.180042, accuracy: 1e-6)
        for i in start.indices {
            var (above, below) = (start, start)
            above[i] += 1e-6
            below[i] -= 1e-6
            let slope = (fit.loss(above, balance: balance).value - fit.loss(below, balance: balance).value) / 2e-6
            XCTAssertEqual(gradient[i], slope, accuracy: 1e-6)
        }
        for (found, wanted) in zip(fit.minimum(balance: balance), truth) {
            XCTAssertEqual(found, wanted, accuracy: 0.01)
        }
    }

    func testPosterior() {
        let model = LabelModel(balance: balance, mu: truth)
        let none = Votes.abstain
        let votes = Votes(
            [0, 1, none, 1, none, 0, 1, 1, 1, none, none, none], sources: ["a", "b", "c"], classNames: ["x", "y"])
        let found = model.posterior(votes)
        for (sample, wanted) in [0.72, 0.771429, 0.017544, 0.6].enumerated() {
            XCTAssertEqual(found[sample * 2], wanted, accuracy: 1e-6)
            XCTAssertEqual(found[sample * 2] + found[sample * 2 + 1], 1, accuracy: 1e-12)
        }
        XCTAssertEqual(model.accuracies[0], 0.8, accuracy: 1e-12)
        // A source that says nothing changes nothing.
        let wider = LabelModel(balance: balance, mu: truth + [0.3, 0.1, 0.2, 0.4])
        let padded = Votes(
            (0..<4).flatMap { Array(votes[$0]) + [none] }, sources: ["a", "b", "c", "d"], classNames: ["x", "y"])
        for (a, b) in zip(wider.posterior(padded), found) { XCTAssertEqual(a, b, accuracy: 1e-12) }
    }

    // MARK: Ten sources

    /// The generator of the numeric checks: a linear congruence.
    private struct Congruence {
        var x: UInt64
        mutating func next() -> Double {
            x = x &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (Double(x >> 11) + 0.5) * 0x1p-53
        }
    }

    private func tenSources() -> (votes: Votes, labels: [Int]) {
        var random = Congruence(x: 4)
        let labels = (0..<2000).map { _ in random.next() < 0.5 ? 1 : 0 }
        var values = [Int](repeating: Votes.abstain, count: 20_000)
        for source in 0..<10 {
            let accuracy = 0.55 + 0.35 * Double(source) / 9
            for (i, label) in labels.enumerated() {
                let (voting, right) = (random.next(), random.next())
                if voting < 0.6 { values[i * 10 + source] = right < accuracy ? label : 1 - label }
            }
        }
        return (Votes(values, sources: (0..<10).map(String.init), classNames: ["0", "1"]), labels)
    }

    /// Ties count one half.
    private func accuracy(_ shares: [Double], _ labels: [Int]) -> Double {
        let k = shares.count / labels.count
        return labels.indices.reduce(0) { sum, i in
            let row = (0..<k).map { shares[i * k + $0] }
            let best = row.indices.filter { row[$0] >= row.max()! - 1e-7 }
            return sum + (best.contains(labels[i]) ? 1 / Double(best.count) : 0)
        } / Double(labels.count)
    }

    func testTenSources() {
        let (votes, labels) = tenSources()
        let majority = accuracy(votes.shares().map(Double.init), labels)
        XCTAssertEqual(majority, 0.87025, accuracy: 1e-9)
        let even = [0.5, 0.5]
        // Knowing the accuracies.
        let bayes = (0..<10).flatMap { source -> [Double] in
            let a = 0.55 + 0.35 * Double(source) / 9
            return [a, 1 - a, 1 - a, a]
        }
        XCTAssertEqual(accuracy(LabelModel(balance: even, mu: bayes).posterior(votes), labels), 0.9125, accuracy: 1e-9)
        let triplets = LabelModel(votes, by: .triplets, balance: even)
        XCTAssertEqual(accuracy(triplets.posterior(votes), labels), 0.9115, accuracy: 1e-9)
        for fit in LabelModel.Fit.allCases {
            let model = LabelModel(votes, by: fit)
            let found = accuracy(model.posterior(votes), labels)
            XCTAssertGreaterThan(found, majority + 0.03, "\(fit)")
            // Within one point of knowing the accuracies.
            XCTAssertGreaterThan(found, 0.9025, "\(fit)")
        }
        // The order of the accuracies is found as well.
        XCTAssertGreaterThan(triplets.accuracies[9], triplets.accuracies[0] + 0.25)
    }

    /// Broken on purpose: without knowing who contradicts whom, a source that is always wrong would be believed.
    func testContradictingSource() {
        let (votes, labels) = tenSources()
        var values = votes.values
        for i in 0..<2000 where values[i * 10 + 9] != Votes.abstain { values[i * 10 + 9] = 1 - values[i * 10 + 9] }
        let turned = Votes(values, sources: votes.sources, classNames: votes.classNames)
        for fit in [LabelModel.Fit.triplets, .em] {
            let model = LabelModel(turned, by: fit, balance: [0.5, 0.5])
            XCTAssertLessThan(model.accuracies[9], 0.3, "\(fit)")
            XCTAssertGreaterThan(accuracy(model.posterior(turned), labels), 0.9, "\(fit)")
        }
    }

    /// Rules that know one class each, of three unequal ones: error rates differ between classes, which only `em` can say.
    func testSourcesOfOneClass() {
        var random = RandomSource(seed: 2)
        let labels = (0..<3000).map { _ in
            let u = random.uniform()
            return u < 0.6 ? 0 : u < 0.9 ? 1 : 2
        }
        let values = labels.flatMap { label in
            (0..<9).map { source in
                // It calls most samples of its class, and some others.
                let own = source % 3
                let rate = label == own ? 0.7 : 0.05 + 0.3 * Double(source / 3) / 2
                return random.uniform() < rate ? own : Votes.abstain
            }
        }
        let votes = Votes(values, sources: (0..<9).map(String.init), classNames: ["a", "b", "c"])
        let covered = votes.covered
        func score(_ shares: [Double]) -> Double {
            accuracy(covered.flatMap { s in (0..<3).map { shares[s * 3 + $0] } }, covered.map { labels[$0] })
        }
        let majority = score(votes.shares().map(Double.init))
        let em = score(LabelModel(votes, by: .em).posterior(votes))
        XCTAssertGreaterThan(em, majority + 0.02)
    }

    func testFewSources() {
        let two = Votes([0, 0, 1, 0, 1, 1], sources: ["a", "b"], classNames: ["x", "y"])
        let judged = JudgedVotes(two, by: .triplets, balance: nil, known: [])
        XCTAssertTrue(judged.prefersMajority)
        XCTAssertTrue(judged.warnings.contains { $0.contains("fewer than three") })
        let one = Votes([0, 0, 0, 0, 0, 0, 1, 0, 0], sources: ["a", "b", "c"], classNames: ["x", "y"])
        XCTAssertTrue(
            JudgedVotes(one, by: .triplets, balance: [0.99, 0.01], known: []).warnings
                .contains { $0.contains("every sample") })
        // Nobody votes.
        let none = Votes([-1, -1, -1], sources: ["a", "b", "c"], classNames: ["x", "y"])
        for fit in LabelModel.Fit.allCases {
            XCTAssertEqual(LabelModel(none, by: fit).posterior(none), [0.5, 0.5], "\(fit)")
        }
    }

    // MARK: Files and functions

    func testLabellingFunctions() {
        let functions = [
            LabellingFunction<String>("refund") { $0.contains("refund") ? 1 : nil },
            LabellingFunction("thanks") { $0.hasPrefix("thanks") ? 0 : nil },
        ]
        let votes = Votes(
            of: functions, on: ["a refund", "thanks", "thanks for the refund", ""], classNames: ["a", "b"])
        XCTAssertEqual(votes.values, [1, -1, -1, 0, 1, 0, -1, -1])
        XCTAssertEqual(votes.covered, [0, 1, 2])
        XCTAssertEqual(votes.shares(), [0, 1, 1, 0, 0.5, 0.5, 0.5, 0.5])
    }

    func testVotesFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/v.csv"
        let votes = Votes([1, -1, -1, 0, 1, 0], sources: ["a,b", "c"], classNames: ["x", "y \"z\""])
        let ids = ["s0", "s,1", "s2"]
        try AtomicFile.write(votes.csv(ids: ids), to: path)
        XCTAssertEqual(try Votes.read(path, ids: ids, classNames: votes.classNames), votes)
        // Other order of the samples, and one that has no row.
        let other = try Votes.read(path, ids: ["s2", "s9", "s0", "s,1"], classNames: votes.classNames)
        XCTAssertEqual(other.values, [1, 0, -1, -1, 1, -1, -1, 0])
        // By position, with classes that nobody named.
        try AtomicFile.write("a,b\n10,-1\n9,9\n", to: path)
        let plain = try Votes.read(path, ids: ["p", "q"], classNames: [])
        XCTAssertEqual(plain.classNames, ["9", "10"])
        XCTAssertEqual(plain.values, [1, -1, 0, 0])

        for (text, wanted) in [
            ("", "empty"), ("id\nq\n", "no column of votes"), ("a,b\n,-1\n", "2 samples"),
            ("id,a\np,\n", "no source says"), ("id,a\nr,x\n", "do not have"), ("id,a\np,x\np,y\n", "same sample"),
            ("a,b\nx\ny,x\n", "1 cells"), ("a,b\nx,\nx,\n", "one class"),
        ] {
            try AtomicFile.write(text, to: path)
            XCTAssertThrowsError(try Votes.read(path, ids: ["p", "q"], classNames: []), text) {
                XCTAssertTrue("\($0)".contains(wanted), "\(text): \($0)")
            }
        }
        try AtomicFile.write("id,a\np,z\n", to: path)
        XCTAssertThrowsError(try Votes.read(path, ids: ["p", "q"], classNames: ["x", "y"])) {
            XCTAssertTrue("\($0)".contains("'z' (column 'a')"), "\($0)")
        }
    }

    /// The network learns from the votes what none of them says alone, and not from votes that belong to other samples.
    func testDigitsFromVotes() throws {
        let (path, votes) = try Digits.votes()
        func run(_ path: String) throws -> (accuracy: Double, result: LearningResult) {
            var config = WeakLabels.Config()
            config.votes = path
            config.training.steps = 200
            let result = try WeakLabels(config).learn(Digits.context(perClass: 10))
            return (try Digits.accuracy(result.model.probabilities(of: Digits.test())), result)
        }
        let (accuracy, result) = try run(path)
        XCTAssertGreaterThan(accuracy, 0.9)
        XCTAssertGreaterThan(accuracy, try XCTUnwrap(result.metrics["label_model_accuracy"]))
        XCTAssertTrue(result.choices.contains { $0.name == "Source a" && $0.why.contains("known labels") })
        let ids = (0..<votes.count).map(String.init)
        let moved = Votes(
            (0..<votes.count).flatMap { votes[($0 + 1700) % votes.count] }, sources: votes.sources,
            classNames: votes.classNames)
        try AtomicFile.write(moved.csv(ids: ids), to: path + "-moved")
        XCTAssertLessThan(try run(path + "-moved").accuracy, 0.3)
    }

    // MARK: Wrong labels

    /// Counts, thresholds and joint of four samples by hand.
    func testConfidentJoint() {
        let probabilities: [Float] = [0.9, 0.1, 0.2, 0.8, 0.3, 0.7, 0.6, 0.4]
        let found = ConfidentLearning(probabilities: probabilities, labels: [0, 0, 1, 1], classes: 2)
        for (a, b) in zip(found.thresholds, [0.55, 0.55]) { XCTAssertEqual(a, b, accuracy: 1e-6) }
        XCTAssertEqual(found.counts, [1, 1, 1, 1])
        XCTAssertEqual(found.suspects.map(\.sample), [1, 3])
        XCTAssertEqual(found.suspects.map(\.suggested), [1, 0])
        XCTAssertEqual(found.joint, [0.25, 0.25, 0.25, 0.25])
        XCTAssertEqual(found.noise, 0.5, accuracy: 1e-12)
    }

    /// Who judged the only sample of a class has not seen the class: it accuses nobody and is not accused.
    func testClassWithOneLabel() {
        let probabilities: [Float] = [
            0.9, 0.1, 0.0, 0.2, 0.78, 0.02, 0.3, 0.7, 0.0, 0.6, 0.35, 0.05, 0.5, 0.5, 1e-9,
        ]
        let found = ConfidentLearning(probabilities: probabilities, labels: [0, 0, 1, 1, 2], classes: 3)
        XCTAssertEqual(found.suspects.map(\.sample), [1, 3])
        XCTAssertEqual(found.suspects.map(\.suggested), [1, 0])
        XCTAssertEqual(found.joint[8], 0.2, accuracy: 1e-12)
        XCTAssertEqual(found.joint.reduce(0, +), 1, accuracy: 1e-12)
    }

    /// One label in twenty is changed; most are found, and few others.
    func testChangedLabelsAreFound() throws {
        let train = try Digits.context(perClass: 1, samples: 1500).data.dataset
        let input = try InputSpec(measuring: train)
        let truth = train.labels.map { $0! }
        var random = RandomSource(seed: 3)
        var labels = truth
        let changed = Set(random.permutation(truth.count).prefix(75))
        for sample in changed { labels[sample] = (truth[sample] + 1 + random.integer(below: 9)) % 10 }
        let (found, agreement) = ConfidentLearning.find(
            features: try Inference.rawValues(train, input: input), labels: labels, classes: 10)
        let suspects = Set(found.suspects.map(\.sample))
        let hits = suspects.intersection(changed)
        XCTAssertGreaterThan(agreement, 0.8)
        XCTAssertGreaterThan(hits.count, 42)
        XCTAssertLessThan(suspects.count - hits.count, 25)
        XCTAssertEqual(found.noise, 0.05, accuracy: 0.035)
        // The surest are nearly all wrong, and what is suggested is the truth.
        let first = found.suspects.prefix(40)
        XCTAssertGreaterThan(first.count { changed.contains($0.sample) }, 34)
        XCTAssertGreaterThan(first.count { truth[$0.sample] == $0.suggested }, 32)
    }
}
