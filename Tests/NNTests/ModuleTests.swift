import FledgeCore
import FledgeTesting
import XCTest

@testable import FledgeNN

/// Parameters in every kind of place that names can reach.
private class Base: Module {
    let first: Linear
    init(random: inout RandomSource) { first = Linear(2, 3, random: &random) }
}

private final class Zoo: Base {
    let outProj: Linear
    let blocks: [any Layer]
    let heads: [String: Linear]
    let maybe: Linear?
    let nothing: Linear? = nil
    let shared: Linear
    let runningMean = Buffer(.zeros([3]))
    let sizes = [1, 2, 3]
    let label = "zoo"
    let shape = (height: 2, width: 3)
    lazy var late = Parameter(.zeros([1]))

    override init(random: inout RandomSource) {
        outProj = Linear(2, 2, bias: false, random: &random)
        blocks = [Linear(2, 2, random: &random), ReLU(), Sequential(Linear(2, 1, random: &random))]
        heads = ["b": Linear(1, 1, random: &random), "a": Linear(1, 1, random: &random)]
        maybe = Linear(1, 2, random: &random)
        shared = outProj
        super.init(random: &random)
        _ = late
    }
}

final class ModuleTests: XCTestCase {
    func testWalkFindsEverythingOnceInOrder() {
        var random = RandomSource(seed: 1)
        let before = Parameter.liveCount
        let zoo = Zoo(random: &random)
        XCTAssertEqual(
            zoo.parameters().map(\.name),
            [
                "first.weight", "first.bias", "out_proj.weight", "blocks.0.weight", "blocks.0.bias",
                "blocks.2.0.weight", "blocks.2.0.bias", "heads.a.weight", "heads.a.bias", "heads.b.weight",
                "heads.b.bias", "maybe.weight", "maybe.bias", "late",
            ])
        XCTAssertEqual(zoo.buffers().map(\.name), ["running_mean"])
        XCTAssertEqual(zoo.parameters().count, Parameter.liveCount - before)
        XCTAssertEqual(Set(zoo.state().keys), Set(zoo.parameters().map(\.name) + ["running_mean"]))
    }

    func testHiddenParametersAreNoticed() {
        final class Box { var inside: [Any] = [] }
        struct Pair { let layer: Any }
        func hides(_ value: Any) -> Bool {
            var visited: Set<ObjectIdentifier> = []
            return ModuleWalk.holdsState(value, &visited)
        }
        let box = Box()
        box.inside = [box]
        XCTAssertFalse(hides(box), "a cycle ends")
        box.inside = [box, Pair(layer: Optional(ReLU()) as Any)]
        XCTAssertTrue(hides(box))
        XCTAssertTrue(hides([1: Parameter(.zeros([1]))]))
        XCTAssertTrue(hides((1, Buffer(.zeros([1])))))
        XCTAssertFalse(hides((1, "two", [3.0], Tensor.zeros([1]))))
        XCTAssertFalse(hides(Pair(layer: { 1 })))
    }

    func testDataBesideParametersIsNotReadThrough() {
        struct Pictures { let levels: [UInt8] }
        final class Task: Module {
            let layer = Parameter(.zeros([1]))
            let pictures: Any = Pictures(levels: [UInt8](repeating: 1, count: 4 << 20))
            let levels = [UInt8](repeating: 1, count: 4 << 20)
        }
        let task = Task()
        let before = ResidentMemory.now
        ResidentMemory.resetPeak()
        XCTAssertEqual(task.parameters().map(\.name), ["layer"])
        XCTAssertLessThan(ResidentMemory.peak - before, 16 << 20)
    }

    func testDescriptionShowsTreeAndCounts() {
        var random = RandomSource(seed: 1)
        let model = Sequential(Linear(784, 128, random: &random), ReLU(), Linear(128, 10, random: &random))
        model.freeze { $0.hasPrefix("0.") }
        XCTAssertEqual(
            "\(model)",
            """
            Sequential  101,770
              0: Linear (weight [128, 784], bias [128])  100,480
              1: ReLU
              2: Linear (weight [10, 128], bias [10])  1,290
            101,770 parameters, 1,290 trained
            """)
    }

    func testStateRoundTripAndSnapshotSafety() throws {
        var random = RandomSource(seed: 1)
        let model = Linear(3, 2, random: &random)
        let other = Linear(3, 2, random: &random)
        let x = Tensor.normal([4, 3], random: &random)
        let snapshot = model.state()
        let remembered = snapshot["weight"]!.floats()
        try other.load(snapshot)
        XCTAssertEqual(other(x).floats(), model(x).floats())

        let view = model.weight.value.transposed()
        let optimizer = Optimizer(SGD(momentum: 0.9), for: model, learningRate: 0.1)
        var optimizerSnapshot: [String: Tensor] = [:]
        var rememberedMomentum: [Float] = []
        for step in 0..<3 {
            model(x).square().sum().backward()
            optimizer.step()
            optimizer.clearGradients()
            if step == 0 {
                optimizerSnapshot = optimizer.state()
                rememberedMomentum = optimizerSnapshot["weight.momentum"]!.floats()
            }
        }
        XCTAssertNotEqual(model.weight.value.floats(), remembered)
        XCTAssertNotEqual(optimizer.state()["weight.momentum"]!.floats(), rememberedMomentum)
        XCTAssertEqual(snapshot["weight"]!.floats(), remembered)
        XCTAssertEqual(view.transposed().floats(), remembered)
        XCTAssertEqual(other.weight.value.floats(), remembered)
        XCTAssertEqual(optimizerSnapshot["weight.momentum"]!.floats(), rememberedMomentum)
    }

    func testGraphKeepsTheValuesItSaw() {
        var random = RandomSource(seed: 1)
        let model = Linear(3, 1, bias: false, random: &random)
        let x = Tensor.normal([2, 3], random: &random).requiringGradient()
        let before = model.weight.value.floats()
        let y = model(x).sum()
        model.weight.gradient = .ones([1, 3])
        Optimizer(SGD(), for: model, learningRate: 1).step()
        y.backward()
        XCTAssertEqual(Array(x.gradient!.floats().prefix(3)), before, "backward uses the weights of the forward pass")
        XCTAssertNotEqual(model.weight.value.floats(), before)
    }

    /// Rows are written where they stand when nobody else could see it, and in a copy otherwise.
    func testSetRows() {
        for device in Device.allCases {
            let buffer = Buffer(Tensor([0, 0, 1, 1, 2, 2, 3, 3] as [Int], shape: [4, 2]).to(device))
            let memory = buffer.value.memory
            buffer.setRows(at: [3, 0, 3], to: Tensor([4, 5, 6, 7, 8, 9] as [Int], shape: [3, 2]).to(device))
            XCTAssertEqual(buffer.value.ints(), [6, 7, 1, 1, 2, 2, 8, 9])
            XCTAssertEqual(buffer.value.memory, memory)
            let window = buffer.value[1..<3]
            buffer.setRows(at: [1, 2], to: Tensor([10, 11, 12, 13] as [Int], shape: [2, 2]).transposed().to(device))
            XCTAssertEqual(buffer.value.ints(), [6, 7, 10, 12, 11, 13, 8, 9])
            XCTAssertEqual(window.ints(), [1, 1, 2, 2])
        }
        let image = Buffer(.zeros([2, 2, 2]))
        image.setRows(at: [1], to: .ones([1, 2, 2]))
        XCTAssertEqual(image.value.floats(), [0, 0, 0, 0, 1, 1, 1, 1])
    }

    func testLoadNamesEverythingWrongAndChangesNothing() {
        var random = RandomSource(seed: 1)
        let model = Sequential(Linear(2, 2, random: &random), Linear(2, 2, random: &random))
        let before = model.state().mapValues { $0.floats() }
        var state = model.state().mapValues { $0 * 2 }
        state["0.weight"] = .zeros([2, 3])
        state["0.bias"] = Tensor([1, 2])
        state["1.weight"] = nil
        state["1.weights"] = .zeros([1])
        XCTAssertThrowsError(try model.load(state)) { error in
            let mismatch = error as! StateMismatch
            XCTAssertEqual(mismatch.missing, ["1.weight"])
            XCTAssertEqual(mismatch.unexpected, ["1.weights"])
            XCTAssertEqual(mismatch.misshapen.map(\.name), ["0.weight", "0.bias"])
            XCTAssertTrue(
                "\(mismatch)".contains("misshapen 0.weight: should be float32 [2, 2], is float32 [2, 3]"), "\(mismatch)"
            )
        }
        XCTAssertThrowsError(try model.load(state, strict: false), "shapes must fit also when names need not")
        XCTAssertEqual(model.state().mapValues { $0.floats() }, before)

        state = ["0.bias": Tensor([5, 6] as [Float]), "extra": .zeros([1])]
        let rest = try? model.load(state, strict: false)
        XCTAssertEqual(rest?.missing, ["0.weight", "1.weight", "1.bias"])
        XCTAssertEqual(rest?.unexpected, ["extra"])
        XCTAssertEqual(model.state()["0.bias"]!.floats(), [5, 6])
    }

    func testFreezingStopsGradientsAndUpdates() {
        var random = RandomSource(seed: 1)
        let model = Sequential(Linear(2, 2, random: &random), Linear(2, 1, random: &random))
        let optimizer = Optimizer(SGD(), for: model, learningRate: 0.1, weightDecay: 1)
        model.freeze { $0.hasPrefix("0") }
        let before = model.state()
        model(.ones([1, 2])).sum().backward()
        optimizer.step()
        XCTAssertNil(model.parameters()[0].item.gradient)
        XCTAssertEqual(model.state()["0.weight"]!.floats(), before["0.weight"]!.floats())
        XCTAssertNotEqual(model.state()["1.weight"]!.floats(), before["1.weight"]!.floats())
        model.unfreeze()
        model(.ones([1, 2])).sum().backward()
        XCTAssertNotNil(model.parameters()[0].item.gradient)
    }

    func testGradientsAddUpInTheParameterOverNewValues() {
        let parameter = Parameter(Tensor([1, 2] as [Float]))
        (parameter.value * 3).sum().backward()
        parameter.value = Tensor([5, 6] as [Float])
        (parameter.value * 4).sum().backward()
        XCTAssertEqual(parameter.gradient!.floats(), [7, 7])
    }

    func testFastWeightsKeepTheirHistory() {
        var random = RandomSource(seed: 1)
        let model = Linear(2, 1, bias: false, random: &random)
        let start = Tensor([1, 2] as [Float], shape: [1, 2]).requiringGradient()
        let y = model.withParameters(["weight": start * 3]) { model(.ones([1, 2])).sum() }
        y.backward()
        XCTAssertEqual(y.item(), 9)
        XCTAssertEqual(start.gradient!.floats(), [3, 3])
        XCTAssertNil(model.weight.gradient)
        XCTAssertNotEqual(model.weight.value.floats(), [3, 6])
    }

    func testConvertChangesTypeAndDevice() {
        var random = RandomSource(seed: 1)
        let model = Linear(2, 1, random: &random)
        model.convert(to: .float64, device: .reference)
        model(wave([3, 2])).sum().backward()
        XCTAssertEqual(model.weight.gradient!.dtype, .float64)
    }

    func testInitialisers() {
        var random = RandomSource(seed: 3)
        func deviation(_ t: Tensor) -> Double { t.standardDeviation().item() }
        let shape = [64, 32, 3, 3]
        XCTAssertEqual(
            deviation(Init.kaimingNormal(shape, random: &random)), (2.0 / (32 * 9)).squareRoot(), accuracy: 2e-3)
        XCTAssertEqual(
            deviation(Init.kaimingNormal(shape, fan: .output, random: &random)), (2.0 / (64 * 9)).squareRoot(),
            accuracy: 2e-3)
        XCTAssertEqual(
            deviation(Init.kaimingUniform(shape, random: &random)), (2.0 / (32 * 9)).squareRoot(), accuracy: 2e-3)
        XCTAssertEqual(
            deviation(Init.xavierNormal([50, 150], random: &random)), 0.1, accuracy: 3e-3)
        XCTAssertEqual(deviation(Init.xavierUniform([50, 150], random: &random)), 0.1, accuracy: 3e-3)
        let truncated = Init.truncatedNormal([1000], deviation: 1, low: -0.5, high: 1, random: &random)
        XCTAssertGreaterThanOrEqual(truncated.min().item(), -0.5)
        XCTAssertLessThanOrEqual(truncated.max().item(), 1)
        for shape in [[4, 7], [7, 4], [3, 2, 3, 3]] {
            let w = Init.orthogonal(shape, gain: 2, random: &random).reshaped([shape[0], -1])
            let product = shape[0] <= w.shape[1] ? w.matmul(w.transposed()) : w.transposed().matmul(w)
            XCTAssertLessThan(largestDifference(product, .eye(product.shape[0]) * 4)!, 1e-5)
        }
        let linear = Linear(16, 100, random: &random)
        XCTAssertLessThanOrEqual(linear.weight.value.abs().max().item(), 0.25)
        XCTAssertGreaterThan(linear.weight.value.abs().max().item(), 0.24)
    }
}
