import Fledge
import Foundation
import Synchronization

/// The model behind the questions: a small network on fixed features that learns anew from all labels whenever it is
/// asked to, on the one thread that runs the engine, while answers go on.
final class LabelLearner: Sendable {
    /// Labels at one moment.
    struct Task: Sendable {
        var labelled: [(sample: Int, label: Int)]
        var skipped: Set<Int>
        var classes: Int
    }

    /// What came of them.
    struct Finding: Sendable, Equatable {
        /// How many labels it learned from.
        var labels: Int
        /// What to ask next, the most wanted first.
        var wanted: [Int]
        /// The share of the labels that it finds when they are hidden from it, in cross-validation; nil for fewer than 10.
        /// Questions are harder than samples at random, so it is rather too low.
        var agreement: Double?
        /// The share of the samples without an answer of which it is sure: a probability of 90 % or more.
        var sure: Double
    }

    /// More samples than this are not looked at; the others are asked about when these are done.
    static let poolLimit = 20_000

    private let pool: [Int]
    private let settings: LabelSession.Settings
    private let features: @Sendable ([Int]) throws -> Tensor
    private let waiting = Mutex<Task?>(nil)
    private let isStopped = Atomic(false)
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - pool: the samples to look at.
    ///   - features: [samples, D] of them.
    init(
        pool: [Int], settings: LabelSession.Settings, features: @escaping @Sendable ([Int]) throws -> Tensor
    ) {
        self.pool = pool
        self.settings = settings
        self.features = features
    }

    /// Begins the thread. `told` gets what each learning came to.
    func start(_ told: @escaping @Sendable (Result<Finding, any Error>) -> Void) {
        let thread = Thread { [self] in
            defer { ended.signal() }
            do {
                EngineThread.claim()
                let seen = try features(pool)
                while let task = next() {
                    if let finding = try learn(task, seen) { told(.success(finding)) }
                }
            } catch { told(.failure(error)) }
        }
        thread.name = "fledge-label-learner"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Asks to learn; a task that was not begun yet is replaced.
    func learn(_ task: Task) {
        waiting.withLock { $0 = task }
        wake.signal()
    }

    /// Ends the thread, within a step of what it is doing.
    /// - Returns: whether it ended within five seconds.
    func stop() -> Bool {
        isStopped.store(true, ordering: .relaxed)
        wake.signal()
        return ended.wait(timeout: .now() + 5) == .success
    }

    private var isOver: Bool { isStopped.load(ordering: .relaxed) }

    private func next() -> Task? {
        while true {
            wake.wait()
            if isOver { return nil }
            let task = waiting.withLock { task in
                defer { task = nil }
                return task
            }
            if let task { return task }
        }
    }

    /// nil where it is to stop.
    private func learn(_ task: Task, _ seen: Tensor) throws -> Finding? {
        let places = Dictionary(uniqueKeysWithValues: pool.enumerated().map { ($1, $0) })
        let labelled = task.labelled.compactMap { entry in
            places[entry.sample].map { (sample: $0, label: entry.label) }
        }
        // The same labels make the same model, whenever they are learned.
        let random = RandomSource(seed: settings.seed).stream("label").at(labelled.count)
        let head = HeadLearner(pool: seen, testing: nil, classes: task.classes)
        let opinion = head.fit(labelled, random: random.stream("round"))
        if isOver { return nil }
        let answered = Set(labelled.map(\.sample))
        let open = pool.indices.filter { !answered.contains($0) && !task.skipped.contains(pool[$0]) }
        // Enough for the answers that come while it learns the next time.
        let wanted = try settings.strategy.choose(
            2 * settings.retrainEvery, of: open, labelled: labelled.map(\.sample), opinion,
            random: random.stream("question"))
        if isOver { return nil }
        let surest = opinion.rows { $0.max() ?? 0 }
        return Finding(
            labels: labelled.count, wanted: wanted.map { pool[$0] },
            agreement: labelled.count >= 10 ? head.agreement(labelled, random: random.stream("agreement")) : nil,
            sure: open.isEmpty ? 1 : Double(open.count { surest($0) >= 0.9 }) / Double(open.count))
    }
}
