import Foundation

/// Batches in order, made ahead by worker threads. Worker threads only decode and augment; they never call the engine.
///
/// Each worker makes whole batches of its own, so what a batch holds does not depend on who made it or when.
public final class BatchStream {
    private let queue: BatchQueue
    private let loader: Loader
    private let end: Int
    private let workspace = AugmentWorkspace()
    /// The step that `next` gives. Resuming a run needs this number and nothing else.
    public private(set) var nextStep: Int
    /// Seconds that `next` made its caller wait.
    public private(set) var waitSeconds = 0.0

    init(loader: Loader, from start: Int, to end: Int) {
        self.loader = loader
        self.end = end
        nextStep = start
        queue = BatchQueue(loader: loader, from: start, to: end)
        for worker in 0..<loader.workers {
            let thread = Thread { [queue] in queue.work() }
            thread.name = "loader \(worker)"
            thread.start()
        }
    }

    deinit { queue.stop() }

    /// The next batch, or nil at the end. Throws what its worker met, such as a `DataError` naming a file; the stream
    /// then stands at the same step.
    public func next() throws -> Batch? {
        guard nextStep < end else { return nil }
        let start = DispatchTime.now().uptimeNanoseconds
        defer { waitSeconds += Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9 }
        let batch =
            loader.workers == 0
            ? try loader.batch(at: nextStep, workspace: workspace) : try queue.take(nextStep).get()
        nextStep += 1
        return batch
    }
}

/// The batches between the workers and the stream.
///
/// Unchecked: everything that changes is read and written only while `condition` is locked.
private final class BatchQueue: @unchecked Sendable {
    private let loader: Loader
    private let end: Int
    private let condition = NSCondition()
    /// The next step that no worker has begun.
    private var begun: Int
    /// The step that the stream wants next.
    private var wanted: Int
    private var ready: [Int: Result<Batch, any Error>] = [:]
    private var stopped = false

    init(loader: Loader, from start: Int, to end: Int) {
        self.loader = loader
        self.end = end
        begun = start
        wanted = start
    }

    /// The life of a worker: begin steps while they are not too far ahead, until the end or until stopped.
    func work() {
        let workspace = AugmentWorkspace()
        while let step = begin() {
            let result = Result { try loader.batch(at: step, workspace: workspace) }
            condition.lock()
            ready[step] = result
            condition.broadcast()
            condition.unlock()
        }
    }

    private func begin() -> Int? {
        condition.lock()
        defer { condition.unlock() }
        while !stopped, begun < end, begun - wanted >= loader.prefetch { condition.wait() }
        guard !stopped, begun < end else { return nil }
        defer { begun += 1 }
        return begun
    }

    /// Waits for the batch of a step, which must be asked for in order. An error stays, so that asking again gives it
    /// again.
    func take(_ step: Int) -> Result<Batch, any Error> {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if let result = ready[step] {
                if case .success = result {
                    ready[step] = nil
                    wanted = step + 1
                    condition.broadcast()
                }
                return result
            }
            condition.wait()
        }
    }

    func stop() {
        condition.lock()
        stopped = true
        condition.broadcast()
        condition.unlock()
    }
}
