import XCTest

@testable import FledgeCore

/// Convolutions in all three directions against plain loops in double precision.
final class OneDNNConvolutionTests: XCTestCase {
    private typealias Convolution = OneDNN.Convolution

    private func geometry(
        _ inputs: Int, _ outputs: Int, _ height: Int, _ width: Int, kernel: (Int, Int), batch: Int = 2,
        _ change: (inout Convolution) -> Void = { _ in }
    ) -> Convolution {
        var g = Convolution(
            batch: batch, inputChannels: inputs, outputChannels: outputs, inputHeight: height, inputWidth: width,
            kernelHeight: kernel.0, kernelWidth: kernel.1)
        change(&g)
        return g
    }

    func testPlain() {
        check(geometry(16, 32, 8, 8, kernel: (3, 3)) { $0.pad(1) })
        check(geometry(3, 16, 9, 7, kernel: (3, 3)) { $0.pad(1) })
        check(geometry(32, 16, 5, 5, kernel: (1, 1)))
    }

    func testOddChannelsAndSizes() {
        check(geometry(1, 1, 4, 4, kernel: (3, 3)))
        check(geometry(5, 7, 6, 11, kernel: (2, 3)))
        check(geometry(17, 33, 5, 4, kernel: (3, 1), batch: 3) { $0.pad(1) })
    }

    func testStrideDilationAndAsymmetricPadding() {
        check(
            geometry(8, 12, 9, 10, kernel: (3, 3)) {
                $0.stride(2)
                $0.pad(1)
            })
        check(
            geometry(3, 24, 15, 15, kernel: (7, 7), batch: 1) {
                $0.stride(2)
                $0.pad(3)
            })
        check(geometry(8, 8, 10, 12, kernel: (3, 3)) { ($0.strideHeight, $0.strideWidth) = (1, 3) })
        check(
            geometry(16, 16, 11, 11, kernel: (3, 3)) {
                ($0.dilationHeight, $0.dilationWidth) = (1, 2)
                $0.pad(2)
            })
        check(
            geometry(6, 10, 7, 8, kernel: (4, 4)) {
                ($0.paddingTop, $0.paddingLeft, $0.paddingBottom, $0.paddingRight) = (1, 0, 2, 3)
            })
        // A size the stride does not divide: the last rows are left out.
        check(geometry(4, 4, 8, 8, kernel: (3, 3)) { $0.stride(2) })
    }

    func testGroups() {
        check(
            geometry(32, 32, 6, 6, kernel: (3, 3)) {
                $0.groups = 2
                $0.pad(1)
            })
        check(
            geometry(6, 9, 5, 6, kernel: (3, 3)) {
                $0.groups = 3
                $0.pad(1)
            })
        check(
            geometry(32, 32, 8, 8, kernel: (3, 3)) {
                $0.groups = 32
                $0.pad(1)
            })
        check(
            geometry(19, 19, 8, 7, kernel: (3, 3)) {
                $0.groups = 19
                $0.pad(1)
                $0.stride(2)
            })
        check(
            geometry(8, 16, 6, 6, kernel: (3, 3)) {
                $0.groups = 8
                $0.pad(1)
            })
    }

    func testOneDimensionIsHeightOne() {
        check(geometry(4, 6, 1, 30, kernel: (1, 5)) { ($0.paddingLeft, $0.paddingRight) = (4, 0) })
        check(
            geometry(16, 16, 1, 33, kernel: (1, 3)) {
                $0.strideWidth = 2
                $0.dilationWidth = 1
            })
    }

    func testNoFastPathIsMissedOnImagesAsTheyAre() throws {
        // The layers of everyday networks must not fall to plain loops.
        let layers = [
            geometry(3, 64, 32, 32, kernel: (3, 3)) { $0.pad(1) },
            geometry(3, 64, 224, 224, kernel: (7, 7), batch: 1) {
                $0.stride(2)
                $0.pad(3)
            },
            geometry(1, 32, 28, 28, kernel: (3, 3)) { $0.pad(1) },
            geometry(64, 128, 16, 16, kernel: (3, 3)) {
                $0.stride(2)
                $0.pad(1)
            },
            geometry(64, 128, 16, 16, kernel: (1, 1)) { $0.stride(2) },
            geometry(96, 96, 14, 14, kernel: (3, 3)) {
                $0.groups = 96
                $0.pad(1)
            },
            geometry(3, 192, 224, 224, kernel: (16, 16), batch: 1) { $0.stride(16) },
            geometry(40, 80, 1, 400, kernel: (1, 5)) { ($0.paddingLeft, $0.paddingRight) = (2, 2) },
            geometry(10, 10, 8, 8, kernel: (3, 3)) {
                $0.groups = 2
                $0.pad(1)
            },
        ]
        for layer in layers {
            for direction in [OneDNN.ConvolutionDirection.forward, .backwardData, .backwardWeights] {
                let name = try XCTUnwrap(OneDNN.convolutionImplementationName(layer, direction))
                XCTAssertFalse(name.hasPrefix("ref"), "\(direction) of \(layer) runs on \(name)")
            }
        }
    }

    func testBFloat16() throws {
        let g = geometry(16, 32, 8, 8, kernel: (3, 3)) { $0.pad(1) }
        let weightCount = g.weightCount
        let x = random(g.sourceCount, seed: 1).map { BFloat($0) }
        let y = random(g.destinationCount, seed: 2).map { BFloat($0) }
        let w = random(weightCount, seed: 3).map { BFloat($0) }
        let (xf, wf, yf) = (x.map(\.float), w.map(\.float), y.map(\.float))

        // Source in bfloat16, master weights in float32: converted on the way in. Result in float32.
        var types = OneDNN.ConvolutionTypes(compute: .bfloat16, source: .bfloat16)
        var forward = [Float](repeating: .nan, count: g.destinationCount)
        let done = OneDNN.convolutionForward(g, source: x, weights: wf, destination: &forward, types: types)
        XCTAssertEqual(done, OneDNN.hasBFloat16)
        try XCTSkipUnless(done, "no native bfloat16 on this processor")
        assertClose(forward, Reference.forward(g, xf, wf, nil), 1e-5)

        // Everything in bfloat16: the same, rounded.
        types = .init(compute: .bfloat16, source: .bfloat16, weights: .bfloat16, destination: .bfloat16)
        var rounded = [BFloat](repeating: BFloat(0), count: g.destinationCount)
        XCTAssertTrue(OneDNN.convolutionForward(g, source: x, weights: w, destination: &rounded, types: types))
        assertClose(rounded.map(\.float), forward, 1.0 / 256)
        var xGradient = [BFloat](repeating: BFloat(0), count: g.sourceCount)
        XCTAssertTrue(
            OneDNN.convolutionBackwardData(
                g, sourceGradient: &xGradient, weights: w, destinationGradient: y, types: types))
        assertClose(xGradient.map(\.float), Reference.backwardData(g, wf, yf), 1.0 / 256)
        types.weights = .float32
        var wGradient = [Float](repeating: .nan, count: weightCount)
        var bias = [Float](repeating: .nan, count: 32)
        XCTAssertTrue(
            OneDNN.convolutionBackwardWeights(
                g, source: x, weightsGradient: &wGradient, biasGradient: &bias, destinationGradient: y, types: types))
        assertClose(wGradient, Reference.backwardWeights(g, xf, yf), 1e-5)
        assertClose(bias, Reference.biasGradient(g, yf), 1e-5)
    }

    func testACachedPlanAndAFreshOneGiveTheSameBytesTenTimes() {
        let g = geometry(16, 48, 9, 9, kernel: (3, 3), batch: 4) { $0.pad(1) }
        func all() -> [[Float]] { run(g) }
        let first = all()
        let prepared = OneDNN.convolutions.count
        for _ in 0..<10 { XCTAssertEqual(all(), first) }
        XCTAssertEqual(OneDNN.convolutions.count, prepared, "found, not made again")
        OneDNN.convolutions.removeAll()
        XCTAssertEqual(all(), first)
    }

    func testBuffersGoBackToThePool() {
        let g = geometry(16, 16, 9, 9, kernel: (3, 3)) { $0.pad(1) }
        let before = MemoryPool.shared.statistics.liveBytes
        _ = run(g)
        XCTAssertEqual(MemoryPool.shared.statistics.liveBytes, before)
    }

    // MARK: Checking

    /// Forward with and without bias, and the three gradients.
    private func run(_ g: Convolution) -> [[Float]] {
        let x = random(g.sourceCount, seed: 1)
        let y = random(g.destinationCount, seed: 2)
        let w = random(g.weightCount, seed: 3)
        let bias = random(g.outputChannels, seed: 4)
        func empty(_ count: Int) -> [Float] { [Float](repeating: .nan, count: count) }
        var plain = empty(y.count)
        var biased = empty(y.count)
        var xGradient = empty(x.count)
        var wGradient = empty(w.count)
        var wGradientAlone = wGradient
        var biasGradient = empty(bias.count)
        XCTAssertTrue(OneDNN.convolutionForward(g, source: x, weights: w, destination: &plain))
        XCTAssertTrue(OneDNN.convolutionForward(g, source: x, weights: w, bias: bias, destination: &biased))
        XCTAssertTrue(
            OneDNN.convolutionBackwardData(g, sourceGradient: &xGradient, weights: w, destinationGradient: y))
        XCTAssertTrue(
            OneDNN.convolutionBackwardWeights(g, source: x, weightsGradient: &wGradientAlone, destinationGradient: y))
        XCTAssertTrue(
            OneDNN.convolutionBackwardWeights(
                g, source: x, weightsGradient: &wGradient, biasGradient: &biasGradient, destinationGradient: y))
        return [plain, biased, xGradient, wGradient, biasGradient, wGradientAlone]
    }

    private func check(_ g: Convolution, file: StaticString = #filePath, line: UInt = #line) {
        let x = random(g.sourceCount, seed: 1)
        let y = random(g.destinationCount, seed: 2)
        let w = random(g.weightCount, seed: 3)
        let bias = random(g.outputChannels, seed: 4)
        let results = run(g)
        assertClose(results[0], Reference.forward(g, x, w, nil), 1e-5, file, line)
        assertClose(results[1], Reference.forward(g, x, w, bias), 1e-5, file, line)
        assertClose(results[2], Reference.backwardData(g, w, y), 1e-5, file, line)
        assertClose(results[3], Reference.backwardWeights(g, x, y), 1e-5, file, line)
        assertClose(results[4], Reference.biasGradient(g, y), 1e-5, file, line)
        assertClose(results[5], Reference.backwardWeights(g, x, y), 1e-5, file, line)
    }

    /// `tolerance` is relative to the largest value.
    private func assertClose(
        _ a: [Float], _ b: [Float], _ tolerance: Float, _ file: StaticString = #filePath, _ line: UInt = #line
    ) {
        let scale = b.map(abs).max() ?? 0
        let worst = zip(a, b).map { abs($0 - $1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
        XCTAssertEqual(a.count, b.count, file: file, line: line)
        XCTAssertLessThanOrEqual(worst, tolerance * scale, file: file, line: line)
    }
}

extension OneDNN.Convolution {
    fileprivate mutating func pad(_ size: Int) {
        (paddingTop, paddingLeft, paddingBottom, paddingRight) = (size, size, size, size)
    }
    fileprivate mutating func stride(_ size: Int) { (strideHeight, strideWidth) = (size, size) }
    fileprivate var sourceCount: Int { batch * inputHeight * inputWidth * inputChannels }
    fileprivate var destinationCount: Int { batch * outputHeight * outputWidth * outputChannels }
    fileprivate var weightCount: Int { outputChannels * (inputChannels / groups) * kernelHeight * kernelWidth }
}

/// The definition, written as loops over every pair of an input and an output that touch.
private enum Reference {
    static func forEachTouch(_ g: OneDNN.Convolution, _ body: (_ x: Int, _ w: Int, _ y: Int) -> Void) {
        let inputs = g.inputChannels / g.groups
        let outputs = g.outputChannels / g.groups
        for n in 0..<g.batch {
            for oh in 0..<g.outputHeight {
                for ow in 0..<g.outputWidth {
                    for kh in 0..<g.kernelHeight {
                        let h = oh * g.strideHeight - g.paddingTop + kh * (g.dilationHeight + 1)
                        if !(0..<g.inputHeight).contains(h) { continue }
                        for kw in 0..<g.kernelWidth {
                            let v = ow * g.strideWidth - g.paddingLeft + kw * (g.dilationWidth + 1)
                            if !(0..<g.inputWidth).contains(v) { continue }
                            for o in 0..<g.outputChannels {
                                for i in 0..<inputs {
                                    body(
                                        ((n * g.inputHeight + h) * g.inputWidth + v) * g.inputChannels
                                            + o / outputs * inputs + i,
                                        ((o * inputs + i) * g.kernelHeight + kh) * g.kernelWidth + kw,
                                        ((n * g.outputHeight + oh) * g.outputWidth + ow) * g.outputChannels + o)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    static func forward(_ g: OneDNN.Convolution, _ x: [Float], _ w: [Float], _ bias: [Float]?) -> [Float] {
        var y = (0..<g.destinationCount).map { Double(bias?[$0 % g.outputChannels] ?? 0) }
        forEachTouch(g) { y[$2] += Double(x[$0]) * Double(w[$1]) }
        return y.map { Float($0) }
    }

    static func backwardData(_ g: OneDNN.Convolution, _ w: [Float], _ y: [Float]) -> [Float] {
        var x = [Double](repeating: 0, count: g.sourceCount)
        forEachTouch(g) { x[$0] += Double(y[$2]) * Double(w[$1]) }
        return x.map { Float($0) }
    }

    static func backwardWeights(_ g: OneDNN.Convolution, _ x: [Float], _ y: [Float]) -> [Float] {
        var w = [Double](repeating: 0, count: g.weightCount)
        forEachTouch(g) { w[$1] += Double(y[$2]) * Double(x[$0]) }
        return w.map { Float($0) }
    }

    static func biasGradient(_ g: OneDNN.Convolution, _ y: [Float]) -> [Float] {
        var bias = [Double](repeating: 0, count: g.outputChannels)
        for (index, value) in y.enumerated() { bias[index % g.outputChannels] += Double(value) }
        return bias.map { Float($0) }
    }
}
