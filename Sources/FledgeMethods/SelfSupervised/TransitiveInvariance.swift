import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Transitive invariance: what looks alike to a network that learned from context belongs together, and so do all views
/// of the one and of the other (Wang et al. 2017, "Transitive invariance for self-supervised visual representation
/// learning").
///
/// The paper tracks patches through videos for its intra-instance edges and finds the inter-instance ones by the
/// features of relative patch location. For pictures without motion, here the first are random views; and the second
/// join nearest neighbours by the features of a rotation task (Gidaris et al. 2018), with which the training begins.
/// With A - A' and B - B' views and A - B neighbours, the pairs A - B' and A' - B' follow; all are drawn together by a
/// triplet loss.
public struct TransitiveInvariance: Pretraining {
    public struct Config: Settings {
        public var batchSize = 64
        public var contextShare = 0.4
        public var neighbours = 5
        public var margin = 0.5
        public var negatives = 4
        public var hiddenSize = 256
        public var projectionSize = 64
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views, and so does a neighbour of each",
            "contextShare":
                "share of the training that learns to tell rotations, before neighbours are looked for; 0 uses the features as they are, such as those of --weights",
            "neighbours": "how many nearest pictures are taken for the same kind of thing",
            "margin": "how much closer than others a partner must be, in cosine distance",
            "negatives": "how many of the closest others each vector is kept away from",
            "hiddenSize": "width of the projection head",
            "projectionSize": "length of the vectors that are compared",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(3...65536), "contextShare": .within(0..<1), "neighbours": .within(1...1000),
            "margin": .above(0, upTo: 2), "negatives": .within(1...1000), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "transitive-invariance", .selfSupervised,
        summary:
            "Views of a picture, its neighbours by the features of a rotation task, and their views belong together.",
        paper: "Wang et al. 2017, Transitive invariance for self-supervised visual representation learning",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let projection: Sequential
        /// Features to quarter turns.
        let turns: Linear
        /// The nearest other pictures of each, int64 [N, neighbours].
        let neighbours: Buffer
        /// 1 once they were looked for.
        private let found: Buffer
        public let feeds: [Feed]
        /// With hard negatives the loss starts above the margin, the value of collapse: the spread tells that.
        public let ruler: LossRuler? = nil
        private let config: Config
        private let dataset: any Dataset
        private let input: InputSpec
        private let shuffled: Bool

        /// - Parameter shuffled: any pictures in place of neighbours.
        init(_ config: Config, _ context: LearningContext, shuffled: Bool = false) {
            self.config = config
            self.shuffled = shuffled
            backbone = context.backbone
            dataset = context.data.dataset.hidingLabels(except: [])
            input = context.input
            var random = context.random("projection")
            projection = projector(
                [backbone.featureCount, config.hiddenSize, config.projectionSize], random: &random)
            turns = Linear(backbone.featureCount, 4, random: &random)
            let count = max(1, min(config.neighbours, dataset.count - 1))
            neighbours = Buffer(
                Tensor([Int](repeating: 0, count: count * dataset.count), shape: [dataset.count, count]))
            found = Buffer(Tensor([0], shape: []))
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            if context.progress < config.contextShare { return rotation(batch.views[0]) }
            if found.value.item() == 0 { try findNeighbours(context.random) }
            return try triplets(batch, context.random)
        }

        /// Tells by how many quarter turns pictures were rotated.
        private func rotation(_ pictures: Tensor) -> StepOutput {
            let (turned, quarters) = fourRotations(pictures)
            let logits = turns(backbone(turned))
            return StepOutput(
                crossEntropy(logits, quarters), [("rotation accuracy", batchAccuracy(logits, quarters))])
        }

        private func triplets(_ batch: TrainingBatch, _ random: RandomSource) throws -> StepOutput {
            let count = batch.indices.count
            // One neighbour of each picture, B of A, in views of its own.
            var random = random.stream("neighbours").at(batch.indices[0])
            let near = neighbours.value.indexSelect(axis: 0, batch.indices).ints()
            let width = neighbours.shape[1]
            let chosen = (0..<count).map { near[$0 * width + random.integer(below: width)] }
            let further = neighbours.value.indexSelect(axis: 0, chosen).ints()
            let loader = Loader(
                dataset, indices: chosen, batchSize: count, views: feeds[0].views, seed: random.next(), shuffle: false,
                workers: 0)
            let others = TrainingBatch(try loader.batch(at: 0)).views
            let z = projection(backbone(concatenate(batch.views + others))).l2Normalized(axis: -1).split(4, axis: 0)
            let (a, a2, b, b2) = (z[0], z[1], z[2], z[3])

            // Pictures that are no partners: neither the same nor a neighbour, of A or the chosen B.
            var partner = [Bool](repeating: false, count: count * count)
            for i in 0..<count {
                let row = i * width..<(i + 1) * width
                let friends = Set(near[row] + further[row] + [batch.indices[i]])
                for j in 0..<count where friends.contains(batch.indices[j]) { partner[i * count + j] = true }
            }
            let excluded = Tensor(partner, shape: [count, count])
            let pairs = [(a, a2), (a, b), (a, b2), (a2, b), (a2, b2)]
            let losses = pairs.map { anchor, positive in
                hardTriplets(
                    anchor, positive, pool: a2, excluded: excluded, negatives: config.negatives, margin: config.margin)
            }
            return StepOutput(stack(losses).mean(), [("spread", spread(a))])
        }

        /// - Throws: `DataError` when a sample cannot be read.
        private func findNeighbours(_ random: RandomSource) throws {
            found.value = Tensor([1], shape: [])
            if shuffled {
                var random = random.stream("shuffled")
                neighbours.value = Tensor(
                    (0..<neighbours.value.count).map { _ in random.integer(below: dataset.count) },
                    shape: neighbours.shape)
                return
            }
            let features = try Inference.features(backbone, dataset, input: input)
            let unit = noGradient { features.l2Normalized(axis: -1) }
            let nearest = NearestNeighbours.search(
                unit, in: unit, count: neighbours.shape[1], skippingSelf: dataset.count > 1)
            neighbours.value = Tensor(nearest.indices.map(Int.init), shape: neighbours.shape)
        }
    }
}

/// The triplet loss on cosine distance, max(0, D(a, p) - D(a, n) + margin) with D = 1 - cos, averaged (Wang et al.
/// 2017, equation 2).
/// - Parameters:
///   - anchor, positive, negative: [B, D] of any length.
///   - counted: 1 or 0 for each [B]; all count by default.
public func tripletHinge(
    _ anchor: Tensor, _ positive: Tensor, _ negative: Tensor, margin: Double, counted: Tensor? = nil
) -> Tensor {
    require(
        anchor.rank == 2 && anchor.shape == positive.shape && anchor.shape == negative.shape,
        "tripletHinge: shapes \(anchor.shape), \(positive.shape), \(negative.shape)")
    let hinge = (cosineSimilarity(anchor, negative) - cosineSimilarity(anchor, positive) + margin).relu()
    guard let counted else { return hinge.mean() }
    return (hinge * counted).sum() / max(1, counted.sum().item())
}

/// `tripletHinge` of each anchor against the closest rows of a pool.
/// - Parameters:
///   - anchor, positive: [B, D].
///   - pool: [M, D], rows to take negatives from.
///   - excluded: bool [B, M], the rows that are no negatives of an anchor.
///   - negatives: how many of the closest count; all where the pool has fewer.
func hardTriplets(
    _ anchor: Tensor, _ positive: Tensor, pool: Tensor, excluded: Tensor, negatives: Int, margin: Double
) -> Tensor {
    let count = min(negatives, pool.shape[0])
    let closest = noGradient {
        let similar = anchor.detached().l2Normalized(axis: -1)
            .matmul(pool.detached().l2Normalized(axis: -1).transposed())
        // Those excluded come last, and are masked out again below where nothing else was left.
        return similar.maskedFill(excluded, -2).topK(count).indices
    }
    let counted = 1 - excluded.cast(to: anchor.dtype).gather(axis: 1, closest).reshaped([-1])
    let negative = pool.indexSelect(axis: 0, closest.reshaped([-1]))
    return tripletHinge(
        anchor.repeated(count, axis: 0), positive.repeated(count, axis: 0), negative, margin: margin, counted: counted)
}
