import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation
import XCTest

@testable import FledgeMethods

/// Neighbor2Neighbor and Boltzmann machines.
final class DenoisingTests: XCTestCase {
    // MARK: Neighbor2Neighbor

    /// Huang et al.'s loss of the network f(y) = 0.9 y + 0.05, in float64 by PyTorch: the value, and the gradient of the
    /// 0.9.
    func testNeighbourValue() {
        let picture = Table(
            (0..<48).map { (index: Int) -> Double in
                let (y, x, c) = (index / 12, index / 3 % 4, index % 3)
                return sin(0.5 * Double(y) + 0.9 * Double(x) + Double(c))
            }, [1, 4, 4, 3])
        checkLoss([Table([0.9], [1])], value: 0.383496, gradients: [(0.261578, 0.261578)], differences: false) {
            leaves in
            let factor = leaves[0]
            let y = picture.tensor(factor.device, factor.dtype)
            let zero = Tensor([Int](repeating: 0, count: 4), shape: [1, 2, 2], device: factor.device)
            let pairs = NeighbourPairs(first: zero, second: zero + 1)
            func f(_ x: Tensor) -> Tensor { x * factor + 0.05 }
            let (first, second) = pairs(y)
            // Not detached here: the loss has to do it.
            let (a, b) = pairs(f(y))
            return neighbourLoss(f(first), second, difference: a - b, weight: 1)
        }
        let third = Table(8, 6) { i, j in 0.2 * cos(2 + 1.7 * i + 0.9 * j + 0.4 * i * j) }
        checkLoss([.za, .zb, third], value: 0.156994, gradients: [(1.028560, -0.022223), (1.028560, 0.022223), nil]) {
            neighbourLoss($0[0], $0[1], difference: $0[2], weight: 1.5)
        }
    }

    /// Both pictures come from the same cells, from two pixels that touch, each of the eight pairs as often.
    func testNeighboursTouch() {
        var random = RandomSource(seed: 1)
        let x = Tensor((0..<9 * 7).map { Float($0) }, shape: [1, 9, 7, 1]).expanded(to: [200, 9, 7, 1])
        let pairs = NeighbourPairs(of: x, random: &random)
        let (a, b) = pairs(x)
        XCTAssertEqual(a.shape, [200, 4, 3, 1])
        var counts: [[Int]: Int] = [:]
        for (index, (p, q)) in zip(a.cast(to: .int64).ints(), b.cast(to: .int64).ints()).enumerated() {
            let (row, column) = (index / 3 % 4 * 2, index % 3 * 2)
            let first = [p / 7 - row, p % 7 - column], second = [q / 7 - row, q % 7 - column]
            XCTAssertTrue((first + second).allSatisfy { (0...1).contains($0) })
            XCTAssertEqual(abs(first[0] - second[0]) + abs(first[1] - second[1]), 1)
            counts[first + second, default: 0] += 1
        }
        XCTAssertEqual(counts.count, 8)
        XCTAssertTrue(counts.values.allSatisfy { (240...360).contains($0) }, "\(counts)")
        // On average both are the same picture.
        XCTAssertEqual(a.mean().item(), b.mean().item(), accuracy: 0.3)
    }

    func testPeakSignalToNoise() {
        XCTAssertEqual(peakSignalToNoise(.full([4], 0.6), .full([4], 0.5)), 20, accuracy: 1e-4)
    }

    /// From noisy pictures alone at least 5 dB are won; a network that may see the pixel that it foretells wins nothing.
    func testDenoising() throws {
        let size = 32, noise = 0.1
        let clean = Scenes.pictures(100, size: size, seed: 3, grain: 0)
        var input = try InputSpec(measuring: clean)
        let levels =
            try Inference.rawValues(clean, input: input).reshaped([100, size, size, 3])
            * Tensor(input.deviation) + Tensor(input.mean)
        // Noise that stays the same, as in pictures that were taken once.
        var random = RandomSource(seed: 4)
        let bytes = ((levels + .normal(levels.shape, deviation: noise, random: &random)).clamped(0, 1) * 255)
            .rounded().cast(to: .uint8)
        let noisy = ImageDataset(
            pixels: bytes.array(UInt8.self), width: size, height: size, channels: 3, labels: clean.labels,
            classNames: clean.classNames)
        input = try InputSpec(measuring: noisy)
        func run(copies: Bool) throws -> Double {
            var source = RandomSource(seed: 5)
            let network = try Models.make("unet", inputShape: input.shape, random: &source)
            let context = LearningContext(
                data: TrainingData(dataset: noisy, labelled: [], input: input), backbone: network, modelName: "unet",
                seed: 0)
            var config = Neighbor2Neighbor.Config()
            config.batchSize = 8
            config.training.steps = copies ? 20 : 200
            config.training.learningRate = 2e-3
            _ = try context.train(
                Neighbor2Neighbor.Task(config, context, copies: copies), config.training, title: "denoising")
            let model = FittedModel(
                backbone: network, modelName: "unet", method: "neighbor2neighbor", classNames: [], input: input)
            model.eval()
            return peakSignalToNoise(try model.denoised(noisy), levels)
        }
        let before = peakSignalToNoise(bytes.cast(to: .float32) / 255, levels)
        let whole = try run(copies: false), broken = try run(copies: true)
        XCTAssertEqual(before, 20, accuracy: 1)
        XCTAssertGreaterThan(whole, before + 5)
        XCTAssertLessThan(broken, before + 1)
    }

    func testDenoisingNeedsAUNet() throws {
        let context = try Digits.context(perClass: 2, samples: 50)
        XCTAssertThrowsError(try Neighbor2Neighbor(.init()).learn(context)) {
            XCTAssertEqual($0 as? MethodError, .needsNetwork("neighbor2neighbor", like: "unet"))
        }
        XCTAssertThrowsError(try RBM(.init()).learn(context)) {
            XCTAssertEqual($0 as? MethodError, .needsNetwork("rbm", like: "belief-net"))
        }
    }

    /// A picture of the same size, whatever the size, and at first the picture itself.
    func testUNetKeepsTheSize() {
        var random = RandomSource(seed: 1)
        let network = UNet(channels: 3, random: &random)
        for shape in [[2, 16, 16, 3], [1, 13, 9, 3], [1, 4, 5, 3]] {
            let x = Tensor.normal(shape, random: &random)
            XCTAssertEqual(network.picture(x).floats(), x.floats())
            XCTAssertEqual(network(x).shape, [shape[0], 96])
        }
    }

    // MARK: Boltzmann machines

    private func machine(_ device: Device, _ dtype: DType, weight: Tensor) -> BoltzmannMachine {
        var random = RandomSource(seed: 1)
        let machine = BoltzmannMachine(6, 4, random: &random)
        machine.convert(to: dtype, device: device)
        machine.hiddenBias.value = Table([0, 0.1, 0.2, 0.3], [4]).tensor(device, dtype)
        machine.visibleBias.value = Table((0..<6).map { 0.2 * cos(Double($0)) }, [6]).tensor(device, dtype)
        return machine
    }

    /// In float64 by PyTorch from Hinton's formulas.
    func testFreeEnergyValue() {
        let weight = Table(4, 6) { i, j in 0.3 * sin(0.5 + i + 2 * j) }
        for (normal, value) in [(false, -3.028645), (true, -2.107836)] {
            checkLoss([weight], value: value, gradients: [(6.545348, -0.264314)]) { leaves in
                let machine = self.machine(leaves[0].device, leaves[0].dtype, weight: leaves[0])
                let visible = Table.za.tensor(leaves[0].device, leaves[0].dtype).sigmoid()
                return machine.withParameters(["weight": leaves[0]]) {
                    machine.freeEnergy(visible, normal: normal).mean()
                }
            }
        }
    }

    /// What is learned from is the difference of <v h> between samples and daydreams.
    func testGradientIsThatOfContrastiveDivergence() {
        var random = RandomSource(seed: 2)
        let machine = BoltzmannMachine(5, 3, random: &random)
        let samples = Tensor.uniform([7, 5], random: &random)
        let dream = noGradient { machine.daydream(from: samples, steps: 2, normal: false, random: &random) }
        XCTAssertTrue(dream.floats().allSatisfy { (0...1).contains($0) })
        (machine.freeEnergy(samples, normal: false).mean() - machine.freeEnergy(dream, normal: false).mean()).backward()
        let expected = noGradient {
            (machine.hidden(dream).transposed().matmul(dream) - machine.hidden(samples).transposed().matmul(samples))
                / 7
        }
        let difference = (machine.weight.gradient! - expected).abs().max().item()
        XCTAssertLessThan(difference, 1e-6)
    }

    /// Machines learn from the lowest up, and features get better; held against nothing, they do not.
    func testBoltzmannMachines() throws {
        func run(withoutDaydreams: Bool) throws -> Trained {
            var config = RBM.Config()
            config.training.steps = 2000
            return try Digits.pretrain(config.training, model: "belief-net") {
                try RBM.Task(config, $0, withoutDaydreams: withoutDaydreams)
            }
        }
        let untrained = try Digits.untrained("belief-net"), whole = try run(withoutDaydreams: false)
        XCTAssertGreaterThan(whole.accuracy, untrained + 0.02)
        XCTAssertEqual(whole.warnings, [])
        let layers = whole.trainer.logs["layer"]!.values
        XCTAssertEqual([layers[0], layers[999], layers[1000], layers[1999]], [0, 0, 1, 1])
        let broken = try run(withoutDaydreams: true)
        XCTAssertLessThan(broken.accuracy, untrained - 0.1)
    }
}
