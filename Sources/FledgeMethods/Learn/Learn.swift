import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// The main job: a classifier from many samples and few labels, and an honest number for how well.
///
/// Keeps some labels of each class and hides the rest, pretrains without labels, learns from labelled and unlabelled
/// samples together, and measures once on the test split at the end, beside what the same labels give without any of
/// that: a linear classifier on raw values, one on an untrained network, and the same network trained on the labels
/// alone. Nothing is selected on the test split.
public struct Learn {
    public let settings: LearnSettings
    /// Makes the progress display of a stage.
    public var progress: (_ title: String, _ goal: TrainingProgress.Goal) -> TrainingProgress? = { _, _ in nil }
    /// Told what is being done.
    public var say: (String) -> Void = { _ in }

    public init(_ settings: LearnSettings) { self.settings = settings }

    /// Learns, and writes everything into `folder`.
    /// - Throws: `DataError` when there is no test split, too few labels or an unreadable sample; `NumericFailure`;
    ///   `StorageError` when the folder cannot be written.
    public func run(_ data: OpenedData, into folder: RunFolder) throws -> Report {
        let start = Date()
        guard data.train.labelledCount > 0 else { throw DataError.noLabels(path: data.source) }
        try data.requireTwoClasses()
        let test = try data.requireTest()
        guard test.labelledCount == test.count else {
            throw DataError.noLabels(path: "the test split of \(data.source)")
        }
        let seed = UInt64(settings.seed)
        let split = try data.train.labelledSplit(perClass: settings.labelsPerClass, seed: seed)
        let recipe = try Recipe(settings, data.train)
        if !folder.hasSettings { try folder.writeSettings(settings) }
        try folder.writeQuarantine(data.damaged)
        let given = settings.labelsPerClass.map { "\($0) labels per class" } ?? "\(split.labelled.count) labels"
        var report = Report(
            title: "Learning \(data.source) from \(given)", data: data.source,
            run: folder.path, classNames: data.classNames, seed: settings.seed)
        func choose(_ choice: Report.Choice) {
            report.recipe.append(choice)
            say("\(choice.name): \(choice.value) (\(choice.why))")
        }
        recipe.choices.forEach(choose)
        let training = TrainingData(dataset: data.train, labelled: split.labelled, input: recipe.input)
        let classes = training.classNames.count

        // Every stage that starts from scratch starts from the same weights.
        func fresh() throws -> LearningContext {
            var random = RandomSource(seed: seed).stream("backbone")
            let backbone = try Models.make(recipe.modelName, inputShape: recipe.input.shape, random: &random)
            var context = LearningContext(data: training, backbone: backbone, modelName: recipe.modelName, seed: seed)
            context.flip = recipe.flip
            context.recolour = recipe.recolour
            context.shift = recipe.shift
            context.workers = settings.workers
            context.progress = progress
            context.folder = folder
            return context
        }

        // Learned before the test split is opened.
        let labelled = data.train.subset(split.labelled)
        let rawProbe = LinearProbe(
            features: try Inference.rawValues(labelled, input: recipe.input), labels: training.labels, classes: classes)
        let untrained = try fresh().backbone
        let untrainedProbe = LinearProbe(
            features: try Inference.features(untrained, labelled, input: recipe.input), labels: training.labels,
            classes: classes)
        let supervised = try Supervised(recipe.supervised).learn(try fresh())
        var context = try fresh()
        let shares = try Recipe.classShares(training, by: supervised.model, random: context.random("shares"))
        if let shares { context.classShares = shares.values; choose(shares.choice) }
        var curves: [Report.Curve] = []
        var warnings: [String] = []
        if let pretraining = recipe.pretraining {
            let result = try SimCLR(pretraining).learn(context)
            // With a kept layer it is another network.
            (context.backbone, context.modelName) = (result.model.backbone, result.model.modelName)
            curves += result.curves
            warnings += result.warnings
            try Inference.adaptStatistics(context.backbone, data.train, input: recipe.input, seed: seed)
        }
        var learning = context
        // Labels that are even by choice flood the rare classes when they spread.
        let spread = shares == nil ? try SpreadLabels(context) : nil
        if let spread {
            learning.data = spread.added(to: training)
            learning.given = training.labelled
            choose(
                .init(
                    "starting labels",
                    "\(learning.data.labelled.count - training.labelled.count) more by label spreading",
                    why:
                        "it finds \(Int((spread.accuracy * 100).rounded())) % of the known labels from the other half of them"
                ))
        }
        if recipe.pretraining != nil {
            // A random head would first undo what the features know already. Every sample that took part in spreading
            // is labelled now, and no other, so its features are there.
            let features =
                try spread?.features ?? Inference.features(context.backbone, labelled, input: recipe.input)
            learning.head = LinearProbe(features: features, labels: learning.data.labels, classes: classes).layer
        }
        let (fixMatch, choices) = recipe.learning(fromSpreadLabels: spread != nil)
        choices.forEach(choose)
        choose(
            .init(
                "learning", "fixmatch, \(Recipe.length(fixMatch.training))",
                why:
                    "\(training.labelled.count) labels\(spread == nil ? "" : ", those spread from them"), and \(data.train.count) unlabelled samples together"
            ))
        var learned = try FixMatch(fixMatch).learn(learning)
        if spread != nil, let better = try SpreadLabels(context) {
            learned.model = better.voting(beside: learned.model)
        }
        curves += learned.curves
        warnings += learned.warnings
        try folder.checkIsWritable()
        try learned.model.save(to: folder.modelPath)

        // The test split, once.
        say("measuring on \(test.count) test samples")
        let labels = test.labels.compactMap { $0 }
        func answers(_ probabilities: [Float]) -> [Int] {
            Metrics.predictions(scores: probabilities, classes: classes)
        }
        let baselines = [
            "raw_pixels_linear": answers(
                rawProbe.probabilities(try Inference.rawValues(test, input: recipe.input))),
            "untrained_linear": answers(
                untrainedProbe.probabilities(try Inference.features(untrained, test, input: recipe.input))),
            "supervised": answers(try supervised.model.probabilities(of: test)),
        ]
        report.labels = split.labelled.count
        report.labelsPerClass = settings.labelsPerClass
        report.trainSamples = data.train.count
        report.baselines = baselines.mapValues { Metrics.accuracy(predicted: $0, labels: labels) }
        let learnt = try learned.model.probabilities(of: test)
        report.measure(probabilities: learnt, labels: labels)
        report.curves = curves
        report.warnings = warnings
        report.setAside(data.damaged)
        report.warnings += Self.doubts(answers(learnt), beside: baselines, labels: labels)
        report.settings = try PlainValue(encoding: settings)
        report.environment = Engine.environment
        report.sheets = try SampleSheet.make(context, fixMatch, count: 24).map { [$0] } ?? []
        report.embedding = try EmbeddingPicture.make(learned.model, training, limit: 600)
        report.seconds = Date().timeIntervalSince(start)
        try folder.writeEnvironment(Engine.environment)
        return try folder.writeReport(report)
    }

    /// What is to be said where learning from all samples is not clearly better than the simple ways.
    /// - Parameters:
    ///   - learned: the answers about the test samples.
    ///   - baselines: those of the simple ways, by name.
    static func doubts(_ learned: [Int], beside baselines: [String: [Int]], labels: [Int]) -> [String] {
        let names = [
            "supervised": "the same network on the labels alone",
            "raw_pixels_linear": "a linear classifier on raw values",
            "untrained_linear": "a linear classifier on the untrained network",
        ]
        func accuracy(_ answers: [Int]) -> Double { Metrics.accuracy(predicted: answers, labels: labels) }
        let best = baselines.max { (accuracy($0.value), $1.key) < (accuracy($1.value), $0.key) }!
        let name = names[best.key]!
        guard accuracy(learned) > accuracy(best.value) else {
            return ["the unlabelled samples did not help here: \(name) did as well or better"]
        }
        let (more, fewer, chance) = Metrics.signTest(learned, against: best.value, labels: labels)
        guard chance > 0.05 else { return [] }
        return [
            "that it beats \(name) may be luck: of \(more + fewer) test samples that only one of them gets right it has \(more) (sign test, p = \(String(format: "%.2f", chance))); more test samples would tell"
        ]
    }
}
