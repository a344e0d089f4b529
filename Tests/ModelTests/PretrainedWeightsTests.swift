import FledgeCore
import FledgeNN
import XCTest

@testable import FledgeModels

final class PretrainedWeightsTests: XCTestCase {
    private var path = ""

    override func setUp() {
        path =
            FileManager.default.temporaryDirectory
            .appendingPathComponent("fledge-weights-\(UUID().uuidString).safetensors").path
    }

    override func tearDown() { try? FileManager.default.removeItem(atPath: path) }

    private func network(classes: Int?, seed: UInt64) -> ResNet {
        var random = RandomSource(seed: seed)
        return ResNet(.layers18, stem: .small, classes: classes, random: &random)
    }

    func testEveryTensorThatDoesNotFitIsNamed() throws {
        var state = network(classes: 10, seed: 1).state()
        state["layer3.1.conv2.weight"] = nil
        state["bn1.bias"] = nil
        state["layer5.weight"] = .zeros([2])
        state["conv1.weight"] = .zeros([64, 3, 7, 7])
        state["fc.bias"] = Tensor([Int](repeating: 0, count: 10))
        try Safetensors.save(state, to: path)
        let target = network(classes: 10, seed: 2)
        let before = target.bn1.weight!.value.floats() + target.fc!.weight.value.floats()
        XCTAssertThrowsError(try PretrainedWeights.load(path, into: target)) { error in
            guard case .weights(let file, let mismatch) = error as? ModelError else { return XCTFail("\(error)") }
            XCTAssertEqual(file, path)
            XCTAssertEqual(mismatch.missing.sorted(), ["bn1.bias", "layer3.1.conv2.weight"])
            XCTAssertEqual(mismatch.unexpected, ["layer5.weight"])
            XCTAssertEqual(mismatch.misshapen.map(\.name).sorted(), ["conv1.weight", "fc.bias"])
            let text = "\(error)"
            for part in [
                path, "missing: bn1.bias", "missing: layer3.1.conv2.weight", "unexpected: layer5.weight",
                "misshapen: conv1.weight should be float32 [64, 3, 3, 3], is float32 [64, 3, 7, 7]",
            ] {
                XCTAssert(text.contains(part), "'\(part)' is not in:\n\(text)")
            }
        }
        XCTAssertEqual(target.bn1.weight!.value.floats() + target.fc!.weight.value.floats(), before)
    }

    func testClassifierIsLeftOutOnRequestOnly() throws {
        let source = network(classes: 10, seed: 1)
        try Safetensors.save(source.state(), to: path)
        // Without one, and with one for other classes, which keeps its values.
        let bare = network(classes: nil, seed: 2)
        XCTAssertThrowsError(try PretrainedWeights.load(path, into: bare))
        try PretrainedWeights.load(path, into: bare, withClassifier: false)
        XCTAssertEqual(bare.conv1.weight.value.floats(), source.conv1.weight.value.floats())
        let other = network(classes: 7, seed: 3)
        let head = other.fc!.weight.value.floats()
        XCTAssertThrowsError(try PretrainedWeights.load(path, into: other))
        try PretrainedWeights.load(path, into: other, withClassifier: false)
        XCTAssertEqual(other.fc!.weight.value.floats(), head)
        XCTAssertEqual(other.layer4[1].bn2.runningVar.value.floats(), source.layer4[1].bn2.runningVar.value.floats())
        // Only the classifier may be wrong.
        var state = source.state()
        state["headless.weight"] = .zeros([1])
        try Safetensors.save(state, to: path)
        XCTAssertThrowsError(try PretrainedWeights.load(path, into: bare, withClassifier: false))
    }

    func testCountersAreOptional() throws {
        let source = network(classes: nil, seed: 1)
        source.bn1.numBatchesTracked.value = Tensor([7], shape: [])
        let counters = source.state().keys.filter { $0.hasSuffix("num_batches_tracked") }
        XCTAssertEqual(counters.count, 20)
        try Safetensors.save(source.state().filter { !counters.contains($0.key) }, to: path)
        let target = network(classes: nil, seed: 2)
        target.bn1.numBatchesTracked.value = Tensor([3], shape: [])
        try PretrainedWeights.load(path, into: target)
        XCTAssertEqual(target.bn1.numBatchesTracked.value.ints(), [3])
        XCTAssertEqual(target.conv1.weight.value.floats(), source.conv1.weight.value.floats())
        // And a file may have them where the network has none.
        var random = RandomSource(seed: 4)
        let linear = Linear(3, 2, random: &random)
        try Safetensors.save(
            linear.state().merging(["norm.num_batches_tracked": Tensor([1], shape: [])]) { a, _ in a }, to: path)
        try PretrainedWeights.load(path, into: linear)
    }

    func testFilesThatAreNoWeights() throws {
        let target = network(classes: nil, seed: 1)
        func check() {
            XCTAssertThrowsError(try PretrainedWeights.load(path, into: target)) { error in
                XCTAssert(error is SafetensorsError, "\(error)")
            }
        }
        check()
        try Data("not weights".utf8).write(to: URL(fileURLWithPath: path))
        check()
    }
}
