import FledgeCore

/// Layers one after the other. Their names on disk are their numbers: `0.weight`, `2.bias`.
public final class Sequential: Layer, ModuleContainer {
    public let layers: [any Layer]

    public init(_ layers: any Layer...) { self.layers = layers }
    public init(_ layers: [any Layer]) { self.layers = layers }

    public func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { $1($0) } }

    public subscript(_ index: Int) -> any Layer { layers[index] }
}

/// x + body(x), or shortcut(x) + body(x) where shapes change (He et al. 2016).
public final class Residual: Layer {
    public let body: any Layer
    public let shortcut: (any Layer)?

    public init(_ body: any Layer, shortcut: (any Layer)? = nil) {
        self.body = body
        self.shortcut = shortcut
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { (shortcut?(x) ?? x) + body(x) }
}

/// Hands on its input.
public final class Identity: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor { x }
}

/// [n, ...] to [n, all the rest].
public final class Flatten: Layer {
    public init() {}
    public func callAsFunction(_ x: Tensor) -> Tensor {
        require(x.rank >= 1, "Flatten: a scalar has no batch axis")
        return x.reshaped([x.shape[0], x.shape.dropFirst().reduce(1, *)])
    }
}
