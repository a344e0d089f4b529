import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation
import XCTest

@testable import FledgeMethods

/// Methods that rebuild what they see, or what was hidden from them.
final class ReconstructionTests: XCTestCase {
    // MARK: Values

    /// In float64 by PyTorch from the formula; the sum over 8 samples is 13.340404.
    func testDivergenceValue() {
        let logDeviation = Table(8, 6) { i, j in 0.3 * cos(2 + 1.7 * i + 0.9 * j + 0.4 * i * j) }
        checkLoss(
            [.za, logDeviation], value: 13.340404 / 8,
            gradients: [(28.425981 / 8, 0.841471 / 8), (21.132476 / 8, -0.220956 / 8)]
        ) { divergenceFromNormal(mean: $0[0], logDeviation: $0[1]) }
        let zero = Tensor.zeros([3, 2])
        XCTAssertEqual(divergenceFromNormal(mean: zero, logDeviation: zero).item(), 0)
    }

    /// In float64 by PyTorch as in the official code: two pictures of 8 x 8 x 3 in patches of 4.
    func testMaskedPatchValue() {
        let pictures = Table(
            (0..<2 * 8 * 8 * 3).map { (index: Int) -> Double in
                let (n, y, x, c) = (index / 192, index / 24 % 8, index / 3 % 8, index % 3)
                return sin(0.1 * Double(64 * c + 8 * y + x) + Double(n))
            }, [2, 8, 8, 3])
        let values = (0..<8 * 48).map { (index: Int) -> Double in
            let (i, j) = (Double(index / 48), Double(index % 48))
            return cos(0.05 * i * j + 0.2 * j)
        }
        let predicted = Table(values, [2, 4, 48])
        let hidden = Table([1, 0, 1, 1, 0, 1, 1, 1], [2, 4])
        func loss(_ predicted: Tensor, _ normalized: Bool) -> Tensor {
            func like(_ table: Table) -> Tensor { table.tensor(predicted.device, predicted.dtype) }
            return maskedPatchLoss(
                predicted, patches(of: like(pictures), side: 4), mask: like(hidden), normalized: normalized)
        }
        checkLoss([predicted], value: 1.498429, gradients: [(1.956149, 0.021262)]) { loss($0[0], true) }
        checkLoss([predicted], value: 1.028038, gradients: [(1.655681, 0.006944)]) { loss($0[0], false) }

        // Patches that were seen do not count.
        let other = predicted.exact + (1 - hidden.exact).unsqueezed(axis: 2) * 5
        XCTAssertEqual(loss(other, true).item(), loss(predicted.exact, true).item())
        // Who says every patch's mean scores (n - 1) / n.
        let mean = Tensor.zeros([2, 4, 48], dtype: .float64, device: .reference)
        XCTAssertEqual(loss(mean, true).item(), 47.0 / 48, accuracy: 1e-4)
    }

    // MARK: Masks

    func testPatchMask() {
        var random = RandomSource(seed: 1)
        for (patches, ratio, kept) in [(49, 0.75, 12), (16, 0.75, 4), (16, 0.5, 8), (4, 0.95, 1), (2, 0.05, 1)] {
            let masking = PatchMask(batch: 3, patches: patches, ratio: ratio, random: &random)
            XCTAssertEqual(masking.visible.shape, [3, kept])
            XCTAssertEqual(masking.mask.sum(axis: 1).doubles(), [Double](repeating: Double(patches - kept), count: 3))
            // Each token carries its own number: shuffled and put back they are where they were, holes elsewhere.
            let numbers = Tensor((0..<3 * patches).map { Float($0) }, shape: [3, patches, 1])
            let seen = numbers.gather(axis: 1, masking.visible.unsqueezed(axis: 2))
            let restored = masking.restored(seen, hidden: .full([1, 1, 1], -1)).reshaped([3, patches])
            let expected = Tensor.where(masking.mask .> 0.5, .full([3, patches], -1), numbers.reshaped([3, patches]))
            XCTAssertEqual(restored.floats(), expected.floats())
        }
    }

    /// What is hidden cannot be seen: features of the seen patches do not depend on the others.
    func testTransformerSeesOnlyVisiblePatches() throws {
        var random = RandomSource(seed: 2)
        let network = VisionTransformer(.mini, image: (8, 8), patch: 2, channels: 1, random: &random)
        let masking = PatchMask(batch: 2, patches: 16, ratio: 0.75, random: &random)
        let x = Tensor.normal([2, 8, 8, 1], random: &random)
        let hidden = masking.mask.reshaped([2, 4, 1, 4, 1]).expanded(to: [2, 4, 2, 4, 2]).reshaped([2, 8, 8, 1])
        let tokens = network.tokens(x, visible: masking.visible)
        XCTAssertEqual(tokens.shape, [2, 5, 96])
        XCTAssertEqual(network.tokens(x + hidden * 9, visible: masking.visible).floats(), tokens.floats())
        XCTAssertNotEqual(network.tokens(x + (1 - hidden) * 9, visible: masking.visible).floats(), tokens.floats())
        XCTAssertEqual(patches(of: hidden, side: 2).mean(axis: 2).floats(), masking.mask.floats())
    }

    func testCorruption() {
        var random = RandomSource(seed: 3)
        let x = Tensor.ones([50, 6, 6, 3])
        XCTAssertEqual(corrupted(x, noise: 0, mask: 0, random: &random).floats(), x.floats())
        let holes = corrupted(x, noise: 0, mask: 0.3, random: &random)
        XCTAssertEqual(holes.mean().item(), 0.7, accuracy: 0.05)
        XCTAssertEqual(holes.max(axis: 3).floats(), holes.min(axis: 3).floats(), "a pixel is hidden whole")
        let noisy = corrupted(x, noise: 0.5, mask: 0, random: &random)
        XCTAssertEqual((noisy - x).standardDeviation().item(), 0.5, accuracy: 0.02)
    }

    func testDecoderMakesSamplesOfAnyShape() {
        var random = RandomSource(seed: 4)
        for shape in [[8, 8, 1], [28, 28, 1], [33, 17, 3], [5, 5, 3], [1, 1, 1], [7]] {
            let decoder = Decoder(6, sample: shape, width: 4, random: &random)
            XCTAssertEqual(decoder(.ones([2, 6])).shape, [2] + shape)
        }
    }

    func testPatchesArePutTogetherAgain() {
        var random = RandomSource(seed: 5)
        let pictures = Tensor.normal([2, 6, 9, 4], random: &random)
        XCTAssertEqual(
            picture(of: patches(of: pictures, side: 3), side: 3, shape: pictures.shape).floats(), pictures.floats())
    }

    // MARK: Learning

    /// Rebuilding makes better features than the network has by chance; rebuilding other pictures than those that were
    /// seen does not, and is named: the loss stays at what it costs to say the same of all.
    func testAutoencoders() throws {
        let untrained = try Digits.untrained()
        func run(mismatched: Bool = false, _ change: (inout Autoencoder.Config) -> Void = { _ in }) throws -> Trained {
            var config = Autoencoder.Config()
            config.training.steps = 120
            config.training.learningRate = 2e-3
            change(&config)
            return try Digits.pretrain(config.training) { try Autoencoder.Task(config, $0, mismatched: mismatched) }
        }
        for trained in [try run(), try run { ($0.noise, $0.mask) = (0.3, 0.2) }] {
            XCTAssertGreaterThan(trained.accuracy, untrained + 0.02)
            XCTAssertEqual(trained.warnings, [])
        }
        let broken = try run(mismatched: true)
        XCTAssertLessThan(broken.accuracy, untrained + 0.02)
        XCTAssertTrue(broken.warnings.contains { $0.hasPrefix("nothing was learned") }, "\(broken.warnings)")
    }

    func testVAE() throws {
        func run(mismatched: Bool = false, beta: Double = 1, steps: Int) throws -> Trained {
            var config = VAE.Config()
            config.training.steps = steps
            config.beta = beta
            return try Digits.pretrain(config.training) { try VAE.Task(config, $0, mismatched: mismatched) }
        }
        let untrained = try Digits.untrained()
        let whole = try run(steps: 300)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.005)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertGreaterThan(whole.trainer.lastMean("nats")!, 3)
        // Codes that are not worth their price say nothing.
        let dear = try run(beta: 1000, steps: 60)
        XCTAssertTrue(dear.warnings.contains { $0.hasPrefix("posterior collapse") }, "\(dear.warnings)")
        let broken = try run(mismatched: true, steps: 60)
        XCTAssertTrue(broken.warnings.contains { $0.hasPrefix("nothing was learned") }, "\(broken.warnings)")
    }

    /// In float64 by PyTorch; only pixels of the hole count.
    func testReconstructionValues() {
        checkLoss([.za, .zb], value: 0.271224, gradients: [(2.314161, -0.065819), (2.314161, 0.065819)]) {
            reconstructionLoss($0[0], $0[1])
        }
        let weights = Table((0..<24).map { Double($0 % 4) }, [2, 4, 3, 1])
        checkLoss([.za, .zb], value: 0.045704, gradients: [(0.386780, 0), (0.386780, 0)]) {
            let shape = [2, 4, 3, 2]
            return inpaintingLoss(
                $0[0].reshaped(shape), $0[1].reshaped(shape), weights: weights.tensor($0[0].device, $0[0].dtype))
        }
    }

    /// What was in the hole follows from what is around it, and not from an empty picture.
    func testContextEncoder() throws {
        func run(hidesFrame: Bool) throws -> Trained {
            var config = ContextEncoder.Config()
            config.training.steps = hidesFrame ? 100 : 200
            return try Digits.pretrain(config.training) {
                try ContextEncoder.Task(config, $0, hidesFrame: hidesFrame)
            }
        }
        let untrained = try Digits.untrained()
        let whole = try run(hidesFrame: false), broken = try run(hidesFrame: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.01)
        XCTAssertEqual(whole.warnings, [])
        XCTAssertLessThan(broken.accuracy, whole.accuracy - 0.03)
        XCTAssertGreaterThan(broken.trainer.lastMean("loss")!, whole.trainer.lastMean("loss")! + 0.05)
    }

    /// Hidden patches are found from the seen ones, which makes features that were not there, and better ones for
    /// fine-tuning. With the loss on the seen patches the network copies.
    func testMAE() throws {
        func run(visible: Bool) throws -> (Trained, LearningContext) {
            var config = MAE.Config()
            config.cropScale = 1
            config.batchSize = 64
            config.training.steps = 200
            let context = try Digits.context(perClass: 10, model: "vit-mini")
            let task = try MAE.Task(config, context, scoresVisible: visible)
            return (try context.pretrain(task, config.training) { try Digits.linear(context) }, context)
        }
        func tuned(_ context: LearningContext) throws -> Double {
            var config = Supervised.Config()
            config.training.steps = 60
            return try Digits.accuracy(Supervised(config).learn(context).model.probabilities(of: Digits.test()))
        }
        let untrained = try Digits.linear(Digits.context(perClass: 10, model: "vit-mini"))
        let (whole, pretrained) = try run(visible: false)
        let (broken, _) = try run(visible: true)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.03)
        XCTAssertEqual(whole.warnings, [])
        // A network that copies what it sees knows less of what it does not see.
        XCTAssertLessThan(whole.trainer.lastMean("loss")!, 0.49)
        XCTAssertGreaterThan(broken.trainer.lastMean("hidden")!, 0.5)
        let scratch = try tuned(Digits.context(perClass: 10, model: "vit-mini"))
        let finetuned = try tuned(pretrained)
        XCTAssertGreaterThan(finetuned, scratch + 0.02)
    }

    func testMAENeedsATransformerWithPatches() throws {
        let context = try Digits.context(perClass: 2, samples: 100)
        XCTAssertThrowsError(try MAE(MAE.Config()).learn(context)) {
            XCTAssertEqual($0 as? MethodError, .needsNetwork("mae", like: "vit-mini"))
        }
    }
}

/// What a short training left.
struct Trained {
    /// Of a vote of neighbours on new pictures.
    let accuracy: Double
    /// As a run would tell them.
    let warnings: [String]
    let trainer: Trainer
}

extension Digits {
    /// Trains a task on all digits, 10 of each labelled for the vote of neighbours.
    static func pretrain(
        _ settings: TrainingSettings, model: String = "small-conv",
        _ make: (LearningContext) throws -> any PretrainingTask
    ) throws -> Trained {
        let context = try context(perClass: 10, model: model)
        return try context.pretrain(make(context), settings) { try neighbours(context) }
    }

    /// Accuracy of a linear classifier on the features of the labelled samples.
    static func linear(_ context: LearningContext) throws -> Double {
        let labelled = context.data.dataset.subset(context.data.labelled)
        let probe = LinearProbe(
            features: try Inference.features(context.backbone, labelled, input: context.input),
            labels: context.data.labels, classes: 10)
        return try accuracy(
            probe.probabilities(Inference.features(context.backbone, test(), input: context.input)))
    }

    /// The vote of neighbours by a network that was never trained, with the statistics of the data.
    static func untrained(_ model: String = "small-conv", asRows: Bool = false) throws -> Double {
        let context = try context(perClass: 10, model: model, asRows: asRows)
        try Inference.adaptStatistics(context.backbone, context.data.dataset, input: context.input, seed: 0)
        return try neighbours(context)
    }
}

extension LearningContext {
    func pretrain(
        _ task: any PretrainingTask, _ settings: TrainingSettings, accuracy: () throws -> Double
    ) throws -> Trained {
        let trained = try pretrain(task, settings, title: "test")
        return Trained(accuracy: try accuracy(), warnings: trained.warnings, trainer: trained.trainer)
    }
}
