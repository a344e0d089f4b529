import FledgeCore

/// The largest value of each window: [N, H, W, C] to [N, H', W', C].
public final class MaxPool: Layer {
    public let kernel, stride, padding: Int

    /// - Parameter stride: the kernel's size by default.
    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.maxPool2D(kernel: (kernel, kernel), stride: (stride, stride), padding: (padding, padding))
    }
}

/// The mean of each window, zeros of the padding included: [N, H, W, C] to [N, H', W', C].
public final class AveragePool: Layer {
    public let kernel, stride, padding: Int

    /// - Parameter stride: the kernel's size by default.
    public init(_ kernel: Int, stride: Int? = nil, padding: Int = 0) {
        self.kernel = kernel
        self.stride = stride ?? kernel
        self.padding = padding
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.averagePool2D(kernel: (kernel, kernel), stride: (stride, stride), padding: (padding, padding))
    }
}

/// The mean over all positions: [N, H, W, C] to [N, C].
public final class GlobalAveragePool: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x.globalAveragePool2D() }
}
