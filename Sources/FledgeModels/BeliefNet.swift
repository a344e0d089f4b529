import FledgeCore
import FledgeNN

/// A stack of restricted Boltzmann machines (Hinton, Osindero and Teh 2006, "A fast learning algorithm for deep belief
/// nets"): samples of any shape, flattened, to [N, hidden units of the last] probabilities that a unit is on.
public final class BeliefNet: Backbone {
    public let machines: [BoltzmannMachine]
    /// [D]: the lowest machine sees x * `scale` + `shift`. Ones and zeros, unless a method wants the levels of pixels
    /// instead of normalised values.
    public let scale, shift: Buffer
    public var featureCount: Int { machines[machines.count - 1].hiddenBias.shape[0] }

    public init(_ inputs: Int, hidden: [Int] = [256, 256], random: inout RandomSource) {
        require(inputs > 0 && !hidden.isEmpty && hidden.allSatisfy { $0 > 0 }, "BeliefNet: \(inputs) inputs, \(hidden)")
        var machines: [BoltzmannMachine] = []
        for (below, width) in zip([inputs] + hidden, hidden) {
            machines.append(BoltzmannMachine(below, width, random: &random))
        }
        self.machines = machines
        scale = Buffer(.ones([inputs]))
        shift = Buffer(.zeros([inputs]))
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { machines.reduce(visible(x)) { $1.hidden($0) } }

    /// What the lowest machine sees: [N, ...] to [N, D].
    public func visible(_ x: Tensor) -> Tensor {
        require(x.rank >= 2, "BeliefNet: x \(x.shape) is not a batch of samples")
        return (x.rank == 2 ? x : x.flattened(1...x.rank - 1)) * scale.value + shift.value
    }
}

/// Visible and hidden units with a weight between each two of different kinds, and none within a kind.
public final class BoltzmannMachine: Module {
    /// [hidden, visible]
    public let weight: Parameter
    /// [hidden] and [visible]
    public let hiddenBias, visibleBias: Parameter

    /// Weights start normal with deviation 0.01, biases at zero (Hinton 2010, "A practical guide to training restricted
    /// Boltzmann machines", section 8).
    public init(_ visible: Int, _ hidden: Int, random: inout RandomSource) {
        weight = Parameter(.normal([hidden, visible], deviation: 0.01, random: &random))
        hiddenBias = Parameter(.zeros([hidden]))
        visibleBias = Parameter(.zeros([visible]))
    }

    /// The probabilities that hidden units are on: [N, visible] to [N, hidden].
    public func hidden(_ visible: Tensor) -> Tensor { visible.linear(weight.value, hiddenBias.value).sigmoid() }

    /// The activations of the visible units, before any sigmoid: [N, hidden] to [N, visible].
    public func activation(_ hidden: Tensor) -> Tensor { hidden.matmul(weight.value) + visibleBias.value }
}
