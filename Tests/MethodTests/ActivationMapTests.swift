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

    /// Where a picture is flat each position takes the plain mean of those around it; an edge stops the spreading.
    func testRefinedMaps() {
        let spot = Tensor([0, 0, 0, 0, 8, 0, 0, 0, 0] as [Float], shape: [1, 3, 3, 1])
        let flat = refinedMaps(spot, by: .ones([1, 3, 3, 2]), steps: 1, distances: [1]).floats()
        for (a, b) in zip(flat, [1, 1, 1, 1, 0, 1, 1, 1, 1] as [Float]) { XCTAssertEqual(a, b, accuracy: 1e-5) }
        // Black on the left, white on the right, a spot at the edge of the white.
        let columns = (0..<8).map { $0 < 4 ? Float(0) : 1 }
        let picture = Tensor((0..<6).flatMap { _ in columns }, shape: [1, 6, 8, 1])
        var values = [Float](repeating: 0, count: 48)
        values[2 * 8 + 4] = 1
        let map = refinedMaps(Tensor(values, shape: [1, 6, 8, 1]), by: picture, steps: 20, distances: [1, 2]).floats()
        for (value, colour) in zip(map, (0..<6).flatMap { _ in columns }) {
            if colour == 0 { XCTAssertLessThan(value, 1e-3) } else { XCTAssertGreaterThan(value, 1e-2) }
        }
    }

    // MARK: Two digits in a picture

    /// Pictures of two different digits in two quarters of a black square, and the digit of every position of ink.
    private struct TwoDigits {
        let pictures: Tensor
        let tags: [Set<Int>]
        /// Rows of positions: a class or the background.
        let truth: [Int]
        /// The class in whose square a position lies, likewise.
        let squares: [Int]

        init(
            _ count: Int, of classes: [Int], from dataset: ImageDataset, side: Int, random: inout RandomSource
        ) throws {
            let samples = classes.map { digit in dataset.labels.indices.filter { dataset.labels[$0] == digit } }
            let size = dataset.uniformSize!.width
            var pixels = [Float](repeating: 0, count: count * side * side)
            var truth = [Int](repeating: PseudoMask.background, count: pixels.count)
            var squares = truth
            var tags: [Set<Int>] = []
            for n in 0..<count {
                let two = Array(random.permutation(classes.count).prefix(2))
                for (digit, corner) in zip(two, random.permutation(4)) {
                    let image = try dataset.image(samples[digit][random.integer(below: samples[digit].count)])
                    let brightest = Float(image.pixels.max()!)
                    let row = corner / 2 * (side / 2) + random.integer(below: side / 2 - size + 1)
                    let column = corner % 2 * (side / 2) + random.integer(below: side / 2 - size + 1)
                    for (i, value) in image.pixels.enumerated() {
                        let place = (n * side + row + i / size) * side + column + i % size
                        pixels[place] = Float(value) / brightest
                        if pixels[place] > 0.3 { truth[place] = digit }
                        squares[place] = digit
                    }
                }
                tags.append(Set(two))
            }
            pictures = Tensor(pixels, shape: [count, side, side, 1])
            self.tags = tags
            self.truth = truth
            self.squares = squares
        }

        /// Over the classes and the background, the mean of what answer and truth share of what either has.
        func meanOverlap(_ answer: [Int], classes: Int) -> Double {
            let shares = (PseudoMask.background..<classes).map { c in
                let both = zip(answer, truth).count { $0 == c && $1 == c }
                let either = zip(answer, truth).count { $0 == c || $1 == c }
                return Double(both) / Double(max(either, 1))
            }
            return shares.reduce(0, +) / Double(shares.count)
        }

        /// How often the highest point of a tag's map lies in the square of its digit.
        func pointing(_ maps: Tensor) -> Double {
            let (values, classes) = (maps.floats(), maps.shape[3])
            let positions = truth.count / tags.count
            var hits = 0
            for (n, present) in tags.enumerated() {
                for c in present {
                    let peak = (n * positions..<(n + 1) * positions).max {
                        values[$0 * classes + c] < values[$1 * classes + c]
                    }!
                    if squares[peak] == c { hits += 1 }
                }
            }
            return Double(hits) / Double(tags.reduce(0) { $0 + $1.count })
        }
    }

    /// A network that is only told which two digits are in a picture finds where their ink is. With FLEDGE_DIGITS set to
    /// a folder of MNIST, all ten digits of it, in three draws of pictures.
    func testFindsInkOfDigits() throws {
        let folder = ProcessInfo.processInfo.environment["FLEDGE_DIGITS"]
        let data = try folder.map { try DataSource.open($0) } ?? Digits.data.get()
        let train = try XCTUnwrap(data.train as? ImageDataset)
        let test = try XCTUnwrap(data.test as? ImageDataset)
        let digits = folder == nil ? [0, 1, 4, 7] : Array(0..<10)
        let side = folder == nil ? 20 : 56
        for draw in folder == nil ? [3] : [3, 4, 5] {
            var random = RandomSource(seed: UInt64(draw))
            let given = try TwoDigits(folder == nil ? 300 : 2000, of: digits, from: train, side: side, random: &random)
            let asked = try TwoDigits(folder == nil ? 100 : 500, of: digits, from: test, side: side, random: &random)
            func learn(_ tagSteps: Int, tags: [Set<Int>]) -> (pointing: Double, overlap: Double) {
                var settings = WeakSegmenter.Settings()
                settings.tagSteps = tagSteps
                settings.roundSteps = folder == nil ? 150 : 300
                let segmenter = WeakSegmenter(given.pictures, tags: tags, classes: digits.count, settings: settings)
                return (
                    asked.pointing(segmenter.maps(asked.pictures)),
                    asked.meanOverlap(segmenter(asked.pictures), classes: digits.count)
                )
            }
            let found = learn(folder == nil ? 300 : 1200, tags: given.tags)
            print("points at the digit \(found.pointing), mean overlap \(found.overlap)")
            XCTAssertGreaterThan(found.pointing, 0.85)
            XCTAssertGreaterThan(found.overlap, 0.5)
            guard folder == nil else { continue }
            // Tags of other pictures say nothing about these.
            let wrong = learn(100, tags: Array(given.tags.dropFirst() + given.tags.prefix(1)))
            XCTAssertLessThan(wrong.overlap, 0.3)
        }
    }
}
