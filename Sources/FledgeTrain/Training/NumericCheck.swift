import FledgeCore
import FledgeData
import FledgeNN

/// A loss or a gradient that is no number any more. Nothing was updated with it.
public struct NumericFailure: ExplainedError, Equatable {
    /// "loss" or "gradient".
    public let quantity: String
    /// The update it would have been, from 1.
    public let step: Int
    /// The first part of the step that was not finite, where it was found.
    public var origin: Origin?

    /// Where the first number that is none came from.
    public struct Origin: Codable, Sendable, Equatable {
        /// The path of a module, such as `classifier.backbone.conv1`, or of a feed, such as `input labelled`.
        public var module: String
        /// What was seen there.
        public var finding: String
    }

    public init(quantity: String, step: Int, origin: Origin? = nil) {
        self.quantity = quantity
        self.step = step
        self.origin = origin
    }

    public var what: String { "the \(quantity) is not a finite number" }
    public var place: String? { "update \(step)" + (origin.map { ", \($0.module)" } ?? "") }
    public var why: String? { origin?.finding ?? "training diverged, or a sample holds extreme values" }
    public var next: String? {
        "nothing was updated with it; try a smaller learning rate (--set training.learningRate=...) or --set training.clipNorm=1"
    }
}

/// One update, computed with a look at every operation and then not made.
public struct StepExamination: Encodable, Sendable {
    /// One module and the norms over its own parameters.
    public struct Row: Encodable, Sendable {
        public var module: String
        public var weightNorm: Double
        public var gradientNorm: Double

        enum CodingKeys: String, CodingKey {
            case module
            case weightNorm = "weight_norm"
            case gradientNorm = "gradient_norm"
        }
    }

    /// The update, from 1.
    public var step: Int
    public var loss: Double?
    public var gradientNorm: Double?
    public var modules: [Row]
    public var failure: NumericFailure?

    private enum CodingKeys: String, CodingKey {
        case step, loss, modules, quantity, origin
        case gradientNorm = "gradient_norm"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(step, forKey: .step)
        try container.encodeIfPresent(loss, forKey: .loss)
        try container.encodeIfPresent(gradientNorm, forKey: .gradientNorm)
        try container.encodeIfPresent(failure?.quantity, forKey: .quantity)
        try container.encodeIfPresent(failure?.origin, forKey: .origin)
        try container.encode(modules, forKey: .modules)
    }
}

extension Trainer {
    /// Computes the next update module by module, without making it: the state is the same before and after. Steps are
    /// deterministic, so a failure that was met is met again.
    public func examine(progress: Double? = nil) throws -> StepExamination {
        let context = self.context(progress: progress)
        let before = task.state()
        defer { optimizer.clearGradients() }
        let watcher = OperationWatcher(task)
        var examination = StepExamination(step: step + 1, modules: [])
        task.train()
        do {
            let (loss, _) = try update(context) { part in
                var batches: [String: TrainingBatch] = [:]
                for (name, loader) in loaders {
                    batches[name] = TrainingBatch(try loader.batch(at: step * settings.accumulation + part))
                }
                watcher.look(at: batches)
                return batches
            } with: { batches, context in
                try watcher.watch { try task.step(batches, context) }
            }
            examination.loss = loss
        } catch var failure as NumericFailure {
            failure.origin = watcher.origin ?? watcher.firstBadGradient()
            examination.failure = failure
        }
        examination.gradientNorm = gradientNorm(of: optimizer.parameters)
        examination.modules = watcher.modules()
        optimizer.clearGradients()
        try task.load(before)
        return examination
    }
}

/// Looks at every operation of a step for the first result that is not finite, and knows the module by the parameters
/// and buffers that take part.
private struct OperationWatcher {
    private let owners: [ObjectIdentifier: String]
    private let parameters: [Named<Parameter>]
    private let state: State

    /// What is found while operations run; a class, because the watching closure and its owner share it.
    private final class State {
        var origin: NumericFailure.Origin?
        /// The module whose tensor took part last, and the order in which parameters' modules first took part.
        var last = "input"
        var order: [String] = []
    }

    init(_ task: any TrainingTask) {
        parameters = task.parameters()
        state = State()
        var owners: [ObjectIdentifier: String] = [:]
        for (name, tensor) in task.parameters().map({ ($0.name, $0.item.value) })
            + task.buffers().map({ ($0.name, $0.item.value) })
        {
            owners[tensor.memory] = Self.module(of: name)
            if state.origin == nil, Self.isBad(tensor) {
                state.origin = .init(
                    module: Self.module(of: name), finding: "\(name) holds a value that is no finite number")
            }
        }
        self.owners = owners
    }

    var origin: NumericFailure.Origin? { state.origin }

    private static func module(of name: String) -> String {
        name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    }

    /// Samples come first: what is wrong in them is wrong everywhere behind.
    func look(at batches: [String: TrainingBatch]) {
        for (name, batch) in batches.sorted(by: { $0.key < $1.key }) where state.origin == nil {
            for (view, tensor) in batch.views.enumerated() where Self.isBad(tensor) {
                let rows = tensor.reshaped([tensor.shape[0], -1])
                let sample = (0..<tensor.shape[0]).first { Self.isBad(rows[$0]) } ?? 0
                state.origin = .init(
                    module: "input \(name)",
                    finding: "view \(view) of sample \(batch.indices[sample]) holds a value that is no finite number")
                break
            }
        }
    }

    func watch<R>(_ body: () throws -> R) rethrows -> R {
        let (state, owners) = (state, owners)
        var isLooking = false
        Autograd.watch = { operation, inputs, outputs in
            // Looking computes too.
            guard !isLooking else { return }
            isLooking = true
            defer { isLooking = false }
            let owner = inputs.lazy.compactMap { owners[$0.memory] }.first
            if let owner {
                state.last = owner
                if !state.order.contains(owner) { state.order.append(owner) }
            }
            guard state.origin == nil, let bad = outputs.first(where: Self.isWrong) else { return }
            state.origin = .init(
                module: state.last,
                finding: "\(owner == nil ? "after it, " : "")the result \(bad.shape) of \(operation) is not finite")
        }
        defer { Autograd.watch = nil }
        return try body()
    }

    /// The module nearest to the loss whose gradient is not finite: the backward pass met it first.
    func firstBadGradient() -> NumericFailure.Origin? {
        let bad = Set(parameters.filter { $0.item.gradient.map(Self.isBad) ?? false }.map { Self.module(of: $0.name) })
        return state.order.last { bad.contains($0) }.map {
            .init(module: $0, finding: "the gradient that reaches it is not finite, though the loss is")
        }
    }

    func modules() -> [StepExamination.Row] {
        var names: [String] = []
        var members: [String: [Named<Parameter>]] = [:]
        for parameter in parameters {
            let name = Self.module(of: parameter.name)
            if members[name] == nil { names.append(name) }
            members[name, default: []].append(parameter)
        }
        return names.map { name in
            let weights = members[name]!.reduce(0) { sum, parameter in
                sum + noGradient { parameter.item.value.detached().square().sum().item() }
            }
            return .init(
                module: name, weightNorm: weights.squareRoot(), gradientNorm: gradientNorm(of: members[name]!))
        }
    }

    private static func isBad(_ tensor: Tensor) -> Bool {
        guard tensor.dtype.isFloatingPoint, tensor.count > 0 else { return false }
        // 0 * x is 0 for every finite x, and sums of zeros do not overflow.
        return noGradient { !(tensor.detached() * 0).sum().item().isFinite }
    }

    /// As `isBad`, but minus infinity is no fault: masks use it.
    private static func isWrong(_ tensor: Tensor) -> Bool {
        guard isBad(tensor) else { return false }
        return tensor.detached().doubles().contains { $0.isNaN || $0 == .infinity }
    }
}
