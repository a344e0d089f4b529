import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Billion-scale semi-supervised learning: a network trained on the labels ranks all samples for each class; a student
/// learns those ranked highest, and is then fine-tuned on the labels (Yalniz et al. 2019, "Billion-scale semi-supervised
/// learning for image classification").
///
/// Each class gets the same number of samples, however sure the teacher is of them: a rare or difficult class is not
/// left out, as behind a threshold. A sample may be taken for several classes, and then has a share of each.
public struct BillionScale: Method {
    public struct Config: Settings {
        public var batchSize = 64
        public var share = 0.5
        public var bestClasses = 2
        public var tuningLength = 0.5
        public var backboneRate = 1.0
        public var training = TrainingSettings.semiSupervised

        public init() { training.steps = 600 }

        public static let meanings = [
            "batchSize": "samples for each step",
            "share":
                "how many samples the student learns of each class, as a share of what each would have if all were dealt out evenly (K)",
            "bestClasses": "of how many classes, the teacher's likeliest for it, a sample can be taken (P)",
            "tuningLength":
                "length of the teacher's training on the labels, and of the student's at the end, relative to the student's on what was ranked",
            "backboneRate": "learning rate of the backbone, relative to the head's",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "share": .above(0, upTo: 1), "bestClasses": .within(1...1000),
            "tuningLength": .above(0, upTo: 100), "backboneRate": .atLeast(0),
        ]
    }

    public static let info = MethodInfo(
        "billion-scale", .semiSupervised,
        summary: "A student learns the samples that a teacher ranks highest for each class, then the labels.",
        paper: "Yalniz et al. 2019, Billion-scale semi-supervised learning for image classification",
        needs: [.labels, .unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }

    public func learn(_ context: LearningContext) throws -> LearningResult {
        try learn(context) { $0 }
    }

    /// - Parameter change: what becomes of the teacher's answers before samples are ranked. Only a test changes them.
    func learn(_ context: LearningContext, changing change: (AnswerTable) -> AnswerTable) throws -> LearningResult {
        let supervised = Supervised.Config(
            batchSize: config.batchSize, backboneRate: config.backboneRate,
            training: config.training.shortened(to: config.tuningLength))
        let retraining = Retraining(context, supervised)
        let teacher = try retraining.learn(retraining.known)

        let answers = change(try AnswerTable(teacher.model, of: context.data.dataset))
        let samples = context.data.dataset.count
        let count = max(1, Int(config.share * Double(samples) / Double(context.classes)))
        let taken = answers.highestRanked(count, of: Array(0..<samples), bestClasses: config.bestClasses)
        var labels = [[Int]](repeating: [], count: samples)
        for (label, members) in taken.enumerated() { for sample in members { labels[sample].append(label) } }
        try retraining.start.restore()
        let (task, trainer) = try context.train(
            onShares: evenShares(labels, classes: context.classes),
            of: taken.flatMap { $0 }, batchSize: config.batchSize, config.training, title: "student")
        try trainer.useAverage()

        let tuned = try retraining.learn(
            retraining.known, part: 1, backbone: task.classifier.backbone, head: task.classifier.head)
        var result = try tuned.concluded(
            Self.info.name, context, steps: teacher.steps + trainer.step + tuned.steps)
        result.curves = teacher.curves + trainer.curves("student") + tuned.curves
        let counts = taken.map(\.count)
        result.choices.append(
            .init(
                "samples taken", "\(counts.min()!) to \(counts.max()!) of each class",
                why: "those that the teacher ranked highest for it"))
        return result
    }
}

extension AnswerTable {
    /// For each class, the `count` samples of `pool` whose probability of it is highest, among those for which it is one
    /// of the `bestClasses` likeliest (Yalniz et al. 2019, section 3). Of equal ones the first.
    func highestRanked(_ count: Int, of pool: [Int], bestClasses: Int) -> [[Int]] {
        var members = [[(sample: Int, probability: Float)]](repeating: [], count: classes)
        for sample in pool {
            let row = Array(row(sample))
            for label in row.indices.sorted(by: { (row[$1], $0) < (row[$0], $1) }).prefix(bestClasses) {
                members[label].append((sample, row[label]))
            }
        }
        return members.map { candidates in
            candidates.sorted { ($1.probability, $0.sample) < ($0.probability, $1.sample) }.prefix(count)
                .map(\.sample)
        }
    }
}
