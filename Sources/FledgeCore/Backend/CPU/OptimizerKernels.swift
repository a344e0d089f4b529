import CFledgeKernels

/// The steps of optimizers as kernels that write in place. Each returns false, having done nothing, where there is none
/// for the tensors' type and device; the rule then computes its formula. `slots` are the rule's state.
package enum OptimizerKernels {
    package static func sgd(
        _ parameter: inout Tensor, _ gradient: Tensor, _ slots: inout [Tensor], rate: Double, momentum: Double,
        dampening: Double, weightDecay: Double, nesterov: Bool
    ) -> Bool {
        guard isFast(parameter, gradient) else { return false }
        let g = gradient.contiguous()
        let p = Tensor.writableData(&parameter, as: Float.self)
        let m = slots.isEmpty ? nil : Tensor.writableData(&slots[0], as: Float.self)
        fk_sgd(
            p, g.data(), m, Int64(g.count), Float(rate), Float(momentum), Float(dampening), Float(weightDecay),
            nesterov ? 1 : 0)
        return true
    }

    package static func adam(
        _ parameter: inout Tensor, _ gradient: Tensor, _ slots: inout [Tensor], rate: Double, beta1: Double,
        beta2: Double, epsilon: Double, weightDecay: Double, decoupled: Bool, step: Int
    ) -> Bool {
        guard isFast(parameter, gradient) else { return false }
        let g = gradient.contiguous()
        let p = Tensor.writableData(&parameter, as: Float.self)
        let m = Tensor.writableData(&slots[0], as: Float.self)
        let v = Tensor.writableData(&slots[1], as: Float.self)
        fk_adam(
            p, g.data(), m, v, Int64(g.count), Float(rate), Float(beta1), Float(beta2), Float(epsilon),
            Float(weightDecay), decoupled ? 1 : 0, Int64(step))
        return true
    }

    /// `slots` are the mean of squares, then the mean if `centred`, then the momentum if there is any.
    package static func rmsprop(
        _ parameter: inout Tensor, _ gradient: Tensor, _ slots: inout [Tensor], rate: Double, smoothing: Double,
        epsilon: Double, weightDecay: Double, momentum: Double, centred: Bool
    ) -> Bool {
        guard isFast(parameter, gradient) else { return false }
        let g = gradient.contiguous()
        let p = Tensor.writableData(&parameter, as: Float.self)
        let v = Tensor.writableData(&slots[0], as: Float.self)
        let mean = centred ? Tensor.writableData(&slots[1], as: Float.self) : nil
        let m = momentum == 0 ? nil : Tensor.writableData(&slots[slots.count - 1], as: Float.self)
        fk_rmsprop(
            p, g.data(), v, mean, m, Int64(g.count), Float(rate), Float(smoothing), Float(epsilon), Float(weightDecay),
            Float(momentum))
        return true
    }

    /// average += share * (value - average)
    package static func interpolate(_ average: inout Tensor, towards value: Tensor, share: Double) -> Bool {
        guard isFast(average, value) else { return false }
        let value = value.contiguous()
        let target = Tensor.writableData(&average, as: Float.self)
        fk_lerp(target, value.data(), Int64(value.count), Float(share))
        return true
    }

    /// The sum of the squared elements, accumulated in double precision.
    package static func sumOfSquares(_ x: Tensor) -> Double {
        guard isFast(x, x) else { return noGradient { x.square().sum().item() } }
        let x = x.contiguous()
        return fk_sum_squares(x.data(), Int64(x.count))
    }

    private static func isFast(_ a: Tensor, _ b: Tensor) -> Bool {
        a.device == .cpu && b.device == .cpu && a.dtype == .float32 && b.dtype == .float32 && a.shape == b.shape
    }
}
