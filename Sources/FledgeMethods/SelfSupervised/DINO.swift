import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// DINO: a student predicts what its own running average, the teacher, makes of another view; centring and sharpening
/// keep the teacher from saying the same of everything (Caron et al. 2021, "Emerging properties in self-supervised
/// vision transformers").
///
/// The result is the teacher, which the paper finds better than the student throughout.
public struct DINO: Pretraining {
    /// The paper has 65536 outputs, temperatures 0.1 and 0.04, which rises to 0.07, momentum 0.996, weight decay from
    /// 0.04 to 0.4, a head of width 2048 without batch normalisation, and eight local views on ImageNet.
    public struct Config: Settings {
        public var batchSize = 64
        public var outputs = 64
        public var studentTemperature = 0.2
        public var teacherTemperature = 0.07
        public var lastTeacherTemperature = 0.07
        public var teacherWarmup = 0.3
        public var centreMomentum = 0.9
        public var momentum = 0.95
        public var freeze = 0.05
        public var hiddenSize = 256
        public var bottleneck = 64
        public var localViews = 0
        public var localScale = 0.3
        public var views = ViewSettings()
        public var training = TrainingSettings()

        public init() {
            views.cropScale = 0.4
            training.epochs = 20
            training.learningRate = 2e-3
            training.weightDecay = 1e-4
            training.warmup = 0.1
            training.clipNorm = 3
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives two views",
            "outputs": "length of the distributions that are compared (K)",
            "studentTemperature": "divides the student's outputs",
            "teacherTemperature": "divides the teacher's outputs at the start; lower makes sharper targets",
            "lastTeacherTemperature": "the same after the warm-up; the paper's rises to 0.07",
            "teacherWarmup": "share of the training in which the teacher's temperature goes from the first to the last",
            "centreMomentum": "share of the centre of the teacher's outputs that is kept at each step",
            "momentum": "share of the teacher that is kept at each step, at first; rises to 1",
            "freeze": "share of the training at whose start the last layer stands still",
            "hiddenSize": "width of the head",
            "bottleneck": "length of the unit vectors before the last layer",
            "localViews": "small crops in addition, which only the student sees (multi-crop)",
            "localScale": "largest share of the area that a small crop keeps",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "outputs": .within(2...1_000_000),
            "studentTemperature": .within(0.001...1000), "teacherTemperature": .within(0.001...1000),
            "lastTeacherTemperature": .within(0.001...1000), "teacherWarmup": .within(0...1),
            "centreMomentum": .within(0...1), "momentum": .within(0...1), "freeze": .within(0...1),
            "hiddenSize": .within(1...65536), "bottleneck": .within(1...65536), "localViews": .within(0...32),
            "localScale": .above(0, upTo: 1),
        ]
    }

    public static let info = MethodInfo(
        "dino", .selfSupervised,
        summary: "A student predicts its own running average's centred and sharpened output for another view.",
        paper: "Caron et al. 2021, Emerging properties in self-supervised vision transformers",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    /// The teacher moves by following alone, so it is in no group.
    public func groups(_ task: Task) -> [ParameterGroup]? {
        ParameterGroup.decaying(
            task.parameters().filter { $0.name.hasPrefix("student") }, weightDecay: config.training.weightDecay)
    }

    public final class Task: PretrainingTask {
        /// The teacher's.
        public let backbone: any Backbone
        let student: Encoder
        let studentOutput: Prototypes
        let teacher: Encoder
        let teacherOutput: Prototypes
        /// Running mean of the teacher's outputs, [K].
        let centre: Buffer
        public let feeds: [Feed]
        /// Zero loss is that of a perfect student and that of collapse: the spread of the targets tells them apart.
        public let ruler: LossRuler? = nil
        private let config: Config
        private let centring: Bool

        /// - Parameter centring: whether the centre is subtracted, without which the method collapses.
        init(_ config: Config, _ context: LearningContext, centring: Bool = true) throws {
            self.config = config
            self.centring = centring
            backbone = context.backbone
            var random = context.random("projection")
            func head() -> Sequential {
                let (width, hidden) = (context.backbone.featureCount, config.hiddenSize)
                return projector([width, hidden, hidden, config.bottleneck], last: .linear, random: &random)
            }
            let twin = try context.makeTwin()
            twin.unfreeze()
            student = Encoder(twin, head())
            studentOutput = Prototypes(config.outputs, width: config.bottleneck, random: &random)
            teacher = Encoder(backbone, head())
            teacherOutput = Prototypes(config.outputs, width: config.bottleneck, random: &random)
            centre = Buffer(.zeros([config.outputs]))
            let views =
                context.randomViews(config.views)
                + context.localViews(config.views, count: config.localViews, scale: config.localScale)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: views)]
            teacher.follow(student, decay: 0)
            teacherOutput.follow(studentOutput, decay: 0)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let views = batches["pictures"]!.views
            let frozen = context.progress < config.freeze
            // Each view has its own statistics of batch normalisation.
            let outputs = views.map { studentOutput(student($0).l2Normalized(axis: -1), frozen: frozen) }
            let wanted = noGradient { views[..<2].map { teacherOutput(teacher($0).l2Normalized(axis: -1)) } }

            let share = config.teacherWarmup > 0 ? min(1, context.progress / config.teacherWarmup) : 1
            let temperature =
                config.teacherTemperature + share * (config.lastTeacherTemperature - config.teacherTemperature)
            let targets = wanted.map { dinoTarget($0, centre: centre.value, temperature: temperature) }
            let loss = dinoLoss(outputs, targets: targets, temperature: config.studentTemperature)
            if centring {
                centre.value = dinoCentre(centre.value, outputs: wanted, momentum: config.centreMomentum)
            }
            let entropy = noGradient {
                let all = concatenate(targets)
                return -(all * (all + 1e-12).log()).sum(axis: -1).mean().item()
            }
            return StepOutput(
                loss,
                [
                    ("spread", spread(targets[0])), ("target entropy", entropy),
                    ("divergence", loss.item() - entropy),
                ])
        }

        public func didUpdate(_ context: StepContext) {
            let decay = risingMomentum(config.momentum, progress: context.progress)
            teacher.follow(student, decay: decay)
            teacherOutput.follow(studentOutput, decay: decay)
        }
    }
}

/// What the teacher wants: softmax((outputs - centre) / temperature), [B, K]. No gradient flows through.
public func dinoTarget(_ outputs: Tensor, centre: Tensor, temperature: Double) -> Tensor {
    noGradient { ((outputs.detached() - centre) * (1 / temperature)).softmax() }
}

/// DINO's loss (Caron et al. 2021, equation 3): the mean over all pairs of different views of the cross-entropy of the
/// teacher's target for one with the student's output for the other.
/// - Parameters:
///   - outputs: of the student, [B, K] for each view. The views that the teacher saw come first.
///   - targets: of the teacher, [B, K] for each of the first views, rows that sum to 1.
///   - temperature: divides the student's outputs.
public func dinoLoss(_ outputs: [Tensor], targets: [Tensor], temperature: Double) -> Tensor {
    swappedPrediction(outputs, codes: targets, temperature: temperature)
}

/// The centre after a batch (equation 4): momentum * centre + (1 - momentum) * mean of the teacher's outputs.
/// - Parameter outputs: of the teacher, [B, K] for each view.
public func dinoCentre(_ centre: Tensor, outputs: [Tensor], momentum: Double) -> Tensor {
    noGradient { centre * momentum + concatenate(outputs).detached().mean(axis: 0) * (1 - momentum) }
}
