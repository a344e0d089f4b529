import FledgeCore

/// A two-dimensional convolution of channels-last images: [N, H, W, inputs] to [N, H', W', outputs].
public final class Conv2d: Layer {
    /// [outputs, inputs / groups, kernel height, kernel width], as PyTorch stores it.
    public let weight: Parameter
    /// [outputs]
    public let bias: Parameter?
    public let stride, padding, dilation: (Int, Int)
    public let groups: Int

    /// Sizes are (height, width). Starts as PyTorch's: uniform in ±1 / sqrt(fan-in).
    public init(
        _ inputs: Int, _ outputs: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
        dilation: (Int, Int) = (1, 1), groups: Int = 1, bias: Bool = true, random: inout RandomSource
    ) {
        requireGroups(inputs, outputs, groups, "Conv2d")
        let shape = [outputs, inputs / groups, kernel.0, kernel.1]
        let fanIn = shape.dropFirst().reduce(1, *)
        weight = Parameter(Init.standard(shape, fanIn: fanIn, random: &random))
        self.bias = bias ? Parameter(Init.standard([outputs], fanIn: fanIn, random: &random)) : nil
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
    }

    /// The same sizes for height and width.
    public convenience init(
        _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1,
        groups: Int = 1, bias: Bool = true, random: inout RandomSource
    ) {
        self.init(
            inputs, outputs, kernel: (kernel, kernel), stride: (stride, stride), padding: (padding, padding),
            dilation: (dilation, dilation), groups: groups, bias: bias, random: &random)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.convolution2D(
            weight.value, bias: bias?.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }
}

/// A convolution along one axis: [N, L, inputs] to [N, L', outputs].
public final class Conv1d: Layer {
    /// [outputs, inputs / groups, kernel], as PyTorch stores it.
    public let weight: Parameter
    /// [outputs]
    public let bias: Parameter?
    public let stride, padding, dilation, groups: Int

    /// Starts as PyTorch's: uniform in ±1 / sqrt(fan-in).
    public init(
        _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1,
        groups: Int = 1, bias: Bool = true, random: inout RandomSource
    ) {
        requireGroups(inputs, outputs, groups, "Conv1d")
        let fanIn = inputs / groups * kernel
        weight = Parameter(Init.standard([outputs, inputs / groups, kernel], fanIn: fanIn, random: &random))
        self.bias = bias ? Parameter(Init.standard([outputs], fanIn: fanIn, random: &random)) : nil
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.convolution1D(
            weight.value, bias: bias?.value, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }
}

/// The adjoint of a convolution, which enlarges images: [N, H, W, inputs] to [N, H', W', outputs], with
/// H' = (H - 1) stride - 2 padding + dilation (kernel - 1) + output padding + 1.
public final class ConvTranspose2d: Layer {
    /// [inputs, outputs / groups, kernel height, kernel width], as PyTorch stores it.
    public let weight: Parameter
    /// [outputs]
    public let bias: Parameter?
    public let stride, padding, outputPadding, dilation: (Int, Int)
    public let groups: Int

    /// Sizes are (height, width). Starts as PyTorch's, which counts the fan-in as outputs / groups * kernel size.
    public init(
        _ inputs: Int, _ outputs: Int, kernel: (Int, Int), stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
        outputPadding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1), groups: Int = 1, bias: Bool = true,
        random: inout RandomSource
    ) {
        requireGroups(inputs, outputs, groups, "ConvTranspose2d")
        let shape = [inputs, outputs / groups, kernel.0, kernel.1]
        let fanIn = shape.dropFirst().reduce(1, *)
        weight = Parameter(Init.standard(shape, fanIn: fanIn, random: &random))
        self.bias = bias ? Parameter(Init.standard([outputs], fanIn: fanIn, random: &random)) : nil
        self.stride = stride
        self.padding = padding
        self.outputPadding = outputPadding
        self.dilation = dilation
        self.groups = groups
    }

    /// The same sizes for height and width.
    public convenience init(
        _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
        dilation: Int = 1, groups: Int = 1, bias: Bool = true, random: inout RandomSource
    ) {
        self.init(
            inputs, outputs, kernel: (kernel, kernel), stride: (stride, stride), padding: (padding, padding),
            outputPadding: (outputPadding, outputPadding), dilation: (dilation, dilation), groups: groups, bias: bias,
            random: &random)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.transposedConvolution2D(
            weight.value, bias: bias?.value, stride: stride, padding: padding, outputPadding: outputPadding,
            dilation: dilation, groups: groups)
    }
}

private func requireGroups(_ inputs: Int, _ outputs: Int, _ groups: Int, _ layer: StaticString) {
    require(
        groups > 0 && inputs % groups == 0 && outputs % groups == 0,
        "\(layer): \(groups) groups do not divide \(inputs) inputs and \(outputs) outputs")
}
