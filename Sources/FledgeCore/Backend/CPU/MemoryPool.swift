import Glibc
import Synchronization

/// The system would not, or may not, give a block of memory.
public struct OutOfMemory: Error, CustomStringConvertible, Sendable {
    /// What was asked for, and what was in use at that moment, in bytes.
    public let requestedBytes: Int, liveBytes: Int
    /// The limit that stood in the way, or nil where the operating system itself refused.
    public let limitBytes: Int?

    public var description: String {
        let megabytes = { (bytes: Int) in "\(bytes >> 20) MiB" }
        let cause = limitBytes.map { "the limit is \(megabytes($0))" } ?? "the operating system gave no more"
        return "out of memory: \(requestedBytes) bytes (\(megabytes(requestedBytes))) wanted with "
            + "\(megabytes(liveBytes)) in use, and \(cause). Use a smaller batch, image or network."
    }
}

/// A cache of memory blocks: what tensors release is kept and handed out again, because the first touch of a fresh
/// block costs 30 to 100 times the second one.
///
/// Sizes are rounded up to classes, eight per power of two (at most 1/8 of a block is lost above 512 bytes), and a free
/// block waits in the list of its class; from 1 MiB on, it is handed out for more than half of its size too. Every
/// block is aligned to 64 bytes; blocks from 1 MiB are whole pages straight from the operating system, so that `trim()`
/// really returns them. Safe to use from any thread.
public final class MemoryPool: Sendable {
    /// The pool of all tensors.
    public static let shared = MemoryPool()

    /// What the pool may hold.
    public struct Settings: Sendable {
        /// Free blocks are kept up to this many bytes in total; beyond it, those of the sizes unused for longest go.
        public var keepLimitBytes = MemoryPool.machineBytes / 4
        /// More live bytes than this are refused with `OutOfMemory`. Default: what this machine, or its control group,
        /// has, since the system would end the process there and say nothing.
        public var liveLimitBytes = MemoryPool.machineBytes
        /// Ask the kernel for 2 MiB pages under blocks of that size and more. Faster first touch on a quiet machine.
        public var usesHugePages = false

        public init() {}
    }

    /// Counters of one moment, in bytes as rounded to size classes.
    public struct Statistics: Sendable, Equatable {
        /// Handed out and not yet released, and the highest that has been.
        public var liveBytes = 0, peakLiveBytes = 0
        /// Waiting in the free lists.
        public var cachedBytes = 0
        /// Number of blocks handed out and not yet released.
        public var liveBlocks = 0
    }

    // MARK: Handing out and taking back

    /// A block of at least `bytes` bytes, 64-byte aligned, contents undefined. Release it with the same `bytes`.
    public func allocate(_ bytes: Int) throws(OutOfMemory) -> UnsafeMutableRawPointer {
        let sizeClass = SizeClass(bytes)
        let size = sizeClass.bytes
        let (cached, settings, live) = state.withLock { state in
            let fits = state.statistics.liveBytes <= state.settings.liveLimitBytes - size
            return (fits ? state.take(sizeClass) : nil, fits ? state.settings : nil, state.statistics.liveBytes)
        }
        if let cached { return UnsafeMutableRawPointer(bitPattern: cached)! }
        guard let settings else {
            let limit = self.settings.liveLimitBytes
            throw OutOfMemory(requestedBytes: bytes, liveBytes: live, limitBytes: limit)
        }
        if let fresh = Self.systemAllocate(size, settings) { return fresh }
        trim()
        if let fresh = Self.systemAllocate(size, settings) { return fresh }
        state.withLock { $0.countRelease(size) }
        throw OutOfMemory(requestedBytes: bytes, liveBytes: live, limitBytes: nil)
    }

    /// As `allocate`, for callers that cannot go on without the block: hands the error to `outOfMemoryHandler`.
    public func allocateOrStop(_ bytes: Int) -> UnsafeMutableRawPointer {
        do {
            return try allocate(bytes)
        } catch {
            MemoryPool.outOfMemoryHandler.withLock { $0 }(error)
        }
    }

    /// Takes back a block that `allocate(bytes)` gave.
    public func release(_ pointer: UnsafeMutableRawPointer, _ bytes: Int) {
        let sizeClass = SizeClass(bytes)
        let evicted = state.withLock { $0.put(UInt(bitPattern: pointer), sizeClass) }
        for block in evicted { block.systemFree() }
    }

    /// Returns every cached block to the operating system.
    public func trim() {
        let evicted = state.withLock { $0.evict(downTo: 0) }
        for block in evicted { block.systemFree() }
    }

    public var statistics: Statistics { state.withLock { $0.statistics } }

    /// Makes the highest live count start anew from the present one.
    public func resetPeak() {
        state.withLock { $0.statistics.peakLiveBytes = $0.statistics.liveBytes }
    }

    public var settings: Settings {
        get { state.withLock { $0.settings } }
        set {
            let evicted = state.withLock { state in
                state.settings = newValue
                return state.evict(downTo: newValue.keepLimitBytes)
            }
            for block in evicted { block.systemFree() }
        }
    }

    /// What `allocateOrStop` does when there is no memory. The command line replaces it to end with its own exit code.
    public static let outOfMemoryHandler = Mutex<@Sendable (OutOfMemory) -> Never>({ fatalError("\($0)") })

    // MARK: Inside

    private let state: Mutex<State>

    public init(settings: Settings = Settings()) { state = Mutex(State(settings: settings)) }

    deinit { trim() }

    /// A free block outside every list, on its way back to the operating system.
    private struct Block {
        let address: UInt, bytes: Int

        func systemFree() {
            let pointer = UnsafeMutableRawPointer(bitPattern: address)!
            if bytes >= MemoryPool.mappedBytes { munmap(pointer, bytes) } else { free(pointer) }
        }
    }

    /// A size class: block sizes are the multiples of 64 up to 512, then eight steps to each power of two.
    private struct SizeClass {
        let index: Int, bytes: Int

        static let count = 8 * 56

        init(_ requested: Int) {
            precondition(requested >= 0 && requested <= 1 << 60, "MemoryPool: a block of \(requested) bytes")
            let last = max(requested, 1) - 1
            let exponent = max(9, Int.bitWidth - last.leadingZeroBitCount)  // 2^exponent is the power above
            let shift = max(6, exponent - 4)
            index = (exponent - 9) * 8 + (last >> shift) & 7
            bytes = ((last >> shift) + 1) << shift
        }
    }

    /// Free lists run through the blocks themselves: the first word of a free block is the address of the next.
    /// Addresses are kept as integers, which may cross threads.
    private struct State: Sendable {
        struct FreeList {
            var head: UInt = 0
            var blockBytes = 0
            var lastUse = 0
        }

        var settings: Settings
        var statistics = Statistics()
        var lists = [FreeList](repeating: FreeList(), count: SizeClass.count)
        /// The size of each block that was handed out for less than it has.
        var larger: [UInt: Int] = [:]
        var clock = 0

        /// Counts a block as handed out; its address where a free list had one. A large block may come from a list of
        /// less than twice its size: what one step of a training needs after another has many sizes, and the memory of
        /// each would be kept for itself. Not of twice its size: what is kept in bfloat16 would take the blocks of what
        /// it was rounded from.
        mutating func take(_ sizeClass: SizeClass) -> UInt? {
            touch(sizeClass.index)
            if let block = pop(sizeClass.index) {
                countTaking(sizeClass.bytes)
                return block
            }
            if sizeClass.bytes >= MemoryPool.mappedBytes {
                for index in sizeClass.index + 1..<sizeClass.index + 8 where lists[index].head != 0 {
                    let block = pop(index)!
                    larger[block] = lists[index].blockBytes
                    countTaking(lists[index].blockBytes)
                    return block
                }
            }
            countTaking(sizeClass.bytes)
            return nil
        }

        private mutating func countTaking(_ bytes: Int) {
            statistics.liveBytes += bytes
            statistics.liveBlocks += 1
            statistics.peakLiveBytes = max(statistics.peakLiveBytes, statistics.liveBytes)
        }

        /// Takes a block back, and returns the blocks that no longer fit under the limit.
        mutating func put(_ address: UInt, _ asked: SizeClass) -> [Block] {
            let isLarge = asked.bytes >= MemoryPool.mappedBytes
            let sizeClass = isLarge ? larger.removeValue(forKey: address).map { SizeClass($0) } ?? asked : asked
            countRelease(sizeClass.bytes)
            touch(sizeClass.index)
            UnsafeMutablePointer<UInt>(bitPattern: address)!.pointee = lists[sizeClass.index].head
            lists[sizeClass.index].head = address
            lists[sizeClass.index].blockBytes = sizeClass.bytes
            statistics.cachedBytes += sizeClass.bytes
            return statistics.cachedBytes > settings.keepLimitBytes ? evict(downTo: settings.keepLimitBytes) : []
        }

        mutating func countRelease(_ bytes: Int) {
            statistics.liveBytes -= bytes
            statistics.liveBlocks -= 1
        }

        mutating func evict(downTo limit: Int) -> [Block] {
            var evicted: [Block] = []
            while statistics.cachedBytes > limit {
                let held = lists.indices.filter { lists[$0].head != 0 }
                guard let oldest = held.min(by: { lists[$0].lastUse < lists[$1].lastUse }) else { break }
                while statistics.cachedBytes > limit, let address = pop(oldest) {
                    evicted.append(Block(address: address, bytes: lists[oldest].blockBytes))
                }
            }
            return evicted
        }

        private mutating func pop(_ index: Int) -> UInt? {
            let head = lists[index].head
            if head == 0 { return nil }
            lists[index].head = UnsafeMutablePointer<UInt>(bitPattern: head)!.pointee
            statistics.cachedBytes -= lists[index].blockBytes
            return head
        }

        private mutating func touch(_ index: Int) {
            clock += 1
            lists[index].lastUse = clock
        }
    }

    /// Blocks from this size on are pages mapped for themselves.
    private static let mappedBytes = 1 << 20

    private static func systemAllocate(_ bytes: Int, _ settings: Settings) -> UnsafeMutableRawPointer? {
        if bytes < mappedBytes {
            var pointer: UnsafeMutableRawPointer?
            return posix_memalign(&pointer, 64, bytes) == 0 ? pointer : nil
        }
        let pointer = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let pointer, pointer != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
        if settings.usesHugePages && bytes >= 2 << 20 { madvise(pointer, bytes, MADV_HUGEPAGE) }
        return pointer
    }

    /// Memory of this machine in bytes, or of the control group (container) that the process lives in if that is less.
    public static let machineBytes: Int = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        let groupLimits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].compactMap {
            path in
            guard let file = fopen(path, "r") else { return Int?.none }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 32)
            return fgets(&line, Int32(line.count), file).flatMap { Int(String(cString: $0).filter(\.isNumber)) }
        }
        return groupLimits.filter { $0 > 0 }.reduce(physical, min)
    }()
}
