/// A place where gradients are collected that outlives the values connected to it: what a trained parameter owns.
/// However often the parameter's value is replaced, its gradient arrives here.
package final class Leaf {
    private let node = Node()

    package init() {}

    /// The sum of the gradients that backward passes brought here; nil when there were none.
    package var gradient: Tensor? {
        get { node.gradient }
        set { node.gradient = newValue }
    }

    /// The same values as a tensor whose gradient is collected here.
    package func connect(_ value: Tensor) -> Tensor {
        require(value.dtype.isFloatingPoint, "a \(value.dtype) tensor has no gradient")
        if value.node === node { return value }
        let tensor = value.view(shape: value.shape, strides: value.strides, offset: value.offset)
        tensor.node = node
        return tensor
    }
}
