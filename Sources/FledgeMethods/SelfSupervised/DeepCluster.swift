import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// DeepCluster: groups all samples by what the network makes of them, and trains the network to tell the groups apart;
/// again at each epoch (Caron et al. 2018, "Deep clustering for unsupervised learning of visual features").
///
/// By default in its second version (Caron et al. 2020, SwAV's section 4.1): spherical k-means on the projections that
/// the past epoch left, and the centroids themselves are the classifier. The first version, `reinitializedHead`, groups
/// whitened features of a pass over the data and starts a new linear classifier each time.
public struct DeepCluster: Pretraining {
    /// The papers have 10 clusters for each class that is expected, on ImageNet 10000; the second version three sets of
    /// 3000.
    public struct Config: Settings {
        public var batchSize = 256
        public var clusters = 64
        public var heads = 2
        public var iterations = 10
        public var temperature = 0.2
        public var hiddenSize = 256
        public var projectionSize = 64
        public var reinitializedHead = false
        public var components = 64
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {}

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "clusters": "how many groups; some ten times the classes that are expected",
            "heads": "how many groupings at once, each from another start",
            "iterations": "the most rounds of k-means",
            "temperature": "divides the similarity to the centroids (not with reinitializedHead)",
            "hiddenSize": "width of the projection head (not with reinitializedHead)",
            "projectionSize": "length of the vectors that are grouped (not with reinitializedHead)",
            "reinitializedHead":
                "the first version: groups whitened features, and learns a new linear classifier from zero each epoch",
            "components": "principal components of the features that reinitializedHead groups",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "clusters": .within(2...65536), "heads": .within(1...100),
            "iterations": .within(1...1000), "temperature": .within(0.001...1000), "hiddenSize": .within(1...65536),
            "projectionSize": .within(1...65536), "components": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "deepcluster", .selfSupervised,
        summary: "Groups all samples by their features at each epoch and learns to tell the groups apart.",
        paper: "Caron et al. 2018, Deep clustering for unsupervised learning of visual features; "
            + "version 2: Caron et al. 2020",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        /// Of the second version.
        let projection: Sequential?
        /// Of the first version: features to clusters.
        let classifiers: [Linear]
        /// The unit projection of every sample as it was when last seen, [N, D]; second version.
        private let memory: Buffer?
        /// [heads, clusters, D]; second version.
        private let centroids: Buffer?
        /// The cluster of every sample, int64 [heads, N].
        let assignments: Buffer
        /// int64 scalars: how often the samples were grouped, and how many were seen since.
        private let groupings: Buffer
        private let seen: Buffer
        /// Mutual information of the last grouping with that before.
        private let agreement: Buffer
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        private let dataset: any Dataset
        private let input: InputSpec
        private let clusters: Int
        private let epoch: Int
        private let shuffled: Bool

        /// - Parameter shuffled: groups drawn at random in place of k-means.
        init(_ config: Config, _ context: LearningContext, shuffled: Bool = false) {
            self.config = config
            self.shuffled = shuffled
            backbone = context.backbone
            dataset = context.data.dataset.hidingLabels(except: [])
            input = context.input
            let (count, width) = (dataset.count, config.projectionSize)
            let clusters = min(config.clusters, count)
            self.clusters = clusters
            let batch = min(config.batchSize, count)
            epoch = count / batch * batch
            var random = context.random("projection")
            if config.reinitializedHead {
                (projection, memory, centroids) = (nil, nil, nil)
                let features = backbone.featureCount
                classifiers = (0..<config.heads).map { _ in Linear(features, clusters, random: &random) }
            } else {
                classifiers = []
                projection = projector(
                    [backbone.featureCount, config.hiddenSize, width], random: &random)
                memory = Buffer(.zeros([count, width]))
                centroids = Buffer(.zeros([config.heads, clusters, width]))
            }
            assignments = Buffer(
                Tensor([Int](repeating: 0, count: config.heads * count), shape: [config.heads, count]))
            groupings = Buffer(Tensor([0], shape: []))
            seen = Buffer(Tensor([0], shape: []))
            agreement = Buffer(.zeros([]))
            let views = context.randomViews(config.views)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            // The first version's classifier starts from zero at each epoch, so its loss always comes from ln K.
            ruler =
                config.reinitializedHead ? nil : LossRuler(uninformative: log(Double(clusters)), formula: "ln K")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            if groupings.value.item() == 0 || Int(seen.value.item()) >= epoch { try group(context.random) }
            let labels = assignments.value.indexSelect(axis: 1, batch.indices).tiled([1, batch.views.count])
            let features = backbone(concatenate(batch.views))
            let losses: [Tensor]
            var logs: [(String, Double)] = []
            if let projection, let centroids {
                let z = projection(features).l2Normalized(axis: -1)
                memory?.setRows(at: batch.indices, to: z.detached().split(batch.views.count, axis: 0)[0])
                logs.append(("spread", spread(z)))
                losses = (0..<config.heads).map {
                    centroidLoss(z, centroids: centroids.value[$0], labels: labels[$0], temperature: config.temperature)
                }
            } else {
                losses = classifiers.enumerated().map { head, classifier in
                    crossEntropy(classifier(features), labels[head], weights: balance(head, labels[head]))
                }
            }
            seen.value = Tensor([Int(seen.value.item()) + batch.indices.count], shape: [])
            // How much the groups still change; there is nothing to compare the first with.
            if groupings.value.item() > 1 { logs.append(("nmi", agreement.value.item())) }
            return StepOutput(stack(losses).mean(), logs)
        }

        /// Weights that make every cluster count the same, as drawing samples evenly over clusters does.
        private func balance(_ head: Int, _ labels: Tensor) -> Tensor {
            var sizes = [Int](repeating: 0, count: clusters)
            let all = assignments.value[head].ints()
            for label in all { sizes[label] += 1 }
            let used = sizes.count { $0 > 0 }
            return Tensor(labels.ints().map { Float(all.count) / Float(used * sizes[$0]) })
        }

        // MARK: Grouping

        /// Groups all samples anew.
        /// - Throws: `DataError` when a sample cannot be read.
        private func group(_ random: RandomSource) throws {
            let before = assignments.value
            let isFirst = groupings.value.item() == 0
            let vectors: Tensor
            if let projection, let memory {
                if isFirst {
                    projection.eval()
                    defer { projection.train() }
                    let features = try Inference.features(backbone, dataset, input: input)
                    memory.value = noGradient { projection(features).l2Normalized(axis: -1) }
                }
                vectors = memory.value
            } else {
                vectors = whitened(
                    try Inference.features(backbone, dataset, input: input), components: config.components)
            }
            var labels: [[Int]] = []
            var centres: [Tensor] = []
            for head in 0..<config.heads {
                var random = random.stream("groups").at(head)
                if shuffled {
                    labels.append((0..<dataset.count).map { _ in random.integer(below: clusters) })
                    centres.append(noGradient { KMeans.centroids(vectors, labels[head], clusters: clusters) })
                } else {
                    let found = KMeans(
                        vectors, clusters: clusters, iterations: config.iterations, random: &random)
                    labels.append(found.assignments)
                    centres.append(found.centroids)
                }
            }
            centroids?.value = stack(centres)
            for (head, classifier) in classifiers.enumerated() {
                var random = random.stream("classifiers").at(head)
                classifier.weight.value = .normal(classifier.weight.shape, deviation: 0.01, random: &random)
                classifier.bias?.value = .zeros([clusters])
            }
            assignments.value = Tensor(labels.flatMap { $0 }, shape: assignments.shape)
            let mutual = labels.enumerated().map { normalizedMutualInformation($1, before[$0].ints()) }
            if !isFirst { agreement.value = Tensor([Float(mutual.reduce(0, +)) / Float(mutual.count)], shape: []) }
            groupings.value = Tensor([Int(groupings.value.item()) + 1], shape: [])
            seen.value = Tensor([0], shape: [])
        }
    }
}

/// Cross-entropy of telling clusters apart by their centroids (Caron et al. 2020, DeepCluster-v2).
/// - Parameters:
///   - z: [B, D], rows of length 1.
///   - centroids: [K, D], rows of length 1. No gradient flows into them.
///   - labels: int64 [B], the cluster of each row.
///   - temperature: divides the similarities.
public func centroidLoss(_ z: Tensor, centroids: Tensor, labels: Tensor, temperature: Double) -> Tensor {
    require(
        z.rank == 2 && centroids.rank == 2 && z.shape[1] == centroids.shape[1],
        "centroidLoss: vectors \(z.shape), centroids \(centroids.shape)")
    return crossEntropy(z.matmul(centroids.detached().transposed()) * (1 / temperature), labels)
}

/// Features [N, F] on their first principal components, each scaled to variance 1, and rows to length 1: [N, P], P at
/// most `components` and what there is.
func whitened(_ features: Tensor, components: Int) -> Tensor {
    noGradient {
        let centred = features.detached() - features.detached().mean(axis: 0)
        let covariance = centred.transposed().matmul(centred) / Double(features.shape[0])
        let (values, vectors) = covariance.symmetricEigen()
        // In rising order. Directions without variance say nothing.
        let all = values.doubles()
        let least = (all.last ?? 0) * 1e-5
        let kept = max(1, min(components, all.count { $0 > least }))
        let start = all.count - kept
        let scale = Tensor(all[start...].map { Float(1 / max($0, 1e-12).squareRoot()) })
        return (centred.matmul(vectors.narrowed(axis: 1, start: start, length: kept)) * scale).l2Normalized(axis: -1)
    }
}
