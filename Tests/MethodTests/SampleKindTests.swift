import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTesting
import FledgeTrain
import XCTest

@testable import FledgeMethods

/// Learning without labels takes what people have: arrays of grey, colour and four-channel pictures and a flat folder of
/// photos, without a label and without a test split.
final class SampleKindTests: XCTestCase {
    /// Two steps on what lies there, and the features of it afterwards.
    private func learn(_ name: String, _ path: String, overrides: [String] = []) throws -> LearningResult {
        let data = try DataSource.open(path)
        XCTAssertNil(data.test)
        XCTAssertEqual(data.train.labelledCount, 0)
        let entry = try Methods.entry(named: name)
        let input = try InputSpec(measuring: data.train, size: 16)
        let model = entry.info.network ?? "small-conv"
        var random = RandomSource(seed: 1)
        let context = LearningContext(
            data: TrainingData(dataset: data.train, labelled: [], input: input),
            backbone: try Models.make(model, inputShape: input.shape, random: &random), modelName: model, seed: 1)
        let result = try entry.make(nil, ["training.steps=2", "batchSize=8"] + overrides).method.learn(context)
        let features = try result.model.features(of: data.train)
        XCTAssertEqual(features.shape[0], data.train.count)
        XCTAssertTrue(features.floats().allSatisfy(\.isFinite))

        // The model comes back as it was, and the report has its pictures.
        let folder = try TemporaryFolder()
        try result.model.save(to: folder.path + "/m.safetensors")
        let loaded = try FittedModel.load(from: folder.path + "/m.safetensors")
        XCTAssertEqual(try loaded.features(of: data.train).floats(), features.floats())
        XCTAssertEqual(try result.sheets().count, name == "mae" ? 2 : 1)
        return result
    }

    func testArraysOfOneThreeAndFourChannels() throws {
        for shape in [[24, 16, 16], [24, 16, 16, 3], [24, 3, 16, 16], [24, 16, 16, 4], [24, 4, 16, 16]] {
            let folder = try TemporaryFolder()
            let count = shape.reduce(1, *)
            try folder.write("x.npy", NpyArray((0..<count).map { UInt8($0 * 37 % 251) }, shape: shape).npyBytes())
            for name in ["simclr", "mae", "relative-patch"] {
                let result = try learn(name, folder.path)
                let channels = shape.count == 3 ? 1 : shape[1] == 16 ? shape[3] : shape[1]
                XCTAssertEqual(result.model.input.shape, [16, 16, channels], "\(name) on \(shape)")
                let dead = result.warnings.contains { $0.contains("cannot act") || $0.contains("grayscale") }
                XCTAssertFalse(dead && channels > 1, "\(name) on \(shape): \(result.warnings)")
            }
        }
    }

    /// Colours are made of three channels, no fewer and no more.
    func testColorizationTakesThreeChannels() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "x.npy", NpyArray([UInt8](repeating: 7, count: 8 * 256 * 4), shape: [8, 16, 16, 4]).npyBytes())
        XCTAssertThrowsError(try learn("colorization", folder.path)) {
            XCTAssertEqual($0 as? MethodError, .needsColour("colorization"))
        }
    }

    func testFlatFolderOfPhotos() throws {
        let folder = try TemporaryFolder()
        for i in 0..<12 {
            let (width, height) = (20 + i, 30 - i)
            let pixels = (0..<width * height * 3).map { UInt8(($0 * (i + 3)) % 251) }
            try folder.write(
                "IMG_\(i).jpg",
                try ImageCodec.jpeg(ImageBuffer(width: width, height: height, channels: 3, pixels: pixels)))
        }
        for name in ["simclr", "mae"] {
            XCTAssertEqual(try learn(name, folder.path).model.input.shape, [16, 16, 3], name)
        }
    }
}
