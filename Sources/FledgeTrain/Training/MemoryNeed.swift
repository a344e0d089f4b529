import FledgeCore
import FledgeData
import FledgeNN
import Foundation

/// What a training will take of memory beyond what is taken already, in bytes.
public struct MemoryNeed: Encodable, Sendable, Equatable {
    public var gradients: Int
    /// What the optimizer and the moving average keep of each weight.
    public var moments: Int
    /// What one step keeps for its backward pass, at its highest point.
    public var activations: Int
    /// Batches that loader threads make ahead.
    public var batches: Int
    /// The weights themselves, which are there already.
    public var weights: Int
    /// The share of `activations` and `batches` that shrinks with the batch.
    var perBatch: Int

    public var total: Int { gradients + moments + activations + batches }

    /// The largest share of the batch that fits into so many bytes, 0 to 1.
    func fittingShare(in bytes: Int) -> Double {
        perBatch > 0 ? min(1, max(0, Double(bytes - (total - perBatch)) / Double(perBatch))) : 0
    }
}

/// A training that would not fit into memory, refused before its first update.
public struct MemoryShortage: ExplainedError, Equatable {
    public let need: MemoryNeed
    public let available: MemoryAvailable

    public var what: String { "out of memory before the first update" }
    public var why: String? {
        func size(_ bytes: Int) -> String { String(format: "%.2f GiB", Double(bytes) / 0x1p30) }
        return "a step needs \(size(need.total)) more (activations \(size(need.activations)), gradients "
            + "\(size(need.gradients)), optimizer and average \(size(need.moments)), batches \(size(need.batches))), "
            + "and \(size(available.bytes)) are free (\(available.limit))"
    }
    public var next: String? {
        let share = need.fittingShare(in: available.bytes)
        let fits = share >= 0.01 ? "; about \(Int(share * 100)) % of the present batch would fit" : ""
        return "use a smaller batch (--set batchSize=...), smaller images or a smaller network\(fits)"
    }
}

/// How much more memory this process can have.
public struct MemoryAvailable: Sendable, Equatable {
    public var bytes: Int
    /// What sets the limit, for messages.
    public var limit: String

    /// The least of: what the machine has left, what is left of the control group's limit, and of the limit on address
    /// space (`ulimit -v`). Blocks that the pool keeps for reuse count as free.
    public static func current() -> MemoryAvailable {
        let pool = MemoryPool.shared
        let used = pool.statistics
        var limits = [
            MemoryAvailable(bytes: pool.settings.liveLimitBytes - used.liveBytes, limit: "limit of the engine")
        ]
        if let free = Machine.current().availableMemory {
            limits.append(MemoryAvailable(bytes: Int(free) + used.cachedBytes, limit: "free on this machine"))
        }
        let group = "/sys/fs/cgroup/memory"
        if let most = number(in: "\(group).max"), let now = number(in: "\(group).current") {
            // Pages of files that can be dropped at once are no use of memory.
            let droppable = text("\(group).stat").flatMap { text in
                text.split(separator: "\n").first { $0.hasPrefix("inactive_file ") }.flatMap { Int($0.dropFirst(14)) }
            }
            limits.append(
                MemoryAvailable(
                    bytes: most - now + (droppable ?? 0) + used.cachedBytes, limit: "limit of the control group"))
        }
        var address = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &address) == 0, address.rlim_cur < UInt64(Int.max),
            let pages = text("/proc/self/statm")?.split(separator: " ").first.flatMap({ Int($0) })
        {
            let taken = pages * sysconf(Int32(_SC_PAGESIZE))
            limits.append(
                MemoryAvailable(
                    bytes: Int(address.rlim_cur) - taken + used.cachedBytes, limit: "limit on address space, ulimit -v")
            )
        }
        return limits.min { $0.bytes < $1.bytes }!
    }

    private static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
    private static func number(in path: String) -> Int? {
        text(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
}

extension Trainer {
    /// Estimates what training will take, from the highest use of memory in two steps with an eighth and a quarter of
    /// the samples, which a line through both carries on to the whole batch. The state is the same before and after.
    public func memoryNeed() throws -> MemoryNeed {
        let parameters = optimizer.parameters.filter(\.item.isTrainable).map(\.item.value)
        let weights = task.state().values.reduce(0) { $0 + $1.count * $1.dtype.size }
        let gradients = parameters.reduce(0) { $0 + $1.count * $1.dtype.size }
        let averaged = (average?.state() ?? [:]).values.reduce(0) { $0 + $1.count * $1.dtype.size }
        let moments = gradients * optimizer.rule.slots.count + averaged

        var batches: [String: TrainingBatch] = [:]
        var bytes = 0
        for (name, loader) in loaders {
            let batch = TrainingBatch(try loader.batch(at: 0))
            batches[name] = batch
            let size = batch.views.reduce(0) { $0 + $1.count * $1.dtype.size }
            bytes += size * (loader.workers == 0 ? 1 : loader.prefetch + loader.workers)
        }
        let all = batches.values.reduce(0) { $0 + $1.indices.count }
        let (less, low) = try highestUse(of: batches, part: 8)
        let (more, high) = try highestUse(of: batches, part: 4)
        let slope = more > less ? Double(max(high - low, 0)) / Double(more - less) : 0
        let peak = Double(high) + slope * Double(all - more)
        // The peak holds the gradients as well.
        let activations = max(0, Int(peak) - gradients)
        return MemoryNeed(
            gradients: gradients, moments: moments, activations: activations, batches: bytes, weights: weights,
            perBatch: Int(slope * Double(all)) + bytes)
    }

    /// Samples that took part, and the bytes above the present use at the highest point of the step.
    private func highestUse(of batches: [String: TrainingBatch], part: Int) throws -> (samples: Int, bytes: Int) {
        let before = task.state()
        let random = Randomness.current
        defer { Randomness.current = random }
        let small = batches.mapValues { batch in
            // Batch normalisation needs two.
            let count = min(batch.indices.count, max(2, batch.indices.count / part))
            return TrainingBatch(
                views: batch.views.map { $0[0..<count] }, labels: batch.labels[0..<count],
                indices: Array(batch.indices.prefix(count)))
        }
        task.train()
        let pool = MemoryPool.shared
        // Blocks kept from before may be larger than what is asked for, and count whole.
        pool.trim()
        pool.resetPeak()
        let start = pool.statistics.liveBytes
        let context = self.context()
        Randomness.current = context.random.stream("dropout").at(0)
        try task.step(small, context).loss.backward()
        let peak = pool.statistics.peakLiveBytes - start
        optimizer.clearGradients()
        try task.load(before)
        return (small.values.reduce(0) { $0 + $1.indices.count }, peak)
    }

    /// - Throws: `MemoryShortage` when training will take more than there is.
    func checkMemory(_ available: MemoryAvailable = .current()) throws {
        let need = try memoryNeed()
        if need.total > available.bytes { throw MemoryShortage(need: need, available: available) }
    }
}
