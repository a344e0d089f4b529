import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// What features look like to somebody who has no labels: whether they tell samples apart.
public struct FeatureHealth: Sendable {
    /// Of the features of different samples: see `spread`.
    public let spread: Double
    /// How many directions the features use, from 1 to their number (Garrido et al. 2023, "RankMe", equation 1).
    public let rank: Double
    public let featureCount: Int
    /// Mean squared distance of the unit features of two views of one sample; low is good. nil without two views.
    public let alignment: Double?
    /// ln mean exp(-2 d^2) over pairs of samples; low is good: evenly spread on the sphere (Wang and Isola 2020,
    /// equation 2).
    public let uniformity: Double

    /// - Parameters:
    ///   - features: [N, D] of N samples, at least two.
    ///   - others: [N, D] of another view of each.
    public init(_ features: Tensor, others: Tensor? = nil) {
        require(features.rank == 2 && features.shape[0] > 1, "FeatureHealth: features \(features.shape)")
        featureCount = features.shape[1]
        spread = FledgeMethods.spread(features)
        rank = Self.rankMe(features)
        let unit = noGradient { features.detached().l2Normalized(axis: -1) }
        uniformity = Self.uniformity(unit)
        alignment = others.map { Self.alignment(unit, $0.detached().l2Normalized(axis: -1)) }
    }

    /// The exponential of the entropy of the singular values' shares.
    public static func rankMe(_ features: Tensor) -> Double {
        let values = noGradient { features.detached().svd().s }.doubles()
        let total = values.reduce(0, +)
        guard total > 0 else { return 1 }
        return exp(-values.map { $0 / total + 1e-7 }.reduce(0) { $0 + $1 * log($1) })
    }

    /// Of unit vectors [N, D].
    public static func alignment(_ a: Tensor, _ b: Tensor) -> Double {
        noGradient { (a - b).square().sum(axis: -1).mean().item() }
    }

    /// Of unit vectors [N, D].
    public static func uniformity(_ x: Tensor) -> Double {
        noGradient {
            let n = x.shape[0]
            let all = (pairwiseDistances(x, x, squared: true) * -2).exp().sum().item()
            // Each pair counts twice, and each vector once with itself.
            return log((all - Double(n)) / Double(n * (n - 1)))
        }
    }

    /// Features of a batch of up to 512 samples as the task's first feed gives them.
    init(of task: any PretrainingTask, _ context: LearningContext) throws {
        let feed = task.feeds[0]
        let dataset = context.data.dataset
        var random = context.random("health")
        let some = Array(random.permutation(dataset.count).prefix(512))
        let loader = Loader(
            dataset.hidingLabels(except: []), indices: some, batchSize: some.count,
            views: [context.plainView] + feed.views, seed: random.key, workers: 0)
        guard let batch = try loader.stream().next().map(TrainingBatch.init) else {
            self.init(try Inference.features(context.backbone, dataset.subset(some), input: context.input))
            return
        }
        task.eval()
        defer { task.train() }
        let features = batch.views.filter { $0.shape == batch.views[0].shape }
            .map { view in noGradient { context.backbone(view) } }
        self.init(features.count > 1 ? features[1] : features[0], others: features.count > 2 ? features[2] : nil)
    }

    /// For reports.
    public var metrics: [String: Double] {
        var metrics = ["feature_spread": spread, "feature_rank": rank, "uniformity": uniformity]
        metrics["alignment"] = alignment
        return metrics
    }

    /// What is wrong, by name; empty for sound features.
    /// - Parameters:
    ///   - loss: the mean of the last steps, and its scale.
    ///   - spread: of the vectors that the loss compares, mean of the last steps.
    public func warnings(loss: Double?, ruler: LossRuler?, spread: Double?) -> [String] {
        var warnings: [String] = []
        if let spread, spread < 0.1 {
            warnings.append(
                String(
                    format:
                        "collapse: the compared vectors of different samples are nearly the same (spread %.3f, healthy ones near 1); lower the learning rate, or change the augmentations",
                    spread))
        } else if rank < 1.5 || self.spread < 0.01 {
            warnings.append(
                String(
                    format:
                        "collapse: the features of different samples are nearly the same (spread %.3f, %.1f of %d directions used)",
                    self.spread, rank, featureCount))
        }
        if let loss, let ruler, ruler.learned(loss) < 0.02 {
            warnings.append(
                String(
                    format:
                        "nothing was learned: the loss of %.4f is that of an output that says nothing, %@ = %.4f; train longer, or change the learning rate",
                    loss, ruler.formula, ruler.uninformative))
        }
        return warnings
    }
}
