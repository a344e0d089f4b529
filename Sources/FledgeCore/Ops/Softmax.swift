extension Tensor {
    /// exp(x) / sum(exp(x)) along `axis`, without overflow.
    public func softmax(axis: Int = -1) -> Tensor {
        overLastAxis(axis, "softmax") { x in
            record("softmax", x.backend.softmax(x), from: [x], savingOutput: true) { context in
                let y = context.output
                var g = context.takeGradient()
                if !Autograd.isRecording { return [g.backend.softmaxGradient(y: y, gradient: &g)] }
                return [y * (g - (g * y).sum(axis: -1, keepDims: true))]
            }
        }
    }

    /// log(softmax(x)) along `axis`, without overflow.
    public func logSoftmax(axis: Int = -1) -> Tensor {
        overLastAxis(axis, "logSoftmax") { x in
            record("logSoftmax", x.backend.logSoftmax(x), from: [x], savingOutput: true) { context in
                let y = context.output
                var g = context.takeGradient()
                if !Autograd.isRecording { return [g.backend.logSoftmaxGradient(y: y, gradient: &g)] }
                return [g - y.exp() * g.sum(axis: -1, keepDims: true)]
            }
        }
    }

    /// Applies `body` with `axis` moved to the end, and moves it back.
    private func overLastAxis(_ axis: Int, _ operation: StaticString, _ body: (Tensor) -> Tensor) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, operation)
        require(rank > 0 && dtype.isFloatingPoint, "\(operation): a \(dtype) tensor of shape \(shape)")
        if axis == rank - 1 { return body(self) }
        return body(movedAxis(from: axis, to: -1)).movedAxis(from: -1, to: axis)
    }
}
