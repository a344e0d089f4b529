// Sums, extremes and the like over chosen axes. `keepDims` leaves a length of 1 where an axis was reduced.

extension Tensor {
    /// The sum over `axes` (all by default). Integer tensors sum in int64.
    public func sum(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
        let axes = normalized(axes: axes, rank: rank, "sum")
        let full = shape
        let total = axes.isEmpty ? self.sameValues() : backend.reduce(.sum, self, axes: axes)
        let kept = total.shape
        return record("sum", keepDims ? total : total.dropping(axes), from: [self]) {
            [$0.gradient.reshaped(kept).expanded(to: full)]
        }
    }
    public func sum(axis: Int, keepDims: Bool = false) -> Tensor { sum(axes: [axis], keepDims: keepDims) }

    /// The mean over `axes` (all by default). NaN when there is nothing to average.
    public func mean(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
        require(dtype.isFloatingPoint, "mean: a \(dtype) tensor; cast it first")
        let n = normalized(axes: axes, rank: rank, "mean").reduce(1) { $0 * shape[$1] }
        return sum(axes: axes, keepDims: keepDims) * (1 / Double(n))
    }
    public func mean(axis: Int, keepDims: Bool = false) -> Tensor { mean(axes: [axis], keepDims: keepDims) }

    /// The variance over `axes`. `unbiased` divides by n - 1 instead of n.
    public func variance(axes: [Int]? = nil, unbiased: Bool = false, keepDims: Bool = false) -> Tensor {
        let chosen = normalized(axes: axes, rank: rank, "variance")
        let n = chosen.reduce(1) { $0 * shape[$1] }
        let centred = self - mean(axes: chosen, keepDims: true)
        return centred.square().sum(axes: chosen, keepDims: keepDims) * (1 / Double(unbiased ? n - 1 : n))
    }
    public func variance(axis: Int, unbiased: Bool = false, keepDims: Bool = false) -> Tensor {
        variance(axes: [axis], unbiased: unbiased, keepDims: keepDims)
    }

    /// The standard deviation over `axes`. Its gradient is infinite where the variance is 0: add an epsilon to
    /// `variance` where that can happen.
    public func standardDeviation(axes: [Int]? = nil, unbiased: Bool = false, keepDims: Bool = false) -> Tensor {
        variance(axes: axes, unbiased: unbiased, keepDims: keepDims).sqrt()
    }

    /// The largest value over `axes`; equal ones share the gradient. Stops when there is nothing to compare.
    public func max(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor { extreme(.max, axes, keepDims) }
    public func max(axis: Int, keepDims: Bool = false) -> Tensor { extreme(.max, [axis], keepDims) }
    /// The smallest value over `axes`; equal ones share the gradient. Stops when there is nothing to compare.
    public func min(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor { extreme(.min, axes, keepDims) }
    public func min(axis: Int, keepDims: Bool = false) -> Tensor { extreme(.min, [axis], keepDims) }

    private func extreme(_ operation: Reduction, _ axes: [Int]?, _ keepDims: Bool) -> Tensor {
        let axes = normalized(axes: axes, rank: rank, "max/min")
        require(
            axes.allSatisfy { shape[$0] > 0 }, "max/min: shape \(shape) has no elements along axes \(axes)")
        if axes.isEmpty { return self }
        let value = backend.reduce(operation, self, axes: axes)
        let result = record("max/min", value, from: [self], saving: [self, value]) { context in
            let winners = (context.saved[0].detached() .== context.saved[1]).cast(to: context.gradient.dtype)
            return [winners / winners.sum(axes: axes, keepDims: true) * context.gradient]
        }
        return keepDims ? result : result.dropping(axes)
    }

    /// The product over `axes`. Its gradient is right also where factors are 0; the second derivative is not there.
    public func product(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
        let axes = normalized(axes: axes, rank: rank, "product")
        let value = axes.isEmpty ? sameValues() : backend.reduce(.product, self, axes: axes)
        let result = record("product", value, from: [self], saving: [self]) { context in
            let x = context.saved[0]
            let isZero = x.detached() .== 0
            let filled = Tensor.where(isZero, x.scalar(1), x)
            let others = filled.product(axes: axes, keepDims: true)
            let zeros = isZero.cast(to: x.dtype).sum(axes: axes, keepDims: true)
            let none = others / filled * (zeros .== 0).cast(to: x.dtype)
            let one = others * (zeros .== 1).cast(to: x.dtype)
            return [context.gradient * Tensor.where(isZero, one.expanded(to: x.shape), none)]
        }
        return keepDims ? result : result.dropping(axes)
    }

    /// The index of the largest value along `axis`, the first of equals, as int64.
    public func argmax(axis: Int = -1, keepDims: Bool = false) -> Tensor { argument(true, axis, keepDims) }
    /// The index of the smallest value along `axis`, the first of equals, as int64.
    public func argmin(axis: Int = -1, keepDims: Bool = false) -> Tensor { argument(false, axis, keepDims) }

    private func argument(_ largest: Bool, _ axis: Int, _ keepDims: Bool) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "argmax/argmin")
        require(rank > 0 && shape[axis] > 0, "argmax/argmin: shape \(shape) has no elements along axis \(axis)")
        let result = backend.argReduce(largest: largest, self, axis: axis)
        return keepDims ? result : result.dropping([axis])
    }

    /// log(sum(exp(x))) over `axis`, without overflow.
    public func logSumExp(axis: Int = -1, keepDims: Bool = false) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "logSumExp")
        let value = noGradient {
            // An infinite maximum must not be subtracted from itself.
            let top = self.max(axis: axis, keepDims: true)
            let shift = Tensor.where(top.isFinite(), top, .zeros(like: top))
            return (self - shift).exp().sum(axis: axis, keepDims: true).log() + shift
        }
        let result = record("logSumExp", value, from: [self], saving: [self], savingOutput: true) { context in
            [context.gradient * (context.saved[0] - context.output).exp()]
        }
        return keepDims ? result : result.dropping([axis])
    }

    /// The Euclidean norm over `axes` (all by default); its gradient at 0 is 0.
    public func norm(axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
        let axes = normalized(axes: axes, rank: rank, "norm")
        let value = noGradient { square().sum(axes: axes, keepDims: true).sqrt() }
        let result = record("norm", value, from: [self], saving: [self], savingOutput: true) { context in
            let y = context.output
            let isZero = y.detached() .== 0
            return [context.gradient * context.saved[0] / Tensor.where(isZero, y.scalar(1), y)]
        }
        return keepDims ? result : result.dropping(axes)
    }

    /// The p-norm (sum |x|^p)^(1/p) over `axes`, for p of 1 and more; its gradient at 0 is 0.
    public func norm(_ p: Double, axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
        require(p >= 1, "norm: p = \(p) is below 1")
        if p == 2 { return norm(axes: axes, keepDims: keepDims) }
        if p == 1 { return abs().sum(axes: axes, keepDims: keepDims) }
        if p == .infinity { return abs().max(axes: axes, keepDims: keepDims) }
        let axes = normalized(axes: axes, rank: rank, "norm")
        let value = noGradient { abs().pow(p).sum(axes: axes, keepDims: true).pow(1 / p) }
        let result = record("norm", value, from: [self], saving: [self], savingOutput: true) { context in
            let (x, y) = (context.saved[0], context.output)
            let safe = Tensor.where(y.detached() .== 0, y.scalar(1), y)
            return [context.gradient * x.detached().sign() * (x.abs() / safe).pow(p - 1)]
        }
        return keepDims ? result : result.dropping(axes)
    }

    /// Running sums along `axis`.
    public func cumulativeSum(axis: Int) -> Tensor {
        let axis = normalized(axis: axis, rank: rank, "cumulativeSum")
        if rank == 0 { return self }
        let result = backend.cumulativeSum(self, axis: axis)
        return record("cumulativeSum", result, from: [self]) { context in
            [context.gradient.flipped(axes: [axis]).cumulativeSum(axis: axis).flipped(axes: [axis])]
        }
    }

    /// Whether any element of a bool tensor holds.
    public func any() -> Bool { cast(to: .int64).sum().item() > 0 }
    /// Whether all elements of a bool tensor hold.
    public func all() -> Bool { Int(cast(to: .int64).sum().item()) == count }

    /// A fresh handle on the same values, so that recording does not touch this tensor's history.
    func sameValues() -> Tensor { view(shape: shape, strides: strides, offset: offset) }

    /// Removes axes of length 1.
    func dropping(_ axes: [Int]) -> Tensor {
        var left: [Int] = []
        for axis in shape.indices where !axes.contains(axis) { left.append(shape[axis]) }
        return reshaped(left)
    }
}
