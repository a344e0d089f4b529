import FledgeCore
import FledgeData
import FledgeNN
import Foundation

/// The samples a training draws from.
public struct TrainingData: Sendable {
    /// The training split. Labels of samples outside `labelled` are never looked at.
    public var dataset: any Dataset
    public var labelled: [Int]
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
}

/// A loss or a gradient that is no number any more.
public struct NumericFailure: ExplainedError, Equatable {
    public let quantity: String
    public let step: Int

    public var what: String { "the \(quantity) is not a finite number" }
    public var place: String? { "step \(step)" }
    public var why: String? { "training diverged, or a sample holds extreme values" }
    public var next: String? {
        "nothing was updated with it; try a smaller learning rate (--set training.learningRate=...) or --set training.clipNorm=1"
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
    /// How many updates were made.
    public private(set) var step = 0
    /// The loss of every update so far.
    public private(set) var losses: [Double] = []
    /// The logs of every update so far, by name, with the steps they belong to.
    public private(set) var logs: [String: (steps: [Double], values: [Double])] = [:]

    private let loaders: [(name: String, loader: Loader)]
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
        self.settings = settings
        random = RandomSource(seed: seed).stream("training")
        let hidden = data.dataset.hidingLabels(except: [])
        var loaders: [(String, Loader)] = []
        for (index, feed) in task.feeds.enumerated() {
            // Few labelled samples are repeated until a batch is full; the large pool gives each sample once an epoch.
            let isLabelled = feed.pool == .labelled
            let pool = isLabelled ? data.labelled : Array(0..<data.dataset.count)
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
        totalSteps = settings.steps > 0 ? settings.steps : max(1, Int((settings.epochs * Double(epoch)).rounded()))
        let groups = groups ?? ParameterGroup.decaying(task.parameters(), weightDecay: settings.weightDecay)
        optimizer = Optimizer(settings.rule, groups: groups, learningRate: settings.learningRate)
        average =
            settings.averaging > 0
            ? ExponentialMovingAverage(of: task.trained, decay: settings.averaging, warmsUp: true) : nil
        schedule = settings.makeSchedule(steps: Trainer.resolution)
    }

    /// The schedule is read at the share of training that is done, in this many parts, so that a limit in minutes works
    /// like one in steps.
    private static let resolution = 1_000_000

    /// Trains to the end.
    /// - Parameters:
    ///   - progress: told of every step.
    ///   - record: called after every update with its number, the loss and the logs.
    ///   - every: calls `checkpoint` after so many updates, and when a signal stops the training.
    /// - Throws: `NumericFailure` before an update with a loss that is no number, `StoppedBySignal`, and what loaders
    ///   and the task throw.
    public func run(
        progress: TrainingProgress? = nil, record: ((Int, [(String, Double)]) throws -> Void)? = nil,
        every: Int = .max, checkpoint: (() throws -> Void)? = nil
    ) throws {
        task.train()
        let streams = loaders.map { ($0.name, $0.loader.stream(from: step * settings.accumulation)) }
        let start = DispatchTime.now().uptimeNanoseconds
        let limit = settings.minutes * 60
        var waited = 0.0
        while true {
            let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
            let done = limit > 0 ? seconds / limit : Double(step) / Double(totalSteps)
            if done >= 1 || (limit > 0 && settings.steps > 0 && step >= totalSteps) { break }
            if let number = StopSignal.number {
                if step > 0 { try checkpoint?() }
                throw StoppedBySignal(number: number)
            }
            let context = StepContext(step: step, progress: done, random: random.at(step))
            let (loss, logs) = try update(streams, context)
            optimizer.learningRate = schedule(Int(done * Double(Trainer.resolution)))
            optimizer.step()
            optimizer.clearGradients()
            step += 1
            average?.update()
            task.didUpdate(context)
            losses.append(loss)
            for (name, value) in logs {
                self.logs[name, default: ([], [])].steps.append(Double(step))
                self.logs[name]!.values.append(value)
            }
            let now = streams.reduce(0) { $0 + $1.1.waitSeconds }
            progress?.waitedForData(seconds: now - waited)
            waited = now
            progress?.update(step: step, [("loss", loss)] + logs)
            try record?(step, [("loss", loss)] + logs)
            if step % every == 0 { try checkpoint?() }
        }
    }

    /// Gradients of one update, over `accumulation` batches.
    private func update(
        _ streams: [(String, BatchStream)], _ context: StepContext
    ) throws -> (loss: Double, logs: [(String, Double)]) {
        var total = 0.0
        var logs: [(String, Double)] = []
        for part in 0..<settings.accumulation {
            var batches: [String: TrainingBatch] = [:]
            for (name, stream) in streams { batches[name] = try stream.next().map(TrainingBatch.init) }
            Randomness.current = context.random.stream("dropout").at(part)
            let output = try task.step(batches, context)
            let value = output.loss.item()
            guard value.isFinite else { throw NumericFailure(quantity: "loss", step: context.step) }
            total += value / Double(settings.accumulation)
            logs = output.logs
            (settings.accumulation == 1 ? output.loss : output.loss * (1 / Double(settings.accumulation))).backward()
        }
        if settings.clipNorm > 0 {
            let norm = clipGradients(of: optimizer.parameters, norm: settings.clipNorm)
            guard norm.isFinite else { throw NumericFailure(quantity: "gradient", step: context.step) }
        }
        return (total, logs)
    }

    /// Evaluates `body` with the averaged weights, where there are any.
    public func withAverages<R>(_ body: () throws -> R) rethrows -> R {
        try average.map { try $0.withAverages(body) } ?? body()
    }

    // MARK: Continuing

    /// Everything needed to continue: parameters, buffers, optimizer, average and the step. Order of data and random
    /// numbers follow from seed and step.
    public func state() -> [String: Tensor] {
        var state: [String: Tensor] = ["step": Tensor([step], shape: [])]
        for (name, tensor) in task.state() { state["task.\(name)"] = tensor }
        for (name, tensor) in optimizer.state() { state["optimizer.\(name)"] = tensor }
        for (name, tensor) in average?.state() ?? [:] { state["average.\(name)"] = tensor }
        return state
    }

    /// Continues from a `state()`.
    /// - Throws: `StateMismatch` when it belongs to another network, optimizer or averaging.
    public func load(_ state: [String: Tensor]) throws {
        func part(_ prefix: String) -> [String: Tensor] {
            Dictionary(
                uniqueKeysWithValues: state.compactMap { name, tensor in
                    name.hasPrefix(prefix) ? (String(name.dropFirst(prefix.count)), tensor) : nil
                })
        }
        try task.load(part("task."))
        try optimizer.load(part("optimizer."))
        try average?.load(part("average."))
        step = state["step"].map { Int($0.item()) } ?? 0
    }
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
