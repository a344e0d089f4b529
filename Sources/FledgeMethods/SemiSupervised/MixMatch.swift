import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// MixMatch: labels are guessed from several views and sharpened, and then everything is mixed with everything (Berthelot
/// et al. 2019, "MixMatch: a holistic approach to semi-supervised learning").
public struct MixMatch: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 1
        public var guesses = 2
        public var temperature = 0.5
        public var alpha = 0.75
        public var unlabelledWeight = 75.0
        public var rampUp = 0.5
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {}

        public static let meanings = SharedSettings.meanings(and: [
            "guesses": "views of each unlabelled sample (K)",
            "temperature": "sharpens the guessed labels; 1 leaves them as they are",
            "alpha": "of the Beta distribution that shares are drawn from when samples are mixed; 0 mixes none",
            "unlabelledWeight": "weight of the unlabelled loss once it has risen (lambda)",
            "rampUp": "share of the training in which the weight rises, evenly",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "guesses": .within(1...16), "temperature": .above(0, upTo: 100), "alpha": .within(0...100),
            "unlabelledWeight": .atLeast(0), "rampUp": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "mixmatch", .semiSupervised,
        summary: "Labels guessed from several views, and all samples mixed with one another.",
        paper: "Berthelot et al. 2019, MixMatch: a holistic approach to semi-supervised learning",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        private let interleaves: Bool
        private let known: KnownLabels

        /// - Parameter interleaves: whether every pass holds labelled and unlabelled rows. Only a test says no.
        init(_ config: Config, _ context: LearningContext, interleaves: Bool = true) {
            self.config = config
            self.interleaves = interleaves
            classifier = context.makeClassifier()
            let view = context.weakView
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio,
                views: Array(repeating: view, count: config.guesses))
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let views = unlabelled.views
            let guess = noGradient {
                let logits = classifier.withoutStatistics { classifier(concatenate(views)) }
                let mean = logits.softmax().reshaped([views.count, unlabelled.indices.count, -1]).mean(axis: 0)
                return sharpen(mean, temperature: config.temperature)
            }
            let known = labelled.labels.oneHot(classes: guess.shape[1])
            let x = concatenate([labelled.views[0]] + views)
            let q = concatenate([known] + views.map { _ in guess })
            let plan = MixPlan.mixup(
                count: x.shape[0], alpha: config.alpha, perSample: true, largerStays: true,
                random: Randomness.current.stream("mixup"))
            let (mixed, targets) = (plan.mix(x), plan.mix(q))

            let b = labelled.indices.count
            let logits = interleaves ? passes(mixed, rows: b) : straightPasses(mixed, rows: b)
            let parts = [(0, b), (b, x.shape[0] - b)].map { start, length in
                (
                    logits.narrowed(axis: 0, start: start, length: length),
                    targets.narrowed(axis: 0, start: start, length: length)
                )
            }
            let supervised = crossEntropy(parts[0].0, soft: parts[0].1)
            let unsupervised = consistency(parts[1].0.softmax(), parts[1].1)
            let weight = config.unlabelledWeight * linearRamp(context.progress, 0, config.rampUp)
            return StepOutput(
                supervised + unsupervised * weight,
                [("labelled loss", supervised.item()), ("unlabelled loss", unsupervised.item())]
                    + self.known.logs(guess, indices: unlabelled.indices))
        }

        /// The logits of all rows, in passes of about `rows`. Every pass holds the same share of labelled rows, so all are
        /// normalised alike, and the first alone moves the running statistics.
        private func passes(_ x: Tensor, rows: Int) -> Tensor {
            let order = MixMatch.interleaved(x.shape[0], passes: max(1, x.shape[0] / rows))
            var place = [Int](repeating: 0, count: x.shape[0])
            for (new, old) in order.joined().enumerated() { place[old] = new }
            let logits = order.enumerated().map { pass, rows in
                let part = x.indexSelect(axis: 0, rows)
                return pass == 0 ? classifier(part) : classifier.withoutStatistics { classifier(part) }
            }
            return concatenate(logits).indexSelect(axis: 0, place)
        }

        /// What goes wrong: the labelled rows, which come first, are normalised by themselves, and the statistics are theirs.
        private func straightPasses(_ x: Tensor, rows: Int) -> Tensor {
            let rest = x.narrowed(axis: 0, start: rows, length: x.shape[0] - rows)
            return concatenate([
                classifier(x.narrowed(axis: 0, start: 0, length: rows)),
                classifier.withoutStatistics { classifier(rest) },
            ])
        }
    }

    /// The rows of each pass: every pass gets each `passes`-th row.
    static func interleaved(_ count: Int, passes: Int) -> [[Int]] {
        (0..<passes).map { Array(stride(from: $0, to: count, by: passes)) }
    }
}

extension MixPlan {
    /// Mixes the rows of a tensor [count, ...].
    func mix(_ x: Tensor) -> Tensor {
        require(x.shape.first == weights.count, "mix: a plan for \(weights.count) rows and x \(x.shape)")
        let weight = Tensor(weights, shape: [weights.count] + [Int](repeating: 1, count: x.rank - 1))
            .cast(to: x.dtype).to(x.device)
        return x * weight + x.indexSelect(axis: 0, partners) * (1 - weight)
    }
}
