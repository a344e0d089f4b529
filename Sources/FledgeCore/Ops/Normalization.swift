// Normalisation layers' mathematics. Channels are the last axis. Each rule has two forms of one formula: the backend's
// fused kernel, and tensor operations for when the gradient itself is to be differentiated.

extension Tensor {
    /// Batch normalisation with the statistics of this batch (Ioffe and Szegedy 2015): over all axes but the last,
    /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias + residual, then relu if asked for.
    ///
    /// Gradients flow through the statistics into x. An empty batch has mean 0 and variance 1.
    /// - Parameters:
    ///   - weight: [C]; nil means ones.
    ///   - bias: [C]; nil means zeros.
    ///   - residual: of x's shape, what a shortcut brings; nil means zeros.
    /// - Returns: y of x's shape, and the mean and (biased) variance [C] without history, for running averages.
    public func batchNorm(
        weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5, residual: Tensor? = nil, relu: Bool = false
    ) -> (y: Tensor, mean: Tensor, variance: Tensor) {
        let (w, b) = affine(weight, bias, "batchNorm")
        requireResidual(residual)
        if count == 0 {
            let y = residual.map { self * w + b + $0 } ?? self * w + b
            return (relu ? y.relu() : y, .zeros(like: w), .ones(like: w))
        }
        let (mean, variance, rstd, value) = noGradient {
            let (mean, variance) = backend.batchNormStatistics(self)
            let rstd = (variance + epsilon).rsqrt()
            return (
                mean, variance, rstd,
                backend.batchNormApply(
                    self, mean: mean, rstd: rstd, weight: w, bias: b, residual: residual, relu: relu)
            )
        }
        let shortcut = residual.map { [$0] } ?? []
        let hasResidual = residual != nil
        let y = record(
            "batchNorm", value, from: [self, w, b] + shortcut, saving: [self, w, b, mean, rstd], savingOutput: relu
        ) { context in
            var g = context.takeGradient()
            let (x, w, b) = (context.saved[0], context.saved[1], context.saved[2])
            if !Autograd.isRecording {
                let d = g.backend.batchNormGradient(
                    &g, x: x, y: context.savedOutput, mean: context.saved[3], rstd: context.saved[4], weight: w,
                    bias: b, hasResidual: hasResidual, relu: relu)
                return [d.x, d.weight, d.bias, d.residual]
            }
            let lead = Array(0..<x.rank - 1)
            let passed = relu ? g * (context.output.detached() .> 0).cast(to: g.dtype) : g
            let centred = x - x.mean(axes: lead)
            let rstd = (centred.square().mean(axes: lead) + epsilon).rsqrt()
            let normal = centred * rstd
            let dx =
                rstd * w
                * (passed - passed.mean(axes: lead) - normal * (passed * normal).mean(axes: lead))
            return [dx, (passed * normal).sum(axes: lead), passed.sum(axes: lead), passed]
        }
        return (y, mean, variance)
    }

    /// Batch normalisation with given statistics [C], as in evaluation: they count as constants.
    /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias + residual, then relu if asked for.
    public func batchNorm(
        mean: Tensor, variance: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5,
        residual: Tensor? = nil, relu: Bool = false
    ) -> Tensor {
        let (w, b) = affine(weight, bias, "batchNorm")
        requireResidual(residual)
        requireOneKind("batchNorm", mean, variance)
        require(
            mean.shape == w.shape && variance.shape == w.shape,
            "batchNorm: mean \(mean.shape), variance \(variance.shape) for x \(shape)")
        let mean = mean.detached()
        let (rstd, value) = noGradient {
            let rstd = (variance + epsilon).rsqrt()
            return (
                rstd,
                count == 0
                    ? Tensor.zeros(like: self)
                    : backend.batchNormApply(
                        self, mean: mean, rstd: rstd, weight: w, bias: b, residual: residual, relu: relu)
            )
        }
        return record(
            "batchNorm", value, from: [self, w, b] + (residual.map { [$0] } ?? []), saving: [self, w, mean, rstd],
            savingOutput: relu
        ) { context in
            let (x, w, mean, rstd) = (context.saved[0], context.saved[1], context.saved[2], context.saved[3])
            let lead = Array(0..<x.rank - 1)
            let g =
                relu
                ? context.gradient * (context.output.detached() .> 0).cast(to: x.dtype) : context.gradient
            return [
                context.needs(0) ? g * (rstd * w) : nil,
                context.needs(1) ? (g * (x - mean)).sum(axes: lead) * rstd : nil,
                context.needs(2) ? g.sum(axes: lead) : nil, g,
            ]
        }
    }

    /// Layer normalisation over the last axis (Ba, Kiros and Hinton 2016):
    /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, of x's shape. `weight` and `bias` are [C].
    public func layerNorm(weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
        requireAffine(weight, bias, "layerNorm")
        if count == 0 { return scaledAndShifted(weight, bias) }
        let (value, mean, rstd) = noGradient { backend.layerNorm(self, weight: weight, bias: bias, epsilon: epsilon) }
        let hasWeight = weight != nil
        let hasBias = bias != nil
        let from = [self, weight, bias].compactMap { $0 }
        return record(
            "layerNorm", value, from: from,
            saving: [roundedToKeep(for: from), mean, rstd] + (weight.map { [$0] } ?? [])
        ) { context in
            var g = context.takeGradient()
            let x = context.saved[0].cast(to: g.dtype)
            let weight = hasWeight ? context.saved[3] : nil
            let dx: Tensor
            let dWeight: Tensor
            let dBias: Tensor
            if Autograd.isRecording {
                let centred = x - x.mean(axis: -1, keepDims: true)
                let rstd = (centred.square().mean(axis: -1, keepDims: true) + epsilon).rsqrt()
                let normal = centred * rstd
                let scaled = weight.map { g * $0 } ?? g
                let lead = Array(0..<x.rank - 1)
                dx =
                    rstd
                    * (scaled - scaled.mean(axis: -1, keepDims: true)
                        - normal * (scaled * normal).mean(axis: -1, keepDims: true))
                dWeight = (g * normal).sum(axes: lead)
                dBias = g.sum(axes: lead)
            } else {
                (dx, dWeight, dBias) = g.backend.layerNormGradient(
                    &g, x: x, weight: weight, mean: context.saved[1], rstd: context.saved[2])
            }
            return [dx] + (hasWeight ? [dWeight] : []) + (hasBias ? [dBias] : [])
        }
    }

    /// Group normalisation (Wu and He 2018): each sample's channels, the last axis, are cut into `groups`; each group
    /// is normalised over its channels and all axes between the first and the last. `weight` and `bias` are [C].
    /// Stops when C is not a multiple of `groups`.
    public func groupNorm(
        groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
    ) -> Tensor {
        requireAffine(weight, bias, "groupNorm")
        require(rank >= 2, "groupNorm: x has shape \(shape), not [N, ..., C]")
        let (n, c) = (shape[0], shape[rank - 1])
        require(groups > 0 && c % groups == 0, "groupNorm: \(c) channels of x \(shape) in \(groups) groups")
        if count == 0 { return scaledAndShifted(weight, bias) }
        // A group becomes one row of a layer norm.
        let inner = count / n / c
        let split = [n, inner, groups, c / groups]
        let rows = reshaped(split).permuted([0, 2, 1, 3]).reshaped([n, groups, inner * (c / groups)])
        let normal = rows.layerNorm(epsilon: epsilon)
            .reshaped([n, groups, inner, c / groups]).permuted([0, 2, 1, 3]).reshaped(shape)
        return normal.scaledAndShifted(weight, bias)
    }

    /// Instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016): each channel of each sample over its plane; a
    /// `groupNorm` with as many groups as channels.
    public func instanceNorm(weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
        require(rank >= 2, "instanceNorm: x has shape \(shape), not [N, ..., C]")
        return groupNorm(groups: shape[rank - 1], weight: weight, bias: bias, epsilon: epsilon)
    }

    private func scaledAndShifted(_ weight: Tensor?, _ bias: Tensor?) -> Tensor {
        let scaled = weight.map { self * $0 } ?? self
        return bias.map { scaled + $0 } ?? scaled
    }

    private func requireAffine(_ weight: Tensor?, _ bias: Tensor?, _ operation: StaticString) {
        requireOneKind(operation, weight, bias)
        require(
            rank >= 1 && [weight, bias].allSatisfy { $0 == nil || $0!.shape == [shape[rank - 1]] },
            "\(operation): x \(shape), weight \(weight.map { "\($0.shape)" } ?? "none"), "
                + "bias \(bias.map { "\($0.shape)" } ?? "none")")
    }

    private func requireResidual(_ residual: Tensor?) {
        guard let residual else { return }
        requireOneKind("batchNorm", residual)
        require(residual.shape == shape, "batchNorm: residual \(residual.shape) for x \(shape)")
    }

    /// Weight and bias of a channel-wise scaling, with ones and zeros for missing ones.
    private func affine(_ weight: Tensor?, _ bias: Tensor?, _ operation: StaticString) -> (Tensor, Tensor) {
        requireAffine(weight, bias, operation)
        let c = [shape[rank - 1]]
        return (
            weight ?? .ones(c, dtype: dtype, device: device), bias ?? .zeros(c, dtype: dtype, device: device)
        )
    }
}
