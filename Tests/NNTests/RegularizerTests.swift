import FledgeCore
import FledgeNN
import FledgeTesting
import XCTest

final class RegularizerTests: XCTestCase {
    private let w = Tensor(float64: [3, -4, 0, 0.5, 0, -0.2], device: .reference)
    private let groups = Grouping.lists([[0, 1], [2], [3, 4, 5]])

    private func expect(_ found: Tensor, _ expected: [Double], line: UInt = #line) {
        for (a, b) in zip(found.doubles(), expected) { XCTAssertEqual(a, b, accuracy: 1e-6, line: line) }
        XCTAssertEqual(found.count, expected.count, line: line)
    }

    // The numbers are those of an independent NumPy implementation.
    func testPenalties() {
        expect(Regularizer.l1(w), [7.7])
        expect(Regularizer.l2(w), [5.028916])
        expect(Regularizer.squaredL2(w), [25.29 / 2])
        expect(Regularizer.groupLasso(groups)(w), [8.003806])
        expect(Regularizer.sparseGroup(groups, l1: 0.5)(w), [8.003806 + 7.7 / 2])
        expect(Regularizer.groupSquares(groups)(w), [25.29])
        expect(Regularizer.groupSquares(groups, weights: [0, 3, 2])(w), [0.58])
        let leaf = w.requiringGradient()
        Regularizer.groupLasso(groups)(leaf).backward()
        expect(leaf.gradient![0..<3], [0.848528, -1.131371, 0])
    }

    func testProximalSteps() {
        expect(Regularizer.l1.proximal(w, 0.3), [2.7, -3.7, 0, 0.2, 0, 0])
        expect(Regularizer.l2.proximal(w, 0.3), [2.821035, -3.761380, 0, 0.470173, 0, -0.188069])
        expect(Regularizer.squaredL2.proximal(w, 0.3), w.doubles().map { $0 / 1.3 })
        expect(Regularizer.groupLasso(groups).proximal(w, 0.3), [2.745442, -3.660589, 0, 0.017549, 0, -0.007020])
        expect(
            Regularizer.sparseGroup(groups, l1: 1 / 3.0).proximal(w, 0.3), [2.646840, -3.559544, 0, 0, 0, 0])
        expect(Regularizer.groupSquares(groups).proximal(w, 0.3), w.doubles().map { $0 / 1.6 })
        expect(
            Regularizer.groupSquares(groups, weights: [0, 1, 2]).proximal(w, 0.3), [3, -4, 0, 0.5 / 2.2, 0, -0.2 / 2.2])
        // Groups of one entry are entries.
        let singles = Grouping.lists((0..<6).map { [$0] })
        expect(Regularizer.groupLasso(singles).proximal(w, 0.3), Regularizer.l1.proximal(w, 0.3).doubles())
        expect(Regularizer.l2.proximal(w, 6), [0, 0, 0, 0, 0, 0])
        expect(Regularizer.l2.proximal(.zeros(like: w), 1), [0, 0, 0, 0, 0, 0])
    }

    /// The proximal step is the minimiser: no neighbour does better.
    func testProximalStepsMinimise() {
        var random = RandomSource(seed: 4)
        let w = wave([2, 4, 2, 1])
        let all: [Regularizer] = [
            .l1, .l2, .squaredL2, .groupSquares(.outputs, weights: [0.5, 2]), .groupLasso(.inputs),
            .groupLasso(.positions), .groupLasso(.blocks(rows: 1, columns: 2)), .groupLasso(.whole),
            .sparseGroup(.outputs, l1: 0.4),
        ]
        for regularizer in all {
            func objective(_ v: Tensor) -> Double { ((v - w).square().sum() * 0.5 + regularizer(v) * 0.3).item() }
            let best = regularizer.proximal(w, 0.3)
            XCTAssertEqual(best.shape, w.shape)
            for _ in 0..<20 {
                let step = Tensor.normal(w.shape, deviation: 0.01, random: &random, dtype: .float64, device: .reference)
                XCTAssertGreaterThan(objective(best + step), objective(best), "\(regularizer)")
            }
            XCTAssertNil(gradientFailure(at: [w]) { regularizer($0[0]) }, "\(regularizer)")
        }
    }

    func testGroupsOfAConvolution() {
        // Entry [o, i, h, w] of a [2, 2, 1, 2] weight.
        let w = Tensor(float64: [3, 4, 0, 0, 6, 8, 5, 12], shape: [2, 2, 1, 2], device: .reference)
        func lasso(_ grouping: Grouping) -> Double { Regularizer.groupLasso(grouping)(w).item() }
        XCTAssertEqual(lasso(.outputs), 2 * 5 + 2 * 269.0.squareRoot(), accuracy: 1e-12)
        XCTAssertEqual(lasso(.inputs), 2 * 125.0.squareRoot() + 2 * 13, accuracy: 1e-12)
        XCTAssertEqual(
            lasso(.positions), 2.0.squareRoot() * (45.0.squareRoot() + 80.0.squareRoot() + 5 + 12), accuracy: 1e-12)
        XCTAssertEqual(lasso(.whole), (8 * 294.0).squareRoot(), accuracy: 1e-12)
        XCTAssertEqual(lasso(.blocks(rows: 1, columns: 1)), 2.0.squareRoot() * (5 + 0 + 10 + 13), accuracy: 1e-12)
        XCTAssertEqual(lasso(.blocks(rows: 2, columns: 1)), lasso(.inputs), accuracy: 1e-12)
        let pruned = Regularizer.groupLasso(.blocks(rows: 1, columns: 1)).proximal(w, 8)
        XCTAssertEqual(pruned.doubles().prefix(4), [0, 0, 0, 0], "a whole block goes")
        XCTAssertTrue(pruned.doubles().suffix(2).allSatisfy { $0 > 0 })
    }

    /// Linear regression with three of ten groups in use: the group lasso finds them, squared L2 does not.
    func testGroupLassoFindsTheSupport() {
        var state: UInt64 = 2
        func uniform() -> Double {
            state = 6_364_136_223_846_793_005 &* state &+ 1_442_695_040_888_963_407
            return (Double(state >> 11) + 0.5) / 9_007_199_254_740_992
        }
        func normal() -> Double {
            let u = uniform()
            return (-2 * log(u)).squareRoot() * cos(2 * .pi * uniform())
        }
        let (n, d) = (120, 40)
        let x = Tensor(float64: (0..<n * d).map { _ in normal() }, shape: [n, d], device: .reference)
        var truth = [Double](repeating: 0, count: d)
        truth.replaceSubrange(0..<4, with: [1, -2, 0.5, 1.5])
        truth.replaceSubrange(12..<16, with: [-1, 1, 2, -0.5])
        truth.replaceSubrange(28..<32, with: [0.8, 0.8, -0.8, 0.8])
        let w = Tensor(float64: truth, device: .reference)
        let noise = Tensor(float64: (0..<n).map { _ in normal() }, device: .reference)
        let y = x.matmul(w) + noise * 0.5
        // With A = X^T X and c = X^T y the gradient is (A b - c) / n.
        let (a, c) = (x.transposed().matmul(x), x.transposed().matmul(y))
        var direction = Tensor.ones([d], dtype: .float64, device: .reference)
        var largest = 0.0
        for _ in 0..<200 {
            let next = a.matmul(direction)
            largest = next.norm().item()
            direction = next / largest
        }
        let rate = Double(n) / largest
        let lambda = 0.1

        func fit(_ regularizer: Regularizer, steps: Int) -> Tensor {
            let parameter = Parameter(.zeros([d], dtype: .float64, device: .reference))
            let named = [Named("b", parameter)]
            let optimizer = Optimizer(SGD(), groups: [ParameterGroup(named)], learningRate: rate)
            optimizer.proximalSteps = [ProximalStep(regularizer, strength: lambda, on: named)]
            for _ in 0..<steps {
                parameter.gradient = (a.matmul(parameter.value.detached()) - c) / Double(n)
                optimizer.step()
            }
            return parameter.value.detached()
        }
        let lasso = fit(.groupLasso(.lists((0..<10).map { g in (0..<4).map { 4 * g + $0 } })), steps: 600)
        let used = (0..<10).filter { g in (0..<4).contains { lasso.doubles()[4 * g + $0] != 0 } }
        XCTAssertEqual(used, [0, 3, 7])
        XCTAssertEqual(lasso.doubles().count { $0 != 0 }, 12)
        XCTAssertEqual((lasso - w).norm().item(), 0.2937, accuracy: 1e-4)
        let ridge = fit(.squaredL2, steps: 600)
        XCTAssertEqual(ridge.doubles().count { $0 != 0 }, 40)
        XCTAssertEqual((ridge - w).norm().item(), 0.4647, accuracy: 1e-4)
    }

    func testDistanceFromStart() {
        func logits(_ a: Double) -> Tensor {
            let values = (0..<12).map { (i: Int) -> Double in
                let (row, column) = (Double(i / 4), Double(i % 4))
                return 2 * sin(a + 3 * row + 7 * column)
            }
            return Tensor(float64: values, shape: [3, 4], device: .reference)
        }
        let parameter = Parameter(logits(2))
        let distance = DistanceFromStart(strength: 1, of: [Named("w", parameter)])
        XCTAssertEqual(distance().item(), 0)
        parameter.value = logits(1)
        XCTAssertEqual(distance().item(), 11.203521, accuracy: 1e-6)
        distance().backward()
        XCTAssertLessThan(largestDifference(parameter.gradient!, logits(1) - logits(2))!, 1e-12)
    }

    func testPenaltyOverParameters() {
        let parameters = [Named("a", Parameter(w)), Named("b", Parameter(w * 2))]
        let total = penalty(.l1, strength: 0.1, on: parameters)
        XCTAssertEqual(total.item(), 0.1 * 7.7 * 3, accuracy: 1e-12)
        total.backward()
        XCTAssertEqual(parameters[1].item.gradient!.doubles(), w.sign().doubles().map { $0 * 0.1 })
    }
}
