import XCTest

@testable import FledgeCore

/// Products and convolutions against plain loops in double precision.
final class OneDNNTests: XCTestCase {
    // MARK: Matrix products

    func testPlainProductsOfOddSizes() {
        for (m, k, n) in [(1, 1, 1), (1, 7, 3), (5, 1, 4), (3, 9, 1), (17, 33, 65), (64, 64, 64), (130, 3, 2)] {
            checkProduct(Views(a: ([m, k], [k, 1]), b: ([k, n], [n, 1]), c: ([m, n], [n, 1])))
        }
    }

    func testTransposedAndSlicedViewsNeedNoCopy() {
        let (m, k, n) = (6, 10, 15)
        for a in [[k, 1], [1, m], [k + 5, 1], [1, m + 3]] {
            for b in [[n, 1], [1, k], [n + 2, 1], [1, k + 7]] {
                for c in [[n, 1], [n + 4, 1], [1, m], [1, m + 1]] {
                    checkProduct(Views(a: ([m, k], a), b: ([k, n], b), c: ([m, n], c)))
                }
            }
        }
    }

    func testAxesOfSizeOneMayHaveAnyStride() {
        for stride in [1, 3, 1000] {
            checkProduct(Views(a: ([1, 8], [stride, 1]), b: ([8, 5], [5, 1]), c: ([1, 5], [stride, 1])))
            checkProduct(Views(a: ([1, 8], [1, 4]), b: ([8, 5], [5, 1]), c: ([1, 5], [5, 1])))
            checkProduct(Views(a: ([4, 8], [8, 1]), b: ([8, 1], [stride, 1]), c: ([4, 1], [1, stride])))
            checkProduct(Views(a: ([4, 1], [2, stride]), b: ([1, 6], [stride, 1]), c: ([4, 6], [6, 1])))
        }
    }

    func testBatchesAndBroadcasting() {
        let (m, k, n) = (5, 8, 9)
        func dense(_ shape: [Int]) -> (shape: [Int], strides: [Int]) { (shape, rowMajor(shape)) }
        // Equal batches; one side repeated by size 1; by stride 0; both repeated along different axes.
        checkProduct(Views(a: dense([4, m, k]), b: dense([4, k, n]), c: dense([4, m, n])))
        checkProduct(Views(a: dense([4, m, k]), b: dense([1, k, n]), c: dense([4, m, n])))
        checkProduct(Views(a: dense([1, m, k]), b: dense([4, k, n]), c: dense([4, m, n])))
        checkProduct(Views(a: dense([3, 4, m, k]), b: ([3, 4, k, n], [0, 0, n, 1]), c: dense([3, 4, m, n])))
        checkProduct(Views(a: dense([3, 4, m, k]), b: ([3, 4, k, n], [k * n, 0, n, 1]), c: dense([3, 4, m, n])))
        checkProduct(Views(a: dense([3, 1, m, k]), b: dense([1, 4, k, n]), c: dense([3, 4, m, n])))
        checkProduct(Views(a: dense([2, 1, 3, m, k]), b: dense([2, 4, 1, k, n]), c: dense([2, 4, 3, m, n])))
        checkProduct(Views(a: dense([2, 4, 3, m, k]), b: dense([2, 4, 3, k, n]), c: dense([2, 4, 3, m, n])))
        // A batch of vectors against one matrix becomes one product.
        checkProduct(Views(a: dense([6, 1, k]), b: dense([1, k, n]), c: dense([6, 1, n])))
        // The second matrix transposed in every batch.
        checkProduct(Views(a: dense([4, m, k]), b: ([4, k, n], [k * n, 1, k]), c: dense([4, m, n])))
    }

    func testAttentionOnTheFusedProjection() {
        // Queries and keys are slices of one [batch, sequence, 3, heads, width] buffer, seen as [batch, heads, s, w].
        let (batch, s, heads, width) = (2, 7, 3, 8)
        let strides = [s * 3 * heads * width, width, 3 * heads * width, 1]
        checkProduct(
            Views(
                a: ([batch, heads, s, width], strides),
                b: ([batch, heads, width, s], [strides[0], strides[1], 1, strides[2]]),
                c: ([batch, heads, s, s], rowMajor([batch, heads, s, s]))))
    }

    func testBiasAccumulationAndRelu() {
        let views = Views(a: ([6, 11], [11, 1]), b: ([11, 20], [1, 11]), c: ([6, 20], [20, 1]))
        for options in 0..<8 {
            checkProduct(views, bias: options & 1 != 0, accumulate: options & 2 != 0, relu: options & 4 != 0)
        }
        let batched = Views(
            a: ([3, 6, 11], [66, 11, 1]), b: ([3, 11, 20], [220, 20, 1]), c: ([3, 6, 20], [120, 20, 1]))
        checkProduct(batched, bias: true, accumulate: true)
    }

    func testAResultOfColumnsWithABiasIsRightOrRefused() {
        let views = Views(a: ([6, 11], [11, 1]), b: ([11, 20], [20, 1]), c: ([6, 20], [1, 6]))
        if views.run(bias: random(20)).done { checkProduct(views, bias: true) }
    }

    func testStridesWithoutAFastKernelAreRefused() {
        func assertRefused(_ a: [Int], _ b: [Int], _ c: [Int], _ why: String) {
            let result = Views(a: ([4, 6], a), b: ([6, 5], b), c: ([4, 5], c)).run()
            XCTAssertFalse(result.done, why)
            XCTAssertFalse(result.c.contains { $0.isFinite && $0 != Views.marker }, "nothing was written")
        }
        let both = Views(a: ([3, 2, 5], [0, 5, 1]), b: ([3, 5, 4], [0, 4, 1]), c: ([3, 2, 4], [8, 4, 1]))
        XCTAssertFalse(both.run().done, "both repeated along one axis")
        assertRefused([12, 2], [5, 1], [5, 1], "every second column")
        assertRefused([0, 1], [5, 1], [5, 1], "one row repeated")
        assertRefused([6, 1], [0, 1], [5, 1], "one row repeated")
        assertRefused([2, 1], [5, 1], [5, 1], "overlapping windows")
        assertRefused([6, 1], [5, 1], [10, 2], "result in every second column")
    }

    func testBFloat16Products() throws {
        let (m, k, n) = (9, 32, 12)
        let a = random(m * k).map { BFloat($0) }
        let b = random(k * n).map { BFloat($0) }
        var c = [Float](repeating: .nan, count: m * n)
        var rounded = [BFloat](repeating: BFloat(0), count: m * n)
        let left = (shape: [m, k], strides: [k, 1])
        let right = (shape: [k, n], strides: [n, 1])
        let result = (shape: [m, n], strides: [n, 1])
        let done = multiply(a, left, b, right, into: &c, result)
        XCTAssertEqual(done, OneDNN.hasBFloat16)
        try XCTSkipUnless(done, "no native bfloat16 on this processor")
        XCTAssertTrue(multiply(a, left, b, right, into: &rounded, result))
        for i in 0..<m {
            for j in 0..<n {
                let exact = (0..<k).reduce(0.0) { $0 + Double(a[i * k + $1].float) * Double(b[$1 * n + j].float) }
                XCTAssertEqual(Double(c[i * n + j]), exact, accuracy: 1e-5)
                XCTAssertEqual(Double(rounded[i * n + j].float), exact, accuracy: 1 / 256 * max(abs(exact), 0.01))
            }
        }
        XCTAssertFalse(multiply(a.map(\.float), left, b, right, into: &rounded, result), "mixed types")
    }

    func testACachedPrimitiveAndAFreshOneGiveTheSameBytesTenTimes() {
        let views = Views(a: ([40, 70], [70, 1]), b: ([70, 50], [50, 1]), c: ([40, 50], [50, 1]))
        let first = views.run().c
        let prepared = OneDNN.matmuls.count
        for _ in 0..<10 { XCTAssertEqual(views.run().c, first) }
        XCTAssertEqual(OneDNN.matmuls.count, prepared, "found, not made again")
        OneDNN.matmuls.removeAll()
        XCTAssertEqual(views.run().c, first)
    }

    func testTheCacheStartsAgainWhenFull() {
        var cache = OneDNN.Cache<Int, Int>()
        for key in 0..<OneDNN.Cache<Int, Int>.capacity { XCTAssertEqual(cache.plan(key) { key }, key) }
        XCTAssertEqual(cache.plan(3) { 99 }, 3)
        XCTAssertNil(cache.plan(-1) { nil })
        XCTAssertEqual(cache.count, 1)
        XCTAssertNil(cache.plan(-1) { 5 }, "a refusal is remembered")
    }

    func testATinyProductCostsMicroseconds() throws {
        #if DEBUG
            throw XCTSkip("measured in release builds")
        #else
            // Too small for a second thread, so a busy machine cannot spoil the time; re-creation takes 100 or more.
            let views = Views(a: ([4, 4], [4, 1]), b: ([4, 4], [4, 1]), c: ([4, 4], [4, 1]))
            XCTAssertLessThan(views.microsecondsPerCall(), 50)
        #endif
    }

    func testWhatTheLibrarySaysOfItself() {
        XCTAssertTrue(["2.", "3."].contains { OneDNN.version.hasPrefix($0) }, OneDNN.version)
        XCTAssertTrue(OneDNN.maxISA.contains("isa"), OneDNN.maxISA)
        XCTAssertNotNil(OneDNN.matmulImplementationName(m: 8, n: 8, k: 8))
        let g = OneDNN.Convolution(
            batch: 1, inputChannels: 16, outputChannels: 16, inputHeight: 8, inputWidth: 8, kernelHeight: 3,
            kernelWidth: 3)
        XCTAssertNotNil(OneDNN.convolutionImplementationName(g, .backwardWeights))
    }
}

/// Operands of a product as views into buffers just large enough, with gaps between elements filled with a marker that
/// must survive.
private struct Views {
    var a: (shape: [Int], strides: [Int]), b: (shape: [Int], strides: [Int]), c: (shape: [Int], strides: [Int])

    func extent(_ view: (shape: [Int], strides: [Int])) -> Int {
        1 + zip(view.shape, view.strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
    }

    static let marker: Float = 1234.5

    func run(bias: [Float]? = nil, accumulate: Bool = false, relu: Bool = false) -> (
        done: Bool, a: [Float], b: [Float], c: [Float]
    ) {
        let x = random(extent(a), seed: 1)
        let y = random(extent(b), seed: 2)
        var z = [Float](repeating: Self.marker, count: extent(c))
        let old = random(z.count, seed: 3)
        forEachIndex(c.shape) { index in z[offset(index, c)] = accumulate ? old[offset(index, c)] : .nan }
        let done = multiply(x, a, y, b, into: &z, c, bias: bias, accumulate: accumulate, relu: relu)
        return (done, x, y, z)
    }

    func microsecondsPerCall() -> Double {
        let x = random(extent(a), seed: 1)
        let y = random(extent(b), seed: 2)
        var z = [Float](repeating: 0, count: extent(c))
        let times = (0..<20).map { _ in
            ContinuousClock().measure { for _ in 0..<100 { multiply(x, a, y, b, into: &z, c) } }
        }
        return times.min()! / .microseconds(100)
    }
}

/// `OneDNN.matmul` on arrays of Float or BFloat.
@discardableResult
private func multiply<Input, SecondInput, Output>(
    _ a: [Input], _ aView: (shape: [Int], strides: [Int]), _ b: [SecondInput], _ bView: (shape: [Int], strides: [Int]),
    into c: inout [Output], _ cView: (shape: [Int], strides: [Int]), bias: [Float]? = nil, accumulate: Bool = false,
    relu: Bool = false
) -> Bool {
    func type<T>(_: T.Type) -> OneDNN.ElementType { T.self == Float.self ? .float32 : .bfloat16 }
    return a.withUnsafeBytes { a in
        b.withUnsafeBytes { b in
            c.withUnsafeMutableBytes { c in
                OneDNN.matmul(
                    .init(reading: a.baseAddress!, aView.shape, strides: aView.strides, type(Input.self)),
                    .init(reading: b.baseAddress!, bView.shape, strides: bView.strides, type(SecondInput.self)),
                    into: .init(c.baseAddress!, cView.shape, strides: cView.strides, type(Output.self)),
                    bias: bias, accumulate: accumulate, relu: relu)
            }
        }
    }
}

private func checkProduct(
    _ views: Views, bias hasBias: Bool = false, accumulate: Bool = false, relu: Bool = false,
    file: StaticString = #filePath, line: UInt = #line
) {
    let (m, n, k) = (views.c.shape.suffix(2).first!, views.c.shape.last!, views.a.shape.last!)
    let bias = hasBias ? random(n, seed: 4) : nil
    let (done, a, b, c) = views.run(bias: bias, accumulate: accumulate, relu: relu)
    XCTAssertTrue(done, "refused \(views)", file: file, line: line)
    let old = random(c.count, seed: 3)
    var expected = [Float](repeating: Views.marker, count: c.count)
    forEachIndex(Array(views.c.shape.dropLast(2))) { batch in
        let repeated = { (view: (shape: [Int], strides: [Int])) in zip(batch, view.shape).map { $1 == 1 ? 0 : $0 } }
        for i in 0..<m {
            for j in 0..<n {
                var sum = hasBias ? Double(bias![j]) : 0
                for p in 0..<k {
                    sum +=
                        Double(a[offset(repeated(views.a) + [i, p], views.a)])
                        * Double(b[offset(repeated(views.b) + [p, j], views.b)])
                }
                let at = offset(batch + [i, j], views.c)
                if accumulate { sum += Double(old[at]) }
                expected[at] = Float(relu ? max(sum, 0) : sum)
            }
        }
    }
    let worst = zip(c, expected).map { $0 == $1 ? 0 : abs($0 - $1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
    XCTAssertLessThan(worst, 2e-5, "\(views)", file: file, line: line)
}

// MARK: Small helpers, shared with the convolution tests

func rowMajor(_ shape: [Int]) -> [Int] {
    shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
}

private func offset(_ index: [Int], _ view: (shape: [Int], strides: [Int])) -> Int {
    zip(index, view.strides).reduce(0) { $0 + $1.0 * $1.1 }
}

private func forEachIndex(_ shape: [Int], _ body: ([Int]) -> Void) {
    for flat in 0..<shape.reduce(1, *) {
        body(zip(shape, rowMajor(shape)).map { flat / $1 % $0 })
    }
}

/// Uniform numbers in [-1, 1).
func random(_ count: Int, seed: UInt64 = 5) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(state >> 40) / Float(1 << 23) - 1
    }
}

/// A bfloat16 number: the upper half of a float, rounded to nearest even.
struct BFloat: Equatable {
    var bits: UInt16
    init(_ value: Float) { bits = UInt16((value.bitPattern + 0x7FFF + (value.bitPattern >> 16 & 1)) >> 16) }
    var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}
