/// A function with a gradient of one's own making, such as gradient reversal or a straight-through estimator.
///
/// - Parameters:
///   - inputs: what the function depends on.
///   - forward: computes the output; not recorded.
///   - backward: (gradient of the output, inputs, output) to the gradients of the inputs, nil for none. Written with
///     tensor operations it can be differentiated again.
public func customGradient(
    _ inputs: [Tensor], forward: ([Tensor]) -> Tensor,
    backward: @escaping (_ gradient: Tensor, _ inputs: [Tensor], _ output: Tensor) -> [Tensor?]
) -> Tensor {
    let output = noGradient { forward(inputs) }
    return record("customGradient", output, from: inputs, saving: inputs, savingOutput: true) { context in
        let gradients = backward(context.gradient, context.saved, context.output)
        require(
            gradients.count == context.saved.count,
            "customGradient: \(gradients.count) gradients for \(context.saved.count) inputs")
        return gradients
    }
}

/// Computes `body(inputs)` without keeping its intermediate results; the backward pass computes them again (Chen et al.
/// 2016, "Training deep nets with sublinear memory cost"). Random draws from `Randomness.current` repeat exactly.
/// Parameters used inside receive their gradients as usual. First order only.
public func checkpoint(_ inputs: [Tensor], _ body: @escaping ([Tensor]) -> Tensor) -> Tensor {
    guard Autograd.isRecording else { return body(inputs) }
    let randomness = Randomness.current
    let output = noGradient { body(inputs) }
    return recordAlways("checkpoint", output, from: inputs, saving: inputs, savingOutput: false) { context in
        require(!Autograd.isRecording, "checkpoint: gradients of gradients are not supported through a checkpoint")
        let after = Randomness.current
        Randomness.current = randomness
        defer { Randomness.current = after }
        let leaves = context.saved.indices.map { i in
            context.needs(i) ? context.saved[i].detached().requiringGradient() : context.saved[i].detached()
        }
        let again = withGradient { body(leaves) }
        guard again.node != nil else { return context.saved.map { _ in nil } }
        let wanted = leaves.filter { $0.node != nil }
        var found = runBackward(
            from: [(again, context.gradient)], wanted: wanted, accumulate: true, retainGraph: false, createGraph: false)[
                ...]
        return leaves.map { $0.node == nil ? nil : found.popFirst()! }
    }
}

/// The product of the Jacobian of `function` at `x` with `vector` (the derivative in that direction), and the value
/// there. Uses two reverse passes: the vector-Jacobian product is linear in its vector, and its own gradient is the
/// Jacobian-vector product. Needs double backward for the operations inside.
public func jacobianVectorProduct(
    _ function: (Tensor) -> Tensor, at x: Tensor, vector: Tensor
) -> (value: Tensor, product: Tensor) {
    require(vector.shape == x.shape, "jacobianVectorProduct: vector of shape \(vector.shape) for x \(x.shape)")
    return withGradient {
        let input = x.detached().requiringGradient()
        let value = function(input)
        let dummy = Tensor.ones(like: value).requiringGradient()
        guard value.node != nil,
            let pulled = gradients(of: value, for: [input], gradient: dummy, createGraph: true)[0], pulled.node != nil
        else { return (value.detached(), .zeros(like: value)) }
        let product = gradients(of: pulled, for: [dummy], gradient: vector)[0] ?? .zeros(like: value)
        return (value.detached(), product.detached())
    }
}
