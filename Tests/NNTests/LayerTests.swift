import FledgeCore
import FledgeNN
import FledgeTesting
import XCTest

final class LayerTests: XCTestCase {
    private var random = RandomSource(seed: 5)

    private func check(_ layer: any Layer, _ shape: [Int], gives expected: [Int], line: UInt = #line) {
        XCTAssertEqual(layer(wave(shape).cast(to: .float32).to(.cpu)).shape, expected, line: line)
        XCTAssertNil(gradientFailure(of: layer, at: [wave(shape)]) { layer($0[0]) }, "\(type(of: layer))", line: line)
    }

    func testLayersHaveShapesAndGradients() {
        check(Linear(4, 3, random: &random), [2, 4], gives: [2, 3])
        check(Linear(4, 3, bias: false, random: &random), [2, 5, 4], gives: [2, 5, 3])
        check(Conv1d(2, 3, kernel: 3, stride: 2, padding: 1, random: &random), [2, 6, 2], gives: [2, 3, 3])
        check(Conv2d(2, 4, kernel: 3, padding: 1, groups: 2, random: &random), [2, 4, 3, 2], gives: [2, 4, 3, 4])
        check(
            Conv2d(
                2, 3, kernel: (3, 1), stride: (2, 1), padding: (0, 1), dilation: (1, 2), bias: false, random: &random),
            [1, 5, 3, 2], gives: [1, 2, 5, 3])
        check(
            ConvTranspose2d(2, 3, kernel: 3, stride: 2, padding: 1, outputPadding: 1, random: &random), [1, 2, 3, 2],
            gives: [1, 4, 6, 3])
        check(BatchNorm(3), [4, 3], gives: [4, 3])
        check(BatchNorm(2), [2, 3, 2, 2], gives: [2, 3, 2, 2])
        check(LayerNorm(4), [2, 3, 4], gives: [2, 3, 4])
        check(GroupNorm(groups: 2, 4), [2, 3, 2, 4], gives: [2, 3, 2, 4])
        check(InstanceNorm(2, affine: true), [2, 3, 2, 2], gives: [2, 3, 2, 2])
        check(MaxPool(2), [1, 4, 4, 2], gives: [1, 2, 2, 2])
        check(AveragePool(3, stride: 2, padding: 1), [1, 4, 4, 2], gives: [1, 2, 2, 2])
        check(GlobalAveragePool(), [2, 2, 3, 2], gives: [2, 2])
        check(Flatten(), [2, 2, 3], gives: [2, 6])
        check(
            Residual(Linear(3, 2, random: &random), shortcut: Linear(3, 2, bias: false, random: &random)), [2, 3],
            gives: [2, 2])
        check(
            Sequential(Linear(3, 4, random: &random), GELU(), Residual(Linear(4, 4, random: &random))), [2, 3],
            gives: [2, 4])
        for activation in [
            ReLU(), LeakyReLU(slope: 0.1), ELU(), GELU(), GELU(approximate: true), SiLU(), Tanh(), Sigmoid(),
            Softplus(),
            Identity(),
        ] as [any Layer] {
            check(activation, [3, 4], gives: [3, 4])
        }
        for preNorm in [false, true] {
            check(
                TransformerEncoderLayer(
                    4, heads: 2, hidden: 5, dropout: 0, activation: .gelu, preNorm: preNorm, random: &random),
                [2, 3, 4], gives: [2, 3, 4])
        }
    }

    func testAttentionGradients() {
        let attention = MultiHeadAttention(4, heads: 2, random: &random)
        XCTAssertNil(gradientFailure(of: attention, at: [wave([2, 3, 4])]) { attention($0[0], causal: true) })
        XCTAssertNil(
            gradientFailure(of: attention, at: [wave([2, 3, 4]), wave([2, 5, 4], offset: 1)]) {
                attention($0[0], key: $0[1], value: $0[1])
            })
        let x = wave([2, 3, 4])
        XCTAssertEqual(
            largestDifference(attention(x), attention(x, key: x, value: x))!, 0, accuracy: 1e-12,
            "self-attention is attention to oneself")
        let decoder = TransformerDecoderLayer(4, heads: 2, hidden: 5, dropout: 0, random: &random)
        XCTAssertNil(
            gradientFailure(of: decoder, at: [wave([1, 2, 4]), wave([1, 3, 4], offset: 1)]) {
                decoder($0[0], memory: $0[1], causal: true)
            })
    }

    func testRecurrentGradients() {
        let size = RecurrentSize(2, hidden: 3, layers: 2, bidirectional: true)
        let x = wave([2, 3, 2])
        let (h, c) = (wave([4, 2, 3], offset: 1), wave([4, 2, 3], offset: 2))
        let rnn = RNN(size, random: &random)
        XCTAssertNil(
            gradientFailure(of: rnn, at: [x, h]) {
                let (y, last) = rnn($0[0], hidden: $0[1])
                return concatenate([y.reshaped([-1]), last.reshaped([-1])])
            })
        let gru = GRU(size, random: &random)
        XCTAssertNil(
            gradientFailure(of: gru, at: [x, h]) {
                let (y, last) = gru($0[0], hidden: $0[1])
                return concatenate([y.reshaped([-1]), last.reshaped([-1])])
            })
        let lstm = LSTM(size, random: &random)
        XCTAssertNil(
            gradientFailure(of: lstm, at: [x, h, c]) {
                let (y, hidden, cell) = lstm($0[0], state: ($0[1], $0[2]))
                return concatenate([y.reshaped([-1]), hidden.reshaped([-1]), cell.reshaped([-1])])
            })
        let sequence = Tensor.zeros([2, 4, 2])
        let fresh = LSTM(RecurrentSize(2, hidden: 3), random: &random)
        XCTAssertEqual(fresh(sequence).output.shape, [2, 4, 3])
        XCTAssertEqual(fresh(sequence).cell.shape, [1, 2, 3])
    }

    func testBatchNormSecondOrder() {
        let norm = BatchNorm(2)
        XCTAssertNil(gradientFailure(of: norm, at: [wave([4, 2])], secondOrder: true) { norm($0[0]) })
    }

    func testEmbedding() {
        let embedding = Embedding(4, 3, paddingIndex: 1, random: &random)
        let y = embedding(Tensor([0, 1, 3, 3], shape: [2, 2]))
        XCTAssertEqual(y.shape, [2, 2, 3])
        XCTAssertEqual(y[0, 1].floats(), [0, 0, 0])
        y.sum().backward()
        XCTAssertEqual(embedding.weight.gradient!.floats(), [1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 2, 2])
    }

    func testModesOfBatchNorm() {
        let norm = BatchNorm(3)
        let model = Sequential(norm)
        let x = Tensor.normal([16, 3], mean: 5, deviation: 2, random: &random)
        _ = model(x)
        let mean = norm.runningMean.value.floats()
        XCTAssertEqual(norm.numBatchesTracked.value.ints(), [1])
        XCTAssertEqual(mean[0], 0.1 * x.mean(axis: 0).floats()[0], accuracy: 1e-6)
        XCTAssertEqual(
            norm.runningVar.value.floats()[1], 0.9 + 0.1 * x.variance(axis: 0, unbiased: true).floats()[1],
            accuracy: 1e-5)

        norm.updatesStatistics = false
        let y = model(x)
        XCTAssertLessThan(largestDifference(y.mean(axis: 0), .zeros([3]))!, 1e-5, "the batch's own statistics")
        XCTAssertEqual(norm.runningMean.value.floats(), mean)
        XCTAssertEqual(norm.numBatchesTracked.value.ints(), [1])

        model.eval()
        XCTAssertFalse(norm.isTraining)
        let expected = (x - norm.runningMean.value) / (norm.runningVar.value + 1e-5).sqrt()
        XCTAssertLessThan(largestDifference(model(x), expected)!, 1e-5)
        XCTAssertLessThan(largestDifference(norm(x, relu: true), expected.relu())!, 1e-5)
        XCTAssertEqual(norm.runningMean.value.floats(), mean)
    }

    func testDropoutOnlyInTraining() {
        let model = Sequential(Dropout(0.4))
        let x = Tensor.ones([10_000])
        Randomness.current = RandomSource(seed: 2)
        let y = model(x)
        XCTAssertEqual(y.mean().item(), 1, accuracy: 0.05)
        XCTAssertEqual((y .== 0).cast(to: .float32).mean().item(), 0.4, accuracy: 0.02)
        model.eval()
        XCTAssertEqual(model(x).floats(), x.floats())
        model.train()
        XCTAssertNotEqual(model(x).floats(), x.floats())
    }

    func testNamesOnDiskArePyTorchs() {
        func names(_ module: any Module) -> Set<String> { Set(module.state().keys) }
        XCTAssertEqual(
            names(BatchNorm(2)), ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"])
        XCTAssertEqual(
            names(MultiHeadAttention(2, heads: 1, random: &random)),
            ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"])
        XCTAssertEqual(
            names(GRU(RecurrentSize(2, hidden: 3, layers: 2, bidirectional: true, bias: false), random: &random)),
            [
                "weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse", "weight_ih_l1",
                "weight_hh_l1", "weight_ih_l1_reverse", "weight_hh_l1_reverse",
            ])
    }

    func testEveryParameterMadeIsFound() {
        let made: [() -> any Module] = [
            { Conv2d(2, 2, kernel: 1, random: &self.random) },
            { LSTM(RecurrentSize(2, hidden: 2), random: &self.random) },
            { TransformerDecoderLayer(2, heads: 1, hidden: 2, random: &self.random) },
            { Sequential(Residual(BatchNorm(2)), GroupNorm(groups: 1, 2)) },
        ]
        for make in made {
            let before = Parameter.liveCount
            let module = make()
            XCTAssertEqual(module.parameters().count, Parameter.liveCount - before, "\(type(of: module))")
        }
    }
}
