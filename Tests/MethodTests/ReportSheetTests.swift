import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import XCTest

@testable import FledgeMethods

/// The pictures in the report of a run without labels.
final class ReportSheetTests: XCTestCase {
    private func decoded(_ sheet: Report.Sheet) throws -> [[UInt8]] {
        try sheet.pictures.map { try ImageCodec.decode($0.png).pixels }
    }

    /// What stands in the sheet is what the methods say: samples in the first column, unchanged where they were seen,
    /// and nearer to the samples than what was seen, after a short training.
    func testReconstructions() throws {
        func sheet<M: Pretraining>(_ method: M, _ context: LearningContext) throws -> Report.Sheet {
            let sheets = try method.learn(context).sheets()
            XCTAssertEqual(sheets.map(\.title), ["What it rebuilds", "What lies together"])
            return sheets[0]
        }
        func distances(_ pictures: [[UInt8]]) -> (seen: Double, rebuilt: Double) {
            var (seen, rebuilt) = (0.0, 0.0)
            for row in stride(from: 0, to: pictures.count, by: 3) {
                for (i, value) in pictures[row].enumerated() {
                    seen += pow(Double(pictures[row + 1][i]) - Double(value), 2)
                    rebuilt += pow(Double(pictures[row + 2][i]) - Double(value), 2)
                }
            }
            return (seen, rebuilt)
        }
        var autoencoder = Autoencoder.Config()
        (autoencoder.training.steps, autoencoder.training.learningRate) = (60, 2e-3)
        autoencoder.noise = 1
        var vae = VAE.Config()
        vae.training.steps = 20
        var mae = MAE.Config()
        (mae.training.steps, mae.batchSize) = (40, 32)
        var hole = ContextEncoder.Config()
        hole.training.steps = 40
        for (name, sheet) in [
            ("autoencoder", try sheet(Autoencoder(autoencoder), Digits.context(perClass: 1))),
            ("vae", try sheet(VAE(vae), Digits.context(perClass: 1))),
            ("mae", try sheet(MAE(mae), Digits.context(perClass: 1, model: "vit-mini"))),
            ("context-encoder", try sheet(ContextEncoder(hole), Digits.context(perClass: 1))),
        ] {
            XCTAssertEqual(sheet.pictures.count, 24, name)
            XCTAssertEqual(sheet.columns, 6, name)
            let pictures = try decoded(sheet)
            XCTAssertTrue(pictures.allSatisfy { $0.count == 64 }, name)
            let found = distances(pictures)
            if name == "vae" {
                XCTAssertEqual(found.seen, 0, name)
                XCTAssertGreaterThan(found.rebuilt, 0, name)
            } else {
                XCTAssertLessThan(found.rebuilt, found.seen * 0.8, name)
            }
        }
    }

    /// In colour, and with four channels, of which three are shown.
    func testReconstructionsInColour() throws {
        var config = Colorization.Config()
        (config.training.steps, config.batchSize) = (2, 16)
        let context = try Scenes.context(perClass: 2, count: 40, size: 16)
        let sheet = try XCTUnwrap(try Colorization(config).learn(context).sheets().first)
        let pictures = try decoded(sheet)
        XCTAssertTrue(pictures.allSatisfy { $0.count == 16 * 16 * 3 })
        // What was seen is grey, of the sample's lightness; what was made of it has that lightness and is coloured.
        for row in stride(from: 0, to: pictures.count, by: 3) {
            let seen = pictures[row + 1]
            for pixel in stride(from: 0, to: seen.count, by: 3) {
                XCTAssertEqual(seen[pixel], seen[pixel + 1])
                XCTAssertEqual(seen[pixel], seen[pixel + 2])
            }
        }
    }

    /// Every row begins with a sample, and the samples behind it are those that a search finds.
    func testNeighbours() throws {
        let context = try Digits.context(perClass: 10, samples: 300)
        let sheet = try XCTUnwrap(try FeatureSheets.neighbours(context))
        XCTAssertEqual(sheet.pictures.count, 36)
        XCTAssertEqual(sheet.columns, 6)
        let features = try Inference.features(context.backbone, context.data.dataset, input: context.input)
            .l2Normalized(axis: -1)
        var random = context.random("neighbour sheet")
        let order = random.permutation(300)
        let images = try XCTUnwrap(context.data.dataset as? ImageDataset)
        let pictures = try decoded(sheet)
        for (row, query) in order.prefix(6).enumerated() {
            let similarities: [Float] = features.matmul(features[query].unsqueezed(axis: 1)).floats()
            let others = (0..<300).filter { $0 != query }
            let wanted = others.sorted { similarities[$0] > similarities[$1] }.prefix(5)
            for (place, sample) in ([query] + Array(wanted)).enumerated() {
                // Sixteen levels of grey are stored, 256 are shown.
                let pixels = try images.image(sample).pixels.map { Double($0) * 255 / 16 }
                for (a, b) in zip(pictures[row * 6 + place], pixels) { XCTAssertEqual(Double(a), b, accuracy: 1) }
            }
            XCTAssertEqual(sheet.pictures[row * 6].caption, context.data.classNames[images.labels[query]!])
            XCTAssertTrue(sheet.pictures[row * 6 + 1].caption.contains(", "))
        }
    }

    func testTablesHaveNoSheets() throws {
        let values = (0..<400).map { Float(sin(Double($0))) }
        let table = FeatureDataset(
            features: values, width: 8, labels: Array(repeating: nil, count: 50), classNames: [], ids: nil)
        let input = try InputSpec(measuring: table)
        var random = RandomSource(seed: 1)
        let context = LearningContext(
            data: TrainingData(dataset: table, labelled: [], input: input),
            backbone: try Models.make("mlp", inputShape: input.shape, random: &random), modelName: "mlp", seed: 1)
        var config = Autoencoder.Config()
        config.training.steps = 2
        XCTAssertTrue(try Autoencoder(config).learn(context).sheets().isEmpty)
    }
}
