// Pooling of channels-last images [N, H, W, C] over windows of the plane.

extension Tensor {
    /// The largest value of each window; [N, OH, OW, C]. The gradient goes to the first of equal values. Padding never
    /// wins. NaN counts as largest.
    ///
    /// Stops for `padding` above half the kernel and for windows that hold no pixel.
    /// - Parameters:
    ///   - stride: distance between windows; the kernel's size by default.
    ///   - ceiling: rounds the output size up instead of down (torch's `ceil_mode`).
    public func maxPool2D(
        kernel: (Int, Int), stride: (Int, Int)? = nil, padding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1),
        ceiling: Bool = false
    ) -> Tensor {
        let p = poolParameters(kernel, stride ?? kernel, padding, dilation, ceiling: ceiling, "maxPool2D")
        // Only taps further apart than the image is long can all fall beside it.
        require(
            (padding.0 == 0 || shape[1] >= dilation.0) && (padding.1 == 0 || shape[2] >= dilation.1),
            "maxPool2D: with dilation \(dilation) and padding \(padding) a window misses all of x \(shape)")
        let (y, indices) =
            count == 0 ? (emptyPool(p, dtype), emptyPool(p, .int32)) : backend.maxPool(self, p)
        let full = shape
        return record("maxPool2D", y, from: [self], saving: [indices]) { context in
            [context.gradient.maxPoolGradient(indices: context.saved[0], inputShape: full, p)]
        }
    }

    /// Each element written to its winner's place; the adjoint picks the winners' places.
    private func maxPoolGradient(indices: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor {
        let dx =
            count == 0
            ? Tensor.zeros(inputShape, dtype: dtype, device: device)
            : backend.maxPoolGradient(self, indices: indices, inputShape: inputShape, p)
        return record("maxPoolGradient", dx, from: [self], saving: [indices]) { context in
            let u = context.gradient
            let index = context.saved[0]
            let (n, c) = (inputShape[0], inputShape[3])
            let plane = u.reshaped([n, inputShape[1] * inputShape[2], c])
            return [
                plane.gather(axis: 1, index.reshaped([n, index.shape[1] * index.shape[2], c])).reshaped(index.shape)
            ]
        }
    }

    /// The mean of each window; [N, OH, OW, C]. Stops for `padding` above half the kernel.
    /// - Parameters:
    ///   - countsPadding: whether padding counts as zeros in the mean, or not at all (torch's `count_include_pad`).
    ///   - ceiling: rounds the output size up instead of down (torch's `ceil_mode`).
    public func averagePool2D(
        kernel: (Int, Int), stride: (Int, Int)? = nil, padding: (Int, Int) = (0, 0), countsPadding: Bool = true,
        ceiling: Bool = false
    ) -> Tensor {
        var p = poolParameters(kernel, stride ?? kernel, padding, (1, 1), ceiling: ceiling, "averagePool2D")
        p.countsPadding = countsPadding
        return averagePool(p)
    }

    private func averagePool(_ p: PoolParameters) -> Tensor {
        let y = count == 0 ? emptyPool(p, dtype) : backend.averagePool(self, p)
        let full = shape
        return record("averagePool2D", y, from: [self]) { [$0.gradient.averagePoolGradient(inputShape: full, p)] }
    }

    private func averagePoolGradient(inputShape: [Int], _ p: PoolParameters) -> Tensor {
        let dx =
            count == 0
            ? Tensor.zeros(inputShape, dtype: dtype, device: device)
            : backend.averagePoolGradient(self, inputShape: inputShape, p)
        return record("averagePoolGradient", dx, from: [self]) { [$0.gradient.averagePool(p)] }
    }

    /// The mean over `size` windows that cover the plane as evenly as whole pixels allow: window i of n spans
    /// floor(i H / n) up to ceil((i + 1) H / n). [N, size.0, size.1, C].
    public func adaptiveAveragePool2D(_ size: (Int, Int)) -> Tensor {
        requireAdaptive(size, "adaptiveAveragePool2D")
        if shape[1] % size.0 == 0, shape[2] % size.1 == 0 {
            return averagePool2D(kernel: (shape[1] / size.0, shape[2] / size.1))
        }
        return interpolated(axis: 1, size.0) { adaptiveWeights(shape[1], size.0, $0) }
            .interpolated(axis: 2, size.1) { adaptiveWeights(shape[2], size.1, $0) }
    }

    /// The largest value of each of the windows that `adaptiveAveragePool2D` averages. [N, size.0, size.1, C].
    public func adaptiveMaxPool2D(_ size: (Int, Int)) -> Tensor {
        requireAdaptive(size, "adaptiveMaxPool2D")
        // Short windows repeat their last row or column, so that all become equally long and lie side by side.
        func spread(_ length: Int, _ windows: Int) -> (kernel: Int, source: [Int]) {
            let bounds = (0..<windows).map { adaptiveWindow(length, windows, $0) }
            let longest = bounds.map(\.count).max()!
            return (
                longest, bounds.flatMap { b in (0..<longest).map { Swift.min(b.lowerBound + $0, b.upperBound - 1) } }
            )
        }
        let rows = spread(shape[1], size.0)
        let columns = spread(shape[2], size.1)
        var x = self
        if rows.source.count != shape[1] { x = x.indexSelect(axis: 1, rows.source) }
        if columns.source.count != shape[2] { x = x.indexSelect(axis: 2, columns.source) }
        return x.maxPool2D(kernel: (rows.kernel, columns.kernel))
    }

    /// The mean over the plane: [N, H, W, C] to [N, C].
    public func globalAveragePool2D() -> Tensor {
        require(rank == 4, "globalAveragePool2D: x has shape \(shape), not [N, H, W, C]")
        return mean(axes: [1, 2])
    }

    private func requireAdaptive(_ size: (Int, Int), _ operation: StaticString) {
        requireOneKind(operation)
        require(
            rank == 4 && shape[1] > 0 && shape[2] > 0 && size.0 > 0 && size.1 > 0,
            "\(operation): x \(shape) to size \(size)")
    }

    private func emptyPool(_ p: PoolParameters, _ dtype: DType) -> Tensor {
        let (oh, ow) = p.outputSize(shape[1], shape[2])
        return .zeros([shape[0], oh, ow, shape[3]], dtype: dtype, device: device)
    }

    private func poolParameters(
        _ kernel: (Int, Int), _ stride: (Int, Int), _ padding: (Int, Int), _ dilation: (Int, Int), ceiling: Bool,
        _ operation: StaticString
    ) -> PoolParameters {
        requireOneKind(operation)
        require(rank == 4, "\(operation): x has shape \(shape), not [N, H, W, C]")
        require(
            kernel.0 > 0 && kernel.1 > 0 && stride.0 > 0 && stride.1 > 0 && dilation.0 > 0 && dilation.1 > 0,
            "\(operation): kernel \(kernel), stride \(stride), dilation \(dilation) must be positive")
        require(
            padding.0 >= 0 && padding.1 >= 0 && padding.0 <= kernel.0 / 2 && padding.1 <= kernel.1 / 2,
            "\(operation): padding \(padding) must be between 0 and half the kernel \(kernel)")
        require(
            shape[1] + 2 * padding.0 > dilation.0 * (kernel.0 - 1)
                && shape[2] + 2 * padding.1 > dilation.1 * (kernel.1 - 1),
            "\(operation): kernel \(kernel), dilation \(dilation) is larger than x \(shape) with padding \(padding)")
        return PoolParameters(
            kernelH: kernel.0, kernelW: kernel.1, strideH: stride.0, strideW: stride.1, top: padding.0,
            left: padding.1, bottom: padding.0, right: padding.1, dilationH: dilation.0, dilationW: dilation.1,
            ceiling: ceiling)
    }
}

/// Window `i` of `windows` over `length` pixels.
private func adaptiveWindow(_ length: Int, _ windows: Int, _ i: Int) -> Range<Int> {
    i * length / windows..<((i + 1) * length + windows - 1) / windows
}

private func adaptiveWeights(_ length: Int, _ windows: Int, _ i: Int) -> [(Int, Double)] {
    let window = adaptiveWindow(length, windows, i)
    return window.map { ($0, 1 / Double(window.count)) }
}
