import Fledge
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods

/// Choosing what to ask.
final class ActiveTests: XCTestCase {
    private static func softmax(_ offset: Double, _ row: Double) -> [Double] {
        Table(3, 4) { 2 * sin(offset + 3 * $0 + 7 * $1) }.exact.softmax().doubles().enumerated()
            .filter { $0.offset / 4 == Int(row) }.map(\.element)
    }

    private let draws = [softmax(1, 0), softmax(2, 0), softmax(1, 1)]

    /// Values in float64 by NumPy.
    func testScores() {
        let mean = (0..<4).map { c in draws.reduce(0) { $0 + $1[c] } / 3 }
        XCTAssertEqual(Acquisition.bald(draws), 0.252501, accuracy: 1e-6)
        XCTAssertEqual(Acquisition.entropy(mean), 1.328587, accuracy: 1e-6)
        XCTAssertEqual(Acquisition.margin(mean), 0.1261, accuracy: 1e-6)
        XCTAssertEqual(Acquisition.leastConfident(mean), 0.618041, accuracy: 1e-6)
        let (entropy, diversity) = Acquisition.aift(draws)
        XCTAssertEqual(entropy, 3.228259, accuracy: 1e-6)
        XCTAssertEqual(diversity, 5.131996, accuracy: 1e-6)
        // A model that is sure of itself, or whose draws agree, has nothing to learn.
        XCTAssertEqual(Acquisition.bald([mean, mean, mean]), 0, accuracy: 1e-12)
        XCTAssertEqual(Acquisition.entropy([0, 1, 0]), 0)
        XCTAssertEqual(Acquisition.margin([1]), 1)
        let majority = Acquisition.majority(draws + [mean], alpha: 0.5)
        XCTAssertEqual(majority.count, 2)
    }

    func testCoreSet() {
        let line = Tensor([0, 1, 4, 9, 10] as [Float], shape: [5, 1])
        XCTAssertEqual(Acquisition.coreSet(line, centres: [0], count: 3), [4, 2, 1])
        XCTAssertEqual(Acquisition.coreSet(line, centres: [0, 4], count: 9), [2, 1, 3])
        // Copies of a centre are still candidates, the centres themselves never.
        let same = Tensor.zeros([3, 2])
        XCTAssertEqual(Acquisition.coreSet(same, centres: [1], count: 5), [0, 2])
    }

    /// The products of factors are those of the gradients written out.
    func testBADGE() {
        var random = RandomSource(seed: 4)
        let p = Tensor.normal([30, 3], random: &random).softmax()
        let features = Tensor.normal([30, 5], random: &random)
        let errors = p - p.argmax().oneHot(classes: 3)
        let embedding = (errors.unsqueezed(axis: 2) * features.unsqueezed(axis: 1)).reshaped([30, 15])
        let lengths = embedding.square().sum(axis: 1).floats()
        var stream = RandomSource(seed: 9)
        let picked = Acquisition.badge(probabilities: p, features: features, count: 10, random: &stream)
        XCTAssertEqual(picked[0], lengths.indices.max { lengths[$0] < lengths[$1] })
        XCTAssertEqual(Set(picked).count, 10)
        // The same picks as with the gradients themselves as features of one error.
        var again = RandomSource(seed: 9)
        let flat = plusPlus(embedding, count: 10, random: &again)
        XCTAssertEqual(picked, flat)
        // All alike: still as many as were wanted.
        var more = RandomSource(seed: 9)
        let alike = Acquisition.badge(
            probabilities: .full([6, 2], 0.5), features: .ones([6, 2]), count: 4, random: &more)
        XCTAssertEqual(Set(alike).count, 4)
    }

    private func plusPlus(_ x: Tensor, count: Int, random: inout RandomSource) -> [Int] {
        let rows = (0..<x.shape[0]).map { x[$0].doubles() }
        func gap(_ i: Int, _ j: Int) -> Double {
            zip(rows[i], rows[j]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        }
        let zero = rows.map { $0.reduce(0) { $0 + $1 * $1 } }
        var picked = [zero.indices.max { zero[$0] < zero[$1] }!]
        while picked.count < count {
            let distance = rows.indices.map { i in picked.contains(i) ? 0 : picked.map { gap(i, $0) }.min()! }
            var left = random.uniform() * distance.reduce(0, +)
            picked.append(
                rows.indices.first {
                    left -= distance[$0]; return left < 0
                }!)
        }
        return picked
    }

    private struct Fixed: QueryOpinion {
        let classes = 2
        let probabilities: [Float] = [0.9, 0.1, 0.6, 0.4, 0.5, 0.5, 1, 0]
        let features = Tensor([0, 1, 2, 9] as [Float], shape: [4, 1])
        func dropoutDraws(random: RandomSource) -> [[Float]] {
            [[0, 1, 0.5, 0.5, 0.5, 0.5, 1, 0], [1, 0, 0.5, 0.5, 0.5, 0.5, 1, 0]]
        }
        func committeeDraws(random: RandomSource) -> [[Float]] {
            [[0.5, 0.5, 1, 0, 0.5, 0.5, 1, 0], [0.5, 0.5, 0, 1, 0.5, 0.5, 1, 0]]
        }
        func halfDraws(random: RandomSource) -> [[Float]] {
            [[0.5, 0.5, 1, 0, 0.5, 0.5, 1, 0], [0.5, 0.5, 1, 0, 0.5, 0.5, 0, 1]]
        }
        func viewDraws(random: RandomSource) -> [[Float]] {
            // Of the first, most views are sure and agree; of the second they waver.
            [[0.9, 0.1, 0.6, 0.4, 1, 0, 1, 0], [0.9, 0.1, 0.4, 0.6, 1, 0, 1, 0]]
        }
    }

    func testChoice() throws {
        func choose(_ strategy: QueryStrategy, _ count: Int = 1, of candidates: [Int] = [0, 1, 2, 3]) throws -> [Int] {
            try strategy.choose(
                count, of: candidates, labelled: [0], Fixed(), random: RandomSource(seed: 1))
        }
        for strategy in [QueryStrategy.leastConfident, .margin, .entropy] {
            XCTAssertEqual(try choose(strategy, 4), [2, 1, 0, 3], strategy.rawValue)
            XCTAssertEqual(try choose(strategy, 9, of: [3, 1]), [1, 3], strategy.rawValue)
        }
        // Uncertain though it is, nothing is to be learned where all draws agree.
        XCTAssertEqual(try choose(.bald), [0])
        XCTAssertEqual(try choose(.committee), [1])
        XCTAssertEqual(try choose(.multiView), [3])
        XCTAssertEqual(try choose(.aift), [1])
        XCTAssertEqual(try choose(.coreSet, 2), [3, 2])
        for strategy in QueryStrategy.allCases {
            let all = try choose(strategy, 3, of: [1, 2, 3])
            XCTAssertEqual(Set(all), [1, 2, 3], strategy.rawValue)
            XCTAssertEqual(try choose(strategy, 3, of: [1, 2, 3]), all, "\(strategy.rawValue) chooses the same again")
            XCTAssertEqual(try choose(strategy, 0), [])
        }
    }

    /// Chances follow the squares of the scores; nothing comes twice, and what has no score comes last.
    func testPowerDraws() {
        var random = RandomSource(seed: 4)
        let draws = (0..<2000).map { _ in Acquisition.powerDraws([1, 0, 2, -1e-17], count: 4, random: &random) }
        for draw in draws {
            XCTAssertEqual(Set(draw), [0, 1, 2, 3])
            XCTAssertEqual(Set(draw.prefix(2)), [0, 2])
        }
        XCTAssertEqual(Double(draws.count { $0[0] == 2 }) / 2000, 0.8, accuracy: 0.03)
        XCTAssertEqual(Acquisition.powerDraws([3], count: 2, random: &random), [0])
    }

    func testCurves() {
        let points = [(0, 10, 0.5), (0, 20, 0.7), (0, 40, 0.9), (1, 10, 0.7), (1, 20, 0.9), (1, 40, 0.9)].map {
            ActiveSimulation.Point(strategy: .margin, seed: $0.0, labels: $0.1, accuracy: $0.2)
        }
        let areas = points.areas(.margin)
        XCTAssertEqual(areas[0], (0.6 * 10 + 0.8 * 20) / 30, accuracy: 1e-12)
        XCTAssertEqual(areas[1], (0.8 * 10 + 0.9 * 20) / 30, accuracy: 1e-12)
        XCTAssertEqual(points.curve(.margin).map(\.labels), [10, 20, 40])
        XCTAssertEqual(points.curve(.margin)[1].accuracy, 0.8, accuracy: 1e-12)
        XCTAssertEqual(points.labelsToReach(0.79, .margin), 20)
        XCTAssertNil(points.labelsToReach(0.95, .margin))
        XCTAssertTrue(points.csv.hasPrefix("strategy,seed,labels,accuracy\nmargin,0,10,0.5\n"))
    }

    /// On the digits, asking where the model wavers beats asking at random, and asking where it is surest is worse.
    func testAskingBeatsRandom() throws {
        let data = try Digits.context(perClass: 1).data
        let (train, test) = (data.dataset, try Digits.test())
        let learner = HeadLearner(
            pool: try Inference.rawValues(train, input: data.input),
            testing: try Inference.rawValues(test, input: data.input), classes: 10)
        let labels = train.labels.map { $0! }
        func areas(_ strategies: [QueryStrategy], _ learner: some QueryLearner) throws -> [Double] {
            let points = try ActiveSimulation(start: 20, step: 20, until: 120, seeds: [0, 1]).run(
                strategies, learner, labels: labels, testLabels: test.labels.map { $0! }, classes: 10)
            return strategies.map { Spread(points.areas($0)).mean }
        }
        let found = try areas([.random, .margin, .badge], learner)
        let surest = try areas([.margin], Reversed(base: learner))
        for (strategy, area) in zip(["margin", "badge"], found.dropFirst()) {
            XCTAssertGreaterThan(area, found[0] + 0.01, strategy)
        }
        XCTAssertLessThan(surest[0], found[0] - 0.02)
    }

    /// Turns every question round: the sample with the largest margin is asked about first.
    private struct Reversed: QueryLearner {
        let base: HeadLearner

        struct Opinion: QueryOpinion {
            let inner: HeadLearner.Opinion
            /// As far from even as the true ones are near to it.
            let probabilities: [Float]
            var classes: Int { inner.classes }
            var features: Tensor { inner.features }

            init(_ inner: HeadLearner.Opinion) {
                self.inner = inner
                probabilities = (0..<inner.features.shape[0]).flatMap { sample -> [Float] in
                    let row = inner.probabilities[(sample * 10)..<((sample + 1) * 10)].map(Double.init)
                    let margin = Float(Acquisition.margin(row))
                    return [1 - margin / 2, margin / 2] + [Float](repeating: 0, count: 8)
                }
            }

            func dropoutDraws(random: RandomSource) -> [[Float]] { [] }
            func committeeDraws(random: RandomSource) -> [[Float]] { [] }
            func halfDraws(random: RandomSource) -> [[Float]] { [] }
            func viewDraws(random: RandomSource) -> [[Float]] { [] }
        }

        func fit(_ labelled: [(sample: Int, label: Int)], random: RandomSource) -> Opinion {
            Opinion(base.fit(labelled, random: random))
        }
        func test(_ opinion: Opinion) -> [Float] { base.test(opinion.inner) }
    }

    /// A random order that the seed decides; what is wanted comes first, what was taken back before that.
    func testQueue() {
        var queue = QuestionQueue(count: 50, seed: 4)
        XCTAssertEqual(queue.order.sorted(), Array(0..<50))
        XCTAssertEqual(queue.order, QuestionQueue(count: 50, seed: 4).order)
        XCTAssertNotEqual(queue.order, QuestionQueue(count: 50, seed: 5).order)
        XCTAssertEqual(queue.next(3) { _ in true }, Array(queue.order.prefix(3)))
        let (first, second, last) = (queue.order[0], queue.order[1], queue.order[49])
        queue.want([last, second])
        XCTAssertEqual(queue.next(3) { _ in true }, [last, second, first])
        XCTAssertEqual(queue.next(2) { $0 != last }, [second, first])
        queue.reopen(second)
        XCTAssertEqual(queue.next(2) { _ in true }, [second, last])
        XCTAssertEqual(queue.next(99) { $0 == 7 }, [7])
        XCTAssertEqual(Set(queue.next(99) { _ in true }), Set(0..<50), "every sample comes once")
        XCTAssertEqual(queue.next(99) { _ in true }.count, 50)
        queue.want([])
        XCTAssertEqual(queue.next(1) { _ in true }, [first])
    }

    /// Labels that follow from the samples are found when they are hidden; labels by lot are not, however well a network
    /// learns them by heart.
    func testAgreementIsAboutHiddenLabels() throws {
        let data = try Digits.context(perClass: 1, samples: 200).data
        let learner = HeadLearner(
            pool: try Inference.rawValues(data.dataset, input: data.input), testing: nil, classes: 10)
        let random = RandomSource(seed: 1)
        let labelled = data.dataset.labels.enumerated().map { (sample: $0, label: $1!) }
        XCTAssertGreaterThan(learner.agreement(labelled, random: random), 0.8)
        var lot = random
        let shuffled = labelled.map { (sample: $0.sample, label: lot.integer(below: 10)) }
        XCTAssertLessThan(learner.agreement(shuffled, random: random), 0.25)
        XCTAssertEqual(learner.test(learner.fit(labelled, random: random)), [])
    }

    /// A network that goes on sees the new samples and those it gets wrong, and keeps what it knew of the others.
    func testGoingOn() throws {
        let context = try Digits.context(perClass: 1, samples: 400)
        let test = try Digits.test()
        let (method, _) = try Methods.entry(named: "supervised").make(nil, ["training.steps=100", "batchSize=32"])
        let learner = MethodLearner(method, context, testing: test)
        let random = RandomSource(seed: 3)
        let labels = context.data.dataset.labels.map { $0! }
        let (first, more) = (Array(stride(from: 0, to: 400, by: 4)), Array(stride(from: 1, to: 400, by: 14)))
        let labelled = (first + more).map { (sample: $0, label: labels[$0]) }
        func accuracy(_ opinion: MethodLearner.Opinion) -> Double {
            Metrics.accuracy(
                predicted: Metrics.predictions(scores: learner.test(opinion), classes: 10),
                labels: test.labels.map { $0! })
        }
        let alone = accuracy(try learner.fit(Array(labelled.suffix(more.count)), random: random))
        let before = try learner.fit(Array(labelled.prefix(100)), random: random)
        // One label is changed: what the network says of that sample is wrong now.
        var changed = labelled
        changed[7].label = (labelled[7].label + 1) % 10
        XCTAssertEqual(before.lessons(changed).map(\.sample), [labelled[7].sample] + more)
        let after = accuracy(try learner.fit(labelled, after: before, random: random))
        XCTAssertGreaterThan(after, accuracy(before) - 0.03)
        XCTAssertGreaterThan(after, alone + 0.1)
    }

    /// Any method learns between the questions; what it was not told it cannot see.
    func testMethodsLearnBetweenQuestions() throws {
        let context = try Digits.context(perClass: 1, samples: 200)
        let train = context.data.dataset
        let test = try Digits.test().subset(Array(stride(from: 0, to: 1797, by: 9)))
        let (method, _) = try Methods.entry(named: "supervised").make(nil, ["training.steps=8", "batchSize=16"])
        let learner = MethodLearner(method, context, testing: test, draws: 3, members: 2, views: 2)
        func run() throws -> [ActiveSimulation.Point] {
            try ActiveSimulation(start: 10, step: 10, until: 20, seeds: [0]).run(
                [.bald, .committee, .badge, .multiView, .aift], learner, labels: train.labels.map { $0! },
                testLabels: test.labels.map { $0! }, classes: 10)
        }
        let points = try run()
        XCTAssertEqual(points.map(\.labels), [10, 20, 10, 20, 10, 20, 10, 20, 10, 20])
        // All begin alike, from the same weights and samples; and all is the same again.
        XCTAssertEqual(Set(points.filter { $0.labels == 10 }.map(\.accuracy)).count, 1)
        XCTAssertEqual(try run(), points)
    }
}
