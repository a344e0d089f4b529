import Foundation
import XCTest

@testable import FledgeCore

final class TensorTests: XCTestCase {
    // MARK: Creation

    func testCreation() {
        for device in Device.allCases {
            XCTAssertEqual(Tensor([1, 2, 3] as [Float], device: device).dtype, .float32)
            XCTAssertEqual(Tensor([1, 2, 3], device: device).dtype, .int64)
            XCTAssertEqual(Tensor([1, 2, 3] as [UInt8], device: device).dtype, .uint8)
            XCTAssertEqual(Tensor([1, 2, 3] as [Int32], device: device).dtype, .int32)
            XCTAssertEqual(Tensor([true, false], device: device).ints(), [1, 0])
            XCTAssertEqual(Tensor(float64: [0.1], device: device).item(), 0.1)
            XCTAssertEqual(Tensor(0.1, device: device).item(), Double(Float(0.1)))
            XCTAssertEqual(Tensor(0.1, device: device).shape, [])
            XCTAssertEqual(Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3], device: device).strides, [3, 1])
            for dtype in DType.allCases {
                XCTAssertEqual(Tensor.zeros([2, 2], dtype: dtype, device: device).doubles(), [0, 0, 0, 0])
                XCTAssertEqual(Tensor.ones([2, 2], dtype: dtype, device: device).doubles(), [1, 1, 1, 1])
                XCTAssertEqual(Tensor.zeros([0, 2], dtype: dtype, device: device).doubles(), [])
                let two = Tensor.full([3], 2, dtype: dtype, device: device)
                XCTAssertEqual(two.doubles(), dtype == .bool ? [1, 1, 1] : [2, 2, 2])
                XCTAssertEqual(Tensor.zeros(like: two).dtype, dtype)
                XCTAssertEqual(Tensor.ones(like: two).device, device)
            }
            XCTAssertEqual(Tensor.arange(4, device: device).ints(), [0, 1, 2, 3])
            XCTAssertEqual(Tensor.arange(1, 2, step: 0.25, device: device).doubles(), [1, 1.25, 1.5, 1.75])
            XCTAssertEqual(Tensor.arange(3, 0, step: -1, dtype: .int32, device: device).ints(), [3, 2, 1])
            XCTAssertEqual(Tensor.arange(3, 3, device: device).shape, [0])
            XCTAssertEqual(Tensor.linspace(0, 1, count: 5, device: device).doubles(), [0, 0.25, 0.5, 0.75, 1])
            XCTAssertEqual(Tensor.linspace(2, 3, count: 1, device: device).doubles(), [2])
            XCTAssertEqual(Tensor.eye(2, device: device).doubles(), [1, 0, 0, 1])
        }
        let bytes: [UInt8] = [0, 0, 128, 63, 0, 0, 0, 192]
        XCTAssertEqual(bytes.withUnsafeBytes { Tensor(bytes: $0, shape: [2], dtype: .float32) }.floats(), [1, -2])
    }

    func testRandomTensorsDoNotDependOnTheDevice() {
        for dtype in [DType.float32, .float64] {
            var streams = [RandomSource(seed: 3), RandomSource(seed: 3)]
            XCTAssertEqual(
                Tensor.uniform([5, 3], -1, 1, random: &streams[0], dtype: dtype, device: .cpu).doubles(),
                Tensor.uniform([5, 3], -1, 1, random: &streams[1], dtype: dtype, device: .reference).doubles())
            XCTAssertEqual(
                Tensor.normal([7], mean: 2, deviation: 3, random: &streams[0], dtype: dtype, device: .cpu).doubles(),
                Tensor.normal([7], mean: 2, deviation: 3, random: &streams[1], dtype: dtype, device: .reference)
                    .doubles())
            XCTAssertEqual(streams[0], streams[1])
        }
    }

    // MARK: Host access

    func testHostAccess() {
        let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        XCTAssertEqual(x.transposed().floats(), [1, 4, 2, 5, 3, 6])
        XCTAssertEqual(x.transposed().array(Float.self), [1, 4, 2, 5, 3, 6])
        XCTAssertEqual(x[1].doubles(), [4, 5, 6])
        XCTAssertEqual(x[1, 2].item(), 6)
        XCTAssertEqual(x.dimension(-1), 3)
        XCTAssertEqual(x.count, 6)
        // Contiguous parts are lent without a copy, others in row-major order.
        x[1].withElements(Float.self) { elements in
            XCTAssertEqual(UnsafeRawPointer(elements.baseAddress!), UnsafeRawPointer(x.pointer + 12))
        }
        x.transposed().withElements(Float.self) { XCTAssertEqual(Array($0), [1, 4, 2, 5, 3, 6]) }
        x.withBytes { XCTAssertEqual($0.count, 24) }
        x[0..., 1].withBytes { XCTAssertEqual(Array($0.bindMemory(to: Float.self)), [2, 5]) }
        Tensor.zeros([0]).withElements(Float.self) { XCTAssertEqual($0.count, 0) }
    }

    // MARK: Views

    func testViewsShareMemory() {
        let x = Tensor(Array(0..<24), shape: [2, 3, 4])
        let views: [(String, Tensor)] = [
            ("permuted", x.permuted([2, 0, 1])), ("transposed", x.transposed()), ("subscript", x[1, 1..<3]),
            ("steps", x[TensorIndex.ellipsis, TensorIndex.range(0, nil, step: 2)]),
            ("narrowed", x.narrowed(axis: 1, start: 1, length: 2)),
            ("expanded", x.unsqueezed(axis: 0).expanded(to: [5, 2, 3, 4])), ("reshaped", x.reshaped([6, 4])),
            ("moved", x.movedAxis(from: 0, to: -1)), ("split", x.split(3, axis: 1)[1]),
            ("chunked", x.chunked(2, axis: 2)[1]),
            ("flattened", x.flattened(0...1)), ("squeezed", x[0..<1].squeezed(axis: 0)), ("detached", x.detached()),
            ("contiguous", x.contiguous()), ("reference", x.to(.reference)),
        ]
        for (name, view) in views { XCTAssertTrue(view.storage === x.storage, name) }
        for (name, copy) in [
            ("copied", x.copied()), ("contiguous", x.transposed().contiguous()), ("flipped", x.flipped(axes: [0])),
        ] {
            XCTAssertFalse(copy.storage === x.storage, name)
            XCTAssertTrue(copy.isContiguous, name)
        }
    }

    /// Every row of the golden file: values in row-major order, and no copy where NumPy makes none.
    func testReshapedAsNumPy() throws {
        let file = try XCTUnwrap(Bundle.module.url(forResource: "views", withExtension: "json", subdirectory: "Golden"))
        let rows = try XCTUnwrap(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [[Any]])
        XCTAssertGreaterThan(rows.count, 100)
        for row in rows {
            let shape = try XCTUnwrap(row[0] as? [Int])
            let step = try XCTUnwrap(row[1] as? Int)
            let order = try XCTUnwrap(row[2] as? [Int])
            let target = try XCTUnwrap(row[3] as? [Int])
            let isView = try XCTUnwrap(row[4] as? Bool)
            let full = Array(shape.dropLast()) + [shape[shape.count - 1] * step]
            let memory = Tensor.arange(full.elementCount).reshaped(full)
            let x = memory[TensorIndex.ellipsis, TensorIndex.range(0, nil, step: step)].permuted(order)
            let y = x.reshaped(target)
            let name = "\(shape) step \(step) permuted \(order) reshaped \(target)"
            XCTAssertEqual(y.shape, target, name)
            XCTAssertEqual(y.ints(), x.ints(), name)
            XCTAssertEqual(y.storage === memory.storage, isView, name)
        }
    }

    func testSlicing() {
        let x = Tensor(Array(0..<24), shape: [2, 3, 4])
        XCTAssertEqual(x[-1, -1, -1].item(), 23)
        XCTAssertEqual(x[0, 1].ints(), [4, 5, 6, 7])
        XCTAssertEqual(x[1..., 0, ...1].ints(), [12, 13])
        XCTAssertEqual(x[0, ..<2, 1...2].ints(), [1, 2, 5, 6])
        XCTAssertEqual(
            x[TensorIndex.all, TensorIndex.at(0), TensorIndex.range(-2, nil, step: 1)].ints(), [2, 3, 14, 15])
        XCTAssertEqual(x[TensorIndex.newAxis, 0, TensorIndex.newAxis].shape, [1, 1, 3, 4])
        XCTAssertEqual(x[TensorIndex.ellipsis, 3].shape, [2, 3])
        XCTAssertEqual(x[0..<0].shape, [0, 3, 4])
        XCTAssertEqual(x[TensorIndex.ellipsis].ints(), Array(0..<24))
    }

    // MARK: Types

    func testCasts() {
        for device in Device.allCases {
            let x = Tensor(float64: [-1.7, -0.2, 0, 0.2, 3.9], device: device)
            XCTAssertEqual(x.cast(to: .int32).ints(), [-1, 0, 0, 0, 3])
            XCTAssertEqual(x.cast(to: .int64).ints(), [-1, 0, 0, 0, 3])
            XCTAssertEqual(x.cast(to: .bool).ints(), [1, 1, 0, 1, 1])
            XCTAssertEqual(x.cast(to: .float32).doubles(), x.doubles().map { Double(Float($0)) })
            let large = (1 << 53) + 1
            XCTAssertEqual(Tensor([large], device: device).cast(to: .int64).ints(), [large])
            XCTAssertEqual(Tensor([large, -7], device: device).cast(to: .int32).ints(), [1, -7])
            XCTAssertEqual(Tensor([300, -1], device: device).cast(to: .uint8).ints(), [44, 255])
            XCTAssertEqual(Tensor([true, false], device: device).cast(to: .float32).floats(), [1, 0])
            XCTAssertEqual(Tensor([0, 2] as [UInt8], device: device).cast(to: .bool).cast(to: .uint8).ints(), [0, 1])
        }
    }

    /// Round to nearest, ties to even; bfloat16 has 8 bits of precision.
    func testBfloat16Rounding() {
        let cases: [(Double, Double)] = [
            (1, 1), (1 + 0x1p-8, 1), (1 + 3 * 0x1p-8, 1 + 0x1p-6), (1 + 0x1p-8 + 0x1p-20, 1 + 0x1p-7),
            (-1 - 0x1p-8, -1), (-(1 + 3 * 0x1p-8), -(1 + 0x1p-6)), (0, 0), (0x1p-126, 0x1p-126), (0x1p-133, 0x1p-133),
            (Double(Float.greatestFiniteMagnitude), .infinity), (.infinity, .infinity), (-.infinity, -.infinity),
            (3.14159, 3.140625), (65535, 65536),
        ]
        for device in Device.allCases {
            for source in [DType.float32, .float64] {
                for (value, expected) in cases {
                    let rounded = Tensor(value, dtype: source, device: device).cast(to: .bfloat16)
                    XCTAssertEqual(rounded.item(), expected, "\(value) from \(source) on \(device)")
                    XCTAssertEqual(rounded.cast(to: .float32).item(), expected)
                }
                XCTAssertTrue(Tensor(.nan, dtype: source, device: device).cast(to: .bfloat16).item().isNaN)
                XCTAssertEqual(Tensor(-0.0, dtype: source, device: device).cast(to: .bfloat16).item().sign, .minus)
            }
        }
    }

    func testIntegerArithmeticIsExact() {
        for device in Device.allCases {
            let big = Tensor([(1 << 60) + 1, 5], device: device)
            XCTAssertEqual((big + Tensor([1, -7], device: device)).ints(), [(1 << 60) + 2, -2])
            XCTAssertEqual((big - Tensor([1 << 60, 6], device: device)).ints(), [1, -1])
            XCTAssertEqual((big .== Tensor([1 << 60, 5], device: device)).ints(), [0, 1])
            XCTAssertEqual(Tensor([250, 10] as [UInt8], device: device).sum().ints(), [260], "sums do not wrap")
            XCTAssertEqual(
                (Tensor([250] as [UInt8], device: device) + Tensor([10] as [UInt8], device: device)).ints(), [4])
            XCTAssertEqual(Tensor([3, -4, 0], device: device).abs().ints(), [3, 4, 0])
            XCTAssertEqual(Tensor([3, 5], device: device).max().item(), 5)
            XCTAssertEqual((Tensor([3, 5], device: device) * 2 + 1).ints(), [7, 11])
        }
    }

    func testDevicesKeepHistory() {
        let x = Tensor([1, 2] as [Float], device: .cpu).requiringGradient()
        let y = (x * 3).to(.reference)
        XCTAssertEqual(y.device, .reference)
        (y * y).sum().backward()
        XCTAssertEqual(x.gradient!.floats(), [18, 36])
        XCTAssertEqual(x.gradient!.device, .cpu)
    }

    // MARK: Printing

    func testPrinting() {
        XCTAssertEqual("\(Tensor([1, 2.5, -0.125] as [Float]))", "Tensor([1., 2.5, -0.125], shape [3], float32)")
        XCTAssertEqual(
            "\(Tensor([1, 2, 3, 4], shape: [2, 2]))", "Tensor([[1, 2],\n        [3, 4]], shape [2, 2], int64)")
        XCTAssertEqual("\(Tensor([true, false]))", "Tensor([true, false], shape [2], bool)")
        XCTAssertEqual("\(Tensor(3))", "Tensor(3., shape [], float32)")
        XCTAssertEqual("\(Tensor.zeros([0, 2]))", "Tensor([], shape [0, 2], float32)")
        XCTAssertEqual("\(Tensor([.nan, -.infinity] as [Float]))", "Tensor([nan, -inf], shape [2], float32)")
        XCTAssertEqual("\(Tensor.arange(20))", "Tensor([0, 1, 2, ..., 17, 18, 19], shape [20], int64)")
        XCTAssertEqual("\(Tensor(1.0 / 3))", "Tensor(0.3333, shape [], float32)")
    }
}
