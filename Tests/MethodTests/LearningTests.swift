import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTesting
import FledgeTrain
import XCTest

@testable import FledgeMethods

/// Methods learn on real pictures, and do not where the idea in them is taken out.
final class LearningTests: XCTestCase {
    func testSupervised() throws {
        var config = Supervised.Config()
        config.training.steps = 200
        let accuracy = try Digits.accuracy(
            Supervised(config).learn(Digits.context(perClass: 10)).model.probabilities(of: Digits.test()))
        XCTAssertGreaterThan(accuracy, 0.85)
    }

    /// Two views of one picture attract: pairs of unrelated pictures must not teach as much.
    func testSimCLRNeedsItsPairs() throws {
        func run(rate: Double = 2e-3, _ make: (SimCLR.Task) -> any TrainingTask) throws -> Double {
            let context = try Digits.context(perClass: 10)
            var config = SimCLR.Config()
            config.batchSize = 128
            config.training.steps = rate > 0 ? 200 : 40
            config.training.learningRate = rate
            _ = try context.train(make(SimCLR.Task(config, context)), config.training, title: "simclr")
            return try Digits.neighbours(context)
        }
        // Without updates, yet with the statistics of batch normalisation, which alone improve features.
        let untrained = try run(rate: 0) { $0 }
        let paired = try run { $0 }
        let unpaired = try run { Unpaired($0) }
        XCTAssertGreaterThan(paired, untrained + 0.05)
        XCTAssertLessThan(unpaired, untrained + 0.05)
    }

    /// Version 2: the head's first layer stays with the network, is trained with it, and comes back with the model.
    func testSimCLRKeepsTheFirstLayerOfItsHead() throws {
        var config = SimCLR.Config()
        (config.batchSize, config.hiddenSize, config.headLayers, config.keepHeadLayer) = (128, 96, 3, true)
        config.training.steps = 150
        let context = try Digits.context(perClass: 10)
        let result = try SimCLR(config).learn(context)
        XCTAssertEqual(result.model.modelName, "small-conv+96")
        let network = try XCTUnwrap(result.model.backbone as? HeadedBackbone)
        XCTAssertTrue(network.network === context.backbone)
        var random = context.random("kept layer")
        let start = HeadedBackbone(context.backbone, width: 96, random: &random).linear.weight.value
        XCTAssertGreaterThan((network.linear.weight.value - start).abs().max().item(), 0.01)

        let folder = try TemporaryFolder()
        try result.model.save(to: folder.path + "/m.safetensors")
        let loaded = try FittedModel.load(from: folder.path + "/m.safetensors")
        let some = try Digits.test().subset(Array(0..<100))
        XCTAssertEqual(try loaded.features(of: some).floats(), try result.model.features(of: some).floats())
        XCTAssertEqual(loaded.backbone.featureCount, 96)

        // Its features are of the kind that labels are few for.
        var headed = context
        (headed.backbone, headed.modelName) = (loaded.backbone, loaded.modelName)
        XCTAssertGreaterThan(try Digits.neighbours(headed), try Digits.untrained() + 0.04)
        // Fine-tuning, and a twin of it, begin with this network.
        var supervised = Supervised.Config()
        supervised.training.steps = 2
        XCTAssertEqual(try Supervised(supervised).learn(headed).model.modelName, "small-conv+96")
        XCTAssertEqual(try headed.makeTwin().featureCount, 96)

        // Otherwise the head is one layer deeper and goes.
        config.keepHeadLayer = false
        XCTAssertEqual(
            SimCLR.Task(config, context).projection.parameters().count { $0.name.hasSuffix("weight") }, 6)
        config.headLayers = 2
        XCTAssertEqual(
            SimCLR.Task(config, context).projection.parameters().count { $0.name.hasSuffix("weight") }, 4)
    }

    /// The second views belong to other pictures than the first.
    private final class Unpaired: TrainingTask {
        let task: SimCLR.Task
        var feeds: [Feed] { task.feeds }
        init(_ task: SimCLR.Task) { self.task = task }

        func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            let other = batch.views[1].rolled(by: 1, axis: 0)
            let views = [batch.views[0], other]
            return try task.step(
                ["pictures": TrainingBatch(views: views, labels: batch.labels, indices: batch.indices)], context)
        }
    }

    /// Confident guesses on unlabelled pictures help; without them only the statistics of batch normalisation know of
    /// those pictures.
    func testFixMatchNeedsItsGuesses() throws {
        func run(threshold: Double) throws -> Double {
            let context = try Digits.context(perClass: 2)
            var config = FixMatch.Config()
            config.batchSize = 32
            config.unlabelledRatio = 4
            config.threshold = threshold
            config.training.steps = 300
            return try Digits.accuracy(FixMatch(config).learn(context).model.probabilities(of: Digits.test()))
        }
        var config = Supervised.Config()
        config.training.steps = 300
        let supervised = try Digits.accuracy(
            Supervised(config).learn(Digits.context(perClass: 2)).model.probabilities(of: Digits.test()))
        let fixMatch = try run(threshold: 0.8)
        let masked = try run(threshold: 2)
        XCTAssertGreaterThan(fixMatch, supervised + 0.04)
        XCTAssertGreaterThan(fixMatch, masked + 0.03)
    }

    /// Statistics become those of samples as they are, and a given head is the one that is trained.
    func testStartsFromPlainStatisticsAndGivenHead() throws {
        var context = try Digits.context(perClass: 10, samples: 1000)
        let variance = try XCTUnwrap(context.backbone.buffers().first { $0.name.hasSuffix("running_var") }).item
        XCTAssertEqual((variance.value - 1).abs().max().item(), 0)
        context.backbone.eval()
        try Inference.adaptStatistics(context.backbone, context.data.dataset, input: context.input, seed: 0)
        XCTAssertGreaterThan((variance.value - 1).abs().max().item(), 0.01)
        for module in context.backbone.modules() {
            XCTAssertNotEqual((module.item as? any ModeSwitching)?.isTraining, true, module.name)
        }
        // Nothing of what was there before is left, and every sample counts the same.
        let adapted = variance.value
        variance.value = variance.value * 100
        try Inference.adaptStatistics(context.backbone, context.data.dataset, input: context.input, seed: 0)
        XCTAssertLessThan((variance.value / adapted - 1).abs().max().item(), 1e-5)
        XCTAssertEqual(context.backbone.modules().compactMap { ($0.item as? BatchNorm)?.momentum }.max(), 0.1)

        let labelled = context.data.dataset.subset(context.data.labelled)
        let features = try Inference.features(context.backbone, labelled, input: context.input)
        let probe = LinearProbe(features: features, labels: context.data.labels, classes: 10)
        XCTAssertFalse(context.makeClassifier().head === context.makeClassifier().head)
        context.head = probe.layer
        let head = context.makeClassifier().head
        XCTAssertTrue(head === context.head)
        XCTAssertEqual(head(features).softmax().floats(), probe.probabilities(features))
    }

    /// The labels of neighbours are worth more than a straight boundary between 50 pictures.
    func testLabelSpreading() throws {
        let context = try Digits.context(perClass: 5, model: "raw")
        let spread = try Digits.accuracy(
            LabelSpreading(LabelSpreading.Config()).learn(context).model.probabilities(of: Digits.test()))
        let labelled = context.data.dataset.subset(context.data.labelled)
        let probe = LinearProbe(
            features: try Inference.rawValues(labelled, input: context.input), labels: context.data.labels, classes: 10)
        let linear = try Digits.accuracy(
            probe.probabilities(Inference.rawValues(Digits.test(), input: context.input)))
        XCTAssertGreaterThan(spread, linear + 0.05)
    }

    /// Digits become no digits in a mirror. With its mirror image beside it each stays what it is, as things do. `learn`
    /// compares large parts of digits, and leaves alone what somebody chose.
    func testTellsSignsFromThings() throws {
        let digits = try Digits.data.get().train
        let input = try InputSpec(measuring: digits)
        XCTAssertLessThan(try Recipe.mirrorLikeness(digits, input), 0.25)

        let levels = try Inference.rawValues(digits, input: input).reshaped([digits.count, 8, 8, 1])
        let half = ((levels * Tensor(input.deviation) + Tensor(input.mean)) * 255).rounded().cast(to: .uint8)
        let things = ImageDataset(
            pixels: concatenate([half, half.flipped(axes: [2])], axis: 2).array(UInt8.self), width: 16, height: 8,
            channels: 1, labels: digits.labels, classNames: digits.classNames)
        XCTAssertGreaterThan(try Recipe.mirrorLikeness(things, InputSpec(measuring: things)), 0.9)
        XCTAssertEqual(try Recipe.mirrorLikeness(digits.subset(Array(0..<19)), input), 0, "too few to say")

        func views(_ dataset: any Dataset, _ settings: LearnSettings = .init()) throws -> ViewSettings {
            try XCTUnwrap(Recipe(settings, dataset).pretraining).views
        }
        let standard = ViewSettings()
        XCTAssertEqual(try views(things).cropScale, standard.cropScale)
        XCTAssertEqual(try views(things).rotation, standard.rotation)
        XCTAssertGreaterThan(try views(things).solarize, standard.solarize)
        XCTAssertEqual(try views(digits).solarize, standard.solarize)
        XCTAssertGreaterThan(try views(digits).cropScale, standard.cropScale)
        XCTAssertGreaterThan(try views(digits).rotation, standard.rotation)
        var chosen = LearnSettings()
        chosen.pretraining.views.cropScale = 0.3
        XCTAssertEqual(try views(digits, chosen).cropScale, 0.3)
        chosen.subject = .things
        XCTAssertEqual(try views(digits, chosen).rotation, standard.rotation)
        XCTAssertGreaterThan(try views(digits, chosen).solarize, standard.solarize)
        chosen.subject = .other
        XCTAssertEqual(try views(digits, chosen).cropScale, 0.3)
        XCTAssertEqual(try views(digits, chosen).rotation, standard.rotation)
        XCTAssertEqual(try views(digits, chosen).solarize, standard.solarize)
        XCTAssertTrue(try Recipe(.init(), things).recolour)
        XCTAssertFalse(try Recipe(.init(), digits).recolour)
    }

    /// A length that somebody chose for a stage stays, in steps or in epochs.
    func testChosenLengthsStay() throws {
        let digits = try Digits.data.get().train
        let usual = try Recipe(.init(), digits)
        XCTAssertGreaterThan(usual.supervised.training.steps, 0)
        XCTAssertGreaterThan(usual.learning(fromSpreadLabels: true).config.training.steps, 0)
        var chosen = LearnSettings()
        chosen.supervised.training.epochs = 3
        chosen.pretraining.training.epochs = 4
        chosen.learning.training.epochs = 5
        let recipe = try Recipe(chosen, digits)
        let learning = recipe.learning(fromSpreadLabels: true).config.training
        XCTAssertEqual(
            [recipe.supervised.training.steps, recipe.pretraining?.training.steps, learning.steps], [0, 0, 0])
        XCTAssertEqual(Recipe.length(learning), "5 epochs")
        chosen.minutes = 2
        chosen.learning.training.steps = 70
        XCTAssertEqual(try Recipe(chosen, digits).learning(fromSpreadLabels: true).config.training.steps, 70)
        XCTAssertEqual(try Recipe(chosen, digits).supervised.training.minutes, 0.2, accuracy: 1e-9)
    }

    /// Class shares from the answers of a classifier that was trained on others, and answers made to have them: numbers
    /// computed in NumPy from the papers' equations.
    func testClassShares() {
        let answers = Table(6, 3) { 2 * sin(1 + 3 * $0 + 7 * $1) }.exact.softmax().floats()
        let found = ClassShares.estimate(answers, trainedOn: [0.5, 0.3, 0.2], iterations: 5)
        for (a, b) in zip(found, [0.0891589, 0.2316484, 0.6791927]) { XCTAssertEqual(a, b, accuracy: 1e-6) }
        let imposed = ClassShares.imposed([0.2, 0.5, 0.3], on: answers)
        for (a, b) in zip(imposed, [0.1630782, 0.6273630, 0.2095588] as [Float]) {
            XCTAssertEqual(a, b, accuracy: 1e-6)
        }
        // Of a class that the classifier was not shown its answers mean nothing; the others are as without it.
        let two: [Float] = [0.8, 0.2, 0.3, 0.7, 0.6, 0.4]
        let three: [Float] = [0.8, 0.2, 0, 0.3, 0.7, 0, 0.6, 0.4, 0]
        let unseen = ClassShares.estimate(three, trainedOn: [0.5, 0.5, 0])
        XCTAssertEqual(unseen, ClassShares.estimate(two, trainedOn: [0.5, 0.5]) + [0])
        // A class that nobody is of stays without.
        XCTAssertEqual(ClassShares.imposed([0.5, 0.5], on: [1, 0, 1, 0]), [1, 0, 1, 0])
        XCTAssertEqual(ClassShares.distance([0.5, 0.5, 0], [0.25, 0.5, 0.25]), 0.25)
    }

    /// Where one class is frequent and the labels are even, the shares are seen to be others, and guesses follow them.
    func testUnevenClasses() throws {
        let even = try Digits.context(perClass: 5, samples: 1000)
        let digits = even.data.dataset
        // All zeros and ones, and one in five of the others.
        let rows = digits.labels.indices.filter { digits.labels[$0]! < 2 || $0 % 5 == 0 }
        var uneven = even
        let dataset = digits.subset(rows)
        uneven.data = TrainingData(
            dataset: dataset, labelled: try dataset.labelledSplit(perClass: 5, seed: 0).labelled, input: even.input)
        var config = Supervised.Config()
        (config.batchSize, config.training.steps) = (32, 150)
        let model = try Supervised(config).learn(uneven).model
        func shares(_ data: TrainingData) throws -> [Double]? {
            try Recipe.classShares(data, by: model, random: RandomSource(seed: 1))?.values
        }
        XCTAssertNil(try shares(even.data))
        let found = try XCTUnwrap(try shares(uneven.data))
        let truth = (0..<10).map { c in Double(dataset.labels.count { $0 == c }) / Double(dataset.count) }
        XCTAssertLessThan(ClassShares.distance(found, truth), 0.1)

        func accuracy(_ shares: [Double]?) throws -> Double {
            var context = try Digits.context(perClass: 5, samples: 1000)
            context.data = uneven.data
            context.classShares = shares
            var config = FixMatch.Config()
            (config.batchSize, config.threshold, config.training.steps) = (32, 0.8, 200)
            let model = try FixMatch(config).learn(context).model
            let predicted = Metrics.predictions(scores: try model.probabilities(of: dataset), classes: 10)
            return Metrics.accuracy(predicted: predicted, labels: dataset.labels.map { $0! })
        }
        let (known, unknown) = (try accuracy(found), try accuracy(nil))
        XCTAssertGreaterThan(known, unknown + 0.02)
    }

    /// A result is doubted where a simple way did as well, or where few samples decide.
    func testDoubts() {
        func doubts(right: Int, supervised: Int, pixels: Int, of count: Int) -> String {
            func answers(_ right: Int) -> [Int] { (0..<count).map { $0 < right ? 1 : 0 } }
            let baselines = ["supervised": answers(supervised), "raw_pixels_linear": answers(pixels)]
            return Learn.doubts(answers(right), beside: baselines, labels: answers(count)).joined()
        }
        XCTAssertEqual(doubts(right: 900, supervised: 850, pixels: 700, of: 1000), "")
        XCTAssertTrue(doubts(right: 9, supervised: 7, pixels: 5, of: 10).contains("of 2 test samples that only one"))
        XCTAssertTrue(doubts(right: 9, supervised: 7, pixels: 5, of: 10).contains("the labels alone may be luck"))
        XCTAssertTrue(doubts(right: 90, supervised: 70, pixels: 90, of: 100).contains("raw values did as well"))
    }

    /// Thin shares become as sure as they are said to be right, and stay what they were.
    func testSharpenedShares() {
        let shares: [Float] = [0.5, 0.3, 0.2, 0.2, 0.2, 0.6, 0.35, 0.33, 0.32]
        for confidence in [0.4, 0.6, 0.9] {
            let sure = SpreadLabels.sharpened(shares, classes: 3, confidence: confidence)
            let rows = (0..<3).map { Array(sure[$0 * 3..<$0 * 3 + 3]) }
            for row in rows { XCTAssertEqual(row.reduce(0, +), 1, accuracy: 1e-5) }
            XCTAssertEqual(Double(rows.map { $0.max()! }.reduce(0, +)) / 3, confidence, accuracy: 1e-3)
            XCTAssertEqual(
                Metrics.predictions(scores: sure, classes: 3), Metrics.predictions(scores: shares, classes: 3))
        }
        // Shares of nothing stay nothing.
        let certain = SpreadLabels.sharpened([1, 0, 0.6, 0.4], classes: 2, confidence: 0.9)
        XCTAssertEqual(certain[..<2], [1, 0])
        XCTAssertEqual(certain[2], 0.8, accuracy: 1e-3)
    }

    /// Fine-tuning moves what it may: nothing below a frozen backbone, little against a strong pull.
    func testFineTuning() throws {
        func distance(_ change: (inout Supervised.Config) -> Void) throws -> Double {
            let context = try Digits.context(perClass: 5, samples: 500)
            let start = context.backbone.parameters().map { $0.item.value.detached() }
            var config = Supervised.Config()
            config.training.steps = 30
            config.training.averaging = 0
            config.training.weightDecay = 0
            change(&config)
            _ = try Supervised(config).learn(context)
            return zip(start, context.backbone.parameters())
                .reduce(0) { $0 + ($1.0 - $1.1.item.value.detached()).square().sum().item() }
        }
        let free = try distance { _ in }
        XCTAssertGreaterThan(free, 0.1)
        XCTAssertEqual(try distance { $0.freezeBackbone = true }, 0)
        XCTAssertEqual(try distance { $0.backboneRate = 0 }, 0)
        XCTAssertLessThan(try distance { $0.l2sp = 10 }, free / 2)
        XCTAssertLessThan(try distance { $0.layerDecay = 0.1 }, free)
    }
}
