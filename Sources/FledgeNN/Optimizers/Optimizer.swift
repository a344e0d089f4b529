import FledgeCore

/// Parameters that are trained alike.
public struct ParameterGroup {
    public var parameters: [Named<Parameter>]
    /// Times the optimizer's learning rate: below 1 for layers that should move slowly.
    public var rateMultiplier: Double
    public var weightDecay: Double
    /// Off: this group moves at the optimizer's `constantRate`, whatever the schedule makes of `learningRate`.
    public var isScheduled: Bool

    public init(
        _ parameters: [Named<Parameter>], rateMultiplier: Double = 1, weightDecay: Double = 0, isScheduled: Bool = true
    ) {
        self.parameters = parameters
        self.rateMultiplier = rateMultiplier
        self.weightDecay = weightDecay
        self.isScheduled = isScheduled
    }

    /// Two groups: one with weight decay, and one without for the parameters that are `exempt`: by default biases and
    /// the weights of norms, which have rank 1 or 0. Empty groups are left out.
    public static func decaying(
        _ parameters: [Named<Parameter>], weightDecay: Double, rateMultiplier: Double = 1, isScheduled: Bool = true,
        exempt: (Named<Parameter>) -> Bool = { $0.item.shape.count <= 1 }
    ) -> [ParameterGroup] {
        [
            ParameterGroup(
                parameters.filter { !exempt($0) }, rateMultiplier: rateMultiplier, weightDecay: weightDecay,
                isScheduled: isScheduled),
            ParameterGroup(
                parameters.filter(exempt), rateMultiplier: rateMultiplier, isScheduled: isScheduled),
        ].filter { !$0.parameters.isEmpty }
    }
}

/// Moves parameters along their gradients by a rule such as `SGD` or `AdamW`.
///
///     let optimizer = Optimizer(AdamW(), for: model, learningRate: 1e-3, weightDecay: 0.05)
///     loss.backward()
///     optimizer.learningRate = schedule(step)
///     optimizer.step()
///     optimizer.clearGradients()
public final class Optimizer {
    public let rule: any UpdateRule
    public let groups: [ParameterGroup]
    /// Set before each step to what the schedule says.
    public var learningRate: Double
    /// The rate of the groups that are not scheduled; at first the one given.
    public var constantRate: Double
    /// Applied after every step, in order.
    public var proximalSteps: [ProximalStep] = []
    private var histories: [ObjectIdentifier: History] = [:]

    /// What is remembered of one parameter.
    private final class History {
        var updates = 0
        var slots: [Tensor]

        init(_ rule: any UpdateRule, for parameter: Parameter) {
            slots = rule.slots.map { _ in .zeros(like: parameter.value) }
        }
    }

    /// Stops when a parameter or a name appears twice: state is stored by name.
    public init(_ rule: any UpdateRule, groups: [ParameterGroup], learningRate: Double) {
        self.rule = rule
        self.groups = groups
        self.learningRate = learningRate
        constantRate = learningRate
        var names: Set<String> = []
        var seen: Set<ObjectIdentifier> = []
        for parameter in groups.flatMap(\.parameters) {
            require(names.insert(parameter.name).inserted, "Optimizer: two parameters are named \(parameter.name)")
            require(
                seen.insert(ObjectIdentifier(parameter.item)).inserted, "Optimizer: \(parameter.name) is in two groups")
        }
    }

    /// All parameters of a module in one group, so with weight decay on all of them; see `ParameterGroup.decaying`.
    public convenience init(
        _ rule: any UpdateRule, for module: any Module, learningRate: Double, weightDecay: Double = 0
    ) {
        self.init(
            rule, groups: [ParameterGroup(module.parameters(), weightDecay: weightDecay)], learningRate: learningRate)
    }

    public var parameters: [Named<Parameter>] { groups.flatMap(\.parameters) }

    /// Updates every trainable parameter that has a gradient, then applies the proximal steps.
    public func step() {
        for group in groups {
            let rate = (group.isScheduled ? learningRate : constantRate) * group.rateMultiplier
            for parameter in group.parameters {
                guard parameter.item.isTrainable, let gradient = parameter.item.gradient else { continue }
                let history = history(of: parameter.item)
                history.updates += 1
                let step = UpdateStep(rate: rate, weightDecay: group.weightDecay, number: history.updates)
                parameter.item.update {
                    rule.update(&$0, gradient: gradient.detached(), slots: &history.slots, step)
                }
            }
        }
        for proximal in proximalSteps { proximal.apply(rate: learningRate) }
    }

    public func clearGradients() {
        for group in groups { for parameter in group.parameters { parameter.item.gradient = nil } }
    }

    private func history(of parameter: Parameter) -> History {
        if let present = histories[ObjectIdentifier(parameter)] { return present }
        let new = History(rule, for: parameter)
        histories[ObjectIdentifier(parameter)] = new
        return new
    }

    /// What a checkpoint needs to continue: for each parameter that was ever updated its slots under `name.slot` and
    /// the number of updates under `name.updates`. Later steps do not change these tensors.
    public func state() -> [String: Tensor] {
        var state: [String: Tensor] = [:]
        for parameter in parameters {
            guard let history = histories[ObjectIdentifier(parameter.item)] else { continue }
            state[parameter.name + ".updates"] = Tensor([history.updates], shape: [])
            for (slot, tensor) in zip(rule.slots, history.slots) { state[parameter.name + "." + slot] = tensor }
        }
        return state
    }

    /// Continues from `state`. Parameters that it does not mention start anew.
    /// - Throws: `StateMismatch` naming all tensors that are missing, belong to no parameter or do not fit; then
    ///   nothing was changed.
    public func load(_ state: [String: Tensor]) throws(StateMismatch) {
        var mismatch = StateMismatch()
        var known: Set<String> = []
        var loaded: [ObjectIdentifier: History] = [:]
        for parameter in parameters {
            let history = History(rule, for: parameter.item)
            let names = rule.slots.map { parameter.name + "." + $0 }
            let counter = parameter.name + ".updates"
            known.formUnion(names + [counter])
            guard (names + [counter]).contains(where: { state[$0] != nil }) else { continue }
            for (index, name) in names.enumerated() {
                if let tensor = mismatch.take(name, from: state, like: history.slots[index]) {
                    history.slots[index] = tensor
                }
            }
            if let updates = mismatch.take(counter, from: state, like: Tensor([0], shape: [])) {
                history.updates = Int(updates.item())
            }
            loaded[ObjectIdentifier(parameter.item)] = history
        }
        mismatch.unexpected = state.keys.filter { !known.contains($0) }.sorted()
        if !mismatch.isEmpty { throw mismatch }
        histories = loaded
    }
}
