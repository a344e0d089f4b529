import FledgeCore
import Foundation

/// Where the time and the memory of some updates go, by operation: `fledge train ... --profile N`.
///
/// Operations run one after the other, so each takes the time since the one before it ended. In the backward pass the
/// operation is the one whose gradient is computed; the other parts are not taken to pieces. What no operation accounts
/// for (making tensors, walking the graph) is the difference between a part of the update and its operations.
public final class Profiler {
    /// A part of an update, or one operation in it.
    public struct Event: Sendable, Equatable {
        /// Of the operation; nil for the whole part.
        public let operation: String?
        /// `data`, `forward`, `backward`, `gradient norm`, `optimizer` or `averages`.
        public let part: String
        /// Since the first event.
        public let start: Double
        public let seconds: Double
        /// By how much more memory of tensors was in use afterwards; negative where some was given back.
        public let bytes: Int
        /// Of the result, forward only.
        public let shape: [Int]
    }

    /// What all events of one name took, for each update.
    public struct Row: Sendable, Equatable {
        public let part: String
        public let operation: String?
        public let calls: Double
        public let milliseconds: Double
        /// Of the time of the update.
        public let share: Double
        /// Memory that was taken and kept beyond the operation.
        public let mebibytes: Double
    }

    /// Updates before the first that is watched: they find primitives and fill caches.
    public static let warmUp = 3

    public private(set) var events: [Event] = []
    /// How many updates were watched.
    public private(set) var updates = 0
    /// The highest use of memory by tensors while watched.
    public private(set) var peakBytes = 0
    private let wanted: Int
    private var seen = 0
    private var isWatching = false
    private var part = ""
    private var origin = 0.0
    private var last = (seconds: 0.0, bytes: 0)
    /// Gradients that are being computed; an operation inside of one is its part.
    private var depth = 0

    /// - Parameter updates: how many to watch, 1 or more.
    public init(updates: Int) {
        require(updates > 0, "Profiler: \(updates) updates")
        wanted = updates
    }

    /// Surrounds one update.
    func update<R>(_ body: () throws -> R) rethrows -> R {
        seen += 1
        guard seen > Self.warmUp, updates < wanted else { return try body() }
        isWatching = true
        if updates == 0 { origin = now }
        MemoryPool.shared.resetPeak()
        Autograd.watch = { [unowned self] operation, _, outputs in
            if depth == 0, part == "forward" { tell("\(operation)", shape: outputs.first?.shape ?? []) }
        }
        Autograd.watchGradient = { [unowned self] operation, isOver in
            if isOver {
                depth -= 1
                if depth == 0 { tell("\(operation)", shape: []) }
            } else {
                if depth == 0 { last = (now, MemoryPool.shared.statistics.liveBytes) }
                depth += 1
            }
        }
        defer {
            Autograd.watch = nil
            Autograd.watchGradient = nil
            isWatching = false
            depth = 0
            updates += 1
            peakBytes = max(peakBytes, MemoryPool.shared.statistics.peakLiveBytes)
        }
        return try body()
    }

    /// Surrounds a part of the update.
    func part<R>(_ name: String, _ body: () throws -> R) rethrows -> R {
        guard isWatching else { return try body() }
        let start = (seconds: now, bytes: MemoryPool.shared.statistics.liveBytes)
        part = name
        last = start
        defer {
            events.append(
                Event(
                    operation: nil, part: name, start: start.seconds - origin, seconds: now - start.seconds,
                    bytes: MemoryPool.shared.statistics.liveBytes - start.bytes, shape: []))
        }
        return try body()
    }

    private var now: Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }

    private func tell(_ operation: String, shape: [Int]) {
        let bytes = MemoryPool.shared.statistics.liveBytes
        events.append(
            Event(
                operation: operation, part: part, start: last.seconds - origin, seconds: now - last.seconds,
                bytes: bytes - last.bytes, shape: shape))
        // What it took to note this is nobody's time.
        last = (now, bytes)
    }

    /// Parts first, then operations; the slowest first.
    public var rows: [Row] {
        let total = events.filter { $0.operation == nil }.reduce(0) { $0 + $1.seconds }
        let groups = Dictionary(grouping: events) { [$0.part, $0.operation ?? ""] }
        return groups.values.map { group in
            let seconds = group.reduce(0) { $0 + $1.seconds }
            let bytes = group.reduce(0) { $0 + max(0, $1.bytes) }
            return Row(
                part: group[0].part, operation: group[0].operation, calls: Double(group.count) / Double(updates),
                milliseconds: 1000 * seconds / Double(updates), share: total > 0 ? seconds / total : 0,
                mebibytes: Double(bytes) / Double(updates) / 1_048_576)
        }.sorted {
            ($0.operation == nil ? 0 : 1, -$0.milliseconds, $0.part, $0.operation ?? "")
                < ($1.operation == nil ? 0 : 1, -$1.milliseconds, $1.part, $1.operation ?? "")
        }
    }

    /// The events in the form that `chrome://tracing` and Perfetto open (Trace Event Format, complete events).
    public func chromeTrace() throws -> String {
        struct Entry: Encodable {
            let name: String, cat: String, ph = "X"
            let ts: Double, dur: Double
            let pid = 1, tid = 1
            let args: [String: String]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let entries = events.map { event in
            Entry(
                name: event.operation ?? event.part, cat: event.part, ts: event.start * 1e6, dur: event.seconds * 1e6,
                args: ["bytes": "\(event.bytes)"].merging(
                    event.shape.isEmpty ? [:] : ["shape": "\(event.shape)"]
                ) { $1 })
        }
        return String(decoding: try encoder.encode(["traceEvents": entries]), as: UTF8.self)
    }
}
