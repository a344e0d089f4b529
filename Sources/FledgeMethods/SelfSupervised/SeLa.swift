import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// SeLa: learns labels that it gives the samples itself, in turns: labels are the best for the network such that all
/// clusters are equally large, which optimal transport finds; then the network learns them (Asano et al. 2020,
/// "Self-labelling via simultaneous clustering and representation learning").
public struct SeLa: Pretraining {
    /// The paper's settings for CIFAR: 128 clusters, 10 heads, 400 relabellings in 400 epochs, batches of 128.
    public struct Config: Settings {
        public var batchSize = 128
        public var clusters = 64
        public var heads = 4
        public var relabellings = 40
        public var power = 10.0
        public var views = ViewSettings()
        public var training = TrainingSettings()

        public init() {
            training.epochs = 20
            training.learningRate = 1e-3
            training.weightDecay = 1e-4
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step",
            "clusters": "how many groups; some ten times the classes that are expected",
            "heads": "how many labellings are learned at once",
            "relabellings": "how often labels are made anew, spread evenly over the training; one head at a time",
            "power": "how closely labels follow the network's opinion (lambda)",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "clusters": .within(2...65536), "heads": .within(1...100),
            "relabellings": .within(1...100_000), "power": .within(0.1...50),
        ]
    }

    public static let info = MethodInfo(
        "sela", .selfSupervised,
        summary: "Learns labels of its own: the network's opinion, made into equally large clusters.",
        paper: "Asano et al. 2020, Self-labelling via simultaneous clustering and representation learning",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let classifiers: [Linear]
        /// The cluster of every sample, int64 [heads, N].
        let labels: Buffer
        /// int64 scalar: how many relabellings there were.
        private let done: Buffer
        /// Mutual information of the last relabelling with the labels before.
        private let agreement: Buffer
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let config: Config
        private let dataset: any Dataset
        private let input: InputSpec
        private let clusters: Int
        private let shuffled: Bool

        /// - Parameter shuffled: labels drawn at random in place of the network's opinion.
        init(_ config: Config, _ context: LearningContext, shuffled: Bool = false) {
            self.config = config
            self.shuffled = shuffled
            backbone = context.backbone
            dataset = context.data.dataset.hidingLabels(except: [])
            input = context.input
            let (count, features) = (dataset.count, context.backbone.featureCount)
            let clusters = min(config.clusters, count)
            self.clusters = clusters
            var random = context.random("projection")
            classifiers = (0..<config.heads).map { _ in Linear(features, clusters, random: &random) }
            labels = Buffer(Tensor([Int](repeating: 0, count: config.heads * count), shape: [config.heads, count]))
            done = Buffer(Tensor([0], shape: []))
            agreement = Buffer(.zeros([]))
            let views = [context.randomView(config.views)]
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            ruler = LossRuler(uninformative: log(Double(clusters)), formula: "ln K")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let batch = batches["pictures"]!
            let due = Int(context.progress * Double(config.relabellings)) + 1
            if Int(done.value.item()) < due { try relabel(context.random) }
            let features = backbone(batch.views[0])
            let wanted = labels.value.indexSelect(axis: 1, batch.indices)
            let logits = classifiers.map { $0(features) }
            let loss = stack(logits.enumerated().map { crossEntropy($1, wanted[$0]) }).mean()
            var logs = [("accuracy", batchAccuracy(logits[0], wanted[0]))]
            if done.value.item() > 1 { logs.append(("nmi", agreement.value.item())) }
            return StepOutput(loss, logs)
        }

        /// New labels for the next head, at first for all.
        /// - Throws: `DataError` when a sample cannot be read.
        private func relabel(_ random: RandomSource) throws {
            let number = Int(done.value.item())
            let features = try Inference.features(backbone, dataset, input: input)
            var rows = (0..<config.heads).map { labels.value[$0].ints() }
            for head in number == 0 ? Array(0..<config.heads) : [number % config.heads] {
                let before = rows[head]
                if shuffled {
                    var random = random.stream("labels").at(head)
                    rows[head] = random.permutation(dataset.count).map { $0 % clusters }
                } else {
                    let opinion = noGradient { classifiers[head](features).logSoftmax() }
                    rows[head] = BalancedLabels(opinion, power: config.power).labels
                }
                agreement.value = Tensor([Float(normalizedMutualInformation(rows[head], before))], shape: [])
            }
            labels.value = Tensor(rows.flatMap { $0 }, shape: labels.shape)
            done.value = Tensor([number + 1], shape: [])
        }
    }
}
