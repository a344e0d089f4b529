import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// MoCo: a view must recognise the other view of its picture among the keys of many past batches, which a slowly
/// following copy of the encoder made (He et al. 2020, "Momentum contrast for unsupervised visual representation
/// learning").
///
/// Version 2 (Chen et al. 2020, "Improved baselines with momentum contrastive learning") by default; `head=linear` with
/// `temperature=0.07` is version 1. The papers' queue holds 65,536 keys of 1.28 million pictures, and their batches 256;
/// here they are smaller, for more updates from as many pictures.
public struct MoCo: Pretraining {
    public struct Config: Settings {
        public enum Head: String, Codable, Sendable, CaseIterable { case mlp, linear }

        public var batchSize = 64
        public var temperature = 0.2
        public var queueSize = 0
        public var momentum = 0.99
        public var head = Head.mlp
        public var hiddenSize = 256
        public var projectionSize = 64
        public var symmetric = false
        public var normGroups = 4
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives a query and a key",
            "temperature": "divides the similarities; lower looks harder at near misses",
            "queueSize":
                "keys of past batches that are kept as negatives; 0 means half as many as there are samples, at most 4096",
            "momentum": "share of itself that the key encoder keeps at each step",
            "head": "projection on top of the network: two layers (version 2) or one (version 1)",
            "hiddenSize": "width of the two-layer head",
            "projectionSize": "length of the vectors that are compared",
            "symmetric": "both views are queries in turn, at twice the work for each step",
            "normGroups":
                "parts of a batch that are normalised apart, shuffled for the keys, so that the statistics do not betray which key belongs to a query",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "temperature": .within(0.001...1000), "queueSize": .within(0...10_000_000),
            "momentum": .within(0...1), "hiddenSize": .within(1...65536), "projectionSize": .within(1...65536),
            "normGroups": .within(1...1024),
        ]
    }

    public static let info = MethodInfo(
        "moco", .selfSupervised,
        summary:
            "A view must recognise its partner among the keys of past batches, made by a slowly following encoder.",
        paper:
            "He et al. 2020, Momentum contrast for unsupervised visual representation learning; v2: Chen et al. 2020",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let online: Encoder
        let teacher: Encoder
        let queue: FeatureQueue
        /// Which sample each key of the queue is of, [K, 1].
        private let owners: FeatureQueue
        public let feeds: [Feed]
        public let warnings: [String]
        private let config: Config
        private let samples: Int
        private let enqueuesFirst: Bool
        public var trained: any Module { online }
        public var ruler: LossRuler? {
            .contrastive(
                others: queue.count, width: config.projectionSize, temperature: config.temperature,
                formula: "ln(1 + K)")
        }

        /// - Parameter enqueuesFirst: a mistake that tests make on purpose: a query then meets its own key as a
        ///   negative.
        init(_ config: Config, _ context: LearningContext, enqueuesFirst: Bool = false) throws {
            self.config = config
            self.enqueuesFirst = enqueuesFirst
            backbone = context.backbone
            var random = context.random("projection")
            let widths = [backbone.featureCount] + (config.head == .mlp ? [config.hiddenSize] : [])
            func head() -> Sequential {
                projector(widths + [config.projectionSize], norms: false, last: .linear, random: &random)
            }
            online = Encoder(backbone, head())
            teacher = try online.makeTeacher(context, projector: head())
            samples = context.data.dataset.count
            let capacity = config.queueSize > 0 ? config.queueSize : max(1, min(4096, samples / 2))
            queue = FeatureQueue(capacity: capacity, width: config.projectionSize)
            owners = FeatureQueue(capacity: capacity, width: 1)
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            let epochs = Double(capacity) / Double(samples * (config.symmetric ? 2 : 1))
            warnings =
                epochs > 1
                ? [
                    "the queue of \(capacity) keys spans more than one epoch of \(samples) samples, which then meet their own old keys as negatives; set queueSize to \(samples / 2) or less"
                ] : []
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            let (a, b) = (batch.views[0], batch.views[1])
            var random = context.random.stream("shuffle")
            let halves = (config.symmetric ? [(a, b), (b, a)] : [(a, b)]).map { query, key in
                (queries: inGroups(query, online), keys: noGradient { keys(of: key, random: &random) })
            }
            func enqueue() {
                let owner = Tensor(batch.indices.map(Float.init), shape: [batch.indices.count, 1])
                for half in halves {
                    queue.enqueue(half.keys)
                    owners.enqueue(owner)
                }
            }
            if enqueuesFirst { enqueue() }
            let known = Set(owners.contents.floats())
            let own = batch.indices.filter { known.contains(Float($0)) }.count
            let negatives = queue.contents
            let losses = halves.map {
                momentumContrast($0.queries, keys: $0.keys, queue: negatives, temperature: config.temperature)
            }
            // Only now, and both halves: a batch is no negative of itself.
            if !enqueuesFirst { enqueue() }
            let loss = config.symmetric ? (losses[0] + losses[1]) * 0.5 : losses[0]
            return StepOutput(
                loss,
                [
                    ("spread", spread(halves[0].queries)), ("teacher distance", online.distance(to: teacher)),
                    ("queue age", Double(queue.count) / Double(samples * halves.count)),
                    ("own negatives", Double(own) / Double(batch.indices.count)),
                ])
        }

        public func didUpdate(_ context: StepContext) { teacher.follow(online, decay: config.momentum) }

        public func warnings(after trainer: Trainer) -> [String] {
            guard let own = trainer.lastMean("own negatives"), own > 0.9 else { return [] }
            return [
                "nearly every sample met its own key as a negative: the queue spans more than one epoch, or takes in the keys before the loss"
            ]
        }

        /// Keys of length 1, made in another order of the samples and put back into theirs.
        private func keys(of view: Tensor, random: inout RandomSource) -> Tensor {
            let order = random.permutation(view.shape[0])
            var back = order
            for (place, sample) in order.enumerated() { back[sample] = place }
            let shuffled = inGroups(view.indexSelect(axis: 0, order), teacher)
            return shuffled.indexSelect(axis: 0, back).l2Normalized(axis: -1)
        }

        /// In passes of equal size, each with batch statistics of its own.
        private func inGroups(_ x: Tensor, _ encoder: Encoder) -> Tensor {
            let n = x.shape[0]
            let groups = max(1, min(config.normGroups, n / 2))
            guard groups > 1 else { return encoder(x) }
            return concatenate((0..<groups).map { encoder(x[($0 * n / groups)..<(($0 + 1) * n / groups)]) })
        }
    }
}

/// InfoNCE with a queue (He et al. 2020, equation 1): each query must pick its key among it and the vectors of the
/// queue. Averaged over the queries. No gradient reaches keys and queue.
/// - Parameters:
///   - queries, keys: [B, D] of any length, normalised here. An empty queue makes the loss 0.
///   - queue: [K, D], rows of length 1.
///   - temperature: divides the similarities.
public func momentumContrast(_ queries: Tensor, keys: Tensor, queue: Tensor, temperature: Double) -> Tensor {
    require(
        queries.rank == 2 && queries.shape == keys.shape && queue.rank == 2 && queue.shape[1] == queries.shape[1],
        "momentumContrast: queries \(queries.shape), keys \(keys.shape), queue \(queue.shape)")
    let q = queries.l2Normalized(axis: -1)
    let positive = (q * keys.detached().l2Normalized(axis: -1)).sum(axis: -1, keepDims: true)
    let logits =
        queue.shape[0] == 0
        ? positive : concatenate([positive, q.matmul(queue.detached().transposed())], axis: 1)
    return crossEntropy(
        logits * (1 / temperature), Tensor([Int](repeating: 0, count: q.shape[0]), device: q.device))
}
