/// One block of memory from the caching pool. Tensors share it; the last one gives it back.
///
/// `@unchecked Sendable`: the block is written only while a single owner holds it, before any tensor shares it.
public final class Storage: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let byteCount: Int

    init(byteCount: Int) {
        self.byteCount = byteCount
        pointer = MemoryPool.shared.allocateOrStop(byteCount)
        Storage.liveCount += 1
    }

    deinit {
        MemoryPool.shared.release(pointer, byteCount)
        Storage.liveCount -= 1
    }

    /// How many blocks are alive: what leak tests watch. Exact while the engine's thread is the only one to make tensors.
    @exclusivity(unchecked) public nonisolated(unsafe) private(set) static var liveCount = 0
}
