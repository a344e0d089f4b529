import CFledgeKernels
import FledgeCore
import FledgeTesting
import XCTest

/// Cells over time: the float32 kernels against the definition in float64, at the sizes where they change their ways.
final class RecurrenceTests: KernelTestCase {
    private struct Form {
        var cell: RecurrentCell
        var length = 4, rows = 3, hidden = 5
        var reversed = false, hasBias = true

        var inputs: [Tensor] {
            let width = cell.gates * hidden
            return [
                wave([length, rows, width]), wave([width, hidden], offset: 1, amplitude: 0.4),
                wave([rows, hidden], offset: 2),
            ] + (cell == .lstm ? [wave([rows, hidden], offset: 3)] : [])
                + (hasBias ? [wave([width], offset: 4)] : [])
        }
        /// All outputs in one row.
        func outputs(_ x: [Tensor]) -> Tensor {
            let (output, memory) = recurrence(
                cell, x[0], weight: x[1], bias: hasBias ? x.last : nil, initial: Array(x[2..<2 + cell.states]),
                reversed: reversed)
            return concatenate(([output] + (memory.map { [$0] } ?? [])).map { $0.reshaped([-1]) })
        }
    }

    func testReversedIsTheSameOnReversedInput() {
        for cell in RecurrentCell.allCases {
            let x = Form(cell: cell).inputs
            let turned = stack((0..<4).reversed().map { x[0][$0] })
            func run(_ input: Tensor, reversed: Bool) -> Tensor {
                recurrence(
                    cell, input, weight: x[1], bias: x.last, initial: Array(x[2..<2 + cell.states]), reversed: reversed
                ).output
            }
            let (a, b) = (run(x[0], reversed: true), run(turned, reversed: false))
            XCTAssertEqual(a.doubles(), stack((0..<4).reversed().map { b[$0] }).doubles(), "\(cell)")
        }
    }

    /// Sizes around the widths of vectors and the numbers of rows that the kernels take at a time.
    func testKernelsAgreeWithTheDefinition() {
        let sizes = [(1, 1, 1), (3, 7, 5), (2, 6, 16), (3, 17, 33), (5, 40, 20)]
        for cell in RecurrentCell.allCases {
            for (length, rows, hidden) in sizes {
                for reversed in [false, true] {
                    let form = Form(
                        cell: cell, length: length, rows: rows, hidden: hidden, reversed: reversed,
                        hasBias: reversed || rows > 6)
                    let (expected, exact) = valuesAndGradients(form, .float64, .reference)
                    withThreadCounts {
                        let (found, gradients) = valuesAndGradients(form, .float32, .cpu)
                        let isa = String(cString: fledge_isa_name())
                        XCTAssertLessThan(largestDifference(found, expected)!, 2e-6, "\(form) \(isa)")
                        for (index, (a, b)) in zip(gradients, exact).enumerated() {
                            let floor = b.abs().max().item()
                            XCTAssertLessThan(
                                largestDifference(a, b, floor: floor)!, 5e-6, "\(form) \(isa), gradient \(index)")
                        }
                    }
                }
            }
        }
    }

    /// The last state of the memory alone, and the output alone.
    func testEitherOutputAlone() {
        let form = Form(cell: .lstm)
        for wanted in 0..<2 {
            let found = [(DType.float64, Device.reference), (.float32, .cpu)].map { dtype, device in
                let x = form.inputs.map { $0.to(device).cast(to: dtype).requiringGradient() }
                let (output, memory) = recurrence(.lstm, x[0], weight: x[1], bias: x[4], initial: [x[2], x[3]])
                return gradients(of: (wanted == 0 ? output : memory!).square().sum(), for: x)
            }
            for (a, b) in zip(found[1], found[0]) { XCTAssertLessThan(largestDifference(a!, b!)!, 1e-5) }
        }
    }

    private func valuesAndGradients(
        _ form: Form, _ dtype: DType, _ device: Device
    ) -> (values: Tensor, gradients: [Tensor]) {
        let x = form.inputs.map { $0.to(device).cast(to: dtype).requiringGradient() }
        let y = form.outputs(x)
        return (y, gradients(of: (y * y + y).sum(), for: x).map { $0! })
    }
}
