import FledgeCore
import FledgeData
import FledgeNN
import XCTest

@testable import FledgeModels

/// Published networks, with weights from a safetensors file under PyTorch's names, give PyTorch's features and logits.
final class GoldenModelTests: XCTestCase {
    func testResNet18() throws {
        try check("resnet18") { ResNet(.layers18, stem: .large, classes: 1000, random: &$0) }
    }

    func testResNet50() throws {
        try check("resnet50") { ResNet(.layers50, stem: .large, classes: 1000, random: &$0) }
    }

    func testVisionTransformerTiny() throws {
        try check("vit-tiny") { VisionTransformer(.tiny, image: (224, 224), patch: 16, classes: 1000, random: &$0) }
    }

    private func check(_ name: String, _ make: (inout RandomSource) -> any Backbone) throws {
        let golden = try GoldenModels.read()
        let expected = try XCTUnwrap(golden.network(name))
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("fledge-\(name)-\(UUID().uuidString).safetensors").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Safetensors.save(expected.state(), to: path)

        var random = RandomSource(seed: 1)
        let network = make(&random)
        network.eval()
        try PretrainedWeights.load(path, into: network)
        let x = stack(try golden.inputs.map(input))
        let (features, logits) = noGradient { (network(x), network.logits(x)) }
        checkClose(features, expected.features, "\(name) features")
        checkClose(logits, expected.logits, "\(name) logits")

        // The registry's network has no classifier, and takes the same file without it.
        let backbone = try Models.make(name, inputShape: [224, 224, 3], random: &random)
        backbone.eval()
        try PretrainedWeights.load(path, into: backbone, withClassifier: false)
        XCTAssertEqual(noGradient { backbone(x) }.floats(), features.floats(), name)
    }

    /// A PNG of 224 x 224 pixels as ImageNet networks want it, [224, 224, 3]: pixel / 255, minus mean, divided by
    /// deviation, as in `Golden/models.py`.
    private func input(_ name: String) throws -> Tensor {
        let image = try ImageCodec.decode([UInt8](Data(contentsOf: GoldenModels.fixture(name))), channels: 3)
        let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        let values = image.pixels.enumerated().map { i, pixel in
            Float((Double(pixel) / 255 - mean[i % 3]) / deviation[i % 3])
        }
        return Tensor(values, shape: [image.height, image.width, 3])
    }

    /// Within 1e-4 of the largest expected value, input by input.
    private func checkClose(_ actual: Tensor, _ expected: [[Double]], _ what: String) {
        XCTAssertEqual(actual.shape, [expected.count, expected[0].count], what)
        for (row, expected) in expected.enumerated() {
            let largest = expected.map(abs).max()!
            let difference = zip(actual[row].doubles(), expected).map { abs($0 - $1) }.max()!
            XCTAssertLessThanOrEqual(difference / largest, 1e-4, "\(what) of input \(row)")
        }
    }
}
