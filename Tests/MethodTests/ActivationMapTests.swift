import Fledge
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeMethods

/// Maps of where a class is, from what is in a picture.
final class ActivationMapTests: XCTestCase {
    /// [[1, 2], [0, 1]] and [[0, 1], [3, 0]] as the two features of one picture.
    private let features = Tensor(float64: [1, 0, 2, 1, 0, 3, 1, 0], shape: [1, 2, 2, 2], device: .reference)
    private let weights = Tensor(float64: [2, -1], shape: [1, 2], device: .reference)

    func testCAM() {
        let map = classActivationMaps(features, weights: weights)
        XCTAssertEqual(map.doubles(), [2, 3, -3, 2])
        XCTAssertEqual(map.mean().item(), features.mean(axes: [1, 2]).matmul(weights.transposed()).item())
        for (a, b) in zip(normalizedMaps(map).doubles(), [2.0 / 3, 1, 0, 2.0 / 3]) {
            XCTAssertEqual(a, b, accuracy: 1e-9)
        }
        XCTAssertEqual(normalizedMaps(-map.square()).doubles(), [0, 0, 0, 0])
    }

    /// Behind an average and a linear layer it is the rectified map, up to the number of positions; a layer between
    /// changes it; what the score does not depend on has none.
    func testGradCAM() {
        func logit(_ x: Tensor) -> Tensor { x.mean(axes: [1, 2]).matmul(weights.transposed()).squeezed(axis: 1) }
        for (a, b) in zip(gradCAM(features, score: logit).doubles(), [0.5, 0.75, 0, 0.5]) {
            XCTAssertEqual(a, b, accuracy: 1e-12)
        }
        XCTAssertNotEqual(gradCAM(features) { logit($0.square()) }.doubles(), [0.5, 0.75, 0, 0.5])
        let constant = gradCAM(features) { _ in Tensor.zeros([1], dtype: .float64, device: .reference) }
        XCTAssertEqual(constant.doubles(), [0, 0, 0, 0])
    }

    func testPseudoMask() {
        // Two classes on four positions; a third is not in the picture.
        let maps: [Float] = [0.9, 0.1, 1, 0.2, 0.4, 1, 0.04, 0.01, 1, 0.1, 0.2, 1]
        XCTAssertEqual(
            PseudoMask.make(maps, classes: 3, present: [0, 1]), [0, 1, PseudoMask.background, PseudoMask.unknown])
        XCTAssertEqual(PseudoMask.make([1, 1], classes: 1, present: []), [-1, -1])
        let map: [Float] = [
            0, 0, 0, 0.9, 0,
            0.3, 1, 0, 0, 0,
            0, 0.5, 0.1, 0, 0,
        ]
        let box = PseudoMask.box(map, columns: 5)
        XCTAssertEqual(box?.rows, 1...2)
        XCTAssertEqual(box?.columns, 0...1)
        XCTAssertNil(PseudoMask.box([0, 0], columns: 2))
    }

    func testSummedMaps() {
        var random = RandomSource(seed: 1)
        let x = Tensor.normal([2, 4, 6, 1], random: &random)
        // Maps that are the picture itself: at its own scale the sum is twice that.
        for (a, b) in zip(summedMaps(x, scales: [1]) { $0 }.floats(), x.floats()) {
            XCTAssertEqual(a, 2 * b, accuracy: 1e-5)
        }
        XCTAssertEqual(summedMaps(x) { $0.averagePool2D(kernel: (2, 2), stride: (2, 2)) }.shape, [2, 4, 6, 1])
    }

    // MARK: Two digits in a picture

    /// Two convolutions, the second at half the size, and what stands behind them.
    private final class Network: Module {
        let conv: [Conv2d]
        let norm: [BatchNorm]
        let head: Linear

        init(_ classes: Int, random: inout RandomSource) {
            let widths = [16, 32, 32]
            conv = zip(widths, [1] + widths).enumerated().map { i, width in
                Conv2d(width.1, width.0, kernel: 3, stride: i == 1 ? 2 : 1, padding: 1, bias: false, random: &random)
            }
            norm = widths.map { BatchNorm($0) }
            head = Linear(32, classes, random: &random)
        }

        func features(_ x: Tensor) -> Tensor { zip(conv, norm).reduce(x) { $1.1($1.0($0), relu: true) } }
    }

    /// A network that is only told which two of four digits are in a picture points at them.
    func testPointsAtDigits() throws {
        let train = try Digits.data.get().train
        let digits = [0, 1, 4, 7].map { digit in train.labels.indices.filter { train.labels[$0] == digit } }
        let images = try XCTUnwrap(train as? ImageDataset)
        var random = RandomSource(seed: 3)
        let (side, half) = (20, 10)
        // Pictures with a digit in two places that do not overlap, and where each lies.
        func batch(_ count: Int) throws -> (
            pictures: Tensor, tags: Tensor, places: [[(digit: Int, row: Int, column: Int)]]
        ) {
            var pixels = [Float](repeating: 0, count: count * side * side)
            var tags = [Float](repeating: 0, count: count * 4)
            var places: [[(digit: Int, row: Int, column: Int)]] = []
            for n in 0..<count {
                let two = random.permutation(4).prefix(2)
                let corners = random.permutation(4).prefix(2)
                var here: [(digit: Int, row: Int, column: Int)] = []
                for (digit, corner) in zip(two, corners) {
                    let image = try images.image(digits[digit][random.integer(below: digits[digit].count)])
                    let row = corner / 2 * half + random.integer(below: 3)
                    let column = corner % 2 * half + random.integer(below: 3)
                    for y in 0..<8 {
                        for x in 0..<8 {
                            pixels[(n * side + row + y) * side + column + x] = Float(image.pixels[y * 8 + x]) / 16
                        }
                    }
                    tags[n * 4 + digit] = 1
                    here.append((digit, row, column))
                }
                places.append(here)
            }
            return (Tensor(pixels, shape: [count, side, side, 1]), Tensor(tags, shape: [count, 4]), places)
        }
        /// How often the peak lies on its digit, and the mean overlap of seeds with the digits' squares.
        func measure(_ network: Network) throws -> (pointing: Double, overlap: Double) {
            network.eval()
            let (pictures, _, places) = try batch(100)
            let maps = normalizedMaps(
                summedMaps(pictures, scales: [1]) {
                    classActivationMaps(network.features($0), weights: network.head.weight.value)
                })
            let values = maps.floats()
            var (hits, overlaps) = (0, [Double]())
            for (n, here) in places.enumerated() {
                let own = Array(values[(n * side * side * 4)..<((n + 1) * side * side * 4)])
                let mask = PseudoMask.make(own, classes: 4, present: Set(here.map(\.digit)))
                for (digit, row, column) in here {
                    func isInside(_ place: Int) -> Bool {
                        (row..<row + 8).contains(place / side) && (column..<column + 8).contains(place % side)
                    }
                    let peak = (0..<side * side).max { own[$0 * 4 + digit] < own[$1 * 4 + digit] }!
                    if isInside(peak) { hits += 1 }
                    let both = (0..<side * side).count { mask[$0] == digit && isInside($0) }
                    let either = (0..<side * side).count { mask[$0] == digit || isInside($0) }
                    overlaps.append(Double(both) / Double(either))
                }
            }
            return (Double(hits) / 200, overlaps.reduce(0, +) / Double(overlaps.count))
        }
        let network = Network(4, random: &random)
        let untrained = try measure(network)
        network.train()
        let optimizer = Optimizer(AdamW(), for: network, learningRate: 5e-3, weightDecay: 1e-4)
        for _ in 0..<150 {
            let (pictures, tags, _) = try batch(32)
            let logits = network.head(network.features(pictures).globalAveragePool2D())
            binaryCrossEntropyWithLogits(logits, tags).backward()
            optimizer.step()
            optimizer.clearGradients()
        }
        let trained = try measure(network)
        XCTAssertGreaterThan(trained.pointing, 0.85)
        XCTAssertGreaterThan(trained.overlap, 0.3)
        XCTAssertLessThan(untrained.pointing, 0.6)
    }
}
