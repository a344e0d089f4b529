/// The switch of gradient recording.
public enum Autograd {
    /// Whether operations are recorded. Set through `noGradient` and `withGradient`.
    @exclusivity(unchecked) public nonisolated(unsafe) fileprivate(set) static var isRecording = true

    /// Whether an operation on these inputs is recorded.
    static func records(_ inputs: [Tensor]) -> Bool { isRecording && inputs.contains { $0.node != nil } }

    /// Told of every operation with its inputs and outputs, recorded or not: how a step is examined for the first number
    /// that is none. nil, as always but then, costs a comparison.
    package nonisolated(unsafe) static var watch: ((_ operation: StaticString, [Tensor], [Tensor]) -> Void)?

    /// Told when the gradient of an operation begins to be computed, and when it is: for the profiler.
    package nonisolated(unsafe) static var watchGradient: ((_ operation: StaticString, _ isOver: Bool) -> Void)?

    /// How many recorded operations are alive: what leak tests watch.
    public static var liveNodeCount: Int { Node.liveCount }
}

/// Runs `body` without recording: nothing computed inside can be differentiated, and nothing is kept for it.
public func noGradient<R>(_ body: () throws -> R) rethrows -> R { try recording(false, body) }

/// Runs `body` with recording on, inside a `noGradient` scope too.
public func withGradient<R>(_ body: () throws -> R) rethrows -> R { try recording(true, body) }

private func recording<R>(_ on: Bool, _ body: () throws -> R) rethrows -> R {
    let before = Autograd.isRecording
    Autograd.isRecording = on
    defer { Autograd.isRecording = before }
    return try body()
}

/// Connects a freshly computed `output` to the graph, if recording is on and an input wants gradients.
///
/// - Parameters:
///   - saving: tensors the rule needs. They keep their own history, so that a rule written with tensor operations can
///     itself be differentiated.
///   - savingOutput: keeps the output for the rule as well (`context.output`), without a reference cycle.
///   - rule: gradients of the inputs, in order; nil for an input that has none.
@inline(__always)
func record(
    _ operation: StaticString, _ output: Tensor, from inputs: [Tensor], saving: [Tensor] = [],
    savingOutput: Bool = false, rule: @escaping Node.Rule
) -> Tensor {
    if let watch = Autograd.watch { watch(operation, inputs, [output]) }
    guard Autograd.records(inputs) else { return output }
    return recordAlways(operation, output, from: inputs, saving: saving, savingOutput: savingOutput, rule: rule)
}

func recordAlways(
    _ operation: StaticString, _ output: Tensor, from inputs: [Tensor], saving: [Tensor], savingOutput: Bool,
    rule: @escaping Node.Rule
) -> Tensor {
    // An operation that hands back one of its inputs must not rewire that input's history.
    let fresh = output.node == nil ? output : output.detached()
    let kept = savingOutput ? fresh.sameValues() : nil
    fresh.node = Node(
        operation, inputs: inputs.map(edge(to:)), saved: saving, output: kept, outputCount: 1, rule: rule)
    fresh.outputIndex = 0
    return fresh
}

/// As `record`, for operations with several outputs. `context.gradients` has one entry for each.
func record(
    _ operation: StaticString, outputs: [Tensor], from inputs: [Tensor], saving: [Tensor] = [],
    rule: @escaping Node.Rule
) -> [Tensor] {
    if let watch = Autograd.watch { watch(operation, inputs, outputs) }
    guard Autograd.records(inputs) else { return outputs }
    let fresh = outputs.map { $0.node == nil ? $0 : $0.detached() }
    let node = Node(
        operation, inputs: inputs.map(edge(to:)), saved: saving, output: nil, outputCount: fresh.count, rule: rule)
    for (index, tensor) in fresh.enumerated() {
        tensor.node = node
        tensor.outputIndex = index
    }
    return fresh
}

private func edge(to input: Tensor) -> Node.Edge? { input.node.map { Node.Edge(node: $0, output: input.outputIndex) } }
