import FledgeCore

/// A plain recurrent network (Elman 1990): h = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu in place of tanh.
/// Sequences are [N, L, inputs]; names on disk and gate order of this and its relatives are PyTorch's.
public final class RNN: Module, ModuleContainer, ModeSwitching {
    public enum Activation: String, Codable, Sendable { case tanh, relu }

    /// `weight_ih_l0` [hidden, inputs], `weight_hh_l0` [hidden, hidden], `bias_ih_l0`, `bias_hh_l0` [hidden]; `l1` and
    /// so on for further layers, with `_reverse` for the backward direction.
    public let weights: [String: Parameter]
    public let size: RecurrentSize
    public let activation: Activation
    public var isTraining = true

    public init(_ size: RecurrentSize, activation: Activation = .tanh, random: inout RandomSource) {
        self.size = size
        self.activation = activation
        weights = size.weights(gates: 1, random: &random)
    }

    /// - Parameter hidden: the first hidden states [layers * directions, N, hidden]; zeros by default.
    /// - Returns: the last layer's states [N, L, directions * hidden], and every layer's last one, formed as `hidden`.
    public func callAsFunction(_ x: Tensor, hidden: Tensor? = nil) -> (output: Tensor, hidden: Tensor) {
        let (output, states) = size.run(
            activation == .tanh ? .tanh : .relu, x, weights, isTraining, initial: hidden.map { [$0] })
        return (output, states[0])
    }
}

/// Gated recurrent units (Cho et al. 2014) in the form with the reset gate after the product:
/// n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h = (1 - z) n + z h. Gates are stored in the order r, z, n.
public final class GRU: Module, ModuleContainer, ModeSwitching {
    /// As `RNN.weights`, with 3 hidden rows each.
    public let weights: [String: Parameter]
    public let size: RecurrentSize
    public var isTraining = true

    public init(_ size: RecurrentSize, random: inout RandomSource) {
        self.size = size
        weights = size.weights(gates: 3, random: &random)
    }

    /// - Parameter hidden: the first hidden states [layers * directions, N, hidden]; zeros by default.
    /// - Returns: the last layer's states [N, L, directions * hidden], and every layer's last one, formed as `hidden`.
    public func callAsFunction(_ x: Tensor, hidden: Tensor? = nil) -> (output: Tensor, hidden: Tensor) {
        let (output, states) = size.run(.gru, x, weights, isTraining, initial: hidden.map { [$0] })
        return (output, states[0])
    }
}

/// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000):
/// c = f c + i g, h = o tanh(c). Gates are stored in the order i, f, g, o.
public final class LSTM: Module, ModuleContainer, ModeSwitching {
    /// As `RNN.weights`, with 4 hidden rows each.
    public let weights: [String: Parameter]
    public let size: RecurrentSize
    public var isTraining = true

    public init(_ size: RecurrentSize, random: inout RandomSource) {
        self.size = size
        weights = size.weights(gates: 4, random: &random)
    }

    /// - Parameter state: the first hidden and cell states, each [layers * directions, N, hidden]; zeros by default.
    /// - Returns: the last layer's hidden states [N, L, directions * hidden], and every layer's last hidden and cell
    ///   states in the form of `state`.
    public func callAsFunction(
        _ x: Tensor, state: (hidden: Tensor, cell: Tensor)? = nil
    ) -> (output: Tensor, hidden: Tensor, cell: Tensor) {
        let (output, states) = size.run(
            .lstm, x, weights, isTraining, initial: state.map { [$0.hidden, $0.cell] })
        return (output, states[0], states[1])
    }
}

/// The sizes of a recurrent network.
public struct RecurrentSize: Codable, Equatable, Sendable {
    /// Features per time step.
    public var inputs: Int
    /// Width of the state, per direction.
    public var hidden: Int
    public var layers: Int
    /// Runs a second set of cells from the end to the start; both outputs are joined.
    public var isBidirectional: Bool
    public var hasBias: Bool
    /// Rate of dropout between layers, in training.
    public var dropout: Double

    public init(
        _ inputs: Int, hidden: Int, layers: Int = 1, bidirectional: Bool = false, bias: Bool = true, dropout: Double = 0
    ) {
        require(
            inputs > 0 && hidden > 0 && layers > 0,
            "RecurrentSize: \(inputs) inputs, \(hidden) hidden, \(layers) layers")
        self.inputs = inputs
        self.hidden = hidden
        self.layers = layers
        isBidirectional = bidirectional
        hasBias = bias
        self.dropout = dropout
    }

    private var directions: Int { isBidirectional ? 2 : 1 }

    private func suffix(_ layer: Int, _ direction: Int) -> String { "l\(layer)" + (direction == 1 ? "_reverse" : "") }

    /// Uniform in ±1 / sqrt(hidden), as in PyTorch.
    fileprivate func weights(gates: Int, random: inout RandomSource) -> [String: Parameter] {
        var weights: [String: Parameter] = [:]
        for layer in 0..<layers {
            for direction in 0..<directions {
                let suffix = suffix(layer, direction)
                let width = layer == 0 ? inputs : directions * hidden
                var shapes = [("weight_ih_", [gates * hidden, width]), ("weight_hh_", [gates * hidden, hidden])]
                if hasBias { shapes += [("bias_ih_", [gates * hidden]), ("bias_hh_", [gates * hidden])] }
                for (name, shape) in shapes {
                    weights[name + suffix] = Parameter(Init.standard(shape, fanIn: hidden, random: &random))
                }
            }
        }
        return weights
    }

    /// Runs all layers over a sequence [N, L, inputs].
    /// - Parameter initial: the cell's first states, each [layers * directions, N, hidden]; zeros by default.
    /// - Returns: the last layer's output [N, L, directions * hidden], and the last states in the form of `initial`.
    fileprivate func run(
        _ cell: RecurrentCell, _ x: Tensor, _ weights: [String: Parameter], _ isTraining: Bool, initial: [Tensor]?
    ) -> (output: Tensor, states: [Tensor]) {
        require(
            x.rank == 3 && x.shape[2] == inputs && x.shape[1] > 0,
            "recurrent network: x has shape \(x.shape), not [N, L > 0, \(inputs)]")
        let (n, length) = (x.shape[0], x.shape[1])
        for tensor in initial ?? [] {
            require(
                tensor.shape == [layers * directions, n, hidden],
                "recurrent network: first states \(tensor.shape), not \([layers * directions, n, hidden])")
        }
        var sequence = x.permuted([1, 0, 2])  // time first: a step's rows lie together
        var last = [[Tensor]](repeating: [], count: cell.states)
        for layer in 0..<layers {
            if layer > 0, isTraining { sequence = sequence.dropout(dropout) }
            var outputs: [Tensor] = []
            for direction in 0..<directions {
                func weight(_ name: String) -> Tensor? { weights["\(name)_\(suffix(layer, direction))"]?.value }
                let first = (0..<cell.states).map {
                    initial?[$0][layer * directions + direction]
                        ?? .zeros([n, hidden], dtype: x.dtype, device: x.device)
                }
                // One product for all time steps; only the state's share has to wait for the state.
                let (output, memory) = recurrence(
                    cell, sequence.linear(weight("weight_ih")!, weight("bias_ih")), weight: weight("weight_hh")!,
                    bias: weight("bias_hh"), initial: first, reversed: direction == 1)
                outputs.append(output)
                last[0].append(output[direction == 0 ? length - 1 : 0])
                if let memory { last[1].append(memory) }
            }
            sequence = outputs.count == 1 ? outputs[0] : concatenate(outputs, axis: -1)
        }
        return (sequence.permuted([1, 0, 2]), last.map { stack($0, axis: 0) })
    }
}
