import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Deep co-training: two networks must agree on unlabelled samples, yet each must withstand what misleads the other, so
/// that they stay different (Qiao et al. 2018, "Deep co-training for semi-supervised image recognition").
public struct DeepCoTraining: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var agreementWeight = 10.0
        public var differenceWeight = 0.5
        public var disturbance = 0.1
        public var rampUp = 0.3
        public var sameStart = false
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "agreementWeight": "weight of the divergence of the two predictions",
            "differenceWeight": "weight of withstanding what misleads the other network",
            "disturbance": "by how much each normalised value is changed to mislead a network",
            "rampUp": "share of the training in which both weights rise",
            "sameStart": "whether both networks begin with the same weights, as they should when these are pretrained",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "agreementWeight": .atLeast(0), "differenceWeight": .atLeast(0), "disturbance": .within(0...10),
            "rampUp": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "deep-co-training", .semiSupervised,
        summary: "Two networks agree on unlabelled samples, and withstand what misleads the other.",
        paper: "Qiao et al. 2018, Deep co-training for semi-supervised image recognition",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    /// - Throws: `MethodError.notTheRegisteredNetwork`, `ModelError`: when no second network can be made.
    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        func groups(_ network: Classifier, _ name: String) -> [ParameterGroup] {
            let rates = [("backbone", config.backboneRate), ("head", 1)]
            let parameters = network.parameters()
            return rates.flatMap { part, rate in
                ParameterGroup.decaying(
                    parameters.filter { $0.name.hasPrefix(part + ".") }.map { Named("\(name).\($0.name)", $0.item) },
                    weightDecay: training.weightDecay, rateMultiplier: rate)
            }
        }
        return groups(task.classifier, "classifier") + groups(task.other, "other")
    }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        let other: Classifier
        public let feeds: [Feed]
        private let config: Config
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) throws {
            self.config = config
            classifier = context.makeClassifier()
            var random = context.random("other")
            let second =
                config.sameStart
                ? try context.makeTwin()
                : try Models.make(context.modelName, inputShape: context.input.shape, random: &random)
            second.unfreeze()
            other = Classifier(second, classes: context.classes, random: &random)
            let view = context.weakView
            // Each network has its own order of the labelled samples.
            feeds =
                context.feeds(labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
                + [Feed("labelled for the other", from: .labelled, batchSize: config.batchSize, views: [view])]
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let unlabelled = batches["unlabelled"]!
            let x = unlabelled.views[0]
            var supervised: [Tensor] = []
            var logits: [Tensor] = []
            let networks = [classifier, other]
            for (network, labelled) in zip(networks, [batches["labelled"]!, batches["labelled for the other"]!]) {
                let parts = network(concatenate([labelled.views[0], x]))
                    .split(sizes: [labelled.indices.count, x.shape[0]], axis: 0)
                supervised.append(crossEntropy(parts[0], labelled.labels))
                logits.append(parts[1])
            }
            let agreement = jensenShannon(logits[0], logits[1])
            // What misleads a network, seen by the other one.
            let misled = networks.map { network in misleading(x, network) }
            let difference =
                crossEntropy(other.withoutStatistics { other(misled[0]) }, soft: logits[0].softmax())
                + crossEntropy(classifier.withoutStatistics { classifier(misled[1]) }, soft: logits[1].softmax())
            let unsupervised = agreement * config.agreementWeight + difference * config.differenceWeight
            let weight = gaussianRamp(context.progress, over: config.rampUp)
            let same = (logits[0].detached().argmax() .== logits[1].detached().argmax()).cast(to: .float32)
            return StepOutput(
                supervised[0] + supervised[1] + unsupervised * weight,
                [
                    ("labelled loss", (supervised[0] + supervised[1]).item() / 2),
                    ("unlabelled loss", unsupervised.item()), ("networks agree", same.mean().item()),
                ] + known.logs(logits[0], indices: unlabelled.indices))
        }

        /// Every value moved by `disturbance` in the direction that makes the network's own answer less likely (the fast
        /// gradient sign method).
        private func misleading(_ x: Tensor, _ network: Classifier) -> Tensor {
            let leaf = x.detached().requiringGradient()
            let logits = network.withoutStatistics { network(leaf) }
            let loss = crossEntropy(logits, logits.detached().argmax())
            let gradient = gradients(of: loss, for: [leaf])[0] ?? Tensor.zeros(like: x)
            return noGradient { x.detached() + gradient.sign() * config.disturbance }
        }
    }
}

/// The mean Jensen-Shannon divergence of two predictions: the entropy of their mean less the mean of their entropies
/// (Qiao et al. 2018, equation 2). Gradients flow into both.
/// - Parameters:
///   - a, b: [M, classes], logits.
public func jensenShannon(_ a: Tensor, _ b: Tensor) -> Tensor {
    require(a.shape == b.shape && a.rank == 2, "jensenShannon: logits \(a.shape) and \(b.shape)")
    // log((p + q) / 2) from the logarithms, without underflow.
    let (p, q) = (a.logSoftmax(), b.logSoftmax())
    let mean = stack([p, q], axis: 0).logSumExp(axis: 0) - Double.log2
    let entropy = -(mean.exp() * mean).sum(axis: -1).mean()
    return entropy - (predictionEntropy(a) + predictionEntropy(b)) / 2
}

extension Double {
    /// The natural logarithm of 2.
    fileprivate static let log2 = 0.6931471805599453
}
