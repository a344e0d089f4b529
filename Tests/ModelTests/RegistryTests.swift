import FledgeCore
import FledgeNN
import XCTest

@testable import FledgeModels

final class RegistryTests: XCTestCase {
    /// A shape on which every network is quick.
    private func smallShape(_ entry: ModelEntry) -> [Int] { entry.input == .image ? [16, 16, 3] : [10] }

    private func batch(_ shape: [Int], count: Int = 2) -> Tensor {
        var random = RandomSource(seed: 5)
        return .normal([count] + shape, random: &random)
    }

    /// Every registered network: forward, finite, backward, a gradient for every parameter, and its state in a new one.
    func testEveryNetworkLearnsAndIsRestored() throws {
        for entry in Models.all {
            let shape = smallShape(entry)
            var random = RandomSource(seed: 1)
            let network = try Models.make(entry.name, inputShape: shape, random: &random)
            let classifier = Classifier(network, classes: 3, random: &random)
            let x = batch(shape)
            let loss = crossEntropy(classifier(x), Tensor([0, 2], shape: [2]))
            XCTAssert(loss.item().isFinite, "\(entry.name): loss \(loss.item())")
            loss.backward()
            for parameter in classifier.parameters() {
                guard let gradient = parameter.item.gradient else {
                    // What makes pictures of features, and rows of units, takes no part in the features themselves.
                    if entry.name == "unet", parameter.name.hasPrefix("backbone.decoder") { continue }
                    if entry.name == "unet", parameter.name.hasPrefix("backbone.output") { continue }
                    if entry.name == "belief-net", parameter.name.hasSuffix("visible_bias") { continue }
                    XCTFail("\(entry.name): no gradient for \(parameter.name)")
                    continue
                }
                XCTAssertEqual(gradient.shape, parameter.item.shape, "\(entry.name): \(parameter.name)")
                XCTAssert(gradient.abs().max().item().isFinite, "\(entry.name): gradient of \(parameter.name)")
            }

            network.eval()
            let features = noGradient { network(x) }
            XCTAssertEqual(features.shape, [2, network.featureCount], entry.name)
            XCTAssert(features.abs().max().item().isFinite, entry.name)
            var other = RandomSource(seed: 2)
            let copy = try Models.make(entry.name, inputShape: shape, random: &other)
            copy.eval()
            if network.parameterCount > 0 {
                XCTAssertNotEqual(noGradient { copy(x) }.floats(), features.floats(), "\(entry.name): seeds do nothing")
            }
            try copy.load(network.state())
            XCTAssertEqual(noGradient { copy(x) }.floats(), features.floats(), "\(entry.name): state was not restored")
        }
    }

    /// The counts that the registry states are those of the networks. Of two, known from elsewhere: torchvision's
    /// ResNet-18 has 11,689,512 and timm's vit_tiny_patch16_224 5,717,416 with their classifiers of 1,000 classes.
    func testParameterCounts() throws {
        for entry in Models.all {
            var random = RandomSource(seed: 1)
            let network = try entry.make(inputShape: entry.standardShape, random: &random)
            XCTAssertEqual(entry.parameterCount(), network.parameterCount, entry.name)
            XCTAssertFalse(entry.summary.isEmpty || entry.paper.isEmpty, entry.name)
        }
        XCTAssertEqual(try Models.entry(named: "resnet18").parameterCount(), 11_689_512 - 513 * 1000)
        XCTAssertEqual(try Models.entry(named: "vit-tiny").parameterCount(), 5_717_416 - 193 * 1000)
        XCTAssertEqual(try Models.entry(named: "mlp").parameterCount(inputShape: [65]), 82_944 + 256)
        XCTAssertNil(try Models.entry(named: "resnet18").parameterCount(inputShape: [65]))
    }

    func testSmallConvTakesGreyAndColourFrom8To64Pixels() throws {
        for shape in [[8, 8, 1], [28, 28, 1], [32, 32, 3], [64, 48, 3], [9, 13, 3]] {
            var random = RandomSource(seed: 1)
            let network = try Models.make("small-conv", inputShape: shape, random: &random)
            XCTAssertEqual(network(batch(shape)).shape, [2, 256], "\(shape)")
        }
    }

    /// A plus sign and a width behind a name: one layer more, with the network's own weights below it.
    func testNetworkWithALayerOfItsHead() throws {
        var random = RandomSource(seed: 1)
        let network = try Models.make("small-conv+24", inputShape: [8, 8, 1], random: &random)
        let headed = try XCTUnwrap(network as? HeadedBackbone)
        XCTAssertEqual(headed.featureCount, 24)
        XCTAssertEqual(HeadedBackbone.name("small-conv", width: 24), "small-conv+24")
        headed.eval()
        let x = batch([8, 8, 1])
        let expected = headed.network(x).matmul(headed.linear.weight.value.transposed())
        let features = noGradient { headed(x) }
        for (found, wanted) in zip(features.floats(), (expected / (1 + 1e-5).squareRoot()).relu().floats()) {
            XCTAssertEqual(found, wanted, accuracy: 1e-5)
        }
        let twice = try Models.make("mlp+8+4", inputShape: [5], random: &random)
        XCTAssertEqual(twice(batch([5])).shape, [2, 4])
        for name in ["small-conv+", "small-conv+0", "small-conv+x", "+4", "smal-conv+4"] {
            XCTAssertThrowsError(try Models.make(name, inputShape: [8, 8, 1], random: &random), name) {
                guard case .unknown = $0 as? ModelError else { return XCTFail("\(name): \($0)") }
            }
        }
    }

    func testStemAndPatchFollowTheImage() throws {
        var random = RandomSource(seed: 1)
        for (side, stem) in [(28, ResNet.Stem.small), (64, .small), (96, .large), (224, .large)] {
            let network = try Models.make("resnet18", inputShape: [side, side, 1], random: &random)
            XCTAssertEqual((network as? ResNet)?.stem, stem, "\(side)")
        }
        let patches = [7: 1, 8: 1, 16: 2, 28: 4, 32: 4, 64: 8, 96: 8, 112: 16, 224: 16, 30: 2]
        for (side, patch) in patches { XCTAssertEqual(VisionTransformer.patch(suiting: side, side), patch, "\(side)") }
        // The small transformer takes larger patches where those would be of one pixel.
        for (side, patch) in [8: 2, 16: 2, 28: 4, 32: 4, 64: 8] {
            let network = try Models.make("vit-mini", inputShape: [side, side, 1], random: &random)
            XCTAssertEqual((network as? VisionTransformer)?.patch, patch, "\(side)")
        }
        for side in [1, 6, 37, 225, 1024] { XCTAssertNil(VisionTransformer.patch(suiting: side, side), "\(side)") }
    }

    func testLargeStemTrains() throws {
        var random = RandomSource(seed: 1)
        let network = ResNet(.layers18, stem: .large, classes: 4, random: &random)
        let x = batch([64, 64, 3])
        XCTAssertEqual(
            network.stages(x).map(\.shape), [[2, 16, 16, 64], [2, 8, 8, 128], [2, 4, 4, 256], [2, 2, 2, 512]])
        network.logits(x).square().mean().backward()
        for parameter in network.parameters() { XCTAssertNotNil(parameter.item.gradient, parameter.name) }
    }

    func testMLPWithoutBatchNormHasBiases() {
        var random = RandomSource(seed: 1)
        let network = MLP(12, hidden: [8, 5], batchNorm: false, random: &random)
        XCTAssertEqual(
            network.parameters().map(\.name), ["linear.0.weight", "linear.0.bias", "linear.1.weight", "linear.1.bias"])
        XCTAssertEqual(network(batch([2, 3, 2])).shape, [2, 5])
        XCTAssertNil(network.classifier)
    }

    func testWhatCannotBeMadeSaysWhy() {
        var random = RandomSource(seed: 1)
        func failure(_ name: String, _ shape: [Int]) -> ModelError? {
            do {
                _ = try Models.make(name, inputShape: shape, random: &random)
                return nil
            } catch { return error }
        }
        guard case .unknown("resnet-18", let nearest) = failure("resnet-18", [32, 32, 3]) else {
            return XCTFail("resnet-18 was found")
        }
        XCTAssertEqual(nearest.first, "resnet18")
        XCTAssert("\(failure("transformer", [8])!)".contains("vit-tiny"), "no list of what there is")
        for (name, shape) in [
            ("resnet18", [10]), ("resnet18", [32, 32, 2]), ("vit-tiny", [5, 5, 3]), ("vit-tiny", [37, 37, 3]),
            ("mlp", []), ("mlp", [0]), ("small-conv", [0, 8, 1]), ("small-conv-1d", [8, 8, 1]),
        ] {
            guard case .unsupportedInput(let model, let stated, let reason, let advice) = failure(name, shape) else {
                XCTFail("\(name) took \(shape)")
                continue
            }
            XCTAssertEqual(model, name)
            XCTAssertEqual(stated, shape)
            XCTAssertFalse(reason.isEmpty || advice.isEmpty)
        }
    }
}
