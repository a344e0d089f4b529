import FledgeCore

/// Layer-wise adaptive rate scaling for large batches (You et al. 2017, "Large batch training of convolutional
/// networks", eq. 6): SGD with momentum whose step for each tensor is scaled by
/// trust * ||p|| / (||g|| + decay ||p||). The buffer holds scaled gradients, so that the rate may change at any step.
public struct LARS: UpdateRule, Equatable {
    public var momentum: Double
    /// The paper's coefficient eta.
    public var trust: Double
    public var epsilon: Double
    /// Whether biases and the weights of norms (rank 1 and 0) are scaled too. SimCLR and BYOL leave them out.
    public var scalesVectors: Bool

    public init(momentum: Double = 0.9, trust: Double = 0.001, epsilon: Double = 1e-8, scalesVectors: Bool = false) {
        self.momentum = momentum
        self.trust = trust
        self.epsilon = epsilon
        self.scalesVectors = scalesVectors
    }

    public var slots: [String] { SGD(momentum: momentum).slots }

    public func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep) {
        var g = decayed(gradient, parameter, step)
        if scalesVectors || parameter.rank > 1 {
            let (size, slope) = (norm(parameter), norm(gradient))
            // A tensor of zeros, or without a gradient, has no scale to respect.
            if size > 0 && slope > 0 { g = g * (trust * size / (slope + step.weightDecay * size + epsilon)) }
        }
        let plain = UpdateStep(rate: step.rate, weightDecay: 0, number: step.number)
        SGD(momentum: momentum).update(&parameter, gradient: g, slots: &slots, plain)
    }
}

/// Adam's direction with the step of each tensor scaled to the tensor's own norm (You et al. 2020, "Large batch
/// optimization for deep learning", algorithm 2, with the identity for phi). Weight decay is decoupled.
public struct LAMB: UpdateRule, Equatable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    /// Whether biases and the weights of norms (rank 1 and 0) are scaled too.
    public var scalesVectors: Bool

    public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-6, scalesVectors: Bool = false) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.scalesVectors = scalesVectors
    }

    public var slots: [String] { Moments.slots }

    public func update(_ parameter: inout Tensor, gradient: Tensor, slots: inout [Tensor], _ step: UpdateStep) {
        let moments = Moments(beta1: beta1, beta2: beta2, epsilon: epsilon)
        let direction = decayed(moments.direction(gradient, &slots, step), parameter, step)
        var ratio = 1.0
        if scalesVectors || parameter.rank > 1 {
            let (size, length) = (norm(parameter), norm(direction))
            if size > 0 && length > 0 { ratio = size / length }
        }
        parameter = parameter - direction * (step.rate * ratio)
    }
}

private func norm(_ x: Tensor) -> Double { OptimizerKernels.sumOfSquares(x).squareRoot() }
