import CFledgeKernels

extension CPUBackend {
    func layerNorm(
        _ x: Tensor, weight: Tensor?, bias: Tensor?, epsilon: Double
    ) -> (y: Tensor, mean: Tensor, rstd: Tensor) {
        guard isFast(x) else { return reference.layerNorm(x, weight: weight, bias: bias, epsilon: epsilon) }
        let x = x.contiguous()
        let weight = weight?.contiguous()
        let bias = bias?.contiguous()
        let cols = x.shape[x.rank - 1]
        let rows = Array(x.shape.dropLast()).elementCount
        let y = output(x.shape, like: x)
        let mean = output([rows], like: x)
        let rstd = output([rows], like: x)
        fk_layer_norm(
            x.data(), weight?.data(), bias?.data(), Float(epsilon), Int64(rows), Int64(cols), y.data(), mean.data(),
            rstd.data())
        return (y, mean, rstd)
    }

    func layerNormGradient(
        _ gradient: inout Tensor, x: Tensor, weight: Tensor?, mean: Tensor, rstd: Tensor
    ) -> (x: Tensor, weight: Tensor, bias: Tensor) {
        guard isFast(x) else {
            return reference.layerNormGradient(&gradient, x: x, weight: weight, mean: mean, rstd: rstd)
        }
        let x = x.contiguous()
        let weight = weight?.contiguous()
        let cols = x.shape[x.rank - 1]
        let dx = outputOver(&gradient)
        let dWeight = output([cols], like: x)
        let dBias = output([cols], like: x)
        fk_layer_norm_grad(
            gradient.data(), x.data(), weight?.data(), mean.data(), rstd.data(),
            Int64(Array(x.shape.dropLast()).elementCount), Int64(cols), dx.data(), dWeight.data(), dBias.data())
        return (dx, dWeight, dBias)
    }

    func batchNormStatistics(_ x: Tensor) -> (mean: Tensor, variance: Tensor) {
        guard isFast(x), x.count > 0 else { return reference.batchNormStatistics(x) }
        let x = x.contiguous()
        let channels = x.shape[x.rank - 1]
        let mean = output([channels], like: x)
        let variance = output([channels], like: x)
        fk_batch_norm_stats(x.data(), Int64(x.count / channels), Int64(channels), mean.data(), variance.data())
        return (mean, variance)
    }

    func batchNormApply(
        _ x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, residual: Tensor?, relu: Bool
    ) -> Tensor {
        guard isFast(x), x.count > 0 else {
            return reference.batchNormApply(
                x, mean: mean, rstd: rstd, weight: weight, bias: bias, residual: residual, relu: relu)
        }
        let (x, residual) = (x.contiguous(), residual?.contiguous())
        let (mean, rstd) = (mean.contiguous(), rstd.contiguous())
        let (weight, bias) = (weight.contiguous(), bias.contiguous())
        let channels = x.shape[x.rank - 1]
        let y = output(x.shape, like: x)
        fk_batch_norm_apply(
            x.data(), Int64(x.count / channels), Int64(channels), mean.data(), rstd.data(), weight.data(), bias.data(),
            relu ? 1 : 0, residual?.data(), y.data())
        return y
    }

    func batchNormGradient(
        _ gradient: inout Tensor, x: Tensor, y: Tensor?, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor,
        hasResidual: Bool, relu: Bool
    ) -> (x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor?) {
        guard isFast(x), x.count > 0 else {
            return reference.batchNormGradient(
                &gradient, x: x, y: y, mean: mean, rstd: rstd, weight: weight, bias: bias, hasResidual: hasResidual,
                relu: relu)
        }
        let x = x.contiguous()
        // Without a residual the sign of y is soon computed again, from an x that is read anyway.
        let y = hasResidual && relu ? y!.contiguous() : nil
        let (weight, bias) = (weight.contiguous(), bias.contiguous())
        let channels = x.shape[x.rank - 1]
        let dResidual = hasResidual ? relu ? output(x.shape, like: x) : gradient.contiguous() : nil
        let dx = outputOver(&gradient)
        let dWeight = output([channels], like: x)
        let dBias = output([channels], like: x)
        fk_batch_norm_grad(
            gradient.data(), x.data(), y?.data(), mean.data(), rstd.data(), weight.data(), bias.data(),
            Int64(x.count / channels), Int64(channels), relu ? 1 : 0, dx.data(), relu ? dResidual?.data() : nil,
            dWeight.data(), dBias.data())
        return (dx, dWeight, dBias, dResidual)
    }
}
