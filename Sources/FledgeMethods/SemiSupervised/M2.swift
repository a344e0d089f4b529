import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// M2, the semi-supervised variational autoencoder: a sample is made of its class and a code, and where the class is not
/// known every class is tried (Kingma et al. 2014, "Semi-supervised learning with deep generative models").
///
/// The classes share one decoder, so an unlabelled sample costs as many passes of it as there are classes.
public struct M2: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 32
        public var unlabelledRatio = 3
        public var codeSize = 16
        public var width = 16
        public var deviation = 0.3
        public var alpha = 100.0
        public var unlabelledWeight = 1.0
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() { training.steps = 1000 }

        public static let meanings = SharedSettings.meanings(and: [
            "codeSize": "how many numbers tell the samples of one class apart",
            "width": "channels of the decoder",
            "deviation": "of a sample's values around what was rebuilt, in units of the data's own (sigma)",
            "alpha": "weight of the classifier's cross-entropy against the bound on the likelihood, in nats",
            "unlabelledWeight": "weight of the bound of unlabelled samples",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "codeSize": .within(1...65536), "width": .within(1...4096), "deviation": .within(0.01...100),
            "alpha": .atLeast(0), "unlabelledWeight": .atLeast(0),
        ])
    }

    public static let info = MethodInfo(
        "m2", .semiSupervised,
        summary: "Rebuild each sample from its class and a code; where the class is hidden, try them all.",
        paper: "Kingma et al. 2014, Semi-supervised learning with deep generative models",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    public func makeTask(_ context: LearningContext) throws -> Task { Task(config, context) }

    public func groups(_ task: Task) -> [ParameterGroup]? {
        let generative = task.parameters().filter { !$0.name.hasPrefix("classifier.") }
        return task.classifier.groups(settings: training, backboneRate: backboneRate)
            + ParameterGroup.decaying(generative, weightDecay: training.weightDecay)
    }

    public final class Task: SemiSupervisedTask {
        /// q(y|x).
        public let classifier: Classifier
        /// From features and class to what q(z|x, y) is read from.
        let hidden, mean, logDeviation: Linear
        /// p(x|y, z).
        let decoder: Decoder
        public let feeds: [Feed]
        private let config: Config
        private let classes: Int
        /// How many a sample has. All terms are divided by it, so that one learning rate suits samples of all sizes.
        private let values: Double
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classes = context.classes
            classifier = context.makeClassifier()
            var random = context.random("generative")
            hidden = Linear(context.backbone.featureCount + classes, 8 * config.width, random: &random)
            mean = Linear(8 * config.width, config.codeSize, random: &random)
            logDeviation = Linear(8 * config.width, config.codeSize, random: &random)
            decoder = Decoder(
                config.codeSize + classes, sample: context.input.shape, width: config.width, random: &random)
            let view = context.rebuiltView
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
            values = Double(context.input.shape.reduce(1, *))
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let counts = [labelled.indices.count, unlabelled.indices.count]
            let samples = concatenate([labelled.views[0], unlabelled.views[0]])
            let features = classifier.backbone(samples)
            let logits = classifier.head(features).split(sizes: counts, axis: 0)

            // Each labelled sample once, with its class; then each unlabelled one with every class.
            let rows =
                Array(0..<counts[0])
                + (0..<counts[1]).flatMap { row in
                    Array(repeating: counts[0] + row, count: classes)
                }
            let everyClass = Tensor.eye(classes).unsqueezed(axis: 0).expanded(to: [counts[1], classes, classes])
            let y = concatenate([
                labelled.labels.oneHot(classes: classes), everyClass.reshaped([counts[1] * classes, classes]),
            ])
            let bounds = bound(
                samples.indexSelect(axis: 0, rows), features.indexSelect(axis: 0, rows), y,
                random: context.random.stream("code")
            ).split(sizes: [counts[0], counts[1] * classes], axis: 0)

            let likelihood = bounds[0].sum()
            let hidden =
                unlabelledBound(logits[1], bounds: bounds[1].reshaped([counts[1], classes])) * Double(counts[1])
            let entropy = crossEntropy(logits[0], labelled.labels)
            let total = Double(counts[0] + counts[1])
            let generative = (likelihood + hidden * config.unlabelledWeight) / total
            let guesses = logits[1].detached().softmax()
            return StepOutput(
                (generative + entropy * config.alpha) / values,
                [
                    ("labelled loss", entropy.item()), ("unlabelled loss", hidden.item() / Double(counts[1])),
                    ("bound", likelihood.item() / Double(counts[0])),
                ] + known.logs(guesses, indices: unlabelled.indices))
        }

        /// -L(x, y) of equation 6 for each row, without the constant of the normal distribution: [M].
        private func bound(_ x: Tensor, _ features: Tensor, _ y: Tensor, random: RandomSource) -> Tensor {
            var random = random
            let h = hidden(concatenate([features, y], axis: 1)).relu()
            let (mean, logDeviation) = (mean(h), logDeviation(h))
            let code = mean + logDeviation.exp() * .normal(mean.shape, random: &random)
            let rebuilt = decoder(concatenate([code, y], axis: 1))
            let distance = (rebuilt - x).reshaped([x.shape[0], -1]).square().sum(axis: 1)
            return distance * (0.5 / (config.deviation * config.deviation))
                + divergencesFromNormal(mean: mean, logDeviation: logDeviation) + log(Double(classes))
        }
    }
}

/// What samples without a label cost, sum_y q(y|x) (bound(x, y) + ln q(y|x)), averaged over them (Kingma et al. 2014,
/// equation 7). It is least, -ln sum_y exp(-bound), where q is what the bounds say of the class.
/// - Parameters:
///   - logits: [M, classes], of q(y|x).
///   - bounds: [M, classes], what each sample costs with each class: -L(x, y).
public func unlabelledBound(_ logits: Tensor, bounds: Tensor) -> Tensor {
    require(
        logits.shape == bounds.shape && logits.rank == 2,
        "unlabelledBound: logits \(logits.shape), bounds \(bounds.shape)")
    return (logits.softmax() * (bounds + logits.logSoftmax())).sum(axis: 1).mean()
}
