import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// FixMatch: what the network says with confidence of a gently changed sample is the label of the roughly changed one
/// (Sohn et al. 2020, "FixMatch: simplifying semi-supervised learning with consistency and confidence").
public struct FixMatch: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var threshold = 0.9
        public var unlabelledWeight = 1.0
        public var magnitude = 1.0
        public var cutout = 0.5
        public var distributionAlignment = true
        public var flexibleThresholds = false
        public var backboneRate = 1.0
        public var training = TrainingSettings()

        /// For some thousand updates: with SGD, 0.03 and the threshold of 0.95, the paper's for a million, confidence has
        /// no time to grow; in the family's 1,500 updates still too little.
        public init() {
            training.steps = 4000
            training.optimizer = .adamw
            training.learningRate = 2e-3
            training.weightDecay = 0.01
            training.averaging = 0.99
        }

        public static let meanings = SharedSettings.meanings(and: [
            "threshold": "confidence from which a prediction becomes a label (tau); the paper has 0.95",
            "unlabelledWeight": "weight of the unlabelled loss (lambda)",
            "magnitude": "strength of the rough views, 0 to 1",
            "cutout": "side of the hole in rough views, as a share of the picture's; 0 cuts none",
            "distributionAlignment":
                "brings the predicted class shares towards those of the labels, or those that are known (ReMixMatch, Berthelot et al. 2020)",
            "flexibleThresholds":
                "lowers the threshold of classes that are learned slowly (FlexMatch, Zhang et al. 2021)",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "threshold": .within(0...1), "unlabelledWeight": .atLeast(0),
            "magnitude": .within(0...1), "cutout": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "fixmatch", .semiSupervised,
        summary: "Confident predictions on gentle views become the labels of rough views.",
        paper: "Sohn et al. 2020, FixMatch: simplifying semi-supervised learning with consistency and confidence",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public var backboneRate: Double { config.backboneRate }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        /// Running mean of the predictions, and the class shares that they should have, for distribution alignment.
        private let predicted: Buffer
        private let wanted: Tensor
        /// int64 [samples]: the class that each was last guessed to be with full confidence, -1 for none yet.
        private let chosen: Buffer?
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            classifier = context.makeClassifier()
            let weak = context.weakView
            let strong = context.strongView(magnitude: config.magnitude, cutout: config.cutout)
            feeds = context.feeds(
                labelled: config.batchSize, view: weak, ratio: config.unlabelledRatio, views: [weak, strong])
            known = KnownLabels(context)
            let classes = context.classes
            predicted = Buffer(.full([classes], 1 / Double(classes)))
            chosen =
                config.flexibleThresholds
                ? Buffer(Tensor([Int](repeating: -1, count: context.data.dataset.count))) : nil
            wanted = Tensor((context.classShares ?? context.data.labelledShares).map(Float.init))
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let (weak, strong) = (unlabelled.views[0], unlabelled.views[1])

            // Labels for the unlabelled, from a pass that no gradient flows through and none is computed for. Gentle
            // views look like what will be classified one day, so only they make the running statistics.
            let guess = noGradient { classifier(weak).softmax() }
            let target = config.distributionAlignment ? aligned(guess) : guess
            let confident = confidence(target, unlabelled.indices)

            let (logits, rough) = classifier.withoutStatistics {
                (classifier(labelled.views[0]), classifier(strong))
            }
            let supervised = crossEntropy(logits, labelled.labels)
            let unsupervised = FixMatch.loss(rough, labels: target.argmax(), confident: confident)
            var output = known.output(
                supervised: supervised, unsupervised: unsupervised, weight: config.unlabelledWeight, guesses: target,
                counted: confident, indices: unlabelled.indices)
            output.logs.append(("roughness", meanConfidence(guess) - meanConfidence(rough.detached().softmax())))
            return output
        }

        /// Views that are no rougher than the gentle ones lower no confidence, and then there is nothing to learn; unless
        /// labels were guessed for all before, which make the network sure of itself on either.
        public func remarks(_ trainer: Trainer, _ context: LearningContext) -> [String] {
            guard context.given == nil, let lost = trainer.mean("roughness"), lost < FixMatch.leastRoughness else {
                return []
            }
            return ["rough views are as easy as gentle ones, and teach little: raise magnitude or cutout"]
        }

        private func meanConfidence(_ p: Tensor) -> Double { p.max(axis: -1).mean().item() }

        /// 1 where a guess counts, [M].
        private func confidence(_ target: Tensor, _ indices: [Int]) -> Tensor {
            let largest = target.max(axis: -1)
            guard let chosen else { return (largest .>= config.threshold).cast(to: .float32) }
            var classes = chosen.value.ints()
            let thresholds = FixMatch.flexibleThresholds(
                classes, classes: target.shape[1], threshold: config.threshold)
            let guesses = target.argmax().ints()
            for ((sample, guess), confidence) in zip(zip(indices, guesses), largest.doubles())
            where confidence >= config.threshold {
                classes[sample] = guess
            }
            chosen.value = Tensor(classes)
            return (largest .>= Tensor(guesses.map { Float(thresholds[$0]) })).cast(to: .float32)
        }

        /// p * wanted / mean prediction, made to sum to 1.
        private func aligned(_ p: Tensor) -> Tensor {
            predicted.value = predicted.value * 0.99 + p.mean(axis: 0) * 0.01
            let shifted = p * (wanted / (predicted.value + 1e-6))
            return shifted / shifted.sum(axis: -1, keepDims: true)
        }
    }

    /// Rough views that cost less confidence than this, over the whole training, are as easy as the gentle ones.
    static let leastRoughness = 0.003

    /// FlexMatch's threshold of each class: beta / (2 - beta) times the full one, where beta is the number of samples that
    /// were guessed to be of the class with full confidence, relative to the largest such number or, early on, to the
    /// number of samples never guessed so (Zhang et al. 2021, equations 5 to 9 with warm-up and convex mapping).
    /// - Parameter chosen: for each sample its class, or -1.
    static func flexibleThresholds(_ chosen: [Int], classes: Int, threshold: Double) -> [Double] {
        var counts = [Int](repeating: 0, count: classes)
        var unused = 0
        for choice in chosen {
            if choice >= 0 { counts[choice] += 1 } else { unused += 1 }
        }
        let most = Double(max(counts.max()!, unused))
        return counts.map {
            let beta = Double($0) / most
            return threshold * beta / (2 - beta)
        }
    }

    /// Cross-entropy of the rough views against the guessed labels, counted where the guess was confident and averaged
    /// over all samples (equation 4).
    /// - Parameters:
    ///   - logits: [M, classes] of the rough views.
    ///   - labels: int64 [M].
    ///   - confident: 1 or 0 for each [M].
    public static func loss(_ logits: Tensor, labels: Tensor, confident: Tensor) -> Tensor {
        (crossEntropy(logits, labels, reduction: .none) * confident).mean()
    }
}
