import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Distillation of SimCLR v2: the pretrained network is fine-tuned on the few labels and becomes the teacher; a student
/// learns what it answers about samples without labels (Chen et al. 2020, "Big self-supervised models are strong
/// semi-supervised learners", section 2, after Hinton et al. 2015, "Distilling the knowledge in a neural network").
///
/// Without `student` this is the paper's self-distillation: the student begins where the teacher began. With one, a
/// smaller network can take over what a larger one has learned.
public struct Distillation: Method {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var temperature = 1.0
        public var distilledShare = 1.0
        public var student = ""
        public var teacherLength = 1.0
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() { training.steps = 600 }

        public static let meanings = SharedSettings.meanings(and: [
            "temperature": "divides the logits of both; above 1 the unlikely classes count more (tau)",
            "distilledShare":
                "share of the teacher's answers in the loss, the rest is that of the given labels (alpha)",
            "student":
                "the student's network, of `fledge models`; none: the teacher's, from the weights that it began with",
            "teacherLength": "length of the teacher's fine-tuning on the labels, relative to the student's training",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "temperature": .within(0.01...100), "distilledShare": .within(0...1), "teacherLength": .above(0, upTo: 100),
        ])
    }

    public static let info = MethodInfo(
        "distillation", .semiSupervised,
        summary: "A student learns what the network, fine-tuned on the labels, answers about all samples.",
        paper:
            "Chen et al. 2020, Big self-supervised models are strong semi-supervised learners; Hinton et al. 2015, Distilling the knowledge in a neural network",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        try learn(context) { $0 }
    }

    /// - Parameter change: what becomes of the teacher's logits before the student learns them. Only a test changes them.
    func learn(
        _ context: LearningContext, changing change: @escaping (Tensor) -> Tensor
    ) throws -> LearningResult {
        let supervised = Supervised.Config(
            batchSize: config.batchSize, backboneRate: config.backboneRate,
            training: config.training.shortened(to: config.teacherLength))
        let retraining = Retraining(context, supervised)
        let tuned = try retraining.learn(retraining.known)
        let teacher = try context.makeStandIn(for: tuned.model)

        var context = context
        if config.student.isEmpty {
            try retraining.start.restore()
        } else {
            var random = context.random("student")
            context.backbone = try Models.make(config.student, inputShape: context.input.shape, random: &random)
            (context.modelName, context.head) = (config.student, nil)
        }
        let task = Task(config, context) { x in change(noGradient { teacher(x) }) }
        let trainer = try context.train(
            task, config.training, title: Self.info.name,
            groups: task.classifier.groups(settings: config.training, backboneRate: config.backboneRate))
        var result = try trainer.finished(task, context, method: Self.info.name)
        result.curves = tuned.curves + result.curves
        result.steps += tuned.steps
        return result
    }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        /// Samples to logits. A function, because the teacher is no part of what is trained, switched or stored here.
        private let teacher: (Tensor) -> Tensor
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext, teacher: @escaping (Tensor) -> Tensor) {
            self.config = config
            self.teacher = teacher
            classifier = context.makeClassifier()
            let feeds = context.feeds(
                labelled: config.batchSize, view: context.weakView, ratio: config.unlabelledRatio,
                views: [context.weakView])
            self.feeds = config.distilledShare < 1 ? feeds : feeds.filter { $0.name != "labelled" }
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let unlabelled = batches["unlabelled"]!
            // The teacher answers about the very view that the student sees.
            let answers = teacher(unlabelled.views[0])
            let logs = known.logs(answers.softmax(), indices: unlabelled.indices)
            guard let labelled = batches["labelled"] else {
                let loss = distillationLoss(
                    classifier(unlabelled.views[0]), teacher: answers, temperature: config.temperature)
                return StepOutput(loss, [("unlabelled loss", loss.item())] + logs)
            }
            let logits = classifier(concatenate([labelled.views[0], unlabelled.views[0]]))
                .split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            let supervised = crossEntropy(logits[0], labelled.labels)
            let distilled = distillationLoss(logits[1], teacher: answers, temperature: config.temperature)
            return StepOutput(
                supervised * (1 - config.distilledShare) + distilled * config.distilledShare,
                [("labelled loss", supervised.item()), ("unlabelled loss", distilled.item())] + logs)
        }
    }
}

extension LearningContext {
    /// A classifier of its own with the weights of a trained one, ready to answer.
    fileprivate func makeStandIn(for model: FittedModel) throws -> Classifier {
        var random = random("stand-in")
        let copy = Classifier(try makeTwin(), classes: classes, random: &random)
        try copy.backbone.load(model.backbone.state())
        try copy.head.load(model.head!.state())
        copy.eval()
        return copy
    }
}

/// The cross-entropy of a student's tempered answers with a teacher's, -sum_y P_T(y|x; tau) log P_S(y|x; tau) (Chen et
/// al. 2020, equation 2), averaged over the samples and multiplied by tau^2, so that its gradient is of one size for all
/// temperatures (Hinton et al. 2015, section 2.1), as in the official code.
/// - Parameters:
///   - logits: [M, classes] of the student.
///   - teacher: [M, classes], logits; no gradient reaches them.
///   - temperature: tau, what divides both.
public func distillationLoss(_ logits: Tensor, teacher: Tensor, temperature: Double) -> Tensor {
    require(logits.shape == teacher.shape, "distillationLoss: logits \(logits.shape) and \(teacher.shape)")
    let wanted = (teacher.detached() * (1 / temperature)).softmax()
    return crossEntropy(logits * (1 / temperature), soft: wanted) * (temperature * temperature)
}
