import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation
import XCTest

@testable import FledgeMethods

/// Methods that ask a made-up question whose answer is known.
final class PretextTests: XCTestCase {
    /// Trains a task on scenes, 20 of each class labelled for the vote of neighbours.
    private func learn(
        _ settings: TrainingSettings, size: Int, linear: Bool = false,
        _ make: (LearningContext) throws -> any PretrainingTask
    ) throws -> Trained {
        let context = try Scenes.context(perClass: 20, size: size)
        return try context.pretrain(make(context), settings) {
            try linear ? Scenes.linear(context) : Scenes.neighbours(context)
        }
    }

    private func assertNothingLearned(_ trained: Trained, _ line: UInt = #line) {
        XCTAssertTrue(
            trained.warnings.contains { $0.hasPrefix("nothing was learned") }, "\(trained.warnings)", line: line)
    }

    // MARK: Rotation

    func testRotationsAreExact() {
        var random = RandomSource(seed: 1)
        let x = Tensor.normal([2, 5, 5, 3], random: &random)
        let (turned, quarters) = fourRotations(x)
        XCTAssertEqual(quarters.doubles(), [0, 0, 1, 1, 2, 2, 3, 3])
        XCTAssertEqual(turned[0..<2].floats(), x.floats())
        // A quarter turn more leads from each to the next, and after four back to the first, to the bit.
        for quarter in 0..<4 {
            let next = (quarter + 1) % 4
            XCTAssertEqual(
                turned[2 * quarter..<2 * quarter + 2].rotated90().floats(), turned[2 * next..<2 * next + 2].floats())
        }
        // The upper left corner comes from the upper right one.
        XCTAssertEqual(turned[2, 0, 0].floats(), x[0, 0, 4].floats())
    }

    /// Telling which way is up makes better features. Where pictures come turned already, nothing can be told, as when
    /// the answers are shuffled, and the run says so.
    func testRotation() throws {
        func run(turned: Bool) throws -> Trained {
            var config = Rotation.Config()
            config.batchSize = 32
            config.training.steps = 60
            return try learn(config.training, size: 16) { context in
                let task = Rotation.Task(config, context)
                return turned ? AlreadyTurned(task) as any PretrainingTask : task
            }
        }
        let untrained = try Scenes.untrained(size: 16)
        let whole = try run(turned: false), broken = try run(turned: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.1)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(broken.accuracy, whole.accuracy - 0.1)
        assertNothingLearned(broken)
    }

    /// Turns every picture by a random number of quarters before the task sees it.
    private final class AlreadyTurned: PretrainingTask {
        let task: Rotation.Task
        var feeds: [Feed] { task.feeds }
        var backbone: any Backbone { task.backbone }
        var ruler: LossRuler? { task.ruler }
        init(_ task: Rotation.Task) { self.task = task }

        func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            var random = context.random.stream("turn")
            let x = batch.views[0]
            let all = stack((0..<4).map { x.rotated90($0) }, axis: 1)
            let turned = concatenate(
                (0..<x.shape[0]).map { all[$0..<$0 + 1, random.integer(below: 4)] })
            return try task.step(
                ["pictures": TrainingBatch(views: [turned], labels: batch.labels, indices: batch.indices)], context)
        }
    }

    // MARK: Pieces

    func testTiles() {
        // Every pixel says where it is.
        let x = Tensor((0..<2 * 81).map { Float($0) }, shape: [2, 9, 9, 1])
        let piece = crops(x, size: 2, corners: [(0, 7), (3, 1)])
        XCTAssertEqual(piece.floats(), [7, 8, 16, 17, 109, 110, 118, 119])

        var random = RandomSource(seed: 1)
        let cases: [(Int, Double, Int, Int)] = [(32, 0.8, 10, 8), (24, 0.8, 8, 6), (8, 0.8, 2, 2), (9, 1, 3, 3)]
        for (side, share, cell, size) in cases {
            let grid = TileGrid(side: side, share: share)
            XCTAssertEqual([grid.cell, grid.size], [cell, size])
            let pictures = Tensor((0..<4 * side * side).map { Float($0) }, shape: [4, side, side, 1])
            var offsets: Set<[Int]> = []
            for (place, tile) in grid.tiles(pictures, random: &random).enumerated() {
                XCTAssertEqual(tile.shape, [4, size, size, 1])
                for picture in 0..<4 {
                    let first = Int(tile[picture, 0, 0, 0].item()) - picture * side * side
                    let (row, column) = (first / side, first % side)
                    let offset: [Int] = [row - place / 3 * cell, column - place % 3 * cell]
                    XCTAssertTrue(offset.allSatisfy { (0...cell - size).contains($0) }, "\(offset)")
                    offsets.insert(offset)
                }
            }
            XCTAssertEqual(offsets.count > 1, cell > size, "pieces move within their cells")
        }
    }

    func testTooSmallPicturesAreRefused() throws {
        var context = try Scenes.context(perClass: 2, count: 20, size: 5)
        for name in ["jigsaw", "relative-patch"] {
            XCTAssertThrowsError(try Methods.entry(named: name).make(nil, []).method.learn(context)) {
                XCTAssertEqual($0 as? MethodError, .picturesTooSmall(name, side: 5, least: 6))
            }
        }
        context = try Digits.context(perClass: 2, samples: 100)
        XCTAssertThrowsError(try Methods.entry(named: "colorization").make(nil, []).method.learn(context)) {
            XCTAssertEqual($0 as? MethodError, .needsColour("colorization"))
        }
    }

    /// Networks that take no other size see pieces scaled up.
    func testPiecesForNetworksOfOneSize() throws {
        for model in ["mlp", "vit-mini"] {
            for name in ["relative-patch", "jigsaw", "counting"] {
                let context = try Digits.context(perClass: 2, samples: 100, model: model)
                let method = try Methods.entry(named: name).make(nil, ["batchSize=8", "training.steps=2"]).method
                XCTAssertEqual(try method.learn(context).steps, 2, "\(name) on \(model)")
            }
        }
    }

    /// All different, far from each other, and each the farthest from those before it.
    func testPermutationsAreDistant() {
        var random = RandomSource(seed: 1)
        let chosen = distantPermutations(24, random: &random)
        XCTAssertEqual(Set(chosen).count, 24)
        XCTAssertTrue(chosen.allSatisfy { $0.sorted() == Array(0..<9) })
        func distance(_ a: [Int], _ b: [Int]) -> Int { zip(a, b).filter { $0 != $1 }.count }
        // Nine can be so chosen that no two agree anywhere.
        for a in 0..<9 { for b in 0..<a { XCTAssertEqual(distance(chosen[a], chosen[b]), 9) } }
        var sum = 0
        for a in 0..<24 { for b in 0..<a { sum += distance(chosen[a], chosen[b]) } }
        // Two permutations by chance differ in 8 places.
        XCTAssertGreaterThan(Double(sum) / 276, 8.3)
        random = RandomSource(seed: 2)
        XCTAssertNotEqual(distantPermutations(3, random: &random), Array(chosen.prefix(3)))
    }

    /// Features get better, and where the answers have nothing to do with the places nothing is learned, and said so.
    func testRelativePatch() throws {
        func run(mismatched: Bool) throws -> Trained {
            var config = RelativePatch.Config()
            config.training.steps = 240
            return try learn(config.training, size: 24) {
                try RelativePatch.Task(config, $0, mismatched: mismatched)
            }
        }
        let untrained = try Scenes.untrained(size: 24), whole = try run(mismatched: false)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.02)
        XCTAssertEqual(whole.warnings, [])
        let broken = try run(mismatched: true)
        XCTAssertLessThan(broken.accuracy, whole.accuracy - 0.04)
        XCTAssertTrue(broken.warnings.contains { $0.hasPrefix("nothing was learned") }, "\(broken.warnings)")
    }

    func testJigsaw() throws {
        func run(mismatched: Bool) throws -> Trained {
            var config = Jigsaw.Config()
            config.permutations = 10
            config.training.steps = 240
            return try learn(config.training, size: 24) { try Jigsaw.Task(config, $0, mismatched: mismatched) }
        }
        let untrained = try Scenes.untrained(size: 24), whole = try run(mismatched: false)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.02)
        XCTAssertEqual(whole.warnings, [])
        let broken = try run(mismatched: true)
        XCTAssertLessThan(broken.accuracy, whole.accuracy - 0.04)
        XCTAssertTrue(broken.warnings.contains { $0.hasPrefix("nothing was learned") }, "\(broken.warnings)")
    }

    // MARK: Counting

    func testCountingLoss() {
        // With this margin one picture's counts are too near to those of the next.
        checkLoss([.za, .zb], value: 0.876288, gradients: [(3.329589, -0.305019), (3.383639, 0.065819)]) {
            countingLoss($0[0], $0[1], margin: 5)
        }
        // Who counts nothing, or the same everywhere, pays the margin.
        XCTAssertEqual(countingLoss(.zeros([4, 3]), .zeros([4, 3]), margin: 5).item(), 5)
    }

    /// A whole has as much of everything as its quarters; where they are another picture's, nothing can be counted.
    func testCounting() throws {
        func run(_ steps: Int, mismatched: Bool) throws -> Trained {
            var config = Counting.Config()
            config.batchSize = 32
            config.training.steps = steps
            return try learn(config.training, size: 16, linear: true) {
                try Counting.Task(config, $0, mismatched: mismatched)
            }
        }
        let untrained = try Scenes.untrained(size: 16, linear: true)
        let whole = try run(500, mismatched: false), broken = try run(150, mismatched: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.03)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(broken.accuracy, whole.accuracy - 0.03)
        assertNothingLearned(broken)
    }

    // MARK: Exemplars

    /// Copies are told apart by what they show; where every copy gets the number of another sample, by nothing.
    func testExemplar() throws {
        func run(shuffled: Bool) throws -> Trained {
            var config = Exemplar.Config()
            config.training.steps = 150
            return try Digits.pretrain(config.training) { context in
                let task = Exemplar.Task(config, context)
                return shuffled ? Shuffled(task) as any PretrainingTask : task
            }
        }
        let untrained = try Digits.untrained()
        let whole = try run(shuffled: false), broken = try run(shuffled: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.04)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(broken.accuracy, whole.accuracy - 0.04)
        assertNothingLearned(broken)
    }

    /// Gives every copy the number of a random sample.
    private final class Shuffled: PretrainingTask {
        let task: Exemplar.Task
        var feeds: [Feed] { task.feeds }
        var backbone: any Backbone { task.backbone }
        var ruler: LossRuler? { task.ruler }
        init(_ task: Exemplar.Task) { self.task = task }

        func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["copies"]!
            var random = context.random.stream("shuffle")
            let own = task.feeds[0].samples!
            let indices = batch.indices.map { _ in own[random.integer(below: own.count)] }
            return try task.step(
                ["copies": TrainingBatch(views: batch.views, labels: batch.labels, indices: indices)], context)
        }
    }

    /// Only as many samples as there are classes are seen, always the same ones.
    func testExemplarSeesItsClassesOnly() throws {
        let context = try Digits.context(perClass: 2, samples: 300)
        var config = Exemplar.Config()
        config.classes = 40
        let task = Exemplar.Task(config, context)
        let samples = try XCTUnwrap(task.feeds[0].samples)
        XCTAssertEqual(Set(samples).count, 40)
        XCTAssertEqual(task.head.weight.shape[0], 40)
        XCTAssertEqual(Exemplar.Task(config, context).feeds[0].samples, samples)
        config.classes = 1000
        XCTAssertEqual(Exemplar.Task(config, context).head.weight.shape[0], 300)
    }

    // MARK: Colours

    /// By hand from the standard: white, black, middle grey and the primaries.
    func testCIELAB() {
        let cases: [([Float], [Float])] = [
            ([1, 1, 1], [100, 0, 0]), ([0, 0, 0], [0, 0, 0]), ([0.5, 0.5, 0.5], [53.389, 0, 0]),
            ([1, 0, 0], [53.241, 80.092, 67.203]), ([0, 1, 0], [87.735, -86.183, 83.179]),
            ([0, 0, 1], [32.297, 79.188, -107.860]), ([0.02, 0.02, 0.02], [1.398, 0, 0]),
        ]
        for (level, wanted) in cases {
            let lab = cielab(Tensor(level, shape: [1, 3])).floats()
            for (a, b) in zip(lab, wanted) { XCTAssertEqual(a, b, accuracy: 0.02, "\(level)") }
        }
        // Greys come back from their lightness.
        let greys = Tensor.linspace(0, 1, count: 21).reshaped([21, 1])
        let back = levels(lightness: cielab(greys.expanded(to: [21, 3]))[0..., 0..<1])
        XCTAssertLessThan((back - greys).abs().max().item(), 1e-3)
        // And colours from all of it.
        let thirds: [[Float]] = (0..<27).map { (i: Int) -> [Float] in [Float(i / 9), Float(i / 3 % 3), Float(i % 3)] }
        let colours = Tensor(Array(thirds.joined()), shape: [27, 3]) * 0.5
        XCTAssertLessThan((levels(lab: cielab(colours)) - colours).abs().max().item(), 1e-3)
    }

    /// By the paper's formula; the loss in float64 by PyTorch.
    func testColorizationValues() {
        let weights = colourWeights([0.5, 0.3, 0.15, 0.05], uniform: 0.5)
        for (a, b) in zip(weights, [0.760259, 1.036717, 1.425486, 1.900648]) { XCTAssertEqual(a, b, accuracy: 1e-6) }
        XCTAssertEqual(colourWeights([0.5, 0.5, 0], uniform: 1), [1, 1, 1])
        XCTAssertEqual(colourWeights([0.8, 0.2, 0], uniform: 0).prefix(2).map { $0 * 8 }, [5, 20])

        let factors = Table([0.5, 0.8, 1, 1.2, 1.5, 2], [6])
        checkLoss([.za], value: 1.933381, gradients: [(0.647359, -0.011645)]) {
            let wanted = (Table.zb.tensor($0[0].device, $0[0].dtype) * 2).softmax()
            return colorizationLoss($0[0], wanted, weights: factors.tensor($0[0].device, $0[0].dtype))
        }

        // A colour of the palette, and one in the middle of two.
        let palette = Tensor([0, 0, 20, 0, 0, 60, 90, 90] as [Float], shape: [4, 2])
        let soft = softColours(
            Tensor([20, 0, 10, 0] as [Float], shape: [2, 2]), palette: palette, neighbours: 2, softness: 5)
        XCTAssertEqual(soft.sum(axis: 1).floats(), [1, 1])
        XCTAssertEqual(soft[0, 1].item(), 1 / (1 + exp(-8)), accuracy: 1e-5)
        XCTAssertEqual(soft[1, 0].item(), 0.5, accuracy: 1e-6)
        XCTAssertEqual(soft[0, 2].item(), 0)
    }

    func testColourClusters() {
        var random = RandomSource(seed: 1)
        let centres: [(Float, Float)] = [(0, 0), (50, 50), (-40, 20)]
        let points = (0..<300).flatMap { i -> [Float] in
            let (a, b) = centres[i % 3]
            return [a + Float(random.normal()), b + Float(random.normal())]
        }
        let found = colourClusters(Tensor(points, shape: [300, 2]), count: 3, random: &random).floats()
        for (a, b) in centres {
            let nearest = (0..<3).map { hypot(found[2 * $0] - a, found[2 * $0 + 1] - b) }.min()!
            XCTAssertLessThan(nearest, 0.5)
        }
        XCTAssertEqual(colourClusters(.ones([9, 2]), count: 4, random: &random).shape, [1, 2])
    }

    /// The colours of a picture follow from what it shows, those of another picture do not.
    func testColorization() throws {
        func run(mismatched: Bool) throws -> Trained {
            var config = Colorization.Config()
            config.batchSize = 32
            config.training.steps = 120
            return try learn(config.training, size: 16, linear: true) {
                try Colorization.Task(config, $0, mismatched: mismatched)
            }
        }
        let untrained = try Scenes.untrained(size: 16, linear: true), whole = try run(mismatched: false)
        let broken = try run(mismatched: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.03)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertGreaterThan(broken.trainer.lastMean("loss")!, whole.trainer.lastMean("loss")! + 0.1)
    }
}

extension Scenes {
    /// The vote of neighbours, or what a linear classifier reaches, by a network that was never trained, with the statistics of the data.
    static func untrained(size: Int, linear: Bool = false) throws -> Double {
        let context = try context(perClass: 20, size: size)
        try Inference.adaptStatistics(context.backbone, context.data.dataset, input: context.input, seed: 0)
        return try linear ? self.linear(context) : neighbours(context)
    }
}
