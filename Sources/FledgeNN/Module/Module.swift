import FledgeCore

/// A part of a model. Store parameters, buffers and other modules as properties (also in arrays, optionals and
/// dictionaries with text keys), and they are found.
///
/// Names on disk follow the properties in snake case, as PyTorch's do: `runningMean` of the module in `bn1` is
/// `bn1.running_mean`; members of arrays are named by index, of dictionaries by key.
public protocol Module: AnyObject, CustomStringConvertible {}

/// A module that maps one tensor to one tensor, and so can stand in `Sequential`.
public protocol Layer: Module {
    func callAsFunction(_ x: Tensor) -> Tensor
}

/// A module that behaves differently in training, such as `Dropout` and `BatchNorm`.
public protocol ModeSwitching: Module {
    var isTraining: Bool { get set }
}

/// A module whose children bring their own names: its array and dictionary properties do not appear in paths. So
/// `Sequential` holds `0.weight` and not `layers.0.weight`.
public protocol ModuleContainer: Module {}

/// Something and the path under which a module holds it.
public struct Named<Item> {
    public let name: String
    public let item: Item

    public init(_ name: String, _ item: Item) {
        self.name = name
        self.item = item
    }
}

extension Module {
    /// All parameters here and below, in the order of declaration (superclass first). A shared one appears once, under
    /// its first path. Stops, naming the path, where a parameter hides in a container that names cannot reach.
    public func parameters() -> [Named<Parameter>] { ModuleWalk(self).parameters }

    /// All buffers here and below.
    public func buffers() -> [Named<Buffer>] { ModuleWalk(self).buffers }

    /// This module (under the empty path) and all below.
    public func modules() -> [Named<any Module>] { ModuleWalk(self).modules }

    /// How many numbers are in the parameters.
    public var parameterCount: Int { parameters().reduce(0) { $0 + $1.item.count } }

    /// Puts this module and all below into training mode.
    public func train() { setTraining(true) }

    /// Puts this module and all below into evaluation mode.
    public func eval() { setTraining(false) }

    private func setTraining(_ on: Bool) {
        for module in modules() { (module.item as? any ModeSwitching)?.isTraining = on }
    }

    /// Stops training the parameters whose path `matches`: all by default. They get no gradients and no updates.
    public func freeze(where matches: (String) -> Bool = { _ in true }) {
        for parameter in parameters() where matches(parameter.name) { parameter.item.isTrainable = false }
    }

    /// Trains the parameters whose path `matches` (again).
    public func unfreeze(where matches: (String) -> Bool = { _ in true }) {
        for parameter in parameters() where matches(parameter.name) { parameter.item.isTrainable = true }
    }

    /// Forgets the gradients of all parameters.
    public func clearGradients() { for parameter in parameters() { parameter.item.gradient = nil } }

    /// Changes the type of all floating-point parameters and buffers, and where they are computed.
    public func convert(to dtype: DType = .float32, device: Device = .default) {
        let walk = ModuleWalk(self)
        for parameter in walk.parameters { parameter.item.convert(to: dtype, device: device) }
        for buffer in walk.buffers { buffer.item.convert(to: dtype, device: device) }
    }

    /// Computes `body` with other tensors in place of the parameters of these paths. Gradients flow into those tensors
    /// and on through their history: fast weights, as meta-learning needs them. Stops for a path that is not there.
    public func withParameters<R>(_ tensors: [String: Tensor], _ body: () throws -> R) rethrows -> R {
        let all = Dictionary(uniqueKeysWithValues: parameters().map { ($0.name, $0.item) })
        let replaced = tensors.map { name, tensor in
            guard let parameter = all[name] else { stop("withParameters: no parameter \(name) in \(type(of: self))") }
            return (parameter, parameter.substitute(tensor))
        }
        defer { for (parameter, before) in replaced { parameter.restore(before) } }
        return try body()
    }

    /// The tree of modules with the parameters and their number.
    public var description: String { ModuleWalk(self).description }
}
