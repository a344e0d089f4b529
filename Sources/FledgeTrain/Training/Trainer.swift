import FledgeCore
import FledgeData
import FledgeNN
import Foundation

/// The samples a training draws from.
public struct TrainingData: Sendable {
    /// The training split. Labels of samples outside `labelled` are never looked at.
    public var dataset: any Dataset
    public var labelled: [Int]
    /// Labelled samples that training must not see, to watch it by; none of `labelled`.
    public var validation: [Int] = []
    public var classNames: [String]
    public var input: InputSpec

    public init(dataset: any Dataset, labelled: [Int], input: InputSpec) {
        self.dataset = dataset
        self.labelled = labelled
        classNames = dataset.classNames
        self.input = input
    }

    /// The class of each labelled sample, in the order of `labelled`.
    public var labels: [Int] { labelled.map { dataset.labels[$0]! } }

    /// Moves a share of the labelled samples of every class to `validation`. A class of two or more gives at least one
    /// and keeps at least one.
    /// - Parameter share: between 0 and 1, both left out.
    public mutating func holdOut(share: Double, seed: UInt64) {
        let all = labelled
        let (rest, held) = dataset.subset(all).holdOut(
            fraction: share, seed: RandomSource(seed: seed).stream("validation").key)
        labelled = rest.map { all[$0] }
        validation += held.map { all[$0] }
    }
}

/// Runs a `TrainingTask`: batches, gradients, updates, schedule, averages, progress. Deterministic: the same settings,
/// data, seed, threads and instruction set give the same bytes, for any number of loader workers.
public final class Trainer {
    public let task: any TrainingTask
    public let settings: TrainingSettings
    public let totalSteps: Int
    public let optimizer: Optimizer
    public let average: ExponentialMovingAverage?
    /// How many updates were made, skipped ones included.
    public private(set) var step = 0
    /// The loss and the task's numbers of every update so far, by name, with the steps they belong to.
    public private(set) var logs: [String: (steps: [Double], values: [Double])] = [:]
    /// The updates that were skipped because a loss or a gradient was no number.
    public private(set) var skipped: [Int] = []
    /// Times the learning rate: halved by every roll-back.
    public private(set) var rateScale = 1.0
    /// Watches the first updates, where one is set.
    public var profiler: Profiler?
    /// Time trained, in seconds, over all processes that trained.
    public internal(set) var seconds = 0.0
    /// The samples.
    let data: TrainingData

    let loaders: [(name: String, loader: Loader)]
    /// nil without samples to watch, or for tasks that do not classify.
    let validation: Validation?
    private let random: RandomSource
    private let schedule: Schedule

    /// - Parameters:
    ///   - groups: parameters that are trained alike; by default all of the task with weight decay on matrices only.
    ///   - workers: loader threads for each feed.
    public init(
        _ task: any TrainingTask, data: TrainingData, settings: TrainingSettings, seed: UInt64,
        groups: [ParameterGroup]? = nil, workers: Int = 1
    ) {
        self.task = task
        self.data = data
        self.settings = settings
        random = RandomSource(seed: seed).stream("training")
        let hidden = data.dataset.hidingLabels(except: [])
        var loaders: [(String, Loader)] = []
        for (index, feed) in task.feeds.enumerated() {
            // Few labelled samples are repeated until a batch is full; the large pool gives each sample once an epoch.
            let isLabelled = feed.pool == .labelled
            let pool = isLabelled ? data.labelled : feed.samples ?? Array(0..<data.dataset.count)
            let size = isLabelled ? feed.batchSize : min(feed.batchSize, pool.count)
            loaders.append(
                (
                    feed.name,
                    Loader(
                        isLabelled ? data.dataset : hidden, indices: pool, batchSize: size, views: feed.views,
                        seed: RandomSource(seed: seed).stream("feed").at(index).key,
                        remainder: isLabelled ? .wrap : .drop, workers: workers)
                ))
        }
        self.loaders = loaders
        let epoch = loaders.map { $0.1.batchesPerEpoch }.max() ?? 1
        let updates = settings.epochs * Double(epoch) / Double(settings.accumulation)
        totalSteps = settings.steps > 0 ? settings.steps : max(1, Int(updates.rounded()))
        let groups = groups ?? ParameterGroup.decaying(task.parameters(), weightDecay: settings.weightDecay)
        optimizer = Optimizer(settings.rule, groups: groups, learningRate: settings.learningRate)
        average =
            settings.averaging > 0
            ? ExponentialMovingAverage(of: task.trained, decay: settings.averaging, warmsUp: true) : nil
        schedule = settings.makeSchedule(steps: Trainer.resolution)
        validation =
            data.validation.isEmpty
            ? nil : (task as? any ClassifyingTask).map { Validation($0, data, batchSize: 256, workers: workers) }
    }

    /// Updates between two looks at the validation samples.
    var validationInterval: Int {
        settings.validationInterval > 0 ? settings.validationInterval : max(1, totalSteps / 20)
    }

    /// The schedule is read at the share of training that is done, in this many parts, so that a limit in minutes works
    /// like one in steps.
    private static let resolution = 1_000_000

    /// The loss of every update so far.
    public var losses: [Double] { logs["loss"]?.values ?? [] }

    /// More skipped updates than this many, and than a tenth of all, are no accidents.
    private static let skipLimit = 10

    /// Trains to the end. Whatever it throws, the state is that after the last update.
    /// - Parameters:
    ///   - progress: told of every step.
    ///   - record: called after every update with its number, the loss and the logs.
    /// - Throws: `UnsupportedPrecision` before the first update, `NumericFailure` before an update with a loss or
    ///   gradient that is no number, `StoppedBySignal`, and what loaders, the task and `record` throw.
    public func run(
        progress: TrainingProgress? = nil, record: ((Int, [(String, Double)]) throws -> Void)? = nil
    ) throws {
        guard settings.precision != .bfloat16 || Engine.hasBFloat16 else { throw UnsupportedPrecision() }
        task.train()
        let streams = loaders.map { ($0.name, $0.loader.stream(from: step * settings.accumulation)) }
        let buffers = task.buffers().map(\.item)
        let before = seconds
        let start = DispatchTime.now().uptimeNanoseconds
        let limit = settings.minutes * 60
        var waited = 0.0
        while true {
            seconds = before + Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
            let done = limit > 0 ? seconds / limit : Double(step) / Double(totalSteps)
            if done >= 1 || (limit > 0 && settings.steps > 0 && step >= totalSteps) { break }
            try StopSignal.check()
            let context = self.context(progress: done)
            let values = buffers.map(\.value)
            var numbers: [(String, Double)]
            do {
                numbers = try watchingUpdate {
                    let (loss, logs) = try update(context) { _ in
                        var batches: [String: TrainingBatch] = [:]
                        for (name, stream) in streams { batches[name] = try stream.next().map(TrainingBatch.init) }
                        return batches
                    } with: {
                        try task.step($0, $1)
                    }
                    optimizer.learningRate = schedule(Int(done * Double(Trainer.resolution))) * rateScale
                    optimizer.constantRate = settings.learningRate * rateScale
                    watching("optimizer") { optimizer.step() }
                    watching("averages") {
                        average?.update()
                        task.didUpdate(context)
                    }
                    return [("loss", loss)] + logs
                }
                if let validation, (step + 1) % validationInterval == 0 || step + 1 == totalSteps {
                    numbers += try withAverages { try validation.measure() }
                }
            } catch let failure as NumericFailure {
                // Running statistics and queues took part in the step; nothing of it may stay.
                for (buffer, value) in zip(buffers, values) { buffer.value = value }
                optimizer.clearGradients()
                let named = try examine(progress: done).failure ?? failure
                guard settings.onNumericFailure == .skip else { throw named }
                skipped.append(step + 1)
                guard skipped.count <= max(Trainer.skipLimit, step / 10) else { throw named }
                numbers = []
            }
            optimizer.clearGradients()
            step += 1
            for (name, value) in numbers {
                self.logs[name, default: ([], [])].steps.append(Double(step))
                self.logs[name]!.values.append(value)
            }
            let now = streams.reduce(0) { $0 + $1.1.waitSeconds }
            progress?.waitedForData(seconds: now - waited)
            waited = now
            progress?.update(step: step, numbers)
            try record?(step, numbers)
        }
    }

    /// The step that comes next, at this share of the training.
    func context(progress: Double? = nil) -> StepContext {
        StepContext(
            step: step, progress: progress ?? Double(step) / Double(totalSteps), random: random.at(step))
    }

    /// The gradients of one update, over `accumulation` batches.
    /// - Parameters:
    ///   - part: gives the batches of each part.
    ///   - body: computes the loss of a part.
    /// - Throws: `NumericFailure` when the loss or the norm of the gradients is no number. The norm is always computed:
    ///   one pass over the gradients, of which one is enough to spoil it.
    func update(
        _ context: StepContext, _ part: (Int) throws -> [String: TrainingBatch],
        with body: ([String: TrainingBatch], StepContext) throws -> StepOutput
    ) throws -> (loss: Double, logs: [(String, Double)]) {
        var total = 0.0
        var logs: [(String, Double)] = []
        for number in 0..<settings.accumulation {
            let batches = try watching("data") { try part(number) }
            let context = context.part(number)
            Randomness.current = context.random.stream("dropout").at(number)
            try Engine.withPrecision(settings.precision) {
                let output = try watching("forward") { try body(batches, context) }
                let value = output.loss.item()
                guard value.isFinite else { throw NumericFailure(quantity: "loss", step: step + 1) }
                total += value / Double(settings.accumulation)
                logs = output.logs
                watching("backward") {
                    (settings.accumulation == 1 ? output.loss : output.loss * (1 / Double(settings.accumulation)))
                        .backward()
                }
            }
        }
        let norm = watching("gradient norm") {
            settings.clipNorm > 0
                ? clipGradients(of: optimizer.parameters, norm: settings.clipNorm)
                : gradientNorm(of: optimizer.parameters)
        }
        guard norm.isFinite else { throw NumericFailure(quantity: "gradient", step: step + 1) }
        return (total, logs)
    }

    private func watchingUpdate<R>(_ body: () throws -> R) rethrows -> R {
        guard let profiler else { return try body() }
        return try profiler.update(body)
    }

    private func watching<R>(_ part: String, _ body: () throws -> R) rethrows -> R {
        guard let profiler else { return try body() }
        return try profiler.part(part, body)
    }

    /// Evaluates `body` with the averaged weights, where there are any.
    public func withAverages<R>(_ body: () throws -> R) rethrows -> R {
        try average.map { try $0.withAverages(body) } ?? body()
    }

    // MARK: Continuing

    /// Everything needed to continue: parameters, buffers, optimizer, average, the step and the numbers so far. Order of
    /// data and random numbers follow from seed and step.
    public func state() -> [String: Tensor] {
        var state: [String: Tensor] = [
            "step": Tensor([step], shape: []), "skipped": Tensor(skipped),
            "rate_scale": Tensor(float64: [rateScale], shape: []),
        ]
        for (name, tensor) in task.state() { state["task.\(name)"] = tensor }
        for (name, tensor) in optimizer.state() { state["optimizer.\(name)"] = tensor }
        for (name, tensor) in average?.state() ?? [:] { state["average.\(name)"] = tensor }
        for (name, log) in logs {
            state["log.steps.\(name)"] = Tensor(float64: log.steps)
            state["log.values.\(name)"] = Tensor(float64: log.values)
        }
        return state
    }

    /// Continues from a `state()`.
    /// - Throws: `StateMismatch` when it belongs to another network, optimizer or averaging.
    public func load(_ state: [String: Tensor]) throws {
        try loadWeights(of: state)
        try optimizer.load(Self.part("optimizer.", of: state))
        step = state["step"].map { Int($0.item()) } ?? 0
        skipped = state["skipped"]?.ints() ?? []
        rateScale = state["rate_scale"]?.item() ?? 1
        let values = Self.part("log.values.", of: state)
        logs = Self.part("log.steps.", of: state).reduce(into: [:]) { logs, log in
            logs[log.key] = (log.value.doubles(), values[log.key]?.doubles() ?? [])
        }
    }

    /// Takes over parameters, buffers and the average of a `state()`, and nothing else.
    func loadWeights(of state: [String: Tensor]) throws {
        try task.load(Self.part("task.", of: state))
        try average?.load(Self.part("average.", of: state))
    }

    private static func part(_ prefix: String, of state: [String: Tensor]) -> [String: Tensor] {
        Dictionary(
            uniqueKeysWithValues: state.compactMap { name, tensor in
                name.hasPrefix(prefix) ? (String(name.dropFirst(prefix.count)), tensor) : nil
            })
    }

    /// Multiplies the learning rate by this from here on.
    func slowDown(to scale: Double) { rateScale = scale }
}

extension TrainingSettings {
    /// The update rule that the settings name.
    var rule: any UpdateRule {
        switch optimizer {
        case .sgd: SGD(momentum: momentum, nesterov: momentum > 0)
        case .adam: Adam()
        case .adamw: AdamW()
        case .lars: LARS(momentum: momentum)
        case .lamb: LAMB()
        case .rmsprop: RMSprop(momentum: momentum)
        }
    }

    func makeSchedule(steps: Int) -> Schedule {
        let warm = Int(warmup * Double(steps))
        let rest = steps - warm
        let main: Schedule =
            switch schedule {
            case .constant: .constant(learningRate)
            case .cosine: .cosine(learningRate, steps: rest)
            case .step: .multiStep(learningRate, milestones: [rest / 2, rest * 3 / 4], factor: 0.1)
            case .polynomial: .polynomial(learningRate, steps: rest)
            case .oneCycle: .oneCycle(peak: learningRate, steps: rest)
            }
        return warm > 0 ? .warmUp(steps: warm, then: main) : main
    }
}

/// bfloat16 on a processor without instructions for it.
public struct UnsupportedPrecision: ExplainedError, Equatable {
    public var what: String { "cannot train in bfloat16" }
    public var place: String? { "training.precision" }
    public var why: String? { "this processor, or the oneDNN on it, has no products of bfloat16" }
    public var next: String? { "leave the setting out: float32 works everywhere" }
}
