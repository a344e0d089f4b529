import FledgeCore
import FledgeNN
import Foundation
import XCTest

/// A long training must not grow: neither what the engine counts nor what the system sees.
final class MemoryTests: XCTestCase {
    private struct Footprint {
        let tensors = Storage.liveCount
        let nodes = Autograd.liveNodeCount
        let blocks = MemoryPool.shared.statistics.liveBlocks
        let liveBytes = MemoryPool.shared.statistics.liveBytes
        let cachedBytes = MemoryPool.shared.statistics.cachedBytes
        let residentBytes: Int

        init() throws {
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            residentBytes = try XCTUnwrap(Int(fields[1])) * sysconf(Int32(_SC_PAGESIZE))
        }
    }

    func testThousandsOfStepsStayFlat() throws {
        var random = RandomSource(seed: 3)
        let network = Sequential(
            Conv2d(1, 32, kernel: 3, padding: 1, random: &random), BatchNorm(32), ReLU(),
            Conv2d(32, 32, kernel: 3, padding: 1, random: &random), BatchNorm(32), ReLU(), Dropout(0.1),
            Conv2d(32, 16, kernel: 3, stride: 2, padding: 1, random: &random), LayerNorm(16), GELU(),
            GlobalAveragePool(), Linear(16, 4, random: &random))
        let x = Tensor.normal([8, 8, 8, 1], random: &random)
        let labels = Tensor([0, 1, 2, 3, 0, 1, 2, 3])
        let optimizer = Optimizer(AdamW(), for: network, learningRate: 1e-3, weightDecay: 0.01)
        let average = ExponentialMovingAverage(of: network, decay: 0.99)
        var losses: [Double] = []
        func step() {
            let loss = crossEntropy(network(x), labels, labelSmoothing: 0.1)
            loss.backward()
            clipGradients(of: optimizer.parameters, norm: 1)
            optimizer.step()
            optimizer.clearGradients()
            average.update()
            losses.append(loss.item())
        }

        losses.reserveCapacity(5000)
        for _ in 0..<200 { step() }
        var before = try Footprint()
        var growth: [Int] = []
        for _ in 0..<4 {
            for _ in 0..<1000 { step() }
            let after = try Footprint()
            XCTAssertEqual(after.tensors, before.tensors)
            XCTAssertEqual(after.nodes, before.nodes)
            XCTAssertEqual(after.blocks, before.blocks)
            XCTAssertEqual(after.liveBytes, before.liveBytes)
            XCTAssertEqual(after.cachedBytes, before.cachedBytes)
            growth.append(after.residentBytes - before.residentBytes)
            before = after
        }
        // The system may page in code or open a thread's arena at any time, once; what leaks grows in every round.
        XCTAssertLessThan(
            try XCTUnwrap(growth.min()), 256 << 10, "resident memory grew in every round: \(growth) bytes")
        XCTAssertLessThan(losses[1199], losses[0] * 0.8, "the network did not learn, so this was no training")
    }
}
