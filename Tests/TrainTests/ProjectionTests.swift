import FledgeCore
import XCTest

@testable import FledgeTrain

final class ProjectionTests: XCTestCase {
    func testPCAByHand() {
        // Points on the line (3, 4)·t, a little off it along (-4, 3)·s: variances 25·Σt² and 25·Σs².
        let t: [Double] = [-2, -1, 0, 1, 2]
        let s: [Double] = [0.1, -0.2, 0.2, -0.2, 0.1]
        var matrix: [Float] = []
        for i in 0..<5 {
            matrix.append(Float(3 * t[i] - 4 * s[i] + 7))
            matrix.append(Float(4 * t[i] + 3 * s[i] - 1))
        }
        let projected = Projection.pca(matrix, rows: 5, columns: 2)
        // Σts = 0.2 - 0.2 + ... : t·s = -0.2 + 0.2 + 0 - 0.2 + 0.2 = 0, so the axes are exactly these.
        for i in 0..<5 {
            XCTAssertEqual(projected[2 * i], 5 * t[i], accuracy: 1e-5)
            // The largest weight of (-4, 3) / 5 is made positive.
            XCTAssertEqual(projected[2 * i + 1], -5 * s[i], accuracy: 1e-5)
        }
    }

    func testPCAOfLowRankAndTies() {
        let constant = Projection.pca(Array(repeating: 3, count: 12), rows: 4, columns: 3)
        XCTAssertEqual(constant, Array(repeating: 0, count: 8))
        let line = Projection.pca([1, 1, 1, 2, 2, 2, 3, 3, 3], rows: 3, columns: 3)
        XCTAssertEqual(line[0], -3.0.squareRoot(), accuracy: 1e-9)
        XCTAssertEqual(line[1], 0, accuracy: 1e-9)
    }

    func testEigenvectorsOfAKnownMatrix() {
        let (values, vectors) = Projection.symmetricEigen([[2, 1, 0], [1, 2, 0], [0, 0, 5]])
        XCTAssertEqual(values[0], 5, accuracy: 1e-12)
        XCTAssertEqual(values[1], 3, accuracy: 1e-12)
        XCTAssertEqual(values[2], 1, accuracy: 1e-12)
        XCTAssertEqual(abs(vectors[1][0]), 0.5.squareRoot(), accuracy: 1e-12)
        XCTAssertEqual(vectors[1][0], vectors[1][1], accuracy: 1e-12)
        XCTAssertEqual(vectors[2][0], -vectors[2][1], accuracy: 1e-12)
    }

    func testAffinitiesHaveThePerplexityAsked() {
        var random = RandomSource(seed: 3)
        let points = (0..<40).map { _ in random.normal() }
        let distances = points.flatMap { a in points.map { (a - $0) * (a - $0) } }
        let joint = Projection.affinities(distances, 40, perplexity: 10)
        XCTAssertEqual(joint.reduce(0, +), 1, accuracy: 1e-9)
        XCTAssertEqual(joint[3], joint[3 * 40], accuracy: 0)
        XCTAssertEqual(joint[0], 0)
        // Four equal distances: every neighbour equally likely.
        let even = Projection.affinities([0, 1, 1, 1, 0, 1, 1, 1, 0], 3, perplexity: 1.5)
        XCTAssertEqual(even[1], 1.0 / 6, accuracy: 1e-9)
    }

    func testThreeBlobsStaySeparate() {
        var random = RandomSource(seed: 1)
        let columns = 10
        var matrix: [Float] = []
        for blob in 0..<3 {
            for _ in 0..<25 { for j in 0..<columns { matrix.append(Float(random.normal() + (j == blob ? 12 : 0))) } }
        }
        let points = Projection.tsne(matrix, rows: 75, columns: columns, perplexity: 15, iterations: 300)
        XCTAssertTrue(points.allSatisfy(\.isFinite))
        for i in 0..<75 {
            // The 15 nearest points in the plane are of the same blob.
            let nearest = (0..<75).filter { $0 != i }.sorted { distance(points, i, $0) < distance(points, i, $1) }
            XCTAssertEqual(nearest.prefix(15).count { $0 / 25 == i / 25 }, 15)
        }
        XCTAssertEqual(points, Projection.tsne(matrix, rows: 75, columns: columns, perplexity: 15, iterations: 300))
    }

    func testFewPoints() {
        XCTAssertEqual(Projection.tsne([1, 2], rows: 1, columns: 2), [0, 0])
        let four = Projection.tsne([0, 0, 0, 1, 5, 5, 5, 6], rows: 4, columns: 2, iterations: 50)
        XCTAssertTrue(four.allSatisfy(\.isFinite))
    }

    private func distance(_ points: [Double], _ a: Int, _ b: Int) -> Double {
        let dx = points[2 * a] - points[2 * b]
        let dy = points[2 * a + 1] - points[2 * b + 1]
        return dx * dx + dy * dy
    }
}
