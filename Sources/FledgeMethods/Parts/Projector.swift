import FledgeCore
import FledgeNN

/// A multilayer perceptron on top of a backbone: a projector or predictor of the papers.
///
/// Between the layers, batch normalisation (unless `norms` is off) and a rectifier; after the last, what `last` says.
func projector(
    _ widths: [Int], norms: Bool = true, last: ProjectorEnd = .norm, random: inout RandomSource
) -> Sequential {
    var layers: [any Layer] = []
    for (index, (inputs, outputs)) in zip(widths, widths.dropFirst()).enumerated() {
        let isLast = index == widths.count - 2
        // A norm that follows has a shift of its own.
        let isNormed = isLast ? last != .linear : norms
        layers.append(Linear(inputs, outputs, bias: !isNormed, random: &random))
        if !isLast {
            if norms { layers.append(BatchNorm(outputs)) }
            layers.append(ReLU())
        } else if last != .linear {
            layers.append(BatchNorm(outputs, affine: last == .norm))
        }
    }
    return Sequential(layers)
}

/// The widths of a projector of so many layers, at least one, all hidden ones alike.
func projectorWidths(_ inputs: Int, hidden: Int, layers: Int, _ outputs: Int) -> [Int] {
    [inputs] + Array(repeating: hidden, count: layers - 1) + [outputs]
}

/// How a projector ends.
enum ProjectorEnd {
    case linear, norm
    /// Without scale and shift.
    case plainNorm
}
