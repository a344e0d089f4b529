import FledgeCore
import FledgeData
import FledgeModels
import FledgeTrain

/// What `learn` will do with this data, and why: every choice is made here, from the data's shape alone.
struct Recipe {
    let modelName: String
    let input: InputSpec
    let flip: Bool
    let supervised: Supervised.Config
    /// nil for tables, whose rows have no views that SimCLR could compare.
    let pretraining: SimCLR.Config?
    let learning: FixMatch.Config
    private(set) var choices: [Report.Choice] = []

    /// - Throws: `DataError` when samples cannot be read, `ModelError` for an unknown network.
    init(_ settings: LearnSettings, _ dataset: any Dataset) throws {
        input = try InputSpec(measuring: dataset, size: settings.imageSize > 0 ? settings.imageSize : nil)
        let samples = dataset.count

        if settings.model != "auto" {
            modelName = try Models.entry(named: settings.model).name
            choices.append(.init("network", modelName, why: "asked for"))
        } else if input.isImage {
            modelName = "small-conv"
            choices.append(
                .init(
                    "network", modelName,
                    why:
                        "pictures of \(input.size) pixels; four convolutions are quick on a CPU and enough for this size"
                ))
        } else {
            modelName = "mlp"
            choices.append(.init("network", modelName, why: "rows of \(input.channels) numbers"))
        }

        flip = input.isImage && (settings.flip == .auto ? input.channels == 3 : settings.flip == .yes)
        if input.isImage {
            let reason =
                settings.flip != .auto
                ? "asked for"
                : flip
                    ? "colour pictures: photos stay themselves in the mirror"
                    : "grey pictures: digits and letters do not stay themselves in the mirror"
            choices.append(.init("mirrored views", flip ? "yes" : "no", why: reason))
        }

        // Work for a picture of 28 x 28: smaller ones are cheaper, so that they may be seen more often.
        let labels = settings.labelsPerClass * dataset.classNames.count
        var supervised = settings.supervised
        supervised.batchSize = min(supervised.batchSize, max(labels, 8))
        if supervised.training.steps == 0 { supervised.training.steps = 600 }

        var pretraining = settings.pretraining
        pretraining.batchSize = min(pretraining.batchSize, samples)
        if pretraining.training.steps == 0 {
            let epoch = max(1, samples / pretraining.batchSize)
            pretraining.training.steps =
                pretraining.training.epochs > 0
                ? Int((pretraining.training.epochs * Double(epoch)).rounded()) : min(epoch * 30, 400)
        }

        var learning = settings.learning
        learning.batchSize = min(learning.batchSize, max(labels, 8))
        if learning.training.steps == 0 { learning.training.steps = 1000 }

        // A time limit is shared out by what each stage gains from it.
        if settings.minutes > 0 {
            supervised.training.minutes = settings.minutes * 0.1
            pretraining.training.minutes = input.isImage ? settings.minutes * 0.25 : 0
            learning.training.minutes = settings.minutes * (input.isImage ? 0.6 : 0.85)
            for keyPath in [\TrainingSettings.steps] {
                supervised.training[keyPath: keyPath] = 0
                pretraining.training[keyPath: keyPath] = 0
                learning.training[keyPath: keyPath] = 0
            }
        }
        self.supervised = supervised
        self.pretraining = input.isImage ? pretraining : nil
        self.learning = learning

        func length(_ training: TrainingSettings) -> String {
            training.minutes > 0 ? "\((training.minutes * 60).rounded()) s" : "\(training.steps) steps"
        }
        choices.append(
            input.isImage
                ? .init(
                    "pretraining", "simclr, \(length(pretraining.training))",
                    why: "\(samples) pictures teach what stays the same under change, without labels")
                : .init("pretraining", "none", why: "rows of numbers have no views that keep their meaning"))
        choices.append(
            .init(
                "learning", "fixmatch, \(length(learning.training))",
                why: "\(labels) labels and \(samples) unlabelled samples together"))
    }
}
