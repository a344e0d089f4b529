import FledgeCore

/// Scales all gradients by one factor so that their common Euclidean norm is at most `limit` (Pascanu et al. 2013).
/// - Returns: the norm before. NaN or infinite gradients are left as they are; the norm tells.
@discardableResult
public func clipGradients(of parameters: [Named<Parameter>], norm limit: Double) -> Double {
    require(limit > 0, "clipGradients: the limit \(limit) is not positive")
    let norm = gradientNorm(of: parameters)
    // As PyTorch: the small number keeps the quotient finite.
    let factor = limit / (norm + 1e-6)
    if factor < 1, norm.isFinite {
        for parameter in parameters { parameter.item.gradient = parameter.item.gradient.map { $0.detached() * factor } }
    }
    return norm
}

/// Limits every element of every gradient to ±`limit`.
/// - Returns: the Euclidean norm of all gradients before.
@discardableResult
public func clipGradients(of parameters: [Named<Parameter>], value limit: Double) -> Double {
    require(limit > 0, "clipGradients: the limit \(limit) is not positive")
    let norm = gradientNorm(of: parameters)
    for parameter in parameters {
        parameter.item.gradient = parameter.item.gradient.map { $0.detached().clamped(-limit, limit) }
    }
    return norm
}

/// The Euclidean norm of all gradients taken as one vector; parameters without a gradient count as zeros.
public func gradientNorm(of parameters: [Named<Parameter>]) -> Double {
    parameters.reduce(0) { sum, parameter in
        sum + (parameter.item.gradient.map { OptimizerKernels.sumOfSquares($0.detached()) } ?? 0)
    }.squareRoot()
}
