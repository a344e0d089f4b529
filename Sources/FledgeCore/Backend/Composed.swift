// What every backend can do by composing its own element-wise operations and reductions. Written for reading: these
// are the definitions.
extension Backend {
    func addMatmul(_ a: Tensor, _ b: Tensor, to sum: inout Tensor) -> Bool { false }

    func unaryGradient(_ operation: UnaryOperation, x: Tensor?, y: Tensor?, gradient: inout Tensor) -> Tensor? { nil }

    func softmax(_ x: Tensor) -> Tensor {
        let e = (x - x.max(axis: -1, keepDims: true)).exp()
        return e / e.sum(axis: -1, keepDims: true)
    }

    func softmaxGradient(y: Tensor, gradient: inout Tensor) -> Tensor {
        y * (gradient - (gradient * y).sum(axis: -1, keepDims: true))
    }

    func logSoftmax(_ x: Tensor) -> Tensor {
        let shifted = x - x.max(axis: -1, keepDims: true)
        return shifted - shifted.exp().sum(axis: -1, keepDims: true).log()
    }

    func logSoftmaxGradient(y: Tensor, gradient: inout Tensor) -> Tensor {
        gradient - y.exp() * gradient.sum(axis: -1, keepDims: true)
    }

    func crossEntropy(
        _ logits: Tensor, _ labels: Tensor, labelSmoothing: Double, ignoreIndex: Int
    ) -> (loss: Tensor, probabilities: Tensor) {
        let isIgnored = labels .== Double(ignoreIndex)
        let picked = labels.maskedFill(isIgnored, 0).unsqueezed(axis: 1)
        let logarithms = logSoftmax(logits)
        var loss = -logarithms.gather(axis: 1, picked).squeezed(axis: 1)
        if labelSmoothing > 0 { loss = loss * (1 - labelSmoothing) - logarithms.mean(axis: 1) * labelSmoothing }
        return (loss.maskedFill(isIgnored, 0), logarithms.exp())
    }

    func crossEntropyGradient(
        _ probabilities: Tensor, _ labels: Tensor, scale: Tensor, labelSmoothing: Double, ignoreIndex: Int
    ) -> Tensor {
        composedCrossEntropyGradient(
            probabilities, labels, scale: scale, labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex)
    }

    func layerNorm(
        _ x: Tensor, weight: Tensor?, bias: Tensor?, epsilon: Double
    ) -> (y: Tensor, mean: Tensor, rstd: Tensor) {
        let mean = x.mean(axis: -1, keepDims: true)
        let centred = x - mean
        let rstd = (centred.square().mean(axis: -1, keepDims: true) + epsilon).rsqrt()
        var y = centred * rstd
        if let weight { y = y * weight }
        if let bias { y = y + bias }
        return (y, mean.reshaped([-1]), rstd.reshaped([-1]))
    }

    func layerNormGradient(
        _ gradient: inout Tensor, x: Tensor, weight: Tensor?, mean: Tensor, rstd: Tensor
    ) -> (x: Tensor, weight: Tensor, bias: Tensor) {
        let rows = Array(x.shape.dropLast()) + [1]
        let rstd = rstd.reshaped(rows)
        let normal = (x - mean.reshaped(rows)) * rstd
        let g = weight.map { gradient * $0 } ?? gradient
        let dx = rstd * (g - g.mean(axis: -1, keepDims: true) - normal * (g * normal).mean(axis: -1, keepDims: true))
        let lead = Array(0..<x.rank - 1)
        let width = [x.shape[x.rank - 1]]
        return (dx, (gradient * normal).sum(axes: lead).reshaped(width), gradient.sum(axes: lead).reshaped(width))
    }

    func dropoutMask(like x: Tensor, rate: Double, key: UInt64) -> Tensor {
        let words = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
        let kept = rate < 1 ? 1 / (1 - rate) : 0
        var mask: [Double] = []
        mask.reserveCapacity(x.count + 3)
        for block in 0..<UInt64((x.count + 3) / 4) {
            let (low, high) = (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32))
            let draws = Philox.block(counter: (low, high, 0, 0), key: words)
            for word in [draws.0, draws.1, draws.2, draws.3] {
                mask.append(Float(word >> 8) * 0x1p-24 < Float(rate) ? 0 : kept)
            }
        }
        return Tensor(float64: Array(mask[..<x.count]), shape: x.shape, device: x.device).cast(to: x.dtype)
    }

    func batchNormStatistics(_ x: Tensor) -> (mean: Tensor, variance: Tensor) {
        let lead = Array(0..<x.rank - 1)
        let mean = x.mean(axes: lead)
        return (mean, (x - mean).square().mean(axes: lead))
    }

    func batchNormApply(
        _ x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, residual: Tensor?, relu: Bool
    ) -> Tensor {
        var y = (x - mean) * (rstd * weight) + bias
        if let residual { y = y + residual }
        return relu ? y.relu() : y
    }

    func batchNormGradient(
        _ gradient: inout Tensor, x: Tensor, y: Tensor?, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor,
        hasResidual: Bool, relu: Bool
    ) -> (x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor?) {
        let lead = Array(0..<x.rank - 1)
        let g = relu ? gradient * (y! .> 0).cast(to: x.dtype) : gradient
        let normal = (x - mean) * rstd
        let dWeight = (g * normal).sum(axes: lead)
        let dBias = g.sum(axes: lead)
        let n = Double(x.count / Swift.max(x.shape[x.rank - 1], 1))
        let dx = rstd * weight * (g - dBias / n - normal * (dWeight / n))
        return (dx, dWeight, dBias, hasResidual ? g : nil)
    }

    func recurrence(
        _ cell: RecurrentCell, _ input: Tensor, weight: Tensor, bias: Tensor?, initial: [Tensor], reversed: Bool,
        keeps: Bool
    ) -> RecurrenceValues {
        composedRecurrence(cell, input, weight: weight, bias: bias, initial: initial, reversed: reversed)
    }

    func recurrenceGradient(
        _ cell: RecurrentCell, _ gradient: (output: Tensor?, memory: Tensor?), _ values: RecurrenceValues,
        weight: Tensor, reversed: Bool
    ) -> RecurrenceGradients {
        composedRecurrenceGradient(cell, gradient, values, weight: weight, reversed: reversed)
    }

    func dynamicRouting(
        _ votes: Tensor, rounds: Int, epsilon: Double, keeps: Bool
    ) -> (capsules: Tensor, kept: Tensor?) {
        (composedRouting(votes, rounds: rounds, epsilon: epsilon), nil)
    }

    func dynamicRoutingGradient(
        _ gradient: Tensor, _ votes: Tensor, kept: Tensor?, rounds: Int, epsilon: Double
    ) -> Tensor {
        composedRoutingGradient(gradient, votes, rounds: rounds, epsilon: epsilon)
    }
}

/// The gradient of cross-entropy in tensor operations. Free of any backend, because it is also the form that gradients
/// of gradients go through.
func composedCrossEntropyGradient(
    _ probabilities: Tensor, _ labels: Tensor, scale: Tensor, labelSmoothing: Double, ignoreIndex: Int
) -> Tensor {
    let classes = probabilities.shape[1]
    let isIgnored = labels .== Double(ignoreIndex)
    var targets = labels.maskedFill(isIgnored, 0).oneHot(classes: classes, dtype: probabilities.dtype)
    if labelSmoothing > 0 { targets = targets * (1 - labelSmoothing) + labelSmoothing / Double(classes) }
    return ((probabilities - targets) * scale.unsqueezed(axis: 1)).maskedFill(isIgnored.unsqueezed(axis: 1), 0)
}
