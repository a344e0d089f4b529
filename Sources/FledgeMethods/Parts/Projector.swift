import FledgeCore
import FledgeNN

/// A multilayer perceptron on top of a backbone: a projector or predictor of the papers.
///
/// Between the layers, batch normalisation and a rectifier; after the last, what `last` says.
func projector(_ widths: [Int], last: ProjectorEnd = .norm, random: inout RandomSource) -> Sequential {
    var layers: [any Layer] = []
    for (index, (inputs, outputs)) in zip(widths, widths.dropFirst()).enumerated() {
        let isLast = index == widths.count - 2
        // A norm that follows has a shift of its own.
        layers.append(Linear(inputs, outputs, bias: isLast && last == .linear, random: &random))
        if !isLast {
            layers += [BatchNorm(outputs), ReLU()]
        } else if last != .linear {
            layers.append(BatchNorm(outputs, affine: last == .norm))
        }
    }
    return Sequential(layers)
}

/// How a projector ends.
enum ProjectorEnd {
    case linear, norm
    /// Without scale and shift.
    case plainNorm
}
