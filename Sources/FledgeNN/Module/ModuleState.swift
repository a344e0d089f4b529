import FledgeCore

/// How a set of tensors differs from what a module holds, by full name.
public struct StateMismatch: ExplainedError {
    /// A tensor that is there under the right name but does not fit.
    public struct Misfit: Sendable {
        public let name: String
        public let expected: String
        public let found: String
    }

    /// Names the module has and the state lacks.
    public internal(set) var missing: [String] = []
    /// Names the state has and the module lacks.
    public internal(set) var unexpected: [String] = []
    /// Tensors of another shape, or integers where floating-point numbers belong and the reverse.
    public internal(set) var misshapen: [Misfit] = []

    public var isEmpty: Bool { missing.isEmpty && unexpected.isEmpty && misshapen.isEmpty }

    public var what: String { "the tensors do not fit the module; nothing was changed" }
    /// One line for each tensor.
    public var why: String? {
        (missing.map { "missing \($0)" } + unexpected.map { "unexpected \($0)" }
            + misshapen.map { "misshapen \($0.name): should be \($0.expected), is \($0.found)" })
            .joined(separator: "\n         ")
    }
    public var next: String? {
        "check that they belong to this architecture; loading with strict: false takes what is there and leaves the rest"
    }

    /// The tensor of that name for a place that `current` holds now, floating-point values cast to its type. If it is
    /// not there or does not fit: nil, and noted here.
    mutating func take(_ name: String, from state: [String: Tensor], like current: Tensor) -> Tensor? {
        guard let new = state[name] else {
            missing.append(name)
            return nil
        }
        let fits = new.dtype == current.dtype || (new.dtype.isFloatingPoint && current.dtype.isFloatingPoint)
        if new.shape == current.shape && fits { return new.detached().cast(to: current.dtype).to(current.device) }
        misshapen.append(
            Misfit(
                name: name, expected: "\(current.dtype) \(current.shape)", found: "\(new.dtype) \(new.shape)"))
        return nil
    }
}

extension Module {
    /// All parameters and buffers by name, without history: what a checkpoint stores. Later updates do not change it.
    public func state() -> [String: Tensor] {
        let walk = ModuleWalk(self)
        var state: [String: Tensor] = [:]
        for parameter in walk.parameters { state[parameter.name] = parameter.item.value.detached() }
        for buffer in walk.buffers { state[buffer.name] = buffer.item.value }
        return state
    }

    /// Takes over parameters and buffers by name. Floating-point values are cast to the module's type.
    ///
    /// - Parameter strict: whether names must agree exactly. Otherwise what is missing keeps its value and what is
    ///   unexpected is left out; both are returned.
    /// - Throws: `StateMismatch` with every missing, unexpected and misshapen tensor; then nothing was changed.
    @discardableResult
    public func load(_ state: [String: Tensor], strict: Bool = true) throws(StateMismatch) -> StateMismatch {
        let walk = ModuleWalk(self)
        var mismatch = StateMismatch()
        var changes: [() -> Void] = []
        func match(_ name: String, _ current: Tensor, _ assign: @escaping (Tensor) -> Void) {
            guard let new = mismatch.take(name, from: state, like: current) else { return }
            changes.append { assign(new) }
        }
        for parameter in walk.parameters { match(parameter.name, parameter.item.value) { parameter.item.value = $0 } }
        for buffer in walk.buffers { match(buffer.name, buffer.item.value) { buffer.item.value = $0 } }
        let known = Set(walk.parameters.map(\.name) + walk.buffers.map(\.name))
        mismatch.unexpected = state.keys.filter { !known.contains($0) }.sorted()
        if strict ? !mismatch.isEmpty : !mismatch.misshapen.isEmpty { throw mismatch }
        for change in changes { change() }
        return mismatch
    }
}
