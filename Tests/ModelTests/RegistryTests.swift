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
            XCTAssertNotEqual(noGradient { copy(x) }.floats(), features.floats(), "\(entry.name): seeds do nothing")
            try copy.load(network.state())
            XCTAssertEqual(noGradient { copy(x) }.floats(), features.floats(), "\(entry.name): state was not restored")
        }
    }
}
