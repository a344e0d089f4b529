extension ReferenceBackend {
    /// Calls `body(y, x, w)` with flat indices for every product of a convolution: y += x * w.
    private static func products(
        _ x: [Int], _ w: [Int], _ p: ConvolutionParameters, _ body: (_ y: Int, _ x: Int, _ w: Int) -> Void
    ) {
        let (n, height, width, channels) = (x[0], x[1], x[2], x[3])
        let (outputs, perGroup, kh, kw) = (w[0], w[1], w[2], w[3])
        let (oh, ow) = p.outputSize(height, width, kh, kw)
        let outputsPerGroup = outputs / p.groups
        for b in 0..<n {
            for oy in 0..<oh {
                for ox in 0..<ow {
                    for o in 0..<outputs {
                        let y = ((b * oh + oy) * ow + ox) * outputs + o
                        let firstChannel = o / outputsPerGroup * perGroup
                        for ky in 0..<kh {
                            let iy = oy * p.strideH - p.top + ky * p.dilationH
                            if iy < 0 || iy >= height { continue }
                            for kx in 0..<kw {
                                let ix = ox * p.strideW - p.left + kx * p.dilationW
                                if ix < 0 || ix >= width { continue }
                                let pixel = ((b * height + iy) * width + ix) * channels + firstChannel
                                for c in 0..<perGroup {
                                    body(y, pixel + c, ((o * perGroup + c) * kh + ky) * kw + kx)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    private static func outputShape(_ x: [Int], _ w: [Int], _ p: ConvolutionParameters) -> [Int] {
        let (oh, ow) = p.outputSize(x[1], x[2], w[2], w[3])
        return [x[0], oh, ow, w[0]]
    }

    func convolution(_ x: Tensor, _ weight: Tensor, bias: Tensor?, _ p: ConvolutionParameters) -> Tensor {
        let shape = Self.outputShape(x.shape, weight.shape, p)
        var y = [Double](repeating: 0, count: shape.elementCount)
        let xs = Reference.doubles(x)
        let ws = Reference.doubles(weight)
        Self.products(x.shape, weight.shape, p) { y[$0] += xs[$1] * ws[$2] }
        if let bias {
            let b = Reference.doubles(bias)
            for i in y.indices { y[i] += b[i % b.count] }
        }
        return Reference.make(y, shape, x.dtype, x.device)
    }

    func convolutionInputGradient(
        _ gradient: Tensor, _ weight: Tensor, inputShape: [Int], _ p: ConvolutionParameters
    ) -> Tensor {
        var dx = [Double](repeating: 0, count: inputShape.elementCount)
        let g = Reference.doubles(gradient)
        let ws = Reference.doubles(weight)
        Self.products(inputShape, weight.shape, p) { dx[$1] += g[$0] * ws[$2] }
        return Reference.make(dx, inputShape, gradient.dtype, gradient.device)
    }

    func convolutionWeightGradient(
        _ gradient: Tensor, _ x: Tensor, weightShape: [Int], _ p: ConvolutionParameters
    ) -> Tensor {
        var dw = [Double](repeating: 0, count: weightShape.elementCount)
        let g = Reference.doubles(gradient)
        let xs = Reference.doubles(x)
        Self.products(x.shape, weightShape, p) { dw[$2] += g[$0] * xs[$1] }
        return Reference.make(dw, weightShape, gradient.dtype, gradient.device)
    }

    /// Calls `body(y, taps)` for every output element, where `taps` lists the flat indices of the inputs under its
    /// window and `area` is what an average divides by.
    private static func windows(
        _ x: [Int], _ p: PoolParameters, _ body: (_ y: Int, _ taps: [Int], _ area: Int) -> Void
    ) {
        let (n, height, width, channels) = (x[0], x[1], x[2], x[3])
        let (oh, ow) = p.outputSize(height, width)
        for b in 0..<n {
            for oy in 0..<oh {
                for ox in 0..<ow {
                    let y0 = oy * p.strideH - p.top
                    let x0 = ox * p.strideW - p.left
                    let ys = (0..<p.kernelH).map { y0 + $0 * p.dilationH }.filter { $0 >= 0 && $0 < height }
                    let xs = (0..<p.kernelW).map { x0 + $0 * p.dilationW }.filter { $0 >= 0 && $0 < width }
                    // Padding counts, but what a rounded-up size reaches beyond it does not.
                    let padded =
                        (min(y0 + p.kernelH, height + p.bottom) - y0) * (min(x0 + p.kernelW, width + p.right) - x0)
                    for c in 0..<channels {
                        let taps = ys.flatMap { y in xs.map { ((b * height + y) * width + $0) * channels + c } }
                        body(((b * oh + oy) * ow + ox) * channels + c, taps, p.countsPadding ? padded : taps.count)
                    }
                }
            }
        }
    }

    private static func pooledShape(_ x: [Int], _ p: PoolParameters) -> [Int] {
        let (oh, ow) = p.outputSize(x[1], x[2])
        return [x[0], oh, ow, x[3]]
    }

    func maxPool(_ x: Tensor, _ p: PoolParameters) -> (y: Tensor, indices: Tensor) {
        let shape = Self.pooledShape(x.shape, p)
        let xs = Reference.doubles(x)
        var y = [Double](repeating: 0, count: shape.elementCount)
        var winners = [Int64](repeating: 0, count: y.count)
        let (plane, channels) = (x.shape[1] * x.shape[2], x.shape[3])
        Self.windows(x.shape, p) { out, taps, _ in
            var best = taps[0]
            for tap in taps.dropFirst() where xs[tap] > xs[best] || (xs[tap].isNaN && !xs[best].isNaN) { best = tap }
            y[out] = xs[best]
            winners[out] = Int64(best / channels % plane)
        }
        return (
            Reference.make(y, shape, x.dtype, x.device), Reference.make(winners, shape, .int32, x.device)
        )
    }

    func maxPoolGradient(_ gradient: Tensor, indices: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor {
        let g = Reference.doubles(gradient)
        let winners = Reference.integers(indices)
        var dx = [Double](repeating: 0, count: inputShape.elementCount)
        let channels = inputShape[3]
        let plane = inputShape[1] * inputShape[2]
        let perImage = indices.count / max(inputShape[0], 1)
        for i in g.indices { dx[(i / perImage * plane + Int(winners[i])) * channels + i % channels] += g[i] }
        return Reference.make(dx, inputShape, gradient.dtype, gradient.device)
    }

    func averagePool(_ x: Tensor, _ p: PoolParameters) -> Tensor {
        let shape = Self.pooledShape(x.shape, p)
        let xs = Reference.doubles(x)
        var y = [Double](repeating: 0, count: shape.elementCount)
        Self.windows(x.shape, p) { out, taps, area in y[out] = taps.reduce(0) { $0 + xs[$1] } / Double(area) }
        return Reference.make(y, shape, x.dtype, x.device)
    }

    func averagePoolGradient(_ gradient: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor {
        let g = Reference.doubles(gradient)
        var dx = [Double](repeating: 0, count: inputShape.elementCount)
        Self.windows(inputShape, p) { out, taps, area in for tap in taps { dx[tap] += g[out] / Double(area) } }
        return Reference.make(dx, inputShape, gradient.dtype, gradient.device)
    }
}
