import FledgeCore
import FledgeNN

/// Compares the gradients of a module's inputs and of all its parameters with central differences in float64. Converts
/// the module to float64 on the reference device.
/// - Returns: nil when all agree and every parameter gets a gradient, else what differs.
public func gradientFailure(
    of module: any Module, at inputs: [Tensor], secondOrder: Bool = false, _ forward: @escaping ([Tensor]) -> Tensor
) -> String? {
    module.convert(to: .float64, device: .reference)
    module.clearGradients()
    let parameters = module.parameters()
    if !parameters.isEmpty { forward(inputs).square().sum().backward() }
    for parameter in parameters where parameter.item.gradient == nil { return "\(parameter.name) gets no gradient" }
    module.clearGradients()
    let values = parameters.map { $0.item.value.detached() }
    return gradientFailure(at: inputs + values, secondOrder: secondOrder) { tensors in
        let named = zip(parameters.map(\.name), tensors[inputs.count...])
        return module.withParameters(Dictionary(uniqueKeysWithValues: named)) {
            forward(Array(tensors[..<inputs.count]))
        }
    }.map { failure in
        "\(failure) (inputs from \(inputs.count) are " + parameters.map(\.name).joined(separator: ", ") + ")"
    }
}
