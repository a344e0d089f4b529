import XCTest

@testable import FledgeCore

final class MemoryPoolTests: XCTestCase {
    func testEverySizeIsAlignedWritableAndLosesAtMostAnEighth() throws {
        let pool = MemoryPool()
        for bytes in [0, 1, 63, 64, 65, 511, 512, 513, 577, 4096, 32769, 1 << 20, (1 << 20) + 1, 9_999_999] {
            let before = pool.statistics.liveBytes
            let block = try pool.allocate(bytes)
            XCTAssertEqual(UInt(bitPattern: block) % 64, 0)
            memset(block, 0xAB, bytes)
            let taken = pool.statistics.liveBytes - before
            XCTAssertGreaterThanOrEqual(taken, bytes)
            XCTAssertLessThanOrEqual(taken, max(bytes + 64, bytes + bytes / 8))
            XCTAssertEqual(taken % 64, 0)
            if taken >= 1 << 20 { XCTAssertEqual(taken % 4096, 0) }
            pool.release(block, bytes)
        }
        XCTAssertEqual(pool.statistics.liveBytes, 0)
        XCTAssertEqual(pool.statistics.liveBlocks, 0)
    }

    func testAReleasedBlockIsHandedOutAgainWithinItsClass() throws {
        let pool = MemoryPool()
        let first = try pool.allocate(1000)
        pool.release(first, 1000)
        XCTAssertEqual(pool.statistics.cachedBytes, 1024)
        let other = try pool.allocate(700)
        XCTAssertNotEqual(other, first, "another class")
        let second = try pool.allocate(1024)
        XCTAssertEqual(second, first, "the same class, 961 to 1024 bytes")
        XCTAssertEqual(pool.statistics.cachedBytes, 0)
        XCTAssertEqual(pool.statistics.liveBlocks, 2)
        pool.release(second, 1024)
        pool.release(other, 700)
    }

    func testALargeBlockIsHandedOutForMoreThanHalf() throws {
        let pool = MemoryPool()
        let large = try pool.allocate(4 << 20)
        pool.release(large, 4 << 20)
        for bytes in [3 << 20, 9 << 18, 4 << 20] {
            XCTAssertEqual(try pool.allocate(bytes), large, "\(bytes)")
            XCTAssertEqual(pool.statistics.liveBytes, 4 << 20)
            XCTAssertEqual(pool.statistics.cachedBytes, 0)
            pool.release(large, bytes)
            XCTAssertEqual(pool.statistics.liveBytes, 0)
            XCTAssertEqual(pool.statistics.cachedBytes, 4 << 20)
        }
        let small = try pool.allocate(2 << 20)
        XCTAssertNotEqual(small, large)
        // A block of the size that was asked for comes first.
        let exact = try pool.allocate(3 << 20)
        let other = try pool.allocate(3 << 20)
        pool.release(exact, 3 << 20)
        pool.release(other, 3 << 20)
        XCTAssertEqual(Set([try pool.allocate(3 << 20), try pool.allocate(3 << 20)]), [exact, other])
        pool.release(small, 2 << 20)
        for block in [exact, other] { pool.release(block, 3 << 20) }
    }

    func testPeakAndTrim() throws {
        let pool = MemoryPool()
        let a = try pool.allocate(1 << 20)
        let b = try pool.allocate(1 << 20)
        pool.release(a, 1 << 20)
        XCTAssertEqual(
            pool.statistics,
            .init(liveBytes: 1 << 20, peakLiveBytes: 2 << 20, cachedBytes: 1 << 20, liveBlocks: 1))
        pool.resetPeak()
        XCTAssertEqual(pool.statistics.peakLiveBytes, 1 << 20)
        pool.release(b, 1 << 20)
        pool.trim()
        XCTAssertEqual(pool.statistics.cachedBytes, 0)
    }

    func testKeepsNoMoreThanItsLimitAndDropsTheSizesUnusedForLongest() throws {
        let pool = MemoryPool()
        pool.settings.keepLimitBytes = 3000
        let blocks = try [1024, 2048, 512].map { try pool.allocate($0) }
        for (block, bytes) in zip(blocks, [1024, 2048, 512]) { pool.release(block, bytes) }
        XCTAssertEqual(pool.statistics.cachedBytes, 2560, "the 1024 went, as the oldest")
        pool.settings.keepLimitBytes = 600
        XCTAssertEqual(pool.statistics.cachedBytes, 512)
    }

    func testAnImpossibleRequestThrowsAndLeavesTheCountsRight() throws {
        let pool = MemoryPool()
        pool.settings.liveLimitBytes = 1 << 20
        let held = try pool.allocate(1000)
        XCTAssertThrowsError(try pool.allocate(1 << 20)) { error in
            let error = error as? OutOfMemory
            XCTAssertEqual(error?.requestedBytes, 1 << 20)
            XCTAssertEqual(error?.liveBytes, 1024)
            XCTAssertEqual(error?.limitBytes, 1 << 20)
            XCTAssertTrue(error!.description.contains("1048576 bytes"))
        }
        pool.settings.liveLimitBytes = .max
        XCTAssertThrowsError(try pool.allocate(1 << 50)) { XCTAssertNil(($0 as? OutOfMemory)?.limitBytes) }
        XCTAssertEqual(pool.statistics.liveBytes, 1024)
        XCTAssertEqual(pool.statistics.liveBlocks, 1)
        pool.release(held, 1000)
    }

    func testHugePagesAreUsable() throws {
        let pool = MemoryPool()
        pool.settings.usesHugePages = true
        let block = try pool.allocate(5 << 20)
        memset(block, 1, 5 << 20)
        pool.release(block, 5 << 20)
    }

    func testManyThreadsNeverShareABlock() throws {
        let pool = MemoryPool()
        let failures = Failures()
        DispatchQueue.concurrentPerform(iterations: 8) { worker in
            var state = UInt64(worker + 1)
            for _ in 0..<2000 {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                let count = 1 + Int(state >> 33) % 300
                let block = pool.allocateOrStop(count * 8).assumingMemoryBound(to: UInt64.self)
                for index in 0..<count { block[index] = state }
                for index in 0..<count where block[index] != state { failures.add() }
                pool.release(block, count * 8)
            }
        }
        XCTAssertEqual(failures.count, 0)
        XCTAssertEqual(pool.statistics.liveBytes, 0)
    }

    private final class Failures: @unchecked Sendable {  // guarded by its lock
        private let lock = NSLock()
        private(set) var count = 0
        func add() { lock.withLock { count += 1 } }
    }
}
