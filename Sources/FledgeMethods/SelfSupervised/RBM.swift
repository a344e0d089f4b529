import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Restricted Boltzmann machines, one on top of the other: each learns by contrastive divergence to find the samples
/// likelier than its own daydreams (Hinton 2002, "Training products of experts by minimizing contrastive divergence");
/// a stack that is trained one after the other is a deep belief net (Hinton, Osindero and Teh 2006).
public struct RBM: Pretraining {
    public struct Config: Settings {
        public enum Visible: String, Codable, Sendable, CaseIterable {
            /// Levels for pictures, normal for rows of numbers.
            case automatic
            /// Levels from 0 to 1, as probabilities of being on.
            case levels
            /// Normalised values with normal noise of deviation 1.
            case normal
        }

        public var batchSize = 64
        public var gibbsSteps = 1
        public var visible = Visible.automatic
        public var training = TrainingSettings()

        public init() {
            training.epochs = 50
            training.optimizer = .sgd
            training.learningRate = 0.1
            training.weightDecay = 1e-4
        }

        public static let meanings = [
            "batchSize": "samples for each step",
            "gibbsSteps": "steps from a sample to the daydream that it is held against (the k of CD-k)",
            "visible": "what the lowest units are: levels from 0 to 1, or normal values; automatic follows the data",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "gibbsSteps": .within(1...1000),
        ]
    }

    public static let info = MethodInfo(
        "rbm", .selfSupervised,
        summary: "Layers of units that find the samples likelier than what they make up themselves.",
        paper:
            "Hinton 2002, Training products of experts by minimizing contrastive divergence; stacked: Hinton, Osindero and Teh 2006, A fast learning algorithm for deep belief nets",
        needs: [.unlabelled], network: "belief-net")

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public var backbone: any Backbone { network }
        let network: BeliefNet
        public let feeds: [Feed]
        /// The difference of two energies is near zero from the first step to the last.
        public let ruler: LossRuler? = nil
        private let steps: Int
        private let normal: Bool
        /// For tests: nothing is held against the samples.
        private let withoutDaydreams: Bool

        init(_ config: Config, _ context: LearningContext, withoutDaydreams: Bool = false) throws {
            guard let network = context.backbone as? BeliefNet else {
                throw MethodError.needsNetwork(RBM.info.name, like: "belief-net")
            }
            self.network = network
            self.withoutDaydreams = withoutDaydreams
            steps = config.gibbsSteps
            let input = context.input
            normal = config.visible == .normal || (config.visible == .automatic && !input.isImage)
            if !normal {
                // Samples come normalised; the network takes that back.
                let pixels = network.scale.shape[0] / input.channels
                network.scale.value = Tensor(input.deviation).tiled([pixels])
                network.shift.value = Tensor(input.mean).tiled([pixels])
                // Visible units start as often on as they are in the data (Hinton 2010, section 8.1).
                var random = context.random("levels")
                let some = Array(random.permutation(context.data.dataset.count).prefix(1024))
                let samples = try Inference.rawValues(context.data.dataset.subset(some), input: input)
                let level = noGradient { network.visible(samples).mean(axis: 0).clamped(0.01, 0.99) }
                network.machines[0].visibleBias.value = (level / (1 - level)).log()
            }
            feeds = [Feed("samples", from: .everything, batchSize: config.batchSize, views: [context.rebuiltView])]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            // Each machine has its share of the training, from the lowest up.
            let count = network.machines.count
            let layer = min(Int(context.progress * Double(count)), count - 1)
            let machine = network.machines[layer]
            let isNormal = normal && layer == 0
            let samples = noGradient {
                network.machines[..<layer].reduce(network.visible(batches["samples"]!.views[0])) { $1.hidden($0) }
            }
            var random = context.random.stream("gibbs")
            let dream = noGradient {
                machine.daydream(from: samples, steps: steps, normal: isNormal, random: &random)
            }
            let energy = machine.freeEnergy(samples, normal: isNormal).mean()
            let loss =
                withoutDaydreams ? energy : energy - machine.freeEnergy(dream, normal: isNormal).mean()
            return StepOutput(
                loss, [("rebuilding error", (samples - dream).square().mean().item()), ("layer", Double(layer))])
        }
    }
}

extension BoltzmannMachine {
    /// What is left of the energy when all states of the hidden units are summed up: -c v - sum softplus(b + W v), and
    /// with normal visible units 1/2 |v - c|^2 - sum softplus(b + W v) (Hinton 2010, "A practical guide to training
    /// restricted Boltzmann machines", sections 16.1 and 13.2).
    ///
    /// The gradient of its mean over samples less its mean over daydreams is that of contrastive divergence (Hinton
    /// 2002, equation 6).
    /// - Parameter visible: [B, visible].
    /// - Returns: [B].
    public func freeEnergy(_ visible: Tensor, normal: Bool) -> Tensor {
        let field = visible.linear(weight.value, hiddenBias.value).softplus().sum(axis: 1)
        let own =
            normal
            ? (visible - visibleBias.value).square().sum(axis: 1) * 0.5 : -(visible * visibleBias.value).sum(axis: 1)
        return own - field
    }

    /// Visible units after `steps` steps of Gibbs sampling. Hidden units are drawn, visible ones are at their mean,
    /// which is less noisy (Hinton 2010, section 3).
    func daydream(from visible: Tensor, steps: Int, normal: Bool, random: inout RandomSource) -> Tensor {
        var visible = visible
        for _ in 0..<steps {
            let chance = hidden(visible)
            let drawn = (Tensor.uniform(chance.shape, random: &random) .< chance).cast(to: visible.dtype)
            let field = activation(drawn)
            visible = normal ? field : field.sigmoid()
        }
        return visible
    }
}
