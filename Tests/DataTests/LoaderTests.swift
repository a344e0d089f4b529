import FledgeCore
import FledgeData
import FledgeTesting
import XCTest

final class LoaderTests: XCTestCase {
    private func dataset(_ count: Int) -> ImageDataset {
        let images = (0..<count).map { pattern(12, 10, channels: 3, salt: $0) }
        return ImageDataset(
            pixels: images.flatMap(\.pixels), width: 12, height: 10, channels: 3, labels: (0..<count).map { $0 % 3 },
            classNames: ["a", "b", "c"])
    }

    private let views = [Augmentation.simclr(size: 8, strength: 1), Augmentation.strong(size: 8)]

    func testAnyNumberOfWorkersGivesTheSameBytes() throws {
        let data = dataset(25)
        var runs: [[Batch]] = []
        for workers in [0, 1, 4] {
            let loader = Loader(data, batchSize: 4, views: views, seed: 9, workers: workers)
            let stream = loader.stream(from: 2, to: 15)
            var batches: [Batch] = []
            while let batch = try stream.next() { batches.append(batch) }
            XCTAssertEqual(batches.map(\.step), Array(2..<15))
            runs.append(batches)
        }
        XCTAssertEqual(runs[0], runs[1])
        XCTAssertEqual(runs[0], runs[2])
        // A step alone is the same as in a stream, and another seed is another order and other views.
        XCTAssertEqual(try Loader(data, batchSize: 4, views: views, seed: 9).batch(at: 7), runs[0][5])
        let other = try Loader(data, batchSize: 4, views: views, seed: 10).batch(at: 7)
        XCTAssertNotEqual(other.indices, runs[0][5].indices)
        XCTAssertNotEqual(other.views, runs[0][5].views)
    }

    func testEveryEpochIsAPermutation() throws {
        let loader = Loader(dataset(24), batchSize: 5, seed: 1, remainder: .keep)
        XCTAssertEqual(loader.batchesPerEpoch, 5)
        var orders: [[Int]] = []
        for epoch in 0..<3 {
            let steps = (epoch * 5)..<(epoch * 5 + 5)
            let samples = steps.flatMap { loader.samples(ofStep: $0) }
            XCTAssertEqual(samples.map(\.index).sorted(), Array(0..<24))
            XCTAssertTrue(samples.allSatisfy { $0.epoch == epoch })
            orders.append(samples.map(\.index))
        }
        XCTAssertEqual(Set(orders).count, 3)
        XCTAssertEqual(loader.samples(ofStep: 4).count, 4)
    }

    func testDropLeavesOutTheRemainder() {
        let loader = Loader(dataset(24), batchSize: 5, seed: 1, remainder: .drop)
        XCTAssertEqual(loader.batchesPerEpoch, 4)
        XCTAssertEqual(Set((0..<4).flatMap { loader.samples(ofStep: $0) }.map(\.index)).count, 20)
        XCTAssertTrue(loader.samples(ofStep: 4).allSatisfy { $0.epoch == 1 })
    }

    func testWrapFillsBatchesLargerThanTheData() throws {
        let loader = Loader(dataset(30), indices: [3, 4, 5], batchSize: 7, seed: 1, remainder: .wrap)
        let samples = (0..<3).flatMap { loader.samples(ofStep: $0) }
        XCTAssertEqual(samples.map(\.epoch), (0..<21).map { $0 / 3 })
        for epoch in 0..<7 {
            XCTAssertEqual(samples.filter { $0.epoch == epoch }.map(\.index).sorted(), [3, 4, 5])
        }
        XCTAssertEqual(try loader.batch(at: 0).labels, samples.prefix(7).map { $0.index % 3 })
    }

    /// What weighs more by being listed several times is augmented each time; what is listed once is as it was.
    func testRepeatedSamplesAreSeenDifferently() throws {
        let data = dataset(6)
        let repeated = try Loader(
            data, indices: [2, 4, 2, 2], batchSize: 4, views: views, seed: 3, shuffle: false
        ).batch(at: 0)
        let once = try Loader(data, indices: [2, 4], batchSize: 2, views: views, seed: 3, shuffle: false).batch(at: 0)
        for view in views.indices {
            let size = repeated.views[view].count / 4
            let rows = (0..<4).map { Array(repeated.views[view][$0 * size..<($0 + 1) * size]) }
            XCTAssertEqual(rows[0] + rows[1], once.views[view])
            XCTAssertEqual(Set(rows).count, 4)
        }
    }

    func testOrderWithoutShuffle() throws {
        let loader = Loader(dataset(7), batchSize: 3, seed: 1, shuffle: false, remainder: .keep)
        let stream = loader.epoch(1)
        var seen: [Int] = []
        while let batch = try stream.next() { seen += batch.indices }
        XCTAssertEqual(seen, Array(0..<7))
        XCTAssertGreaterThan(stream.waitSeconds, 0)
    }

    func testShapesAndValues() throws {
        let data = dataset(4)
        let batch = try Loader(data, batchSize: 2, seed: 1, shuffle: false).batch(at: 1)
        XCTAssertEqual(batch.shapes, [[2, 10, 12, 3]])
        XCTAssertEqual(batch.tensor().shape, [2, 10, 12, 3])
        XCTAssertEqual(batch.tensor().floats(), batch.views[0])
        XCTAssertEqual(batch.labelTensor().ints(), [2, 0])
        XCTAssertEqual(batch.views[0], try (data.image(2).pixels + data.image(3).pixels).map { Float($0) * (1 / 255) })
    }

    func testAWorkersErrorNamesTheFile() throws {
        let folder = try TemporaryFolder()
        for name in ["a/1", "a/2", "b/1", "b/2"] {
            // Different sizes and no cache, so that files are read again while training.
            let side = name.hasSuffix("1") ? 8 : 9
            try folder.write("\(name).png", ImageCodec.png(pattern(side, side, channels: 1)))
        }
        var options = DataOptions()
        options.cacheLimit = 0
        let data = try DataSource.open(folder.path, options: options)
        try folder.write("b/1.png", [1, 2, 3])
        for workers in [0, 2] {
            let loader = Loader(
                data.train, batchSize: 4, views: [.none(size: 8)], seed: 1, remainder: .keep, workers: workers)
            let stream = loader.stream()
            let error = dataError(try stream.next() as Any)
            XCTAssertTrue(error?.path?.hasSuffix("b/1.png") == true, "\(String(describing: error))")
            XCTAssertEqual(stream.nextStep, 0)
        }
    }

    func testFeaturesAreLoaded() throws {
        let data = FeatureDataset(
            features: [1, 2, 3, 4, 5, 6], width: 2, labels: [0, nil, 1], classNames: ["no", "yes"])
        let view = Augmentation([]).normalized(mean: [1, 2], deviation: [2, 4])
        let batch = try Loader(data, batchSize: 3, views: [view], seed: 1, shuffle: false).batch(at: 0)
        XCTAssertEqual(batch.shapes, [[3, 2]])
        XCTAssertEqual(batch.views[0], [0, 0, 1, 0.5, 2, 1])
        XCTAssertEqual(batch.labels, [0, -1, 1])
    }
}
