/// One block of memory from the caching pool. Tensors share it; the last one gives it back.
///
/// `@unchecked Sendable`: the block is written only while a single owner holds it, before any tensor shares it.
public final class Storage: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let byteCount: Int
    /// The elements in another order, for a kernel that reads them again and again. Whoever writes to the block drops it.
    @exclusivity(unchecked) var rearranged: Rearranged?

    init(byteCount: Int) {
        self.byteCount = byteCount
        pointer = MemoryPool.shared.allocateOrStop(byteCount)
        Storage.liveCount += 1
    }

    deinit {
        MemoryPool.shared.release(pointer, byteCount)
        Storage.liveCount -= 1
    }

    /// A copy of the elements from `offset` bytes on in the order that `layout` stands for.
    struct Rearranged {
        let layout: AnyObject
        let offset: Int
        let copy: Storage
    }

    /// How many blocks are alive: what leak tests watch. Exact while the engine's thread is the only one to make tensors.
    @exclusivity(unchecked) public nonisolated(unsafe) private(set) static var liveCount = 0
}
