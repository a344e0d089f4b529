import FledgeCore

// Activations as layers, for use in `Sequential`. In a function call the tensor method: `x.relu()`.

/// max(x, 0)
public final class ReLU: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x.relu() }
}

/// x where positive, else slope * x.
public final class LeakyReLU: Layer {
    public let slope: Double
    public init(slope: Double = 0.01) { self.slope = slope }
    public func callAsFunction(_ x: Tensor) -> Tensor { x.leakyRelu(slope: slope) }
}

/// x where positive, else alpha * (exp(x) - 1).
public final class ELU: Layer {
    public let alpha: Double
    public init(alpha: Double = 1) { self.alpha = alpha }
    public func callAsFunction(_ x: Tensor) -> Tensor { x.elu(alpha: alpha) }
}

/// x * Phi(x) (Hendrycks and Gimpel 2016).
public final class GELU: Layer {
    /// Whether Phi is approximated by a tanh.
    public let approximate: Bool
    public init(approximate: Bool = false) { self.approximate = approximate }
    public func callAsFunction(_ x: Tensor) -> Tensor { approximate ? x.geluTanh() : x.gelu() }
}

/// x * sigmoid(x), also called swish.
public final class SiLU: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x.silu() }
}

public final class Tanh: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x.tanh() }
}

public final class Sigmoid: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x.sigmoid() }
}

/// log(1 + exp(x))
public final class Softplus: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x.softplus() }
}
