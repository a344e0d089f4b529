import FledgeCore
import Foundation

/// Adam (Kingma and Ba 2015, algorithm 1): steps of the running mean of the gradient over the root of the running mean
/// of its square, both corrected for starting at zero. Weight decay is added to the gradient; see `AdamW`.
public struct Adam: UpdateRule, Equatable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double

    public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
    }

    public var slots: [String] { Moments.slots }

    public func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep) {
        let moments = Moments(beta1: beta1, beta2: beta2, epsilon: epsilon)
        moments.descend(&parameter, gradient, &slots, step, decoupled: false)
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2): p shrinks by rate * decay, and the
/// moments know nothing of it.
public struct AdamW: UpdateRule, Equatable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double

    public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
    }

    public var slots: [String] { Moments.slots }

    public func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep) {
        let moments = Moments(beta1: beta1, beta2: beta2, epsilon: epsilon)
        moments.descend(&parameter, gradient, &slots, step, decoupled: true)
    }
}

/// The running moments that Adam, AdamW and LAMB share.
struct Moments {
    static let slots = ["mean", "square_mean"]

    let beta1, beta2, epsilon: Double

    func descend(
        _ parameter: inout Tensor, _ gradient: Tensor, _ slots: inout [Tensor], _ step: UpdateStep, decoupled: Bool
    ) {
        if OptimizerKernels.adam(
            &parameter, gradient, &slots, rate: step.rate, beta1: beta1, beta2: beta2, epsilon: epsilon,
            weightDecay: step.weightDecay, decoupled: decoupled, step: step.number)
        {
            return
        }
        var p = parameter
        let g = decoupled ? gradient : decayed(gradient, parameter, step)
        if decoupled { p = p * (1 - step.rate * step.weightDecay) }
        parameter = p - direction(g, &slots, step) * step.rate
    }

    /// Takes `gradient` into the moments; returns mean / (sqrt(square mean) + epsilon), both corrected for their start.
    func direction(_ gradient: Tensor, _ slots: inout [Tensor], _ step: UpdateStep) -> Tensor {
        slots[0] = slots[0] * beta1 + gradient * (1 - beta1)
        slots[1] = slots[1] * beta2 + gradient.square() * (1 - beta2)
        let mean = slots[0] / (1 - pow(beta1, Double(step.number)))
        let square = slots[1] / (1 - pow(beta2, Double(step.number)))
        return mean / (square.sqrt() + epsilon)
    }
}
