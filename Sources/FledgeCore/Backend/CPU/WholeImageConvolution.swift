/// A convolution whose window covers the whole image, so that there is one output pixel: a matrix product of which only
/// the taps that meet a pixel are part. Direct convolution multiplies padding too: five products in nine for 3x3 taps
/// on 2x2 pixels.
struct WholeImageConvolution {
    private let images, taps, outputs: Int
    /// Of the weights that meet a pixel, as [outputs, h, w, channels].
    private let shape: [Int], strides: [Int], offset: Int

    /// Nil where the window covers less than the image, or no padding. `x` is [n, h, w, c], `weight` [k, c, kh, kw].
    init?(x: [Int], weight: [Int], _ p: ConvolutionParameters) {
        let (h, w, c, kh, kw) = (x[1], x[2], x[3], weight[2], weight[3])
        guard p.groups == 1, p.dilationH == 1, p.dilationW == 1, h * w < kh * kw, p.top + h <= kh, p.left + w <= kw,
            p.outputSize(h, w, kh, kw) == (1, 1)
        else { return nil }
        (images, taps, outputs) = (x[0], h * w * c, weight[0])
        shape = [weight[0], h, w, c]
        strides = [c * kh * kw, kw, 1, kh * kw]
        offset = p.top * kw + p.left
    }

    /// [outputs, taps] of contiguous weights.
    private func matrix(_ weight: Tensor) -> Tensor {
        let met = weight.view(shape: shape, strides: strides, offset: weight.offset + offset).contiguous()
        return met.view(shape: [outputs, taps], strides: [taps, 1], offset: met.offset)
    }

    private func rows(_ x: Tensor, _ width: Int) -> Tensor {
        x.view(shape: [images, width], strides: [width, 1], offset: x.offset)
    }

    private func transposed(_ x: Tensor) -> Tensor {
        x.view(shape: [x.shape[1], x.shape[0]], strides: [x.strides[1], x.strides[0]], offset: x.offset)
    }

    /// All operands are contiguous.
    func forward(_ x: Tensor, _ weight: Tensor, bias: Tensor?) -> Tensor {
        let y = x.backend.matmul(rows(x, taps), transposed(matrix(weight)), bias: bias, batch: [])
        return y.view(shape: [images, 1, 1, outputs], strides: [outputs, outputs, outputs, 1], offset: 0)
    }

    func inputGradient(_ gradient: Tensor, _ weight: Tensor, inputShape: [Int]) -> Tensor {
        gradient.backend.matmul(rows(gradient, outputs), matrix(weight), bias: nil, batch: []).reshaped(inputShape)
    }

    func weightGradient(_ gradient: Tensor, _ x: Tensor, weightShape: [Int]) -> Tensor {
        let met = x.backend.matmul(transposed(rows(gradient, outputs)), rows(x, taps), bias: nil, batch: [])
        let whole = Tensor.zeros(weightShape, dtype: x.dtype, device: x.device)
        x.backend.write(met.reshaped(shape), into: whole, strides: strides, offset: offset)
        return whole
    }
}
