import FledgeTesting
import XCTest

@testable import FledgeCore

final class EinsumTests: XCTestCase {
    /// The definition: loops over all values of all letters.
    private func loops(_ equation: String, _ operands: [Tensor]) -> Tensor {
        let sides = equation.split(separator: ">", omittingEmptySubsequences: false).map {
            $0.filter { $0.isLetter || $0 == "," }
        }
        let inputs = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(Array.init)
        let output = Array(sides[1])
        var lengths: [Character: Int] = [:]
        for (labels, operand) in zip(inputs, operands) { for (l, n) in zip(labels, operand.shape) { lengths[l] = n } }
        let letters = lengths.keys.sorted()
        let values = operands.map { $0.doubles() }
        let shape = output.map { lengths[$0]! }
        var result = [Double](repeating: 0, count: shape.elementCount)
        for place in 0..<letters.map({ lengths[$0]! }).elementCount {
            var index: [Character: Int] = [:]
            var rest = place
            for letter in letters {
                index[letter] = rest % lengths[letter]!
                rest /= lengths[letter]!
            }
            func flat(_ labels: [Character]) -> Int { labels.reduce(0) { $0 * lengths[$1]! + index[$1]! } }
            result[flat(output)] += zip(inputs, values).reduce(1) { $0 * $1.1[flat($1.0)] }
        }
        return Tensor(float64: result, shape: shape, device: .reference)
    }

    func testAgainstLoops() {
        let length: [Character: Int] = ["a": 2, "b": 3, "i": 4, "j": 3, "k": 2, "l": 5]
        let equations = [
            "ij->ij", "ij->ji", "ij->i", "ij->j", "ij->", "ii->i", "ii->", "aii->a", "iai->ai", "iii->i", "i,j->ij",
            "i,i->", "i,i->i", "ij,j->i", "ik,kj->ij", "ik,kj->ji", "ik,jk->ij", "ki,kj->ij", "ij,ij->", "ij,ij->ij",
            "ij,ji->", "aik,akj->aij", "aik,kj->aij", "abik,abjk->abij", "aibk,bkja->jib", "ij,kl->ijkl", "ij,k->ik",
            "iij,jk->ik", "i,ij,j->", "ai,bi,ki->abk", "aik,kj,jl->ail", "ij,->ij",
            "aik,aij,ajk->ak",
        ]
        for equation in equations {
            let inputs = equation.prefix { $0 != "-" }.split(separator: ",", omittingEmptySubsequences: false)
            let operands = inputs.enumerated().map { n, labels in wave(labels.map { length[$0]! }, offset: Double(n)) }
            let found = einsum(equation, operands)
            let expected = loops(equation, operands)
            XCTAssertEqual(found.shape, expected.shape, equation)
            XCTAssertLessThan(largestDifference(found, expected) ?? .infinity, 1e-12, equation)
            XCTAssertNil(gradientFailure(at: operands) { einsum(equation, $0) }, equation)
        }
        XCTAssertNil(
            gradientFailure(at: [wave([2, 3, 4]), wave([2, 4, 2], offset: 1)], secondOrder: true) {
                einsum("aik,akj->ija", $0[0], $0[1])
            })
    }

    func testImplicitResult() {
        let (a, b) = (wave([3, 4]), wave([4, 2], offset: 1))
        XCTAssertEqual(einsum("ki,ij", a, b).doubles(), einsum("ki,ij->jk", a, b).doubles())
        XCTAssertEqual(einsum("ba", a).doubles(), a.transposed().doubles())
        XCTAssertEqual(einsum(" i k , k j ", a, b).doubles(), a.matmul(b).doubles())
        XCTAssertEqual(einsum("ii", wave([3, 3])).shape, [])
    }

    func testEllipsis() {
        let (a, b) = (wave([2, 1, 3, 4]), wave([5, 4, 2], offset: 1))
        XCTAssertEqual(einsum("...ik,...kj->...ij", a, b).doubles(), a.matmul(b).doubles())
        XCTAssertEqual(einsum("...ik,...kj", a, b).shape, [2, 5, 3, 2])
        XCTAssertEqual(einsum("...ij->...ji", a).doubles(), a.transposed().doubles())
        XCTAssertEqual(einsum("...i->i...", a).doubles(), a.movedAxis(from: -1, to: 0).doubles())
        XCTAssertLessThan(
            largestDifference(einsum("...ik,...kj->ij", a, b), a.matmul(b).sum(axes: [0, 1]))!, 1e-12)
        XCTAssertEqual(
            einsum("...,...->...", a, Tensor(2, dtype: .float64, device: .reference)).doubles(), (a * 2).doubles())
        XCTAssertNil(gradientFailure(at: [a, b]) { einsum("...ik,...kj->...ij", $0[0], $0[1]) })
    }

    func testIntegersAndEmptyAxes() {
        let a = Tensor([1, 2, 3], device: .reference)
        XCTAssertEqual(einsum("i,j->ij", a, a).ints(), [1, 2, 3, 2, 4, 6, 3, 6, 9])
        let none = Tensor.zeros([2, 0], device: .reference)
        XCTAssertEqual(einsum("ik,jk->ij", none, none).floats(), [0, 0, 0, 0])
        XCTAssertEqual(einsum("ik,ij->kj", none, none).shape, [0, 0])
    }

    func testDiagonals() {
        let x = wave([2, 3, 4])
        let values = x.doubles()
        for offset in -2...3 {
            let rows = (0..<3).filter { $0 + offset >= 0 && $0 + offset < 4 }
            let expected = (0..<2).flatMap { b in rows.map { values[b * 12 + $0 * 4 + $0 + offset] } }
            XCTAssertEqual(x.diagonal(offset: offset).doubles(), expected)
            XCTAssertEqual(x.diagonal(offset: offset).shape, [2, rows.count])
            XCTAssertNil(gradientFailure(at: [x], secondOrder: true) { $0[0].square().diagonal(offset: offset) })
        }
        XCTAssertEqual(x.diagonal(offset: 4).shape, [2, 0])
        XCTAssertEqual(x.diagonal(axes: (2, 0)).doubles(), x.permuted([1, 2, 0]).diagonal().doubles())
        XCTAssertEqual(
            Tensor([1, 2] as [Float]).diagonalMatrix().floats(), [1, 0, 0, 2])
        XCTAssertEqual(wave([2, 3]).diagonalMatrix().diagonal().doubles(), waves([2, 3]))
        XCTAssertNil(gradientFailure(at: [wave([2, 3])], secondOrder: true) { $0[0].square().diagonalMatrix() })
        XCTAssertEqual(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]).trace().item(), 5)
    }
}
