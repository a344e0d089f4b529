extension Tensor {
    /// Whether gradients can flow through this tensor.
    public var requiresGradient: Bool { node != nil }

    /// The same values as a leaf: a place where `backward()` collects a gradient. Stops for integer tensors.
    public func requiringGradient() -> Tensor {
        require(dtype.isFloatingPoint, "requiringGradient: a \(dtype) tensor has no gradient")
        let leaf = view(shape: shape, strides: strides, offset: offset)
        leaf.node = Node()
        return leaf
    }

    /// The gradient that `backward()` collected here. Leaves only; adds up over calls until set to nil.
    public var gradient: Tensor? {
        get { node?.gradient }
        set { node?.gradient = newValue }
    }

    /// Adds the gradient of this tensor to every leaf it was computed from.
    ///
    /// - Parameters:
    ///   - gradient: the gradient to start from; ones of this tensor's shape by default, which for a scalar loss is the
    ///     usual derivative. Stops when the tensor is not a scalar and none is given.
    ///   - retainGraph: keeps what a second backward pass over the same graph needs.
    ///   - createGraph: records the backward pass itself, so that gradients can be differentiated again.
    public func backward(gradient: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false) {
        require(node != nil, "backward: this tensor does not depend on anything that wants a gradient")
        let start = startGradient(gradient, of: self, "backward")
        _ = runBackward(
            from: [(self, start)], wanted: nil, accumulate: true, retainGraph: retainGraph || createGraph,
            createGraph: createGraph)
    }

    /// Calls `body` with the gradient of this tensor whenever a backward pass computes it; what `body` returns, unless
    /// nil, takes its place.
    public func onGradient(_ body: @escaping (Tensor) -> Tensor?) {
        require(node != nil, "onGradient: no gradient flows through this tensor")
        node!.hooks.append(body)
    }
}

/// The gradients of `output` with respect to `inputs`: leaves or intermediate results. nil where `output` does not
/// depend on an input. Leaves' `gradient` is left alone.
///
/// - Parameters:
///   - gradient: the gradient to start from (a vector-Jacobian product); ones for a scalar.
///   - createGraph: records the computation of the gradients, so that they can be differentiated in turn.
public func gradients(
    of output: Tensor, for inputs: [Tensor], gradient: Tensor? = nil, retainGraph: Bool = false,
    createGraph: Bool = false
) -> [Tensor?] {
    for input in inputs {
        require(input.node != nil, "gradients: an input does not record gradients (use requiringGradient())")
    }
    if output.node == nil { return inputs.map { _ in nil } }
    let start = startGradient(gradient, of: output, "gradients")
    return runBackward(
        from: [(output, start)], wanted: inputs, accumulate: false, retainGraph: retainGraph || createGraph,
        createGraph: createGraph)
}

private func startGradient(_ given: Tensor?, of output: Tensor, _ operation: StaticString) -> Tensor {
    guard let given else {
        require(output.count == 1, "\(operation): a tensor of shape \(output.shape) needs a starting gradient")
        return .ones(like: output)
    }
    require(
        given.shape == output.shape,
        "\(operation): starting gradient of shape \(given.shape) for output \(output.shape)")
    return given
}

private nonisolated(unsafe) var lastVisit: UInt64 = 0
/// How many walks are under way: a checkpoint's rule begins one within another.
private nonisolated(unsafe) var walks = 0

/// Walks the graph behind `roots` once, newest operation first.
/// - Parameters:
///   - wanted: tensors whose gradients are returned; branches that lead to none of them (and, with `accumulate`, to no
///     leaf) are skipped.
///   - accumulate: adds into leaves' `gradient`.
func runBackward(
    from roots: [(output: Tensor, gradient: Tensor)], wanted: [Tensor]?, accumulate: Bool, retainGraph: Bool,
    createGraph: Bool
) -> [Tensor?] {
    lastVisit += 1
    let visit = lastVisit
    walks += 1
    // A weight that both walks reach waits for its gradients in the outer one.
    var outer: [(node: Node, pending: [Tensor?], visit: UInt64, isUseful: Bool)] = []
    defer {
        for kept in outer {
            (kept.node.pending, kept.node.visit, kept.node.isUseful) = (kept.pending, kept.visit, kept.isUseful)
        }
        walks -= 1
    }

    // Reachable nodes, by an explicit stack: recursion would overflow on deep graphs.
    var nodes: [Node] = []
    var stack: [Node] = []
    func reach(_ node: Node) {
        guard node.visit != visit else { return }
        if walks > 1, node.visit != 0 { outer.append((node, node.pending, node.visit, node.isUseful)) }
        node.visit = visit
        node.pending = [Tensor?](repeating: nil, count: node.outputCount)
        node.isUseful = accumulate
        stack.append(node)
    }
    for root in roots { root.output.node.map(reach) }
    while let node = stack.popLast() {
        nodes.append(node)
        for edge in node.inputs { if let edge { reach(edge.node) } }
    }
    nodes.sort { $0.id > $1.id }

    if let wanted, !accumulate {
        for tensor in wanted where tensor.node!.visit == visit { tensor.node!.isUseful = true }
        for node in nodes.reversed() where !node.isUseful {
            node.isUseful = node.inputs.contains { $0?.node.isUseful ?? false }
        }
    }

    for (output, gradient) in roots {
        if let node = output.node { add(gradient, to: &node.pending[output.outputIndex]) }
    }
    var results = [Tensor?](repeating: nil, count: wanted?.count ?? 0)
    let body = {
        for index in nodes.indices {
            let node = nodes[index]
            var gradients: [Tensor?] = []
            swap(&gradients, &node.pending)
            defer { if !retainGraph { node.release() } }
            guard node.isUseful, gradients.contains(where: { $0 != nil }) else { continue }
            for hook in node.hooks {
                for i in gradients.indices { if let g = gradients[i] { gradients[i] = hook(g) ?? g } }
            }
            if let wanted {
                for (i, tensor) in wanted.enumerated() where tensor.node === node {
                    results[i] = gradients[tensor.outputIndex]
                }
            }
            if node.isLeaf {
                if accumulate, let g = gradients[0] { add(g, to: &node.gradient) }
                continue
            }
            let needed = node.inputs.map { $0?.node.isUseful ?? false }
            guard needed.contains(true) else { continue }
            Autograd.watchGradient?(node.operation, false)
            defer { Autograd.watchGradient?(node.operation, true) }
            let inputGradients = node.differentiate(&gradients, needed: needed)
            for (i, edge) in node.inputs.enumerated() where needed[i] {
                guard let edge, let g = inputGradients[i] else { continue }
                add(g, to: &edge.node.pending[edge.output])
            }
        }
    }
    if createGraph { withGradient(body) } else { noGradient(body) }
    return results
}

private func add(_ gradient: Tensor, to sum: inout Tensor?) {
    // Taken out of the variable, the sum has one owner if nobody else (a hook, a caller) sees it.
    guard var total = sum.take() else {
        sum = gradient
        return
    }
    require(
        total.shape == gradient.shape,
        "backward: gradients of shapes \(total.shape) and \(gradient.shape) meet at one tensor")
    if Autograd.isRecording || !Tensor.addInPlace(gradient, to: &total) { total = total + gradient }
    sum = total
}
