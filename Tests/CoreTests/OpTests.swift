import FledgeCore
import FledgeTesting
import Foundation
import XCTest

/// Walks the one table of operations: gradients against differences, golden values from PyTorch, CPU against reference.
final class OpTests: XCTestCase {
    private let table = OpTable.all().cases

    func testNamesAreDistinct() {
        var seen = Set<String>()
        for row in table { XCTAssertTrue(seen.insert(row.name).inserted, "two cases are called \(row.name)") }
    }

    func testGradientsAgainstDifferences() {
        for row in table {
            if let failure = row.gradientFailure() { XCTFail("\(row.name): \(failure)") }
        }
    }

    func testCPUAgainstReference() {
        for row in table {
            let found = row.evaluate(.float32, .cpu)
            let expected = row.evaluate(.float32, .reference)
            compare(row, found.values, expected.values, row.tolerance, "value on the CPU")
            compare(row, found.gradients, expected.gradients, row.tolerance, "gradient on the CPU")
        }
    }

    func testGoldenValuesAndGradients() throws {
        let golden = try Golden.load()
        for row in table where !row.isLarge && row.notGolden == nil {
            guard let expected = golden.cases[row.name] else {
                XCTFail("\(row.name) has no row in Golden/ops.py")
                continue
            }
            XCTAssertEqual(row.inputDescriptions, expected.inputs, "\(row.name): inputs differ from Golden/ops.py")
            guard row.inputDescriptions == expected.inputs else { continue }
            for (dtype, device, tolerance) in [
                (DType.float64, Device.reference, 1e-9), (.float32, .cpu, row.tolerance),
            ] {
                let found = row.evaluate(dtype, device)
                compare(row, found.values, expected.outputs.map(\.tensor), tolerance, "\(dtype) value")
                compare(row, found.gradients, expected.gradients.map(\.tensor), tolerance, "\(dtype) gradient")
            }
        }
        let known = Set(table.map(\.name))
        for name in golden.cases.keys.sorted() where !known.contains(name) {
            XCTFail("\(name) of Golden/ops.py is not in the table")
        }
    }

    private func compare(_ row: OpCase, _ found: [Tensor], _ expected: [Tensor], _ tolerance: Double, _ what: String) {
        XCTAssertEqual(found.count, expected.count, "\(row.name): number of \(what)s")
        for (i, (x, y)) in zip(found, expected).enumerated() {
            guard let difference = largestDifference(x, y) else {
                XCTFail("\(row.name): \(what) \(i) has shape \(x.shape), not \(y.shape)")
                continue
            }
            if !(difference <= tolerance) {
                XCTFail("\(row.name): \(what) \(i) is off by \(difference): \(x), not \(y)")
            }
        }
    }

    /// Every public function and operator of `Sources/FledgeCore/Ops` is a row of the table.
    func testEveryOperationIsInTheTable() throws {
        let exceptions = [
            "to": "moves between devices; TensorTests",
            "tryCholesky": "cholesky that throws; LinearAlgebraTests",
        ]
        let covered = Set(table.map(\.operation))
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Sources/FledgeCore/Ops").standardizedFileURL
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".swift") }
        let pattern = try NSRegularExpression(
            pattern: #"^ *public (?:static |prefix )*func `?(\w+|[^\w\s(`]+)|^ *public (subscript)"#,
            options: .anchorsMatchLines)
        var names = Set<String>()
        for file in files {
            let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
            for match in pattern.matches(in: text, range: NSRange(text.startIndex..., in: text)) {
                let range = match.range(at: match.range(at: 1).location == NSNotFound ? 2 : 1)
                names.insert(String(text[Range(range, in: text)!]))
            }
        }
        XCTAssertGreaterThan(names.count, 80, "found too few operations in \(folder.path): \(names.sorted())")
        for name in names.sorted() where !covered.contains(name) && exceptions[name] == nil {
            XCTFail("operation \(name) has no case in Sources/FledgeTesting/OpCases*.swift")
        }
        for name in exceptions.keys { XCTAssertTrue(names.contains(name), "the exception \(name) names no operation") }
        for name in covered.subtracting(names).sorted() { XCTFail("the table's \(name) is no public operation") }
    }
}

/// What `Golden/ops.py` writes.
private struct Golden: Decodable {
    struct Numbers: Decodable {
        let shape: [Int]
        /// Separated by spaces; JSON has no infinity.
        let values: String

        var tensor: Tensor {
            Tensor(float64: values.split(separator: " ").map { Double($0)! }, shape: shape, device: .reference)
        }
    }
    struct Row: Decodable {
        let inputs: [String]
        let outputs: [Numbers]
        let gradients: [Numbers]
    }
    let cases: [String: Row]

    static func load() throws -> Golden {
        let file = try XCTUnwrap(Bundle.module.url(forResource: "ops", withExtension: "json", subdirectory: "Golden"))
        return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: file))
    }
}
