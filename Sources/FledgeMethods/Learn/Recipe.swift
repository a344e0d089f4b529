import FledgeCore
import FledgeData
import FledgeModels
import FledgeTrain
import Foundation

/// What `learn` will do with this data, and why: every choice is made here, from the data's shape and from
/// whether labels were seen to spread.
struct Recipe {
    let modelName: String
    let input: InputSpec
    let flip: Bool
    /// Colour pictures that stay themselves in the mirror: of these nothing has to be asked.
    private let isPhoto: Bool
    /// Whether rough views may stretch, cut and invert levels.
    let recolour: Bool
    let supervised: Supervised.Config
    /// nil for tables, whose rows have no views that SimCLR could compare.
    let pretraining: SimCLR.Config?
    /// Weak and strong views move a picture by this share of its side.
    let shift: Double
    private let learning: FixMatch.Config
    private let shortLearning: Int, longLearning: Int
    private(set) var choices: [Report.Choice] = []

    /// The side that photos of several sizes are brought to.
    static let photoSize = 48

    /// - Throws: `DataError` when samples cannot be read, `ModelError` for an unknown network.
    init(_ settings: LearnSettings, _ dataset: any Dataset) throws {
        let measured = try InputSpec(measuring: dataset, size: settings.imageSize > 0 ? settings.imageSize : nil)
        // Photos of any size: what a CPU learns in minutes.
        let isLarge = settings.imageSize == 0 && measured.isImage && (dataset as? ImageDataset)?.uniformSize == nil
        input = isLarge ? try InputSpec(measuring: dataset, size: Self.photoSize) : measured
        let samples = dataset.count
        if isLarge {
            choices.append(
                .init(
                    "picture size", "\(Self.photoSize) pixels",
                    why: "photos of several sizes; small enough to learn from in minutes on a CPU"))
        }

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

        flip = input.isImage && (settings.flip == .auto ? input.isColour : settings.flip == .yes)
        if input.isImage {
            let reason =
                settings.flip != .auto
                ? "asked for"
                : flip
                    ? "colour pictures: photos stay themselves in the mirror"
                    : "grey pictures: digits and letters do not stay themselves in the mirror"
            choices.append(.init("mirrored views", flip ? "yes" : "no", why: reason))
        }

        // Photos show things anywhere; scanned letters and the like stand in the middle.
        isPhoto = input.isColour && flip
        shift = isPhoto ? 0.125 : 0.07

        // Steps for pictures of 28 x 28 pixels and below; larger ones cost more, and get fewer.
        let share = pow(28 / max(28, Double(input.size)), 1.5)
        func steps(_ count: Double) -> Int { Int((count * share).rounded()) }
        let labels = settings.labelsPerClass.map { $0 * dataset.classNames.count } ?? dataset.labelledCount
        var supervised = settings.supervised
        supervised.batchSize = min(supervised.batchSize, max(labels, 8))
        var pretraining = settings.pretraining
        pretraining.batchSize = min(pretraining.batchSize, samples)
        var learning = settings.learning
        learning.batchSize = min(learning.batchSize, max(labels, 8))

        // A time limit is shared out by what each stage gains from it.
        if settings.minutes > 0 {
            supervised.training.minutes = settings.minutes * 0.1
            pretraining.training.minutes = settings.minutes * 0.25
            learning.training.minutes = settings.minutes * (input.isImage ? 0.6 : 0.85)
        }
        if supervised.training.isOpen { supervised.training.steps = steps(600) }
        if pretraining.training.isOpen {
            // 14 passes over all samples; of few samples there are more, of very many fewer.
            let wanted = 14 * Double(samples) / Double(pretraining.batchSize)
            pretraining.training.steps = steps(min(max(wanted, 1600), 6400))
        }
        if input.isImage, !isPhoto {
            var (subject, reason) = (settings.subject, "asked for")
            if subject == .auto {
                let likeness = try Self.mirrorLikeness(dataset, input)
                subject = likeness < Self.leastLikenessOfThings ? .signs : .things
                let what =
                    subject == .signs
                    ? "signs, which mean nothing in small parts"
                    : "things, which small parts and other shades tell as well"
                reason =
                    "\(Int((likeness * 100).rounded())) % of the mirrored pictures are about as near to another picture as they are unmirrored: \(what)"
            }
            pretraining.views.suit(subject)
            recolour = subject == .things
            choices.append(.init("views for pretraining", pretraining.views.description, why: reason))
            if recolour {
                choices.append(
                    .init("rough views", "levels stretched, cut and inverted", why: "things of a kind differ in shade"))
            }
        } else {
            recolour = isPhoto
        }

        shortLearning = steps(800)
        longLearning = steps(input.isImage ? 3000 : 2000)
        self.supervised = supervised
        self.pretraining = input.isImage ? pretraining : nil
        self.learning = learning

        choices.append(
            input.isImage
                ? .init(
                    "pretraining", "simclr, \(Self.length(pretraining.training))",
                    why: "\(samples) pictures teach what stays the same under change, without labels")
                : .init("pretraining", "none", why: "rows of numbers have no views that keep their meaning"))
    }

    /// How long a stage takes, for people.
    static func length(_ training: TrainingSettings) -> String {
        if training.steps > 0 { return "\(training.steps) steps" }
        return training.minutes > 0
            ? "\(Int((training.minutes * 60).rounded())) s" : String(format: "%g epochs", training.epochs)
    }

    /// The settings of FixMatch. Where spread labels have said most already it has little to do; without them it finds
    /// the classes of the unlabelled samples by itself, which takes more steps, larger ones, and rougher views.
    func learning(fromSpreadLabels: Bool) -> (config: FixMatch.Config, choices: [Report.Choice]) {
        var learning = learning
        var choices: [Report.Choice] = []
        // What somebody chose stays.
        let standard = LearnSettings().learning
        let isSmall = input.size <= 16
        if input.isImage, !isPhoto, isSmall || fromSpreadLabels, learning.magnitude == standard.magnitude,
            learning.cutout == standard.cutout
        {
            (learning.magnitude, learning.cutout) = isSmall ? (0.3, 0) : (0.5, 0.3)
            choices.append(
                .init(
                    "rough views", isSmall ? "very gentle" : "gentle",
                    why: "small grey pictures lose what they show when much is changed"))
        }
        guard learning.training.isOpen else { return (learning, choices) }
        learning.training.steps = fromSpreadLabels ? shortLearning : longLearning
        if !fromSpreadLabels, learning.training.learningRate == standard.training.learningRate {
            learning.training.learningRate *= 2
        }
        return (learning, choices)
    }

    /// The share of pictures whose mirror image is about as near to another picture as the picture itself is: most where
    /// things are shown; few where signs are, which a mirror makes into something else. 0 for fewer than 20 pictures.
    static func mirrorLikeness(_ dataset: any Dataset, _ input: InputSpec, limit: Int = 1000) throws -> Double {
        let count = min(dataset.count, limit)
        guard count >= 20 else { return 0 }
        let rows = try Inference.rawValues(dataset.subset((0..<count).map { $0 * dataset.count / count }), input: input)
        return noGradient {
            let mirrored = rows.reshaped([count] + input.shape).flipped(axes: [2]).reshaped([count, -1])
            // No picture is its own neighbour, nor its mirror image's.
            let itself = Tensor.eye(count) * 1e9
            func nearest(_ x: Tensor) -> Tensor { (pairwiseDistances(x, rows) + itself).min(axis: 1) }
            return (nearest(mirrored) .<= nearest(rows) * 1.1).cast(to: .float32).mean().item()
        }
    }

    /// Of MNIST 24 % are in the mirror as like another, of USPS 29 %, of Fashion-MNIST 54 %.
    private static let leastLikenessOfThings = 0.4

    /// The class shares of all samples where they are clearly others than those of the labels, of which there may be as many
    /// of each class: aligning the guesses with these would fill rare classes with samples of frequent ones.
    /// - Parameter model: trained on the labels alone. It judges 5,000 samples at most.
    static func classShares(
        _ data: TrainingData, by model: FittedModel, random: RandomSource
    ) throws -> (values: [Double], choice: Report.Choice)? {
        var random = random
        let some = random.permutation(data.dataset.count).prefix(5000).sorted()
        let found = ClassShares.estimate(
            try model.probabilities(of: data.dataset.subset(some)), trainedOn: data.labelledShares)
        let distance = ClassShares.distance(found, data.labelledShares)
        guard distance > leastImbalance else { return nil }
        func percent(_ share: Double) -> String { String(format: "%.0f %%", share * 100) }
        return (
            found,
            .init(
                "class shares", "\(percent(found.min()!)) to \(percent(found.max()!))",
                why:
                    "what the labels teach puts \(percent(distance)) of the samples into other classes than the shares of the labels would"
            )
        )
    }

    /// Networks that learned from few labels misjudge even shares by up to 0.25.
    private static let leastImbalance = 0.3
}

extension TrainingSettings {
    /// Whether nobody chose a length.
    fileprivate var isOpen: Bool { steps == 0 && epochs == 0 && minutes == 0 }
}

extension ViewSettings {
    /// Changes what nobody chose into what suits what the pictures show.
    fileprivate mutating func suit(_ subject: LearnSettings.Subject) {
        let standard = ViewSettings()
        func change(_ field: WritableKeyPath<ViewSettings, Double>, to value: Double) {
            if self[keyPath: field] == standard[keyPath: field] { self[keyPath: field] = value }
        }
        switch subject {
        // Shades differ from thing to thing of the same kind.
        case .things: change(\.solarize, to: 0.5)
        // Letters and digits are never mirrored, but written a little turned and slanted.
        case .signs:
            change(\.cropScale, to: 0.5)
            change(\.rotation, to: 15)
            change(\.shear, to: 10)
        case .auto, .other: break
        }
    }

    /// For people.
    fileprivate var description: String {
        var changes = [String(format: "parts of %.0f %% and more", cropScale * 100)]
        if rotation > 0 { changes.append(String(format: "turned by up to %.3g degrees", rotation)) }
        if shear > 0 { changes.append(String(format: "slanted by up to %.3g degrees", shear)) }
        if solarize > 0 {
            changes.append(String(format: "bright levels of %.0f %% of the second ones inverted", solarize * 100))
        }
        return changes.joined(separator: ", ")
    }
}
