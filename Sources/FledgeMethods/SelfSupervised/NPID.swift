import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Non-parametric instance discrimination: every sample is a class of its own, and its weight vector is what the
/// network said of it before, kept in a memory (Wu et al. 2018, "Unsupervised feature learning via non-parametric
/// instance discrimination").
///
/// One pass over one view for each step makes it the cheapest of the family. The softmax runs over all samples, which
/// suits up to some 100,000; for more there is the paper's noise-contrastive estimation, over some that are drawn.
public struct NPID: Pretraining {
    /// The paper's temperature is 0.07, for millions of samples; with a higher one, samples that are nearly alike are
    /// pushed apart less hard, which thousands of a few classes need. A pass visits each sample once: small batches make
    /// more steps of it.
    public struct Config: Settings {
        public var batchSize = 64
        public var temperature = 0.2
        public var memoryMomentum = 0.5
        public var projectionSize = 64
        public var negatives = 0
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {
            training.epochs = 40
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives one view",
            "temperature": "divides the similarities; lower looks harder at near misses",
            "memoryMomentum": "share of itself that a sample's memory keeps when the sample comes by",
            "projectionSize": "length of the vectors that are remembered",
            "negatives":
                "how many places of the memory each vector is told from, drawn at each step (noise-contrastive estimation; the paper's m, 4096 for 1.28 million samples); 0: from all (softmax)",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "temperature": .within(0.001...1000), "memoryMomentum": .within(0..<1),
            "projectionSize": .within(1...65536), "negatives": .within(0...1_048_576),
        ]
    }

    public static let info = MethodInfo(
        "npid", .selfSupervised,
        summary: "Every sample is a class of its own; the classifier is a memory of what the network said before.",
        paper: "Wu et al. 2018, Unsupervised feature learning via non-parametric instance discrimination",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let projection: Sequential
        /// [N, D], rows of length 1, one for each sample.
        let memory: Buffer
        /// ln Z of noise-contrastive estimation, fixed by the first batch; 0 before.
        private let logNormalizer: Buffer?
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config

        init(_ config: Config, _ context: LearningContext) {
            self.config = config
            backbone = context.backbone
            var random = context.random("projection")
            // Rectified features point the same way for all samples; normalised over the batch the vectors do not.
            projection = projector(
                [backbone.featureCount, config.projectionSize], last: .plainNorm, random: &random)
            let samples = context.data.dataset.count
            memory = Buffer(Tensor.normal([samples, config.projectionSize], random: &random).l2Normalized(axis: -1))
            let view = context.randomView(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [view])]
            logNormalizer = config.negatives > 0 ? Buffer(.zeros([])) : nil
            ruler =
                config.negatives > 0
                ? .noiseContrastive(
                    negatives: config.negatives, width: config.projectionSize, temperature: config.temperature)
                : .contrastive(
                    others: samples - 1, width: config.projectionSize, temperature: config.temperature, formula: "ln n")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            let v = projection(backbone(batch.views[0])).l2Normalized(axis: -1)
            let own = Tensor(batch.indices)
            let loss =
                logNormalizer.map { estimate(v, own, normalizer: $0, context.random.stream("negatives")) }
                ?? instanceSoftmax(v, memory: memory.value, own: own, temperature: config.temperature)
            remember(v, of: batch.indices)
            return StepOutput(loss, [("spread", spread(v))])
        }

        /// Noise-contrastive estimation with places drawn for each vector, and Z as it was in the first batch.
        private func estimate(_ v: Tensor, _ own: Tensor, normalizer: Buffer, _ random: RandomSource) -> Tensor {
            var random = random
            let (batch, count) = (v.shape[0], memory.shape[0])
            let drawn = (0..<batch * config.negatives).map { _ in random.integer(below: count) }
            let negatives = Tensor(drawn, shape: [batch, config.negatives])
            if normalizer.value.item() == 0 {
                normalizer.value = noGradient {
                    instanceLogNormalizer(
                        v, memory: memory.value, own: own, negatives: negatives, temperature: config.temperature)
                }
            }
            return instanceNCE(
                v, memory: memory.value, own: own, negatives: negatives, logNormalizer: normalizer.value.item(),
                temperature: config.temperature)
        }

        /// m_i <- norm(momentum m_i + (1 - momentum) v).
        private func remember(_ v: Tensor, of own: [Int]) {
            noGradient {
                let old = memory.value.indexSelect(axis: 0, own)
                let new = old * config.memoryMomentum + v.detached() * (1 - config.memoryMomentum)
                memory.setRows(at: own, to: new.l2Normalized(axis: -1))
            }
        }
    }
}

/// The non-parametric softmax (Wu et al. 2018, equation 2) as a loss: each vector must pick its own place in the
/// memory. Averaged over the batch. No gradient reaches the memory.
/// - Parameters:
///   - v: [B, D], rows of length 1.
///   - memory: [N, D], rows of length 1.
///   - own: int64 [B], the samples' places in the memory.
///   - temperature: divides the similarities.
public func instanceSoftmax(_ v: Tensor, memory: Tensor, own: Tensor, temperature: Double) -> Tensor {
    require(
        v.rank == 2 && memory.rank == 2 && v.shape[1] == memory.shape[1] && own.shape == [v.shape[0]],
        "instanceSoftmax: vectors \(v.shape), memory \(memory.shape), places \(own.shape)")
    return crossEntropy(v.matmul(memory.detached().transposed()) * (1 / temperature), own)
}

/// Noise-contrastive estimation of the same (Wu et al. 2018, equations 4 to 7): with P = exp(v m / temperature) / Z
/// each vector must tell its own place in the memory from K others that were drawn evenly,
/// -ln P / (P + K/N) - sum ln (K/N) / (P' + K/N). Averaged over the batch. No gradient reaches the memory.
/// - Parameters:
///   - v: [B, D], rows of length 1.
///   - memory: [N, D], rows of length 1.
///   - own: int64 [B], the samples' places in the memory.
///   - negatives: int64 [B, K], places drawn for each.
///   - logNormalizer: ln Z, see `instanceLogNormalizer`.
public func instanceNCE(
    _ v: Tensor, memory: Tensor, own: Tensor, negatives: Tensor, logNormalizer: Double, temperature: Double
) -> Tensor {
    let (positive, others) = instanceScores(
        v, memory: memory, own: own, negatives: negatives, temperature: temperature)
    // ln(P / (K/N)), of which the terms are logistic functions.
    let offset = logNormalizer + log(Double(negatives.shape[1]) / Double(memory.shape[0]))
    return ((offset - positive).softplus() + (others - offset).softplus().sum(axis: 1)).mean()
}

/// ln Z with Z estimated as N times the mean of exp(v m / temperature) over the places of this batch, which the paper
/// does once, for the first batch (section 3.2).
/// - Returns: a scalar.
public func instanceLogNormalizer(
    _ v: Tensor, memory: Tensor, own: Tensor, negatives: Tensor, temperature: Double
) -> Tensor {
    let (positive, others) = instanceScores(
        v, memory: memory, own: own, negatives: negatives, temperature: temperature)
    let all = concatenate([positive.unsqueezed(axis: 1), others], axis: 1).reshaped([-1])
    return all.logSumExp(axis: 0) + log(Double(memory.shape[0]) / Double(all.count))
}

/// v m / temperature: [B] with the own places and [B, K] with the others.
private func instanceScores(
    _ v: Tensor, memory: Tensor, own: Tensor, negatives: Tensor, temperature: Double
) -> (own: Tensor, others: Tensor) {
    let batch = v.shape[0]
    require(
        v.rank == 2 && memory.rank == 2 && v.shape[1] == memory.shape[1] && own.shape == [batch]
            && negatives.rank == 2 && negatives.shape[0] == batch,
        "instanceNCE: vectors \(v.shape), memory \(memory.shape), places \(own.shape), negatives \(negatives.shape)")
    let scaled = v * (1 / temperature)
    let mine = (scaled * memory.detached().indexSelect(axis: 0, own)).sum(axis: 1)
    let theirs = memory.detached().embedding(negatives).matmul(scaled.unsqueezed(axis: 2)).squeezed(axis: 2)
    return (mine, theirs)
}
