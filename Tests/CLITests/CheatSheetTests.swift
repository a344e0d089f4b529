import Fledge
import Foundation
import XCTest

/// Every expression in the Fledge column of the README's cheat-sheet stands here as code, and runs.
final class CheatSheetTests: XCTestCase {
    private var random = RandomSource(seed: 1)
    private let x = Tensor([1.0, 2, 3, 4], shape: [2, 2])
    private let y = Tensor.ones([2, 2])

    func testTensors() {
        let i = Tensor([0, 1], shape: [2, 1])
        XCTAssertEqual(x.shape, [2, 2])
        XCTAssertEqual(x.dtype, .float32)
        XCTAssertEqual(x.count, 4)
        XCTAssertEqual(Tensor.zeros([2, 3]).count, 6)
        XCTAssertEqual(Tensor.eye(3).sum().item(), 3)
        XCTAssertEqual(Tensor.normal([2, 3], random: &random).shape, [2, 3])
        XCTAssertEqual(x.floats(), [1, 2, 3, 4])
        XCTAssertEqual(x[0].floats(), [1, 2])
        XCTAssertEqual(x[0..., 1].floats(), [2, 4])
        XCTAssertEqual(x[TensorIndex.ellipsis, -1].floats(), [2, 4])
        XCTAssertEqual(x.reshaped([-1]).shape, [4])
        XCTAssertEqual(x.permuted([1, 0]).floats(), x.transposed().floats())
        XCTAssertEqual((x + 1).floats(), [2, 3, 4, 5])
        XCTAssertEqual((x * x).floats(), [1, 4, 9, 16])
        XCTAssertEqual(x.matmul(x).floats(), [7, 10, 15, 22])
        XCTAssertEqual((x .> 2).array(Bool.self), [false, false, true, true])
        XCTAssertEqual(x.sum(axis: 1, keepDims: true).shape, [2, 1])
        XCTAssertEqual(x.mean().item(), 2.5)
        XCTAssertEqual(concatenate([x, x]).shape, [4, 2])
        XCTAssertEqual(stack([x, x]).shape, [2, 2, 2])
        XCTAssertEqual(Tensor.where(x .> 2, x, y).floats(), [1, 1, 3, 4])
        XCTAssertEqual(x.gather(axis: 1, i).floats(), [1, 4])
        XCTAssertEqual(x.indexSelect(axis: 0, [1, 0]).floats(), [3, 4, 1, 2])
        XCTAssertEqual(einsum("ij,jk->ik", x, y).floats(), [3, 3, 7, 7])
        XCTAssertEqual(x.cast(to: .float64).dtype, .float64)
    }

    func testAutograd() throws {
        let f = { (x: Tensor) in x.square() }
        let v = y
        let w = x.requiringGradient()
        let loss = w.square().sum()
        XCTAssertEqual(loss.item(), 30)
        XCTAssertEqual(gradients(of: loss, for: [w], createGraph: true)[0]?.floats(), [2, 4, 6, 8])
        loss.backward()
        XCTAssertEqual(try XCTUnwrap(w.gradient).floats(), [2, 4, 6, 8])
        XCTAssertFalse(w.detached().requiresGradient)
        XCTAssertFalse(x.detached().requiresGradient)
        let model = Sequential(Linear(2, 2, random: &random))
        let y = noGradient { model(x) }
        XCTAssertFalse(y.requiresGradient)
        XCTAssertEqual(jacobianVectorProduct(f, at: x, vector: v).product.floats(), [2, 4, 6, 8])
        do {
            let x = w
            XCTAssertEqual(checkpoint([x]) { f($0[0]) }.floats(), [1, 4, 9, 16])
            let reversed = customGradient([x], forward: { $0[0] }) { gradient, _, _ in [-gradient] }
            XCTAssertEqual(gradients(of: reversed.sum(), for: [w])[0]?.floats(), [-1, -1, -1, -1])
        }
    }

    func testLayers() {
        let rows = Tensor.zeros([5, 8])
        XCTAssertEqual(Linear(8, 4, random: &random)(rows).shape, [5, 4])
        let images = Tensor.zeros([1, 6, 6, 3])
        let maps = Conv2d(3, 16, kernel: 3, padding: 1, random: &random)(images)
        XCTAssertEqual(BatchNorm(16)(maps).shape, [1, 6, 6, 16])
        let words = Tensor.zeros([2, 3, 64])
        XCTAssertEqual(LayerNorm(64)(words).shape, [2, 3, 64])
        XCTAssertEqual(MultiHeadAttention(64, heads: 4, random: &random)(words).shape, [2, 3, 64])
        let states = LSTM(RecurrentSize(8, hidden: 16), random: &random)(Tensor.zeros([2, 3, 8])).output
        XCTAssertEqual(states.shape, [2, 3, 16])
        XCTAssertEqual(Sequential(ReLU(), Flatten())(images).shape, [1, 108])

        let model = Sequential(Linear(8, 4, random: &random), Dropout(0.5), Linear(4, 2, random: &random))
        model.train()
        model.eval()
        model.freeze { $0.hasPrefix("0.") }
        XCTAssertEqual(model.parameters().filter(\.item.isTrainable).map(\.name), ["2.weight", "2.bias"])
        XCTAssertEqual([x.relu(), x.gelu(), x.softmax()].map(\.shape), [[2, 2], [2, 2], [2, 2]])
        let (q, k, v) = (Tensor.zeros([1, 3, 2, 4]), Tensor.zeros([1, 5, 2, 4]), Tensor.ones([1, 5, 2, 4]))
        XCTAssertEqual(scaledDotProductAttention(q, k, v).shape, [1, 3, 2, 4])
    }

    func testLossesAndOptimizers() {
        let (logits, labels) = (Tensor.zeros([2, 3]), Tensor([0, 2]))
        XCTAssertEqual(crossEntropy(logits, labels).item(), log(3), accuracy: 1e-6)
        let (a, b) = (x, y)
        XCTAssertEqual(meanSquaredError(a, b).item(), 3.5)
        XCTAssertGreaterThan(binaryCrossEntropyWithLogits(a, b).item(), 0)
        XCTAssertEqual(cosineSimilarity(a, b).shape, [2])

        let model = Linear(2, 2, random: &random)
        let optimizer = Optimizer(AdamW(), for: model, learningRate: 1e-3, weightDecay: 0.05)
        let average = ExponentialMovingAverage(of: model, decay: 0.999)
        let schedule = Schedule.warmUp(steps: 100, then: .cosine(1e-3, steps: 1000))
        let before = model.weight.value.floats()
        model(x).square().sum().backward()
        XCTAssertGreaterThan(clipGradients(of: model.parameters(), norm: 1), 0)
        optimizer.learningRate = schedule(50)
        optimizer.step()
        average.update()
        optimizer.clearGradients()
        XCTAssertNotEqual(model.weight.value.floats(), before)
        XCTAssertEqual(SGD(momentum: 0.9, nesterov: true).slots, ["momentum"])
    }

    func testDataAndFiles() throws {
        let data = try DataSource.open("digits")
        let loader = Loader(data.train, batchSize: 64, seed: 0, workers: 2)
        XCTAssertEqual(try loader.batch(at: 0).tensor().shape, [64, 8, 8, 1])
        XCTAssertEqual(Augmentation([.horizontalFlip()]).steps.count, 1)
        var random = RandomSource(seed: 7)
        let model = Linear(2, 2, random: &random)
        try inTemporaryFolder {
            XCTAssertThrowsError(try DataSource.open("photos"))
            try Safetensors.save(model.state(), to: "m.safetensors")
            try model.load(Safetensors.load("m.safetensors"))
        }
    }

    /// Runs `body` with a new folder as the working folder.
    private func inTemporaryFolder(_ body: () throws -> Void) throws {
        let files = FileManager.default
        let (before, folder) = (files.currentDirectoryPath, NSTemporaryDirectory() + "fledge-\(UUID().uuidString)")
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        XCTAssertTrue(files.changeCurrentDirectoryPath(folder))
        defer {
            XCTAssertTrue(files.changeCurrentDirectoryPath(before))
            try? files.removeItem(atPath: folder)
        }
        try body()
    }
}
