import FledgeCore

/// The arithmetic of an optimizer: how one parameter moves, given its gradient. A value with its settings only; what
/// changes from step to step is kept by `Optimizer`.
public protocol UpdateRule: Codable, Sendable {
    /// Names of the tensors kept for each parameter: of its shape, and zero before the first step.
    var slots: [String] { get }

    /// Moves `parameter` and the tensors of `slots`, by assigning new ones or through a kernel. Runs without recording.
    func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep)
}

/// What differs between parameters and steps.
public struct UpdateStep: Sendable {
    /// The learning rate, the group's multiplier included.
    public let rate: Double
    public let weightDecay: Double
    /// Which update of this parameter it is, from 1.
    public let number: Int
}

/// Stochastic gradient descent with momentum (Sutskever et al. 2013), as PyTorch computes it: the buffer is
/// m = momentum m + (1 - dampening) g, on the first step g itself, and the step is -rate m, or -rate (g + momentum m)
/// with Nesterov's. Weight decay is added to g.
public struct SGD: UpdateRule, Equatable {
    public var momentum: Double
    public var dampening: Double
    public var nesterov: Bool

    public init(momentum: Double = 0, dampening: Double = 0, nesterov: Bool = false) {
        require(!nesterov || (momentum > 0 && dampening == 0), "SGD: Nesterov needs momentum and no dampening")
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
    }

    public var slots: [String] { momentum == 0 ? [] : ["momentum"] }

    public func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep) {
        let dampening = step.number == 1 ? 0 : dampening
        if OptimizerKernels.sgd(
            &parameter, gradient, &slots, rate: step.rate, momentum: momentum, dampening: dampening,
            weightDecay: step.weightDecay, nesterov: nesterov)
        {
            return
        }
        var g = decayed(gradient, parameter, step)
        if momentum != 0 {
            slots[0] = slots[0] * momentum + g * (1 - dampening)
            g = nesterov ? g + slots[0] * momentum : slots[0]
        }
        parameter = parameter - g * step.rate
    }
}

/// RMSprop (Tieleman and Hinton 2012, lecture 6e), as PyTorch computes it: g / (sqrt(mean of g^2) + epsilon), with the
/// mean of g removed from that variance if `centred` (Graves 2013), and with momentum on the result.
public struct RMSprop: UpdateRule, Equatable {
    /// How slowly the mean of the squares follows.
    public var smoothing: Double
    public var epsilon: Double
    public var momentum: Double
    public var centred: Bool

    public init(smoothing: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0, centred: Bool = false) {
        self.smoothing = smoothing
        self.epsilon = epsilon
        self.momentum = momentum
        self.centred = centred
    }

    public var slots: [String] {
        ["square_mean"] + (centred ? ["gradient_mean"] : []) + (momentum == 0 ? [] : ["momentum"])
    }

    public func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep) {
        if OptimizerKernels.rmsprop(
            &parameter, gradient, &slots, rate: step.rate, smoothing: smoothing, epsilon: epsilon,
            weightDecay: step.weightDecay, momentum: momentum, centred: centred)
        {
            return
        }
        let g = decayed(gradient, parameter, step)
        slots[0] = slots[0] * smoothing + g.square() * (1 - smoothing)
        var variance = slots[0]
        if centred {
            slots[1] = slots[1] * smoothing + g * (1 - smoothing)
            variance = variance - slots[1].square()
        }
        var direction = g / (variance.sqrt() + epsilon)
        if momentum != 0 {
            let last = slots.count - 1
            slots[last] = slots[last] * momentum + direction
            direction = slots[last]
        }
        parameter = parameter - direction * step.rate
    }
}

/// The gradient with the pull of weight decay added: g + decay * p.
func decayed(_ gradient: Tensor, _ parameter: Tensor, _ step: UpdateStep) -> Tensor {
    step.weightDecay == 0 ? gradient : gradient + parameter.detached() * step.weightDecay
}
