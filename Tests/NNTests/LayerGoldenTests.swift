import FledgeCore
import FledgeNN
import FledgeTesting
import XCTest

/// Every layer against PyTorch: outputs, gradients of inputs and parameters, buffers after the step.
final class LayerGoldenTests: XCTestCase {
    private struct File: Decodable {
        struct Case: Decodable {
            let outputs, inputs: [GoldenTensor]
            let parameters, buffers: [String: GoldenTensor]
        }
        let cases: [String: Case]
    }

    private var random = RandomSource(seed: 7)
    private lazy var layers: [String: (module: any Module, forward: ([Tensor]) -> [Tensor])] = {
        func layer(_ layer: any Layer) -> (any Module, ([Tensor]) -> [Tensor]) { (layer, { [layer($0[0])] }) }
        let attention = MultiHeadAttention(4, heads: 2, random: &random)
        let decoder = TransformerDecoderLayer(4, heads: 2, hidden: 6, dropout: 0, random: &random)
        let preDecoder = TransformerDecoderLayer(
            4, heads: 2, hidden: 6, dropout: 0, activation: .gelu, preNorm: true, random: &random)
        let evaluated = BatchNorm(3)
        evaluated.eval()
        let rnn = RNN(RecurrentSize(2, hidden: 3), random: &random)
        let rectified = RNN(RecurrentSize(2, hidden: 3, bias: false), activation: .relu, random: &random)
        let gru = GRU(RecurrentSize(2, hidden: 3, layers: 2, bidirectional: true), random: &random)
        let lstm = LSTM(RecurrentSize(2, hidden: 3, layers: 2, bidirectional: true), random: &random)
        let masked = MultiHeadAttention(4, heads: 2, random: &random)
        let mask = Tensor.eye(5)[0..<3] .== 0
        return [
            "linear": layer(Linear(4, 3, random: &random)),
            "conv1d": layer(
                Conv1d(2, 4, kernel: 3, stride: 2, padding: 2, dilation: 2, groups: 2, random: &random)),
            "conv2d": layer(Conv2d(2, 3, kernel: 3, padding: 1, random: &random)),
            "conv2d strided": layer(
                Conv2d(
                    4, 4, kernel: (3, 2), stride: (2, 1), padding: (1, 0), dilation: (1, 2), groups: 2, random: &random)
            ),
            "convTranspose2d": layer(
                ConvTranspose2d(2, 4, kernel: 3, stride: 2, padding: 1, outputPadding: 1, groups: 2, random: &random)),
            "batchNorm features": layer(BatchNorm(3)),
            "batchNorm images": layer(BatchNorm(3, epsilon: 1e-3, momentum: 0.3)),
            "batchNorm eval": layer(evaluated),
            "layerNorm": layer(LayerNorm(5)),
            "groupNorm": layer(GroupNorm(groups: 2, 4)),
            "instanceNorm": layer(InstanceNorm(3, affine: true)),
            "attention causal": (attention, { [attention($0[0], causal: true)] }),
            "attention masked": (
                masked, { [masked($0[0], key: $0[1], value: $0[2], mask: mask.to($0[0].device))] }
            ),
            "encoder post-norm": layer(
                TransformerEncoderLayer(4, heads: 2, hidden: 6, dropout: 0, random: &random)),
            "encoder pre-norm": layer(
                TransformerEncoderLayer(
                    4, heads: 2, hidden: 6, dropout: 0, activation: .gelu, preNorm: true, epsilon: 1e-6, random: &random
                )),
            "decoder post-norm": (decoder, { [decoder($0[0], memory: $0[1], causal: true)] }),
            "decoder pre-norm": (preDecoder, { [preDecoder($0[0], memory: $0[1])] }),
            "rnn tanh": (
                rnn,
                {
                    let (y, h) = rnn($0[0], hidden: $0[1])
                    return [y, h]
                }
            ),
            "rnn relu": (
                rectified,
                {
                    let (y, h) = rectified($0[0])
                    return [y, h]
                }
            ),
            "gru": (
                gru,
                {
                    let (y, h) = gru($0[0], hidden: $0[1])
                    return [y, h]
                }
            ),
            "lstm": (
                lstm,
                {
                    let (y, h, c) = lstm($0[0], state: ($0[1], $0[2]))
                    return [y, h, c]
                }
            ),
        ]
    }()

    func testReferenceInDoublePrecision() throws { try compare(.float64, .reference, tolerance: 1e-9) }

    func testCPUInSinglePrecision() throws { try compare(.float32, .cpu, tolerance: 5e-5) }

    private func compare(_ dtype: DType, _ device: Device, tolerance: Double) throws {
        let file: File = try golden("layers")
        XCTAssertEqual(Set(file.cases.keys), Set(layers.keys))
        for (name, expected) in file.cases.sorted(by: { $0.key < $1.key }) {
            let (module, forward) = layers[name]!
            module.convert(to: dtype, device: device)
            func here(_ tensor: Tensor) -> Tensor { tensor.cast(to: dtype).to(device) }
            func expectClose(_ found: Tensor?, _ wanted: GoldenTensor, _ what: String) {
                guard let found else { return XCTFail("\(name): no \(what)") }
                let difference = largestDifference(found, wanted.tensor)
                XCTAssertNotNil(difference, "\(name): \(what) has shape \(found.shape), not \(wanted.shape)")
                XCTAssertLessThan(difference ?? 0, tolerance, "\(name): \(what)")
            }

            var state: [String: Tensor] = [:]
            let present = module.state().filter { !$0.key.hasSuffix("num_batches_tracked") }
            for (index, key) in present.keys.sorted().enumerated() {
                let value = wave(present[key]!.shape, offset: 0.5 + 0.1 * Double(index), amplitude: 0.5)
                state[key] = key.hasSuffix("running_var") ? value + 1.2 : value
            }
            try module.load(state, strict: false)
            (module as? BatchNorm)?.numBatchesTracked.value = Tensor([0], shape: [], device: device)

            let inputs = expected.inputs.enumerated().map {
                here(wave($0.element.shape, offset: 0.3 + 1.1 * Double($0.offset))).requiringGradient()
            }
            let outputs = forward(inputs)
            let weighted = outputs.map { ($0 * here(wave($0.shape, offset: 0.4) + 0.3)).sum() }
            weighted.dropFirst().reduce(weighted[0], +).backward()

            XCTAssertEqual(outputs.count, expected.outputs.count, name)
            for (index, pair) in zip(outputs, expected.outputs).enumerated() {
                expectClose(pair.0, pair.1, "output \(index)")
            }
            for (index, pair) in zip(inputs, expected.inputs).enumerated() {
                expectClose(pair.0.gradient, pair.1, "gradient of input \(index)")
            }
            XCTAssertEqual(Set(module.parameters().map(\.name)), Set(expected.parameters.keys), name)
            for parameter in module.parameters() {
                expectClose(
                    parameter.item.gradient, expected.parameters[parameter.name]!, "gradient of \(parameter.name)")
            }
            XCTAssertEqual(Set(module.buffers().map(\.name)), Set(expected.buffers.keys), name)
            for buffer in module.buffers() {
                expectClose(buffer.item.value, expected.buffers[buffer.name]!, buffer.name)
            }
            module.clearGradients()
        }
    }
}
