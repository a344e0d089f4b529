import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Rotation prediction: which way up was this picture? (Gidaris et al. 2018, "Unsupervised representation learning by
/// predicting image rotations").
///
/// Says something only of pictures that have an upright position, and little of those whose classes are turned versions
/// of each other, such as 6 and 9.
public struct Rotation: Pretraining {
    /// The paper trains with SGD at 0.1 for 200 epochs; the defaults suit small data on a CPU.
    public struct Config: Settings {
        public var batchSize = 64
        public var training = TrainingSettings()

        public init() {
            training.epochs = 15
            training.learningRate = 1e-3
            training.weightDecay = 5e-4
            training.warmup = 0.05
        }

        public static let meanings = ["batchSize": "pictures for each step; each is shown in all four positions"]
        public static let ranges: [String: SettingRange] = ["batchSize": .within(2...65536)]
    }

    public static let info = MethodInfo(
        "rotation", .selfSupervised,
        summary: "Tell by which of four right angles a picture was turned.",
        paper: "Gidaris et al. 2018, Unsupervised representation learning by predicting image rotations",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) -> Task { Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        let head: Linear
        public let feeds: [Feed]
        public let ruler: LossRuler? = LossRuler(uninformative: log(4), formula: "ln 4")

        init(_ config: Config, _ context: LearningContext) {
            backbone = context.backbone
            var random = context.random("head")
            head = Linear(backbone.featureCount, 4, random: &random)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [context.weakView])]
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (turned, quarters) = fourRotations(batches["pictures"]!.views[0])
            let logits = head(backbone(turned))
            return StepOutput(crossEntropy(logits, quarters), [("accuracy", batchAccuracy(logits, quarters))])
        }
    }
}

/// Every picture in all four positions, by exact transposition and flips, without interpolation (Gidaris et al. 2018,
/// section 3.1). The cross-entropy with the second result is their loss, equations 1 and 2.
/// - Parameter pictures: [B, H, H, C], square.
/// - Returns: [4 B, H, H, C], the pictures of one position after those of another, and the int64 [4 B] number of
///   quarter turns.
public func fourRotations(_ pictures: Tensor) -> (turned: Tensor, quarters: Tensor) {
    require(
        pictures.rank == 4 && pictures.shape[1] == pictures.shape[2],
        "fourRotations: pictures \(pictures.shape) are not square")
    let turned = concatenate((0..<4).map { pictures.rotated90($0) })
    let quarters = (0..<4 * pictures.shape[0]).map { $0 / pictures.shape[0] }
    return (turned, Tensor(quarters, device: pictures.device))
}
