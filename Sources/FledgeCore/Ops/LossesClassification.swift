/// How the losses of single samples become one number.
public enum LossReduction: String, Codable, Sendable, CaseIterable {
    /// No reduction: one loss for each sample or element.
    case none
    /// The mean over all losses.
    case mean
    /// The sum of all losses.
    case sum
    /// The sum divided by the length of the first axis: the mean over samples of a loss with several terms each.
    case batchMean
}

extension Tensor {
    /// This tensor of losses, reduced. The mean of nothing is NaN.
    func reduced(_ reduction: LossReduction) -> Tensor {
        switch reduction {
        case .none: return self
        case .mean: return mean()
        case .sum: return sum()
        case .batchMean:
            require(rank > 0, "batchMean: the loss is a scalar and has no batch axis")
            return sum() / Double(shape[0])
        }
    }
}

/// Cross-entropy of logits with class labels: `-log softmax(logits)[label]`, without overflow.
///
/// - Parameters:
///   - logits: [..., classes], floating point, not normalised.
///   - labels: [...], integers in 0..<classes or `ignoreIndex`. Stops for any other.
///   - weights: [...], a factor for each sample's loss, such as the confidence mask of a pseudo-label.
///   - labelSmoothing: s in 0...1: the target is 1 - s on the label plus s / classes everywhere (Szegedy et al. 2016,
///     "Rethinking the Inception architecture", §7).
///   - ignoreIndex: samples with this label have loss 0 and no gradient.
///   - reduction: `mean` divides by the number of samples that are not ignored, whatever their weights (NaN when all
///     are ignored); `none` gives [...].
public func crossEntropy(
    _ logits: Tensor, _ labels: Tensor, weights: Tensor? = nil, labelSmoothing: Double = 0, ignoreIndex: Int = -100,
    reduction: LossReduction = .mean
) -> Tensor {
    require(
        logits.rank >= 1 && labels.shape == Array(logits.shape.dropLast()) && logits.dtype.isFloatingPoint
            && !labels.dtype.isFloatingPoint && weights.map { $0.shape == labels.shape } ?? true,
        "crossEntropy: \(logits.dtype) logits \(logits.shape), \(labels.dtype) labels \(labels.shape), weights "
            + (weights.map { "\($0.shape)" } ?? "none"))
    require((0...1).contains(labelSmoothing), "crossEntropy: labelSmoothing \(labelSmoothing) is not in 0...1")
    let classes = logits.shape[logits.rank - 1]
    let rows = logits.reshaped([labels.count, classes])
    let index = labels.reshaped([-1]).cast(to: .int64).contiguous()
    let counted = countedLabels(index, classes: classes, ignoreIndex: ignoreIndex)

    let (losses, probabilities) = noGradient {
        rows.backend.crossEntropy(rows, index, labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex)
    }
    // What the sum of all losses is divided by. Weights come between: then the losses stand alone.
    let divisor: Double? =
        switch reduction {
        case .none: nil
        case .mean: Double(counted)
        case .sum: 1
        case .batchMean: labels.rank == 0 ? nil : Double(labels.shape[0])
        }
    let share = weights == nil ? divisor.map { 1 / $0 } : nil
    let output = share.map { share in noGradient { losses.sum() * share } } ?? losses
    let result = record("crossEntropy", output, from: [rows], saving: [rows, probabilities, index]) { context in
        let (rows, probabilities, index) = (context.saved[0], context.saved[1], context.saved[2])
        let g = share.map { (context.gradient * $0).expanded(to: index.shape) } ?? context.gradient
        if Autograd.isRecording {
            return [
                composedCrossEntropyGradient(
                    rows.softmax(), index, scale: g, labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex)
            ]
        }
        return [
            g.backend.crossEntropyGradient(
                probabilities, index, scale: g, labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex)
        ]
    }
    if share != nil { return result }
    let perSample = weights.map { result.reshaped(labels.shape) * $0 } ?? result.reshaped(labels.shape)
    return divisor.map { perSample.sum() / $0 } ?? perSample.reduced(reduction)
}

/// How many labels count; stops for one that is out of range.
private func countedLabels(_ labels: Tensor, classes: Int, ignoreIndex: Int) -> Int {
    var counted = 0
    for label in labels.array(Int.self) where label != ignoreIndex {
        require(
            label >= 0 && label < classes,
            "crossEntropy: label \(label) is out of range 0..<\(classes) (and not ignoreIndex \(ignoreIndex))")
        counted += 1
    }
    return counted
}

/// Cross-entropy of logits with a distribution over the classes: `-sum(targets * log softmax(logits))`.
///
/// - Parameters:
///   - logits: [..., classes], floating point, not normalised.
///   - soft: [..., classes], each row usually summing to 1 (not checked). Gradients flow here too.
///   - weights: [...], a factor for each sample's loss.
///   - labelSmoothing: s in 0...1 mixes the targets with the uniform distribution.
///   - reduction: `mean` divides by the number of samples; `none` gives [...].
public func crossEntropy(
    _ logits: Tensor, soft targets: Tensor, weights: Tensor? = nil, labelSmoothing: Double = 0,
    reduction: LossReduction = .mean
) -> Tensor {
    requireSameShape("crossEntropy", logits, targets)
    require(
        logits.rank >= 1 && weights.map { $0.shape == Array(logits.shape.dropLast()) } ?? true,
        "crossEntropy: logits \(logits.shape), weights \(weights.map { "\($0.shape)" } ?? "none")")
    require((0...1).contains(labelSmoothing), "crossEntropy: labelSmoothing \(labelSmoothing) is not in 0...1")
    var wanted = targets
    if labelSmoothing > 0 {
        wanted = targets * (1 - labelSmoothing) + labelSmoothing / Double(logits.shape[logits.rank - 1])
    }
    var losses = -(wanted * logits.logSoftmax()).sum(axis: -1)
    if let weights { losses = losses * weights }
    return losses.reduced(reduction)
}

/// Cross-entropy of independent yes-or-no outputs, `-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x))`, without overflow.
///
/// - Parameters:
///   - logits: any shape, floating point.
///   - targets: the same shape and type, in 0...1.
///   - positiveWeight: a factor for the first term, broadcast to the logits' shape: above 1 favours recall.
///   - weights: a factor for each element's loss, broadcast to the logits' shape.
///   - reduction: `mean` divides by the number of elements.
public func binaryCrossEntropyWithLogits(
    _ logits: Tensor, _ targets: Tensor, positiveWeight: Tensor? = nil, weights: Tensor? = nil,
    reduction: LossReduction = .mean
) -> Tensor {
    requireSameShape("binaryCrossEntropyWithLogits", logits, targets)
    // -log sigmoid(x) = softplus(-x) and -log(1 - sigmoid(x)) = x + softplus(-x).
    var losses = (1 - targets) * logits
    if let positiveWeight {
        losses = losses + (1 + (positiveWeight - 1) * targets) * (-logits).softplus()
    } else {
        losses = losses + (-logits).softplus()
    }
    if let weights { losses = losses * weights }
    require(
        losses.shape == logits.shape,
        "binaryCrossEntropyWithLogits: weights do not broadcast to the logits' shape \(logits.shape)")
    return losses.reduced(reduction)
}

/// The Kullback-Leibler divergence of distributions `target` from those whose logarithm is `logInput`, term by term:
/// `target * (log target - logInput)`.
///
/// - Parameters:
///   - logInput: log-probabilities, any shape.
///   - target: probabilities of the same shape, or their logarithms with `logTarget`. A probability of 0 contributes 0,
///     and so does its gradient of `target log target`.
///   - reduction: `batchMean` is the mathematical divergence, averaged over the first axis; `mean` divides by the
///     number of elements, as PyTorch's default does.
public func klDivergence(
    _ logInput: Tensor, _ target: Tensor, logTarget: Bool = false, reduction: LossReduction = .mean
) -> Tensor {
    requireSameShape("klDivergence", logInput, target)
    if logTarget { return (target.exp() * (target - logInput)).reduced(reduction) }
    let entropy = target * target.maskedFill(target .== 0, 1).log()
    return (entropy - target * logInput).reduced(reduction)
}

/// The hinge loss of support vector machines, `max(0, margin - target * score)`.
///
/// - Parameters:
///   - scores: any shape, floating point.
///   - targets: the same shape and type, 1 or -1.
public func hinge(
    _ scores: Tensor, _ targets: Tensor, margin: Double = 1, reduction: LossReduction = .mean
) -> Tensor {
    requireSameShape("hinge", scores, targets)
    return (margin - targets * scores).relu().reduced(reduction)
}

/// Losses compare element with element: a silent broadcast of [n] with [n, 1] to [n, n] is the classic bug.
func requireSameShape(_ operation: StaticString, _ a: Tensor, _ b: Tensor) {
    require(
        a.shape == b.shape && a.dtype == b.dtype && a.dtype.isFloatingPoint && a.device == b.device,
        "\(operation): \(a.dtype) \(a.shape) on \(a.device) and \(b.dtype) \(b.shape) on \(b.device) do not match")
}
