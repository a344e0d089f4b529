// Convolution and its two adjoints. y = conv(x, w) is linear in x and in w, so three primitives that differentiate into
// one another are enough for derivatives of every order: the convolution itself, the gradient of its input (which is
// also the transposed convolution) and the gradient of its weights.

extension Tensor {
    /// Two-dimensional convolution (cross-correlation, as in all deep learning) of channels-last images.
    ///
    /// x is [N, H, W, C]; the result is [N, OH, OW, O] with OH = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1.
    /// Stops when shapes or types do not go together or the kernel is larger than the padded image.
    /// - Parameters:
    ///   - weight: [O, C / groups, kh, kw], as PyTorch stores it.
    ///   - bias: [O].
    ///   - padding: zeros added above and below, left and right.
    ///   - dilation: distance between the taps of the kernel.
    ///   - groups: channels are cut into this many groups that do not see each other.
    public func convolution2D(
        _ weight: Tensor, bias: Tensor? = nil, stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
        dilation: (Int, Int) = (1, 1), groups: Int = 1
    ) -> Tensor {
        let p = ConvolutionParameters(
            stride: stride, padding: padding, dilation: dilation, groups: groups, "convolution2D")
        require(
            rank == 4 && weight.rank == 4 && weight.shape[0] % groups == 0 && shape[3] == weight.shape[1] * groups
                && bias.map { $0.shape == [weight.shape[0]] } ?? true,
            "convolution2D: x \(shape), weight \(weight.shape), bias \(bias.map { "\($0.shape)" } ?? "none"), "
                + "groups \(groups)")
        requireOneKind("convolution2D", weight, bias)
        let (oh, ow) = p.outputSize(shape[1], shape[2], weight.shape[2], weight.shape[3])
        require(
            p.fits(shape[1], shape[2], weight.shape[2], weight.shape[3]),
            "convolution2D: kernel of weight \(weight.shape), dilation \(dilation) is larger than x \(shape) "
                + "with padding \(padding)")
        return convolution(weight, bias: bias, p, outputSize: (oh, ow))
    }

    /// One-dimensional convolution: x [N, L, C], `weight` [O, C / groups, k], `bias` [O]; the result is [N, OL, O].
    /// A `convolution2D` of height 1.
    public func convolution1D(
        _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
    ) -> Tensor {
        require(rank == 3 && weight.rank == 3, "convolution1D: x \(shape), weight \(weight.shape)")
        return unsqueezed(axis: 1).convolution2D(
            weight.unsqueezed(axis: 2), bias: bias, stride: (1, stride), padding: (0, padding),
            dilation: (1, dilation), groups: groups
        ).squeezed(axis: 1)
    }

    /// Transposed convolution: the adjoint of `convolution2D` with the same weights, used to enlarge.
    ///
    /// x is [N, H, W, I]; the result is [N, OH, OW, O] with
    /// OH = (H - 1) stride - 2 padding + dilation (kh - 1) + outputPadding + 1.
    /// Stops when shapes do not go together or `outputPadding` is not below `stride`.
    /// - Parameters:
    ///   - weight: [I, O / groups, kh, kw], as PyTorch stores it.
    ///   - bias: [O].
    ///   - outputPadding: rows and columns added at the bottom and right: a strided convolution maps several sizes to
    ///     one, and this says which of them is meant.
    public func transposedConvolution2D(
        _ weight: Tensor, bias: Tensor? = nil, stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
        outputPadding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1), groups: Int = 1
    ) -> Tensor {
        let p = ConvolutionParameters(
            stride: stride, padding: padding, dilation: dilation, groups: groups, "transposedConvolution2D")
        require(
            rank == 4 && weight.rank == 4 && shape[3] == weight.shape[0] && shape[3] % groups == 0
                && bias.map { $0.shape == [weight.shape[1] * groups] } ?? true,
            "transposedConvolution2D: x \(shape), weight \(weight.shape), "
                + "bias \(bias.map { "\($0.shape)" } ?? "none"), groups \(groups)")
        requireOneKind("transposedConvolution2D", weight, bias)
        require(
            outputPadding.0 >= 0 && outputPadding.0 < stride.0 && outputPadding.1 >= 0 && outputPadding.1 < stride.1,
            "transposedConvolution2D: outputPadding \(outputPadding) must be below stride \(stride)")
        let oh = (shape[1] - 1) * stride.0 - 2 * padding.0 + dilation.0 * (weight.shape[2] - 1) + outputPadding.0 + 1
        let ow = (shape[2] - 1) * stride.1 - 2 * padding.1 + dilation.1 * (weight.shape[3] - 1) + outputPadding.1 + 1
        require(
            oh > 0 && ow > 0 && shape[1] > 0 && shape[2] > 0,
            "transposedConvolution2D: x \(shape), weight \(weight.shape), padding \(padding) leave no output")
        let y = convolutionInputGradient(weight, inputShape: [shape[0], oh, ow, weight.shape[1] * groups], p)
        return bias.map { y + $0 } ?? y
    }

    /// `transposedConvolution2D` of height 1: x [N, L, I], `weight` [I, O / groups, k]; the result is [N, OL, O].
    public func transposedConvolution1D(
        _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
        dilation: Int = 1, groups: Int = 1
    ) -> Tensor {
        require(rank == 3 && weight.rank == 3, "transposedConvolution1D: x \(shape), weight \(weight.shape)")
        return unsqueezed(axis: 1).transposedConvolution2D(
            weight.unsqueezed(axis: 2), bias: bias, stride: (1, stride), padding: (0, padding),
            outputPadding: (0, outputPadding), dilation: (1, dilation), groups: groups
        ).squeezed(axis: 1)
    }

    // MARK: The three primitives. An empty batch never reaches a backend.

    private func convolution(
        _ weight: Tensor, bias: Tensor?, _ p: ConvolutionParameters, outputSize: (Int, Int)
    ) -> Tensor {
        let y =
            count == 0
            ? Tensor.zeros([shape[0], outputSize.0, outputSize.1, weight.shape[0]], dtype: dtype, device: device)
            : backend.convolution(self, weight, bias: bias, p)
        let inputs = bias.map { [self, weight, $0] } ?? [self, weight]
        let hasBias = bias != nil
        return record("convolution", y, from: inputs, saving: [self, weight]) { context in
            let g = context.gradient
            let (x, w) = (context.saved[0], context.saved[1])
            var gradients = [
                context.needs(0) ? g.convolutionInputGradient(w, inputShape: x.shape, p) : nil,
                context.needs(1) ? g.convolutionWeightGradient(x, weightShape: w.shape, p) : nil,
            ]
            if hasBias { gradients.append(context.needs(2) ? g.sum(axes: [0, 1, 2]) : nil) }
            return gradients
        }
    }

    /// This gradient [N, OH, OW, O] of a convolution's output, taken back to its input of `inputShape`.
    private func convolutionInputGradient(
        _ weight: Tensor, inputShape: [Int], _ p: ConvolutionParameters
    ) -> Tensor {
        let size = (shape[1], shape[2])
        let dx =
            count == 0
            ? Tensor.zeros(inputShape, dtype: dtype, device: device)
            : backend.convolutionInputGradient(self, weight, inputShape: inputShape, p)
        return record("convolutionInputGradient", dx, from: [self, weight], saving: [self, weight]) { context in
            let u = context.gradient
            let (g, w) = (context.saved[0], context.saved[1])
            return [
                context.needs(0) ? u.convolution(w, bias: nil, p, outputSize: size) : nil,
                context.needs(1) ? g.convolutionWeightGradient(u, weightShape: w.shape, p) : nil,
            ]
        }
    }

    /// This gradient [N, OH, OW, O] of a convolution's output, taken back to its weights.
    private func convolutionWeightGradient(_ x: Tensor, weightShape: [Int], _ p: ConvolutionParameters) -> Tensor {
        let size = (shape[1], shape[2])
        let dw =
            count == 0
            ? Tensor.zeros(weightShape, dtype: dtype, device: device)
            : backend.convolutionWeightGradient(self, x, weightShape: weightShape, p)
        return record("convolutionWeightGradient", dw, from: [self, x], saving: [self, x]) { context in
            let v = context.gradient
            let (g, x) = (context.saved[0], context.saved[1])
            return [
                context.needs(0) ? x.convolution(v, bias: nil, p, outputSize: size) : nil,
                context.needs(1) ? g.convolutionInputGradient(v, inputShape: x.shape, p) : nil,
            ]
        }
    }

    /// Stops unless all operands are floating-point tensors of one type on one device.
    func requireOneKind(_ operation: StaticString, _ others: Tensor?...) {
        require(
            dtype == .float32 || dtype == .float64,
            "\(operation): a \(dtype) tensor; cast it to float32 first")
        for t in others {
            guard let t else { continue }
            require(
                t.dtype == dtype && t.device == device,
                "\(operation): \(dtype) on \(device) meets \(t.dtype) on \(t.device); cast or move one of them")
        }
    }
}

extension ConvolutionParameters {
    /// Checked parameters from symmetric padding.
    fileprivate init(
        stride: (Int, Int), padding: (Int, Int), dilation: (Int, Int), groups: Int, _ operation: StaticString
    ) {
        require(
            stride.0 > 0 && stride.1 > 0 && dilation.0 > 0 && dilation.1 > 0 && groups > 0 && padding.0 >= 0
                && padding.1 >= 0,
            "\(operation): stride \(stride), padding \(padding), dilation \(dilation), groups \(groups)")
        self.init(
            strideH: stride.0, strideW: stride.1, top: padding.0, left: padding.1, bottom: padding.0,
            right: padding.1, dilationH: dilation.0, dilationW: dilation.1, groups: groups)
    }

    /// Whether the kernel lies within the padded image at least once.
    fileprivate func fits(_ h: Int, _ w: Int, _ kh: Int, _ kw: Int) -> Bool {
        kh > 0 && kw > 0 && h + top + bottom > dilationH * (kh - 1) && w + left + right > dilationW * (kw - 1)
    }
}
