import CFledgeKernels
import Foundation
import Synchronization
import XCTest

@testable import FledgeCore

/// Beside threads that never rest, the engine's threads stop spinning, and results stay the same.
final class CrowdTests: XCTestCase {
    func testWaitsBrieflyInACrowd() throws {
        if Engine.threads < 2 { throw XCTSkip("needs two threads") }
        var random = RandomSource(seed: 2)
        let x = Tensor.normal([512, 512], random: &random)
        func work() -> [Double] { x.exp().softmax().doubles() }
        let expected = work()

        let crowd = Crowd(ProcessInfo.processInfo.activeProcessorCount)
        defer { crowd.stop() }
        let start = Date()
        while fledge_is_crowded() == 0, Date().timeIntervalSince(start) < 20 { XCTAssertEqual(work(), expected) }
        XCTAssertEqual(fledge_is_crowded(), 1)
        for _ in 0..<20 { XCTAssertEqual(work(), expected) }
    }

    /// Threads that keep every processor busy.
    private final class Crowd: Sendable {
        private let isOver = Atomic(false)

        init(_ count: Int) {
            for _ in 0..<count {
                Thread { [self] in while !isOver.load(ordering: .relaxed) {} }.start()
            }
        }

        func stop() { isOver.store(true, ordering: .relaxed) }
    }
}
