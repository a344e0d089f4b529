/// What a recurrent network computes at a step, from the input's share of its gates (x) and the state's (p).
public enum RecurrentCell: String, Sendable, CaseIterable {
    /// h = tanh(x + p) (Elman 1990), or relu.
    case tanh, relu
    /// Gated recurrent units (Cho et al. 2014) in the form with the reset gate after the product, gates in the order
    /// r, z, n: n = tanh(x_n + r p_n), h = (1 - z) n + z h.
    case gru
    /// Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), gates in the
    /// order i, f, g, o: c = f c + i g, h = o tanh(c).
    case lstm

    /// Rows of the weights for each hidden unit.
    public var gates: Int { self == .gru ? 3 : self == .lstm ? 4 : 1 }
    /// Tensors that are carried from step to step: h, and c of `lstm`.
    public var states: Int { self == .lstm ? 2 : 1 }
}

/// Runs a recurrent cell over time.
///
/// - Parameters:
///   - input: the input's share of the gates at every time, [L, N, gates * H], L > 0.
///   - weight: [gates * H, H]: the state's share is h weight^T + bias.
///   - bias: [gates * H].
///   - initial: the first h, and c of `lstm`, each [N, H].
///   - reversed: from the last time to the first.
/// - Returns: h at every time, [L, N, H], in the order of time; and the last c of `lstm`, [N, H].
public func recurrence(
    _ cell: RecurrentCell, _ input: Tensor, weight: Tensor, bias: Tensor? = nil, initial: [Tensor],
    reversed: Bool = false
) -> (output: Tensor, memory: Tensor?) {
    require(
        input.rank == 3 && input.shape[0] > 0 && input.dtype.isFloatingPoint && initial.count == cell.states,
        "recurrence: \(input.dtype) input of shape \(input.shape) and \(initial.count) states for \(cell)")
    let (length, n, hidden) = (input.shape[0], input.shape[1], input.shape[2] / cell.gates)
    require(
        input.shape[2] == cell.gates * hidden && weight.shape == [cell.gates * hidden, hidden]
            && bias.map { $0.shape == [cell.gates * hidden] } ?? true
            && initial.allSatisfy { $0.shape == [n, hidden] },
        "recurrence: input \(input.shape), weight \(weight.shape), bias \(bias.map { "\($0.shape)" } ?? "none") and "
            + "states \(initial.map(\.shape)) for \(cell)")
    let inputs = [input, weight] + initial + (bias.map { [$0] } ?? [])
    for other in inputs { input.requireOneKind("recurrence", other) }

    let keeps = Autograd.records(inputs)
    let (values, outputs) = noGradient {
        let values = input.backend.recurrence(
            cell, input, weight: weight, bias: bias, initial: initial, reversed: reversed, keeps: keeps)
        let outputs = [values.after(reversed: reversed)] + values.states.dropFirst().map { $0[reversed ? 0 : length] }
        return (values, outputs)
    }
    let (hasBias, inputCount) = (bias != nil, inputs.count)
    let results = record(
        "recurrence", outputs: outputs, from: inputs,
        saving: inputs + values.states + (values.kept.map { [$0] } ?? [])
    ) { context in
        let (input, weight) = (context.saved[0], context.saved[1])
        let initial = Array(context.saved[2..<2 + cell.states])
        let bias = hasBias ? context.saved[inputCount - 1] : nil
        var values = RecurrenceValues(
            states: Array(context.saved[inputCount..<inputCount + cell.states]),
            kept: cell.gates > 1 ? context.saved.last : nil)
        let gradient = (output: context.gradients[0], memory: cell == .lstm ? context.gradients[1] : nil)
        let d: RecurrenceGradients
        if Autograd.isRecording {
            values = composedRecurrence(cell, input, weight: weight, bias: bias, initial: initial, reversed: reversed)
            d = composedRecurrenceGradient(cell, gradient, values, weight: weight, reversed: reversed)
        } else {
            d = input.backend.recurrenceGradient(cell, gradient, values, weight: weight, reversed: reversed)
        }
        let before = values.before(reversed: reversed).reshaped([length * n, hidden])
        let products = d.product.reshaped([length * n, cell.gates * hidden])
        return [d.input, context.needs(1) ? products.transposed().matmul(before) : nil] + d.initial
            + (hasBias ? [products.sum(axis: 0)] : [])
    }
    return (results[0], cell == .lstm ? results[1] : nil)
}

/// What a backend computes in running a cell over time.
struct RecurrenceValues {
    /// h, and c of `lstm`, [L + 1, N, H] in the order of time; the first state is the last one where time is reversed.
    var states: [Tensor]
    /// Of gated cells, and where there will be a gradient, [L, N, 4 H]: r, z, n and p_n of `gru`, the gates of `lstm`.
    var kept: Tensor?

    private var length: Int { states[0].shape[0] - 1 }
    /// h [L, N, H] before and after each step.
    func before(reversed: Bool) -> Tensor { states[0][reversed ? 1..<length + 1 : 0..<length] }
    func after(reversed: Bool) -> Tensor { states[0][reversed ? 0..<length : 1..<length + 1] }
}

/// The gradients of the input's and the state's share of the gates, [L, N, gates * H], which differ for `gru` alone,
/// and of the first states.
struct RecurrenceGradients {
    var input, product: Tensor
    var initial: [Tensor]
}

/// `recurrence` in tensor operations: the definition, and the form that gradients of gradients go through.
func composedRecurrence(
    _ cell: RecurrentCell, _ input: Tensor, weight: Tensor, bias: Tensor?, initial: [Tensor], reversed: Bool
) -> RecurrenceValues {
    let length = input.shape[0]
    var steps = [initial]
    var kept: [Tensor] = []
    for step in 0..<length {
        let states = steps[step]
        let (next, needed) = cell.step(
            input[reversed ? length - 1 - step : step], states[0].linear(weight, bias), states)
        steps.append(next)
        if let needed { kept.append(needed) }
    }
    if reversed {
        steps.reverse()
        kept.reverse()
    }
    return RecurrenceValues(
        states: (0..<cell.states).map { index in stack(steps.map { $0[index] }) },
        kept: kept.isEmpty ? nil : stack(kept))
}

/// The gradient of `composedRecurrence`, from that of all h and of the last c: through time, backwards.
func composedRecurrenceGradient(
    _ cell: RecurrentCell, _ gradient: (output: Tensor?, memory: Tensor?), _ values: RecurrenceValues, weight: Tensor,
    reversed: Bool
) -> RecurrenceGradients {
    let length = values.states[0].shape[0] - 1
    let zeros = Tensor.zeros(like: values.states[0][0])
    var states = [zeros] + (cell == .lstm ? [gradient.memory ?? zeros] : [])
    var inputs: [Tensor] = []
    var products: [Tensor] = []
    for step in (0..<length).reversed() {
        let time = reversed ? length - 1 - step : step
        if let output = gradient.output { states[0] = states[0] + output[time] }
        let d = cell.stepGradient(
            states, kept: values.kept?[time], before: values.states.map { $0[reversed ? time + 1 : time] },
            after: values.states.map { $0[reversed ? time : time + 1] })
        inputs.append(d.input)
        products.append(d.product)
        let through = d.product.matmul(weight)
        states = d.states
        states[0] = states[0] + through
    }
    if !reversed {
        inputs.reverse()
        products.reverse()
    }
    return RecurrenceGradients(input: stack(inputs), product: stack(products), initial: states)
}

extension RecurrentCell {
    /// The next states, and what the gradient needs beside them.
    fileprivate func step(_ input: Tensor, _ product: Tensor, _ states: [Tensor]) -> (states: [Tensor], kept: Tensor?) {
        switch self {
        case .tanh: return ([(input + product).tanh()], nil)
        case .relu: return ([(input + product).relu()], nil)
        case .gru:
            let (x, p) = (input.split(3, axis: -1), product.split(3, axis: -1))
            let (r, z) = ((x[0] + p[0]).sigmoid(), (x[1] + p[1]).sigmoid())
            let n = (x[2] + r * p[2]).tanh()
            return ([n + z * (states[0] - n)], concatenate([r, z, n, p[2]], axis: -1))
        case .lstm:
            let sums = (input + product).split(4, axis: -1)
            let (i, f, g, o) = (sums[0].sigmoid(), sums[1].sigmoid(), sums[2].tanh(), sums[3].sigmoid())
            let c = f * states[1] + i * g
            return ([o * c.tanh(), c], concatenate([i, f, g, o], axis: -1))
        }
    }

    /// The gradients of a step's shares of the gates and, other than through the product, of the states before it.
    fileprivate func stepGradient(
        _ gradients: [Tensor], kept: Tensor?, before: [Tensor], after: [Tensor]
    ) -> (input: Tensor, product: Tensor, states: [Tensor]) {
        let dh = gradients[0]
        switch self {
        case .tanh, .relu:
            let h = after[0]
            let d = self == .tanh ? dh * (1 - h.square()) : dh * (h .> 0).cast(to: dh.dtype)
            return (d, d, [.zeros(like: dh)])
        case .gru:
            let parts = kept!.split(4, axis: -1)
            let (r, z, n, p) = (parts[0], parts[1], parts[2], parts[3])
            let dn = dh * (1 - z) * (1 - n.square())
            let dz = dh * (before[0] - n) * z * (1 - z)
            let dr = dn * p * r * (1 - r)
            return (concatenate([dr, dz, dn], axis: -1), concatenate([dr, dz, dn * r], axis: -1), [dh * z])
        case .lstm:
            let parts = kept!.split(4, axis: -1)
            let (i, f, g, o) = (parts[0], parts[1], parts[2], parts[3])
            let shown = after[1].tanh()
            let dc = gradients[1] + dh * o * (1 - shown.square())
            let d = concatenate(
                [
                    dc * g * i * (1 - i), dc * before[1] * f * (1 - f), dc * i * (1 - g.square()),
                    dh * shown * o * (1 - o),
                ], axis: -1)
            return (d, d, [.zeros(like: dh), dc * f])
        }
    }
}
