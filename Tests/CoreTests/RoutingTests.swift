import CFledgeKernels
import FledgeCore
import FledgeTesting
import XCTest

/// Routing by agreement: the specification's numbers, and the float32 kernels against the definition.
final class RoutingTests: KernelTestCase {
    /// Two capsules of three numbers from three of two, as computed for the specification; sine inputs by formula.
    func testValuesOfTheSpecification() {
        func sines(_ shape: [Int], _ step: Double, _ start: Double) -> Tensor {
            Tensor(float64: (0..<shape.reduce(1, *)).map { sin(step * Double($0) + start) }, shape: shape)
        }
        let expected: [Int: [Double]] = [
            1: [0.085642, 0.151689, 0.062672, -0.099578, -0.149216, -0.046317],
            3: [0.084985, 0.150457, 0.062123, -0.100351, -0.150435, -0.046736],
        ]
        let (u, weight) = (sines([1, 3, 1, 2], 0.37, 0.11), sines([2, 3, 3, 2], 0.53, 0.2))
        let votes = (weight * u).sum(axis: -1).permuted([1, 0, 2]).unsqueezed(axis: 0)
        for (dtype, device) in [(DType.float64, Device.reference), (.float32, .cpu)] {
            for (rounds, capsules) in expected {
                let found = dynamicRouting(votes.to(device).cast(to: dtype), rounds: rounds).doubles()
                for (a, b) in zip(found, capsules) { XCTAssertEqual(a, b, accuracy: 1e-6, "\(rounds) on \(device)") }
            }
        }
    }

    /// Capsules of no length have a finite gradient.
    func testVotesOfZero() {
        let votes = Tensor.zeros([1, 4, 2, 3]).requiringGradient()
        let gradient = gradients(of: dynamicRouting(votes).sum(), for: [votes])[0]!
        XCTAssertTrue(gradient.doubles().allSatisfy { $0.isFinite })
    }

    /// Sizes around the width of vectors, in both orders in which votes may lie.
    func testKernelsAgreeWithTheDefinition() {
        for size in [[1, 1, 1, 1], [2, 5, 3, 2], [3, 16, 10, 16], [2, 33, 2, 17], [5, 40, 7, 5]] {
            for byInput in [false, true] {
                func run(_ dtype: DType, _ device: Device) -> (capsules: Tensor, gradient: Tensor) {
                    let memory = byInput ? [size[1], size[0], size[2], size[3]] : size
                    let x = wave(memory, amplitude: 0.7).to(device).cast(to: dtype).requiringGradient()
                    let y = dynamicRouting(byInput ? x.permuted([1, 0, 2, 3]) : x, rounds: 4)
                    return (y, gradients(of: (y * y + y).sum(), for: [x])[0]!)
                }
                let expected = run(.float64, .reference)
                withThreadCounts {
                    let found = run(.float32, .cpu)
                    let what = "\(size) by input: \(byInput), \(String(cString: fledge_isa_name()))"
                    XCTAssertLessThan(largestDifference(found.capsules, expected.capsules)!, 2e-6, what)
                    let floor = expected.gradient.abs().max().item()
                    XCTAssertLessThan(largestDifference(found.gradient, expected.gradient, floor: floor)!, 5e-6, what)
                }
            }
        }
    }
}
