import FledgeCore
import Foundation

/// Input values by formula, so that every language makes the same: amplitude * sin(offset + 0.7 i + 0.013 i^2).
public func waves(_ shape: [Int], offset: Double = 0.3, amplitude: Double = 1) -> [Double] {
    (0..<shape.reduce(1, *)).map { i in
        let x = Double(i)
        return amplitude * sin(offset + 0.7 * x + 0.013 * x * x)
    }
}

/// A float64 tensor of `waves` on the reference device.
public func wave(_ shape: [Int], offset: Double = 0.3, amplitude: Double = 1) -> Tensor {
    Tensor(float64: waves(shape, offset: offset, amplitude: amplitude), shape: shape, device: .reference)
}

/// Compares the gradients of `function` with central differences in float64.
///
/// The output is reduced to a number by a fixed weighting, so that every element counts differently. Inputs are float64
/// tensors away from kinks.
/// - Parameters:
///   - secondOrder: also checks the gradients of the gradients.
///   - tolerance: largest allowed |analytic - numeric| / max(1, |analytic|, |numeric|).
/// - Returns: nil when all agree, else what differs.
public func gradientFailure(
    at inputs: [Tensor], secondOrder: Bool = false, step: Double = 1e-5, tolerance: Double = 1e-6,
    _ function: @escaping ([Tensor]) -> Tensor
) -> String? {
    for input in inputs where input.dtype != .float64 { return "gradient checks need float64 inputs" }
    func scalar(_ x: [Tensor]) -> Tensor {
        let y = function(x)
        let weights = Tensor(
            float64: waves(y.shape, offset: 0.4, amplitude: 1).map { $0 + 0.3 }, shape: y.shape, device: y.device)
        return (y * weights).sum()
    }
    if let failure = firstOrderFailure(inputs, step, tolerance, "gradient", scalar) { return failure }
    guard secondOrder else { return nil }
    // The gradients, weighted to a number, are themselves a function to differentiate.
    return firstOrderFailure(inputs, step, tolerance * 10, "second gradient") { x in
        let leaves = x.map { $0.requiresGradient ? $0 : $0.requiringGradient() }
        let first = gradients(of: scalar(leaves), for: leaves, createGraph: true)
        var total = Tensor(0, dtype: .float64, device: x[0].device)
        for (i, g) in first.enumerated() {
            guard let g else { continue }
            let weights = Tensor(float64: waves(g.shape, offset: 1.1 + Double(i)), shape: g.shape, device: g.device)
            total = total + (g * weights).sum()
        }
        return total
    }
}

private func firstOrderFailure(
    _ inputs: [Tensor], _ step: Double, _ tolerance: Double, _ name: String, _ scalar: ([Tensor]) -> Tensor
) -> String? {
    let leaves = inputs.map { $0.detached().requiringGradient() }
    let value = scalar(leaves)
    // An output without history is constant; the differences below will tell if it is not.
    let analytic = value.requiresGradient ? gradients(of: value, for: leaves) : leaves.map { _ in nil }
    for (k, input) in inputs.enumerated() {
        let base = input.doubles()
        let found = analytic[k]?.doubles() ?? [Double](repeating: 0, count: base.count)
        if let shape = analytic[k]?.shape, shape != input.shape {
            return "\(name) of input \(k) has shape \(shape), the input \(input.shape)"
        }
        for i in base.indices {
            func at(_ h: Double) -> Double {
                var moved = base
                moved[i] += h
                var all = inputs.map { $0.detached() }
                all[k] = Tensor(float64: moved, shape: input.shape, device: input.device)
                return scalar(all).item()
            }
            let numeric = (at(step) - at(-step)) / (2 * step)
            let error = abs(numeric - found[i]) / max(1, abs(numeric), abs(found[i]))
            if !(error < tolerance) {
                return
                    "\(name) of input \(k) at \(i): analytic \(found[i]), numeric \(numeric), relative error \(error)"
            }
        }
    }
    return nil
}

/// The largest |a - b| / max(floor, |b|) over all elements, or nil when shapes differ. NaN on both sides counts as equal.
public func largestDifference(_ a: Tensor, _ b: Tensor, floor: Double = 1) -> Double? {
    guard a.shape == b.shape else { return nil }
    var worst = 0.0
    for (x, y) in zip(a.doubles(), b.doubles()) {
        if x == y || (x.isNaN && y.isNaN) { continue }
        let error = abs(x - y) / max(floor, abs(y))
        worst = error.isNaN ? .infinity : max(worst, error)
    }
    return worst
}
