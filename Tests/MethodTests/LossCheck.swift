import Fledge
import FledgeTesting
import Foundation
import XCTest

/// An input of a loss made by formula: a table of numbers and its shape.
struct Table {
    let values: [Double]
    let shape: [Int]

    init(_ rows: Int, _ columns: Int, _ f: (_ i: Double, _ j: Double) -> Double) {
        values = (0..<rows * columns).map { f(Double($0 / columns), Double($0 % columns)) }
        shape = [rows, columns]
    }

    init(_ values: [Double], _ shape: [Int]) {
        self.values = values
        self.shape = shape
    }

    func tensor(_ device: Device, _ dtype: DType) -> Tensor {
        Tensor(float64: values, shape: shape, device: device).cast(to: dtype)
    }

    /// In float64 on the reference backend.
    var exact: Tensor { tensor(.reference, .float64) }

    /// 8 vectors of 6 numbers, a second view of each, and more vectors of another kind.
    static let za = Table(8, 6) { i, j in sin(1 + 3 * i + 7 * j + 0.5 * i * j) }
    static let zb = Table(8, 6) { i, j in sin(1 + 3 * i + 7 * j + 0.5 * i * j) + 0.3 * cos(0.5 + 2 * i + 5 * j) }
    static func zq(_ rows: Int) -> Table { Table(rows, 6) { i, j in cos(2 + 1.7 * i + 0.9 * j + 0.4 * i * j) } }
}

extension XCTestCase {
    /// A value that was computed in float64 elsewhere, and for each input the sum of the gradient's absolute values and
    /// its first element (nil: no gradient reaches the input). On both backends, and against central differences.
    func checkLoss(
        _ inputs: [Table], value: Double, gradients expected: [(sum: Double, first: Double)?], differences: Bool = true,
        file: StaticString = #filePath, line: UInt = #line, _ loss: @escaping ([Tensor]) -> Tensor
    ) {
        for (device, dtype, tolerance) in [(Device.reference, DType.float64, 2e-6), (.cpu, .float32, 1e-4)] {
            let leaves = inputs.map { $0.tensor(device, dtype).requiringGradient() }
            let result = loss(leaves)
            func equal(_ a: Double, _ b: Double, _ what: String) {
                XCTAssertEqual(
                    a, b, accuracy: tolerance * max(1, abs(b)), "\(what) on \(device)", file: file, line: line)
            }
            equal(result.item(), value, "value")
            for (index, (gradient, wanted)) in zip(gradients(of: result, for: leaves), expected).enumerated() {
                let g = gradient?.doubles() ?? []
                guard let wanted else {
                    XCTAssertTrue(
                        g.allSatisfy { $0 == 0 }, "a gradient reaches input \(index) on \(device)", file: file,
                        line: line)
                    continue
                }
                guard !g.isEmpty else { XCTFail("no gradient for input \(index)", file: file, line: line); continue }
                equal(g.reduce(0) { $0 + abs($1) }, wanted.sum, "gradient of input \(index), sum")
                equal(g[0], wanted.first, "gradient of input \(index), first")
            }
        }
        let differentiated = zip(inputs, expected).map { $1 == nil ? nil : $0.exact }
        if differences {
            let failure = gradientFailure(at: differentiated.compactMap { $0 }) { leaves in
                var rest = leaves[...]
                return loss(zip(inputs, differentiated).map { $1 == nil ? $0.exact : rest.removeFirst() })
            }
            XCTAssertNil(failure, file: file, line: line)
        }
    }

    /// The order of the samples does not matter; where `swaps`, neither does that of two views; where `scales`, neither
    /// does their length.
    func checkSymmetry(
        swaps: Bool = true, scales: Bool = true, file: StaticString = #filePath, line: UInt = #line,
        _ loss: (Tensor, Tensor) -> Tensor
    ) {
        let (a, b) = (Table.za.exact, Table.zb.exact)
        let value = loss(a, b).item()
        let order = [5, 2, 7, 0, 1, 6, 3, 4]
        let permuted = loss(a.indexSelect(axis: 0, order), b.indexSelect(axis: 0, order)).item()
        XCTAssertEqual(permuted, value, accuracy: 1e-10, "the order of the batch", file: file, line: line)
        if swaps {
            XCTAssertEqual(loss(b, a).item(), value, accuracy: 1e-10, "the views", file: file, line: line)
        }
        let scaled = loss(a * 3, b * 3).item()
        if scales {
            XCTAssertEqual(scaled, value, accuracy: 1e-4, "the length", file: file, line: line)
        } else {
            XCTAssertNotEqual(scaled, value, accuracy: 1e-4, "the length", file: file, line: line)
        }
    }
}
