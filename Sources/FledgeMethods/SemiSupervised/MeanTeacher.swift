import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Mean Teacher: a moving average of the network says what the network should predict of another view, and is the
/// better classifier of the two (Tarvainen and Valpola 2017, "Mean teachers are better role models").
public struct MeanTeacher: SemiSupervisedMethod {
    public struct Config: Settings {
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var decay = 0.99
        public var lateDecay = 0.995
        public var roughness = 0.75
        public var consistency = ConsistencySettings()
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() {
            // The teacher is the average.
            training.averaging = 0
        }

        public static let meanings = SharedSettings.meanings(and: [
            "decay":
                "share of the teacher that stays at an update while the unlabelled loss rises; less in the first steps",
            "lateDecay": "the same after that; the paper, with many more steps, has 0.999",
            "roughness":
                "how far the student's views are changed: 0 gently, as the teacher's, up to 1 as FixMatch's rough ones",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "decay": .within(0..<1), "lateDecay": .within(0..<1), "roughness": .within(0...1),
        ])
    }

    public static let info = MethodInfo(
        "mean-teacher", .semiSupervised,
        summary: "A moving average of the network says what the network should predict.",
        paper: "Tarvainen and Valpola 2017, Mean teachers are better role models",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }
    public var backboneRate: Double { config.backboneRate }

    /// - Throws: `MethodError.notTheRegisteredNetwork`, `ModelError`: when no second network can be made.
    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        /// Its running statistics are its own: it sees its views in training mode, as in the authors' code.
        let teacher: Classifier
        public let feeds: [Feed]
        public var answer: Classifier { teacher }
        private let config: Config
        private let known: KnownLabels
        private let studentAnswersAsTeacher: Bool

        /// - Parameter studentAnswersAsTeacher: takes the student's prediction from the teacher, a mistake seen in
        ///   published code, by which nothing is learned. Only a test makes it.
        init(_ config: Config, _ context: LearningContext, studentAnswersAsTeacher: Bool = false) throws {
            self.config = config
            self.studentAnswersAsTeacher = studentAnswersAsTeacher
            classifier = context.makeClassifier()
            teacher = try classifier.makeTeacher(context)
            let gentle = context.weakView
            feeds = context.feeds(
                labelled: config.batchSize, view: gentle, ratio: config.unlabelledRatio,
                views: [context.view(roughness: config.roughness), gentle])
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let target = noGradient { teacher(unlabelled.views[1]).softmax() }
            let logits = classifier(concatenate([labelled.views[0], unlabelled.views[0]]))
                .split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            let supervised = crossEntropy(logits[0], labelled.labels)
            let unsupervised = FledgeMethods.consistency(
                studentAnswersAsTeacher ? target : logits[1].softmax(), target, reduction: config.consistency.reduction)
            return StepOutput(
                supervised + unsupervised * config.consistency.weight(at: context.progress),
                [("labelled loss", supervised.item()), ("unlabelled loss", unsupervised.item())]
                    + known.logs(target, indices: unlabelled.indices))
        }

        public func didUpdate(_ context: StepContext) {
            let late = context.progress >= config.consistency.rampUp
            teacher.follow(
                classifier,
                decay: MeanTeacher.decay(step: context.step, limit: late ? config.lateDecay : config.decay))
        }
    }

    /// min(1 - 1 / (t + 1), limit): first the mean of all weights so far, and then of the last ones.
    /// - Parameter step: t - 1, the updates before this one.
    static func decay(step: Int, limit: Double) -> Double { min(1 - 1 / Double(step + 2), limit) }
}
