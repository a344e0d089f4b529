import CFledgeKernels

extension CPUBackend {
    /// The geometry as oneDNN takes it.
    private func geometry(_ x: [Int], _ w: [Int], _ p: ConvolutionParameters) -> OneDNN.Convolution {
        OneDNN.Convolution(
            batch: x[0], inputChannels: x[3], outputChannels: w[0], inputHeight: x[1], inputWidth: x[2],
            kernelHeight: w[2], kernelWidth: w[3], strideHeight: p.strideH, strideWidth: p.strideW, paddingTop: p.top,
            paddingLeft: p.left, paddingBottom: p.bottom, paddingRight: p.right, dilationHeight: p.dilationH - 1,
            dilationWidth: p.dilationW - 1, groups: p.groups)
    }

    private func outputShape(_ x: [Int], _ w: [Int], _ p: ConvolutionParameters) -> [Int] {
        let (oh, ow) = p.outputSize(x[1], x[2], w[2], w[3])
        return [x[0], oh, ow, w[0]]
    }

    /// In the precision asked for, or in float32 where no kernel has it. (Winograd's filtering in float32 is as fast as
    /// direct products of bfloat16, and more exact.)
    private func direct(_ convolution: (OneDNN.ConvolutionTypes) -> Bool) {
        if Engine.precision == .bfloat16, convolution(OneDNN.ConvolutionTypes(compute: .bfloat16)) { return }
        _ = convolution(OneDNN.ConvolutionTypes())
    }

    func convolution(_ x: Tensor, _ weight: Tensor, bias: Tensor?, _ p: ConvolutionParameters) -> Tensor {
        let shape = outputShape(x.shape, weight.shape, p)
        guard isFast(x), shape.elementCount > 0, x.count > 0 else {
            return reference.convolution(x, weight, bias: bias, p)
        }
        let x = x.contiguous()
        let weight = weight.contiguous()
        let bias = bias?.contiguous()
        if let whole = WholeImageConvolution(x: x.shape, weight: weight.shape, p) {
            return whole.forward(x, weight, bias: bias)
        }
        let y = output(shape, like: x)
        if let winograd = WinogradConvolution(x: x.shape, weight: weight.shape, p) {
            winograd.forward(x, weight, bias: bias, into: y)
            return y
        }
        let shapes = geometry(x.shape, weight.shape, p)
        // Weights that are not being trained will come again as they are.
        let stays = !(Autograd.isRecording && weight.node != nil)
        direct {
            OneDNN.convolutionForward(
                shapes, source: x.pointer, weights: weight.pointer, bias: bias?.data(), destination: y.pointer,
                keeping: stays ? weight.storage : nil, types: $0)
        }
        return y
    }

    func convolutionInputGradient(
        _ gradient: Tensor, _ weight: Tensor, inputShape: [Int], _ p: ConvolutionParameters
    ) -> Tensor {
        guard isFast(gradient), gradient.count > 0, inputShape.elementCount > 0 else {
            return reference.convolutionInputGradient(gradient, weight, inputShape: inputShape, p)
        }
        let g = gradient.contiguous()
        let weight = weight.contiguous()
        if let whole = WholeImageConvolution(x: inputShape, weight: weight.shape, p) {
            return whole.inputGradient(g, weight, inputShape: inputShape)
        }
        let dx = output(inputShape, like: g)
        if let winograd = WinogradConvolution(x: inputShape, weight: weight.shape, p) {
            winograd.inputGradient(g, weight, into: dx)
            return dx
        }
        let shapes = geometry(inputShape, weight.shape, p)
        direct {
            OneDNN.convolutionBackwardData(
                shapes, sourceGradient: dx.pointer, weights: weight.pointer, destinationGradient: g.pointer, types: $0)
        }
        return dx
    }

    func convolutionWeightGradient(
        _ gradient: Tensor, _ x: Tensor, weightShape: [Int], _ p: ConvolutionParameters
    ) -> Tensor {
        guard isFast(gradient), gradient.count > 0, x.count > 0 else {
            return reference.convolutionWeightGradient(gradient, x, weightShape: weightShape, p)
        }
        let g = gradient.contiguous()
        let x = x.contiguous()
        if let whole = WholeImageConvolution(x: x.shape, weight: weightShape, p) {
            return whole.weightGradient(g, x, weightShape: weightShape)
        }
        let dw = output(weightShape, like: x)
        if let winograd = WinogradConvolution(x: x.shape, weight: weightShape, p) {
            winograd.weightGradient(g, x, into: dw)
            return dw
        }
        let shapes = geometry(x.shape, weightShape, p)
        direct {
            OneDNN.convolutionBackwardWeights(
                shapes, source: x.pointer, weightsGradient: dw.pointer, destinationGradient: g.pointer, types: $0)
        }
        return dw
    }

    func matmul(_ a: Tensor, _ b: Tensor, bias: Tensor?, batch: [Int]) -> Tensor {
        let m = a.shape[a.rank - 2]
        let k = a.shape[a.rank - 1]
        let n = b.shape[b.rank - 1]
        let shape = batch + [m, n]
        // One of the two is rounded already.
        let isMixed = a.dtype != b.dtype
        guard isFast(a) || isMixed, shape.elementCount > 0, k > 0, shape.count <= 5 else {
            if isFast(a), shape.elementCount > 0, k > 0 { return foldedMatmul(a, b, bias: bias, batch: batch) }
            return reference.matmul(a, b, bias: bias, batch: batch)
        }
        let bias = bias?.contiguous()
        let y = output(shape, like: a)
        let target = OneDNN.Operand(y.pointer, shape, strides: y.strides)
        func run(_ a: Tensor, _ b: Tensor, _ type: OneDNN.ElementType = .float32) -> Bool {
            let left = a.broadcastView(to: batch + [m, k])
            let right = b.broadcastView(to: batch + [k, n])
            return OneDNN.matmul(
                OneDNN.Operand(left.pointer, left.shape, strides: left.strides, type),
                OneDNN.Operand(right.pointer, right.shape, strides: right.strides, type), into: target,
                bias: bias?.data())
        }
        if isMixed || Engine.roundsProduct(m, n, k), run(rounded(a), rounded(b), .bfloat16) { return y }
        if isMixed { return matmul(cast(a, to: .float32), cast(b, to: .float32), bias: bias, batch: batch) }
        if run(a, b) { return y }
        let (ca, cb) = (copy(a), copy(b))
        require(run(ca, cb), "matmul: oneDNN refuses contiguous operands of shapes \(a.shape) and \(b.shape)")
        return y
    }

    func addMatmul(_ a: Tensor, _ b: Tensor, to sum: inout Tensor) -> Bool {
        guard isFast(a), isFast(sum), a.count > 0, b.count > 0, (2...5).contains(sum.rank),
            Engine.precision == .float32, sum.node == nil, Tensor.isHeldAlone(&sum, byColumns: true)
        else { return false }
        func operand(_ x: Tensor) -> OneDNN.Operand {
            let view = x.broadcastView(to: sum.shape.dropLast(2) + x.shape.suffix(2))
            return OneDNN.Operand(view.pointer, view.shape, strides: view.strides)
        }
        let target = operand(sum)
        if OneDNN.matmul(operand(a), operand(b), into: target, accumulate: true) { return true }
        let (left, right) = (copy(a), copy(b))
        return OneDNN.matmul(operand(left), operand(right), into: target, accumulate: true)
    }

    /// In bfloat16 and, where the values lie without gaps, in the order in which they lie.
    private func rounded(_ x: Tensor) -> Tensor {
        if x.dtype == .bfloat16 { return x }
        let span = zip(x.shape, x.strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
        guard span == x.count, x.strides.allSatisfy({ $0 >= 0 }) else { return cast(x, to: .bfloat16) }
        let flat = cast(x.view(shape: [x.count], strides: [1], offset: x.offset), to: .bfloat16)
        return flat.view(shape: x.shape, strides: x.strides, offset: flat.offset)
    }

    /// More leading axes than oneDNN takes are folded into one.
    private func foldedMatmul(_ a: Tensor, _ b: Tensor, bias: Tensor?, batch: [Int]) -> Tensor {
        let n = batch.elementCount
        let left = a.broadcastView(to: batch + a.shape.suffix(2)).reshaped([n] + a.shape.suffix(2))
        let right = b.broadcastView(to: batch + b.shape.suffix(2)).reshaped([n] + b.shape.suffix(2))
        let y = matmul(left, right, bias: bias, batch: [n])
        return y.reshaped(batch + y.shape.suffix(2))
    }

    // MARK: Pooling

    private func kernelShape(_ x: [Int], _ p: PoolParameters) -> (fk_pool_shape, [Int]) {
        let (oh, ow) = p.outputSize(x[1], x[2])
        let shape = fk_pool_shape(
            n: Int64(x[0]), h: Int64(x[1]), w: Int64(x[2]), c: Int64(x[3]), kernel_h: Int64(p.kernelH),
            kernel_w: Int64(p.kernelW), stride_h: Int64(p.strideH), stride_w: Int64(p.strideW), pad_top: Int64(p.top),
            pad_left: Int64(p.left), pad_bottom: Int64(p.bottom), pad_right: Int64(p.right),
            dilation_h: Int64(p.dilationH), dilation_w: Int64(p.dilationW), oh: Int64(oh), ow: Int64(ow))
        return (shape, [x[0], oh, ow, x[3]])
    }

    func maxPool(_ x: Tensor, _ p: PoolParameters) -> (y: Tensor, indices: Tensor) {
        guard isFast(x) else { return reference.maxPool(x, p) }
        let x = x.contiguous()
        var (geometry, shape) = kernelShape(x.shape, p)
        let y = output(shape, like: x)
        let indices = output(shape, like: x, dtype: .int32)
        if y.count > 0 { fk_max_pool(&geometry, x.data(), y.data(), indices.data(Int32.self)) }
        return (y, indices)
    }

    func maxPoolGradient(_ gradient: Tensor, indices: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor {
        guard isFast(gradient), gradient.count > 0 else {
            return reference.maxPoolGradient(gradient, indices: indices, inputShape: inputShape, p)
        }
        let g = gradient.contiguous()
        var (geometry, _) = kernelShape(inputShape, p)
        let dx = output(inputShape, like: g)
        fk_max_pool_grad(&geometry, g.data(), indices.data(Int32.self), dx.data())
        return dx
    }

    func averagePool(_ x: Tensor, _ p: PoolParameters) -> Tensor {
        guard isFast(x), p.dilationH == 1, p.dilationW == 1 else { return reference.averagePool(x, p) }
        let x = x.contiguous()
        var (geometry, shape) = kernelShape(x.shape, p)
        let y = output(shape, like: x)
        if y.count > 0 { fk_avg_pool(&geometry, p.countsPadding ? 1 : 0, x.data(), y.data()) }
        return y
    }

    func averagePoolGradient(_ gradient: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor {
        guard isFast(gradient), gradient.count > 0, p.dilationH == 1, p.dilationW == 1 else {
            return reference.averagePoolGradient(gradient, inputShape: inputShape, p)
        }
        let g = gradient.contiguous()
        var (geometry, _) = kernelShape(inputShape, p)
        let dx = output(inputShape, like: g)
        fk_avg_pool_grad(&geometry, p.countsPadding ? 1 : 0, g.data(), dx.data())
        return dx
    }
}
