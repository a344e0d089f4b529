import FledgeCore
import FledgeData
import FledgeNN

/// One stream of batches that a method wants at every step.
public struct Feed: Sendable {
    /// Which part of the training split it draws from.
    public enum Pool: String, Codable, Sendable {
        case labelled
        /// Every sample, its label hidden.
        case everything
    }

    public var name: String
    public var pool: Pool
    public var batchSize: Int
    /// One augmentation for each view, normalisation included.
    public var views: [Augmentation]
    /// Of the pool of everything only these places in the dataset; nil: all.
    public var samples: [Int]?

    public init(_ name: String, from pool: Pool, batchSize: Int, views: [Augmentation], samples: [Int]? = nil) {
        self.name = name
        self.pool = pool
        self.batchSize = batchSize
        self.views = views
        self.samples = samples
    }
}

/// A batch on the engine's side.
public struct TrainingBatch {
    /// One tensor for each view: [count, height, width, channels] or [count, features].
    public let views: [Tensor]
    /// int64 [count]; -1 where a sample has no label.
    public let labels: Tensor
    /// The samples' places in the dataset.
    public let indices: [Int]

    public init(views: [Tensor], labels: Tensor, indices: [Int]) {
        self.views = views
        self.labels = labels
        self.indices = indices
    }

    public init(_ batch: Batch) {
        self.init(
            views: batch.views.indices.map { batch.tensor(view: $0) }, labels: batch.labelTensor(),
            indices: batch.indices)
    }
}

/// Where training stands.
public struct StepContext: Sendable {
    /// From 0.
    public let step: Int
    /// Share of the training that is done, from 0 to 1.
    public let progress: Double
    /// A stream of this step's own.
    public let random: RandomSource

    /// The same for one of the batches whose gradients are averaged: each draws numbers of its own.
    func part(_ number: Int) -> StepContext {
        number == 0 ? self : StepContext(step: step, progress: progress, random: random.stream("part").at(number))
    }
}

/// What a step computed: the loss to minimise, and numbers worth watching.
public struct StepOutput {
    public var loss: Tensor
    public var logs: [(name: String, value: Double)]

    public init(_ loss: Tensor, _ logs: [(name: String, value: Double)] = []) {
        self.loss = loss
        self.logs = logs
    }
}

/// What the trainer knows of a method: what data it wants, the loss of a step, and what to do after an update. The
/// trainer knows no method, and a method no trainer.
public protocol TrainingTask: Module {
    var feeds: [Feed] { get }
    /// The loss of one step. `batches` has one entry for each feed, by name. Fewer samples than the feed asks for must
    /// do, two at least: memory is estimated with small batches.
    ///
    /// Whatever changes from step to step lives in parameters and buffers, so that a checkpoint holds it.
    func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput
    /// Called after the weights moved: teachers, queues and prototypes follow here.
    func didUpdate(_ context: StepContext)
    /// The module that is trained, of which averages are taken.
    var trained: any Module { get }
}

extension TrainingTask {
    public func didUpdate(_ context: StepContext) {}
    public var trained: any Module { self }
}

/// A task whose network classifies: what it knows can be watched on samples that training does not see.
public protocol ClassifyingTask: TrainingTask {
    /// [N, classes] of a batch of plain views, in evaluation mode.
    func logits(_ x: Tensor) -> Tensor
}
