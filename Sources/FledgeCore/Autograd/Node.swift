/// One recorded operation of the graph that reverse-mode differentiation walks.
///
/// A node owns its inputs' nodes and the tensors its rule needs; nothing owns it but the tensors computed by it. When
/// the last of those goes, the graph behind it goes. There is no global tape.
final class Node {
    /// Where a gradient goes: an output of another node.
    struct Edge {
        let node: Node
        let output: Int
    }

    /// Computes the gradients with respect to the inputs. Captures plain values only: tensors travel in `Context`.
    typealias Rule = (borrowing Context) -> [Tensor?]

    /// What a rule may use.
    struct Context {
        fileprivate let arrived: Arrivals
        /// One gradient for each output; nil where none arrived.
        var gradients: [Tensor?] { arrived.gradients }
        /// The tensors named when the operation was recorded, in that order.
        let saved: [Tensor]
        /// The saved output; connected to the graph while the backward pass itself is recorded.
        let savedOutput: Tensor?
        fileprivate let needed: [Bool]

        /// The gradient of the first (usually only) output.
        var gradient: Tensor { gradients[0]! }
        /// The same, given away. If nobody else holds it, a backend may use its memory for the result.
        func takeGradient() -> Tensor { arrived.gradients[0].take()! }
        /// The saved output. Only for operations recorded with `savingOutput`.
        var output: Tensor { savedOutput! }
        /// Whether the gradient of this input is wanted. Rules skip costly ones that are not.
        func needs(_ input: Int) -> Bool { needed[input] }
        fileprivate let edges: [Edge?]

        /// Lets `body` add the gradient of this input to the sum of those that arrived there before. Where it returns
        /// true the rule has nothing more to hand over. False if there is none yet, or if gradients are recorded.
        func adds(to input: Int, _ body: (inout Tensor) -> Bool) -> Bool {
            // Taken out of the node, the sum has one owner if nobody else sees it.
            guard !Autograd.isRecording, let edge = edges[input], var sum = edge.node.pending[edge.output].take() else {
                return false
            }
            defer { edge.node.pending[edge.output] = sum }
            return body(&sum)
        }
    }

    fileprivate final class Arrivals {
        var gradients: [Tensor?] = []
    }

    /// Rises with creation, so that sorting by it is a topological order.
    let id: UInt64
    let operation: StaticString
    let outputCount: Int
    // Whether accesses overlap is not checked at run time, here and in what else every operation touches: the checks
    // took 6 % of a small step.
    @exclusivity(unchecked) private(set) var inputs: [Edge?]
    @exclusivity(unchecked) private var saved: [Tensor]
    @exclusivity(unchecked) private var output: Tensor?
    @exclusivity(unchecked) private var rule: Rule?

    /// Called with each gradient that arrives here; may replace it.
    var hooks: [(Tensor) -> Tensor?] = []
    /// Leaves only: the sum of all gradients that arrived.
    @exclusivity(unchecked) var gradient: Tensor?
    let isLeaf: Bool

    // Scratch of a running backward pass.
    @exclusivity(unchecked) var pending: [Tensor?] = []
    @exclusivity(unchecked) var visit: UInt64 = 0
    @exclusivity(unchecked) var isUseful = false

    @exclusivity(unchecked) private nonisolated(unsafe) static var lastID: UInt64 = 0
    /// How many nodes are alive: what leak tests watch.
    @exclusivity(unchecked) nonisolated(unsafe) static var liveCount = 0

    init(
        _ operation: StaticString, inputs: [Edge?], saved: [Tensor], output: Tensor?, outputCount: Int,
        rule: @escaping Rule
    ) {
        Node.lastID += 1
        Node.liveCount += 1
        id = Node.lastID
        self.operation = operation
        self.inputs = inputs
        self.saved = saved
        self.output = output
        self.outputCount = outputCount
        self.rule = rule
        isLeaf = false
    }

    /// A leaf: a place where gradients are collected.
    init() {
        Node.lastID += 1
        Node.liveCount += 1
        id = Node.lastID
        operation = "leaf"
        inputs = []
        saved = []
        outputCount = 1
        isLeaf = true
    }

    deinit {
        Node.liveCount -= 1
        release()
    }

    /// The gradients of the inputs, given those of the outputs, which are given away. Stops when the graph was released
    /// before.
    func differentiate(_ gradients: inout [Tensor?], needed: [Bool]) -> [Tensor?] {
        guard let rule else {
            stop(
                "\(operation): the graph was already released by an earlier backward pass; pass retainGraph: true there"
            )
        }
        var connected = output
        if Autograd.isRecording, let output {
            connected = output.view(shape: output.shape, strides: output.strides, offset: output.offset)
            connected!.node = self
        }
        let arrived = Arrivals()
        swap(&arrived.gradients, &gradients)
        return rule(Context(arrived: arrived, saved: saved, savedOutput: connected, needed: needed, edges: inputs))
    }

    /// Drops everything that was kept for the backward pass.
    func release() {
        guard rule != nil else { return }
        rule = nil
        output = nil
        Graveyard.bury(&inputs, &saved)
    }
}

/// Releases graphs without recursion. A node that dies hands over what it owned; whatever dies with that hands over in
/// turn, and one loop empties the pile. A chain of a million nodes would overflow the stack otherwise.
private enum Graveyard {
    nonisolated(unsafe) private static var pile: [(inputs: [Node.Edge?], saved: [Tensor])] = []
    nonisolated(unsafe) private static var isDigging = false

    /// Takes the contents away from their owner, so that nothing is left to be released when the owner goes.
    static func bury(_ inputs: inout [Node.Edge?], _ saved: inout [Tensor]) {
        var grave: (inputs: [Node.Edge?], saved: [Tensor]) = ([], [])
        swap(&grave.inputs, &inputs)
        swap(&grave.saved, &saved)
        pile.append(grave)
        grave = ([], [])
        if isDigging { return }
        isDigging = true
        while let dead = pile.popLast() { _ = dead }
        isDigging = false
    }
}
