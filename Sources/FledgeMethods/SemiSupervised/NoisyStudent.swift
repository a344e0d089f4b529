import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Noisy student: a network trained on the labels labels all samples; a student learns these under rough views and
/// becomes the next teacher (Xie et al. 2020, "Self-training with noisy student improves ImageNet classification").
public struct NoisyStudent: Method {
    public struct Config: Settings {
        public var rounds = 2
        public var batchSize = 64
        public var unlabelledRatio = 3
        public var threshold = 0.5
        public var target = Target.soft
        public var unlabelledWeight = 1.0
        public var roughness = 0.5
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() { training.steps = 500 }

        public static let meanings = SharedSettings.meanings(and: [
            "rounds": "how many students, each the next one's teacher",
            "threshold": "confidence of the teacher from which its label counts",
            "target": "whether students learn the teacher's probabilities or its likeliest class",
            "unlabelledWeight": "weight of the teacher's labels",
            "roughness": "how far the student's views are changed: 0 gently, up to 1 as FixMatch's rough ones",
        ])

        public static let ranges = SharedSettings.ranges(and: [
            "rounds": .within(1...100), "threshold": .within(0...1), "unlabelledWeight": .atLeast(0),
            "roughness": .within(0...1),
        ])
    }

    public enum Target: String, Codable, Sendable, CaseIterable { case soft, hard }

    public static let info = MethodInfo(
        "noisy-student", .semiSupervised,
        summary: "A student learns the teacher's labels under rough views and becomes the teacher.",
        paper: "Xie et al. 2020, Self-training with noisy student improves ImageNet classification",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        try learn(context) { $0 }
    }

    /// - Parameter change: what becomes of a teacher's answers before the student learns them. Only a test changes them.
    func learn(_ context: LearningContext, changing change: (AnswerTable) -> AnswerTable) throws -> LearningResult {
        let supervised = Supervised.Config(
            batchSize: config.batchSize, backboneRate: config.backboneRate,
            training: config.training)
        let retraining = Retraining(context, supervised)
        let dataset = context.data.dataset
        var result = try retraining.learn(retraining.known)
        var steps = result.steps
        var agreements: [Double] = []
        for round in 0..<config.rounds {
            let answers = change(try AnswerTable(result.model, of: dataset))
            try retraining.start.restore()
            let task = Task(config, context, answers)
            let trainer = try context.train(
                task, config.training, title: "\(Self.info.name)-\(round + 1)",
                groups: task.classifier.groups(settings: config.training, backboneRate: config.backboneRate))
            let before = result
            result = try trainer.finished(task, context, method: Self.info.name)
            result.curves = before.curves + result.curves
            steps += result.steps
            // How far students still leave their teachers: little at the end, where rounds have done their work.
            let now = try AnswerTable(result.model, of: dataset)
            agreements.append(
                Double((0..<dataset.count).count { now.best($0).label == answers.best($0).label })
                    / Double(dataset.count))
        }
        result.steps = steps
        result.metrics["student_agrees_with_teacher"] = agreements.last!
        return result
    }

    public final class Task: SemiSupervisedTask {
        public let classifier: Classifier
        public let feeds: [Feed]
        private let config: Config
        private let answers: AnswerTable
        private let known: KnownLabels

        init(_ config: Config, _ context: LearningContext, _ answers: AnswerTable) {
            self.config = config
            self.answers = answers
            classifier = context.makeClassifier()
            let view = context.view(roughness: config.roughness)
            feeds = context.feeds(
                labelled: config.batchSize, view: view, ratio: config.unlabelledRatio, views: [view])
            known = KnownLabels(context)
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let (labelled, unlabelled) = (batches["labelled"]!, batches["unlabelled"]!)
            let p = Tensor(
                unlabelled.indices.flatMap { answers.row($0) }, shape: [unlabelled.indices.count, answers.classes])
            let counted = (p.max(axis: -1) .>= config.threshold).cast(to: .float32)
            let logits = classifier(concatenate([labelled.views[0], unlabelled.views[0]]))
                .split(sizes: [labelled.indices.count, unlabelled.indices.count], axis: 0)
            let supervised = crossEntropy(logits[0], labelled.labels)
            let target = config.target == .soft ? p : p.argmax().oneHot(classes: answers.classes)
            let unsupervised = crossEntropy(logits[1], soft: target, weights: counted)
            return known.output(
                supervised: supervised, unsupervised: unsupervised, weight: config.unlabelledWeight, guesses: p,
                counted: counted, indices: unlabelled.indices)
        }
    }
}
