import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// What a method is, for people and for `fledge methods`.
public struct MethodInfo: Codable, Sendable, Hashable {
    public enum Family: String, Codable, Sendable, CaseIterable {
        case supervised, selfSupervised = "self-supervised", semiSupervised = "semi-supervised"
        case positiveUnlabelled = "positive-unlabelled"
        case weak = "weak supervision"
    }

    /// What must be there for the method to work.
    public enum Need: String, Codable, Sendable, CaseIterable {
        /// Some samples with labels.
        case labels
        /// Samples whose labels, if any, are not looked at.
        case unlabelled
        /// Pictures: its views only make sense for them.
        case images
        /// Pictures in colour.
        case colour
        /// A file of what several sources say of the samples.
        case votes
        /// A file of words that people put to the samples.
        case tags
    }

    /// The paper's name, lower case with hyphens.
    public let name: String
    public let family: Family
    /// One sentence: the idea.
    public let summary: String
    /// Authors, year, title.
    public let paper: String
    public let needs: [Need]
    /// The network that is taken where none is asked for, of `fledge models`; nil: the usual one for the data. For
    /// methods that need a network of their own kind.
    public let network: String?

    public init(
        _ name: String, _ family: Family, summary: String, paper: String, needs: [Need], network: String? = nil
    ) {
        self.name = name
        self.family = family
        self.summary = summary
        self.paper = paper
        self.needs = needs
        self.network = network
    }
}

/// Everything a method is given to learn from.
public struct LearningContext {
    public var data: TrainingData
    /// The network to train, fresh or pretrained. Maps inputs to features.
    public var backbone: any Backbone
    /// From its features to the classes, where that is known already; nil starts a fresh one.
    public var head: Linear?
    /// The samples whose labels a person gave, where `data` has guessed labels as well; nil: all that are labelled.
    /// What is guessed and learned is held against these.
    public var given: [Int]?
    /// How frequent the classes are among all samples, where something else than the labels tells; nil: as among these.
    public var classShares: [Double]?
    /// The registered name of the backbone, stored with the result.
    public var modelName: String
    public var seed: UInt64
    /// Loader threads for each feed.
    public var workers = 1
    /// Whether a mirrored picture is still of its class: true of photos, false of digits and letters.
    public var flip: Bool
    /// Whether rough views may stretch, cut and invert levels: true of photos, false of what is written or printed.
    public var recolour: Bool
    /// How far gentle and rough views move a picture, as a share of its side: FixMatch's eighth for photos; where
    /// things stand in the middle, as scanned digits do, less.
    public var shift = 0.125
    /// Makes the progress display of a stage.
    public var progress: (_ title: String, _ goal: TrainingProgress.Goal) -> TrainingProgress? = { _, _ in nil }
    /// Watches the first updates of what is trained first.
    public var profiler: Profiler?
    /// Where numbers and checkpoints go while training; nil keeps nothing.
    public var folder: RunFolder?

    public init(data: TrainingData, backbone: any Backbone, modelName: String, seed: UInt64) {
        self.data = data
        self.backbone = backbone
        self.modelName = modelName
        self.seed = seed
        flip = data.input.isColour
        recolour = data.input.isColour
    }

    public var classes: Int { data.classNames.count }
    public var input: InputSpec { data.input }
    /// The level of what a rough view uncovers or cuts out: most grey pictures show something on a black ground.
    public var ground: Float { input.isColour ? 0.5 : 0 }

    /// A stream of its own for each purpose.
    public func random(_ purpose: String) -> RandomSource { RandomSource(seed: seed).stream(purpose) }

    /// The plain, the gentle and the rough view of samples, normalised: pictures are moved and recoloured, rows of
    /// numbers get noise and holes.
    public var plainView: Augmentation { input.plainView }
    public var weakView: Augmentation {
        input.isImage
            ? input.normalized(.weak(size: input.size, flip: flip, shift: shift)) : features(noise: 0.1, holes: 0)
    }
    public var strongView: Augmentation { strongView() }
    /// - Parameters:
    ///   - magnitude: strength of RandAugment's operations, 0...1.
    ///   - cutout: side of the hole, as a share of the picture's.
    public func strongView(magnitude: Double = 1, cutout: Double = 0.5) -> Augmentation {
        input.isImage
            ? input.normalized(
                .strong(
                    size: input.size, flip: flip, recolour: recolour, shift: shift, magnitude: magnitude,
                    cutout: cutout, fill: ground))
            : features(noise: 0.3 * magnitude, holes: 0.4 * cutout)
    }

    private func features(noise: Double, holes: Double) -> Augmentation {
        // Noise is relative to each feature's spread, so it comes after normalisation.
        let normal = input.normalized(Augmentation([]))
        let steps: [Augmentation.Step] =
            [.gaussianNoise(deviation: noise)] + (holes > 0 ? [.mask(probability: holes)] : [])
        return normal.then(Augmentation(steps))
    }
}

/// What a method leaves behind.
public struct LearningResult {
    public var model: FittedModel
    /// Loss and other numbers over the steps.
    public var curves: [Report.Curve]
    public var steps: Int
    /// Numbers about the result that need no test labels, by name: for the report.
    public var metrics: [String: Double]
    public var warnings: [String]
    /// What was chosen or found on the way, and why: for people.
    public var choices: [Report.Choice] = []
    /// Pictures for the report, made when they are asked for.
    public var sheets: () throws -> [Report.Sheet] = { [] }

    public init(
        model: FittedModel, curves: [Report.Curve] = [], steps: Int = 0, metrics: [String: Double] = [:],
        warnings: [String] = []
    ) {
        self.model = model
        self.curves = curves
        self.steps = steps
        self.metrics = metrics
        self.warnings = warnings
    }
}

/// A way to learn. One file for each, one line in `Registry.swift`.
public protocol Method {
    associatedtype Config: Settings
    static var info: MethodInfo { get }
    init(_ config: Config)
    func learn(_ context: LearningContext) throws -> LearningResult
}

/// A method that trains by gradients: its task says what a step is.
public protocol TrainedMethod: Method {
    associatedtype Task: TrainingTask
    var training: TrainingSettings { get }
    /// - Throws: `MethodError` for data that the method cannot learn from.
    func makeTask(_ context: LearningContext) throws -> Task
    /// Parameters that are trained alike; nil: all of the task, with weight decay on matrices only.
    func groups(_ task: Task) -> [ParameterGroup]?
}

extension TrainedMethod {
    public func groups(_ task: Task) -> [ParameterGroup]? { nil }

    /// Whether training can be watched on labelled samples that it does not see.
    public var classifies: Bool { Task.self is any ClassifyingTask.Type }

    /// Makes the task and trains it.
    func train(_ context: LearningContext) throws -> (task: Task, trainer: Trainer) {
        let task = try makeTask(context)
        return (task, try context.train(task, training, title: Self.info.name, groups: groups(task)))
    }
}

extension LearningContext {
    /// Trains `task` and gives back the trainer: what most methods do.
    public func train(
        _ task: any TrainingTask, _ settings: TrainingSettings, title: String, groups: [ParameterGroup]? = nil
    ) throws -> Trainer {
        let trainer = Trainer(task, data: data, settings: settings, seed: seed, groups: groups, workers: workers)
        trainer.profiler = profiler
        let display = progress(
            title, settings.minutes > 0 ? .seconds(settings.minutes * 60) : .steps(trainer.totalSteps))
        defer { display?.finish() }
        guard let folder else {
            try trainer.run(progress: display)
            return trainer
        }
        try folder.train(trainer, stage: title, progress: display)
        return trainer
    }
}

extension Trainer {
    /// Mean of a logged number over the last hundred steps that logged it, or the last tenth of them if that is less;
    /// nil when none did.
    func lastMean(_ name: String) -> Double? {
        guard let values = logs[name]?.values, !values.isEmpty else { return nil }
        let last = values.suffix(max(1, min(100, values.count / 10)))
        return last.reduce(0, +) / Double(last.count)
    }

    /// Loss and logs as curves of a report, thinned to at most `limit` points by averaging neighbours.
    public func curves(_ stage: String, limit: Int = 300) -> [Report.Curve] {
        func curve(_ name: String, _ steps: [Double], _ values: [Double]) -> Report.Curve {
            let bin = Swift.max(1, (values.count + limit - 1) / limit)
            let starts = Array(stride(from: 0, to: values.count, by: bin))
            return Report.Curve(
                chart: "\(stage): \(name)", name: name,
                steps: starts.map { steps[min($0 + bin, values.count) - 1] },
                values: starts.map { start in
                    let part = values[start..<min(start + bin, values.count)]
                    return part.reduce(0, +) / Double(part.count)
                })
        }
        let names = ["loss"] + logs.keys.filter { $0 != "loss" }.sorted()
        return names.map { curve($0, logs[$0]?.steps ?? [], logs[$0]?.values ?? []) }
    }
}

extension Engine {
    /// The environment of this process, as a run stores it.
    public static var environment: RunEnvironment {
        RunEnvironment(instructionSet: instructionSet, threads: threads, oneDNN: oneDNNVersion)
    }
}
