import FledgeData
import FledgeTesting
import XCTest

final class SplitTests: XCTestCase {
    private let data = FeatureDataset(
        features: (0..<90).map(Float.init), width: 1, labels: (0..<90).map { $0 % 10 == 9 ? nil : $0 % 3 },
        classNames: ["a", "b", "c"])

    func testKLabelsOfEveryClass() throws {
        let split = try data.labelledSplit(perClass: 5, seed: 3)
        XCTAssertEqual(split.labelled.count, 15)
        for label in 0..<3 { XCTAssertEqual(split.labelled.filter { data.labels[$0] == label }.count, 5) }
        XCTAssertEqual((split.labelled + split.unlabelled).sorted(), Array(0..<90))
        XCTAssertEqual(split, try data.labelledSplit(perClass: 5, seed: 3))
        XCTAssertNotEqual(split, try data.labelledSplit(perClass: 5, seed: 4))
        let hidden = data.hidingLabels(except: split.labelled)
        XCTAssertEqual(hidden.labelledCount, 15)
        XCTAssertEqual(split.labelled.map { hidden.labels[$0] }, split.labelled.map { data.labels[$0] })
    }

    func testTooFewLabels() {
        guard case .tooFewLabels("a", 27, 28)? = dataError(try data.labelledSplit(perClass: 28, seed: 0)) else {
            return XCTFail("a has 27")
        }
    }

    func testHoldOutIsStratified() {
        let (rest, held) = data.holdOut(fraction: 0.2, seed: 1)
        XCTAssertEqual((rest + held).sorted(), Array(0..<90))
        for label in 0..<3 { XCTAssertEqual(held.filter { data.labels[$0] == label }.count, 5) }
    }

    func testHeldOutTestSplit() throws {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", (0..<40).map { "\($0),\($0 % 2)\n" }.joined())
        var options = DataOptions()
        options.holdOut = 0.25
        let opened = try DataSource.open(folder.path, options: options)
        XCTAssertEqual(opened.train.count, 30)
        XCTAssertEqual(opened.test?.classCounts, [5, 5])
    }

    func testMoments() throws {
        let images = ImageDataset(
            pixels: [0, 255, 255, 0, 51, 51], width: 1, height: 3, channels: 1, labels: [nil, nil], classNames: [])
        let (mean, deviation) = try images.channelMoments()
        XCTAssertEqual(mean[0], 0.4, accuracy: 1e-6)
        XCTAssertEqual(deviation[0], 0.432049, accuracy: 1e-5)
        let rows = FeatureDataset(features: [1, 5, 3, 5], width: 2, labels: [nil, nil], classNames: [])
        XCTAssertEqual(rows.moments().mean, [2, 5])
        XCTAssertEqual(rows.moments().deviation, [1, 1])
    }
}
