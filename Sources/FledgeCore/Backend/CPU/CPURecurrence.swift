import CFledgeKernels

extension CPUBackend {
    func recurrence(
        _ cell: RecurrentCell, _ input: Tensor, weight: Tensor, bias: Tensor?, initial: [Tensor], reversed: Bool,
        keeps: Bool
    ) -> RecurrenceValues {
        guard isFast(input) else {
            return reference.recurrence(
                cell, input, weight: weight, bias: bias, initial: initial, reversed: reversed, keeps: keeps)
        }
        let (length, n, hidden) = (input.shape[0], initial[0].shape[0], initial[0].shape[1])
        var shape = cell.kernelShape(length: length, rows: n, hidden: hidden, reversed: reversed)
        let (input, weight, bias) = (input.contiguous(), weight.contiguous(), bias?.contiguous())
        let states = initial.map { first in
            let all = output([length + 1, n, hidden], like: input)
            write(first, into: all, strides: [hidden, 1], offset: reversed ? length * n * hidden : 0)
            return all
        }
        let kept = keeps && cell.gates > 1 ? output([length, n, 4 * hidden], like: input) : nil
        let scratch = output([fk_recurrence_scratch(&shape) / 4], like: input)
        fk_recurrence(
            &shape, input.data(), weight.data(), bias?.data(), states[0].data(),
            cell == .lstm ? states[1].data() : nil, kept?.data(), scratch.data(Float.self))
        return RecurrenceValues(states: states, kept: kept)
    }

    func recurrenceGradient(
        _ cell: RecurrentCell, _ gradient: (output: Tensor?, memory: Tensor?), _ values: RecurrenceValues,
        weight: Tensor, reversed: Bool
    ) -> RecurrenceGradients {
        let h = values.states[0]
        guard isFast(h) else {
            return reference.recurrenceGradient(cell, gradient, values, weight: weight, reversed: reversed)
        }
        let (length, n, hidden) = (h.shape[0] - 1, h.shape[1], h.shape[2])
        var shape = cell.kernelShape(length: length, rows: n, hidden: hidden, reversed: reversed)
        let (weight, dy) = (weight.contiguous(), gradient.output?.contiguous())
        let input = output([length, n, cell.gates * hidden], like: h)
        let product = cell == .gru ? output(input.shape, like: h) : input
        let initial = (0..<cell.states).map { _ in output([n, hidden], like: h) }
        if cell == .lstm {
            write(gradient.memory ?? .zeros(like: initial[1]), into: initial[1], strides: [hidden, 1], offset: 0)
        }
        let scratch = output([fk_recurrence_scratch(&shape) / 4], like: h)
        fk_recurrence_grad(
            &shape, dy?.data(), weight.data(), h.data(), cell == .lstm ? values.states[1].data() : nil,
            values.kept?.data(), input.data(), product.data(), initial[0].data(),
            cell == .lstm ? initial[1].data() : nil, scratch.data(Float.self))
        return RecurrenceGradients(input: input, product: product, initial: initial)
    }
}

extension RecurrentCell {
    fileprivate func kernelShape(length: Int, rows: Int, hidden: Int, reversed: Bool) -> fk_recurrence_shape {
        let kernel =
            switch self {
            case .tanh: FK_CELL_TANH
            case .relu: FK_CELL_RELU
            case .gru: FK_CELL_GRU
            case .lstm: FK_CELL_LSTM
            }
        return fk_recurrence_shape(
            cell: kernel, length: Int64(length), rows: Int64(rows), hidden: Int64(hidden), reversed: reversed ? 1 : 0)
    }
}
