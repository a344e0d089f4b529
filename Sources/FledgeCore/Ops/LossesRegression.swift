// Losses of real-valued predictions. Predictions and targets have one shape and type; `mean` divides by the number of
// elements. Gradients flow to both sides.

/// `(prediction - target)^2`.
public func meanSquaredError(_ prediction: Tensor, _ target: Tensor, reduction: LossReduction = .mean) -> Tensor {
    requireSameShape("meanSquaredError", prediction, target)
    return (prediction - target).square().reduced(reduction)
}

/// `|prediction - target|`.
public func meanAbsoluteError(_ prediction: Tensor, _ target: Tensor, reduction: LossReduction = .mean) -> Tensor {
    requireSameShape("meanAbsoluteError", prediction, target)
    return (prediction - target).abs().reduced(reduction)
}

/// `d^2 / (2 beta)` where d = |prediction - target| is below `beta`, else `d - beta / 2` (Girshick 2015, "Fast R-CNN",
/// eq. 3). With `beta` 0 it is the absolute error. Stops for a negative `beta`.
public func smoothL1(
    _ prediction: Tensor, _ target: Tensor, beta: Double = 1, reduction: LossReduction = .mean
) -> Tensor {
    require(beta >= 0, "smoothL1: beta \(beta) is negative")
    if beta == 0 { return meanAbsoluteError(prediction, target, reduction: reduction) }
    return huber(prediction, target, delta: beta, reduction: reduction) / beta
}

/// `d^2 / 2` where d = |prediction - target| is below `delta`, else `delta * (d - delta / 2)` (Huber 1964, "Robust
/// estimation of a location parameter"). Stops unless `delta` is positive.
public func huber(
    _ prediction: Tensor, _ target: Tensor, delta: Double = 1, reduction: LossReduction = .mean
) -> Tensor {
    requireSameShape("huber", prediction, target)
    require(delta > 0, "huber: delta \(delta) is not positive")
    let distance = (prediction - target).abs()
    let losses = Tensor.where(
        distance .< delta, distance.square() * 0.5, (distance - 0.5 * delta) * delta)
    return losses.reduced(reduction)
}
