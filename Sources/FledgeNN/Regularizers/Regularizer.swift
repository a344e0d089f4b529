import FledgeCore

/// A penalty R(w) on a weight: as a term of the loss, or as the proximal step that minimises
/// ||v - w||^2 / 2 + t R(v), which reaches exact zeros where sub-gradients do not.
public enum Regularizer: Codable, Equatable, Sendable {
    /// sum |w|
    case l1
    /// ||w||, not squared: shortens the whole tensor by a fixed length and can set it to zero.
    case l2
    /// ||w||^2 / 2: what optimizers call weight decay.
    case squaredL2
    /// Group (block, structured) regularisation R_g: the sum over groups of their squared entries, each group times its
    /// weight. Weights of nil mean 1; a weight of 0 leaves a group free, so that chosen filters can be pressed alone.
    case groupSquares(Grouping, weights: [Double]? = nil)
    /// Group lasso: sum_g sqrt|g| ||w_g|| (Yuan and Lin 2006). Removes whole groups.
    case groupLasso(Grouping)
    /// l1 sum |w| + sum_g sqrt|g| ||w_g||: few groups, and few entries inside (Simon et al. 2013).
    case sparseGroup(Grouping, l1: Double)

    /// R(w), a scalar. Gradients are sub-gradients where R has none: 0 at entries and groups that are 0.
    public func callAsFunction(_ w: Tensor) -> Tensor {
        switch self {
        case .l1: w.abs().sum()
        case .l2: w.norm()
        case .squaredL2: w.square().sum() * 0.5
        case .groupSquares(let grouping, let weights):
            (grouping.sums(w.square()) * grouping.factors(weights, w)).sum()
        case .groupLasso(let grouping): (grouping.sizes(w).sqrt() * grouping.norms(w)).sum()
        case .sparseGroup(let grouping, let l1): Regularizer.l1(w) * l1 + Regularizer.groupLasso(grouping)(w)
        }
    }

    /// The minimiser of ||v - w||^2 / 2 + t R(v) for a step t = rate * strength.
    public func proximal(_ w: Tensor, _ t: Double) -> Tensor {
        require(t >= 0, "proximal: a step of \(t)")
        switch self {
        case .l1: return w.sign() * (w.abs() - t).relu()
        case .l2: return w * shrinkage(w.norm(), t)
        case .squaredL2: return w / (1 + t)
        case .groupSquares(let grouping, let weights):
            return grouping.scaled(w, by: (1 + 2 * t * grouping.factors(weights, w)).reciprocal())
        case .groupLasso(let grouping):
            return grouping.scaled(w, by: shrinkage(grouping.norms(w), t * grouping.sizes(w).sqrt()))
        case .sparseGroup(let grouping, let l1):
            // Exact: the proximal step of the sum is that of the norms after that of the entries.
            return Regularizer.groupLasso(grouping).proximal(Regularizer.l1.proximal(w, t * l1), t)
        }
    }

    /// max(0, 1 - t / norm), and 0 for a norm of 0.
    private func shrinkage(_ norm: Tensor, _ t: Double) -> Tensor { shrinkage(norm, t + .zeros(like: norm)) }

    private func shrinkage(_ norm: Tensor, _ t: Tensor) -> Tensor {
        let isZero = norm .== 0
        return (1 - t / norm.maskedFill(isZero, 1)).relu().maskedFill(isZero, 0)
    }
}

/// `strength` times the penalty, summed over parameters: a term for the loss. Stops without parameters.
public func penalty(_ regularizer: Regularizer, strength: Double, on parameters: [Named<Parameter>]) -> Tensor {
    require(!parameters.isEmpty, "penalty: no parameters")
    return parameters.dropFirst().reduce(regularizer(parameters[0].item.value)) { $0 + regularizer($1.item.value) }
        * strength
}

/// A proximal step after each optimizer step (`Optimizer.proximalSteps`), which sets groups to exact zeros. It takes
/// the plain learning rate, whatever rule moved the parameters.
public struct ProximalStep {
    public var regularizer: Regularizer
    public var strength: Double
    public var parameters: [Named<Parameter>]

    public init(_ regularizer: Regularizer, strength: Double, on parameters: [Named<Parameter>]) {
        self.regularizer = regularizer
        self.strength = strength
        self.parameters = parameters
    }

    func apply(rate: Double) {
        for parameter in parameters where parameter.item.isTrainable {
            parameter.item.update { $0 = regularizer.proximal($0.detached(), rate * strength) }
        }
    }
}

/// strength / 2 ||w - w0||^2 with the starting values w0 of fine-tuning (Li et al. 2018, L2-SP).
public struct DistanceFromStart {
    public let strength: Double
    private let start: [(parameter: Parameter, value: Tensor)]

    /// Remembers the present values.
    public init(strength: Double, of parameters: [Named<Parameter>]) {
        require(!parameters.isEmpty, "DistanceFromStart: no parameters")
        self.strength = strength
        start = parameters.map { ($0.item, $0.item.value.detached()) }
    }

    /// The present penalty, a scalar.
    public func callAsFunction() -> Tensor {
        let distances = start.map { ($0.parameter.value - $0.value).square().sum() }
        return distances.dropFirst().reduce(distances[0], +) * (strength / 2)
    }
}
