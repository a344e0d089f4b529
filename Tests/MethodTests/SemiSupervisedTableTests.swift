import FledgeCore
import FledgeData
import FledgeModels
import XCTest

@testable import FledgeMethods
@testable import FledgeTrain

/// Semi-supervised methods on rows of numbers: views are noise and holes, halves are columns.
final class SemiSupervisedTableTests: XCTestCase {
    /// Two classes, apart in each of the two halves of the columns.
    private func context(_ count: Int = 240) throws -> LearningContext {
        var random = RandomSource(seed: 7)
        let labels = (0..<count).map { $0 % 2 }
        let values = labels.flatMap { label in
            (0..<6).map { column in Float(random.normal() + (column % 2 == 0 ? 4 * Double(label) : 0)) }
        }
        let table = FeatureDataset(
            features: values, width: 6, labels: labels.map(Optional.some), classNames: ["low", "high"])
        let input = try InputSpec(measuring: table)
        let backbone = try Models.make("mlp", inputShape: input.shape, random: &random)
        return LearningContext(
            data: TrainingData(
                dataset: table, labelled: try table.labelledSplit(perClass: 4, seed: 1).labelled, input: input),
            backbone: backbone, modelName: "mlp", seed: 3)
    }

    func testEveryMethodLearnsFromRows() throws {
        for entry in Methods.all where entry.info.family == .semiSupervised {
            let names = Set(try entry.fields().map(\.name))
            let settings = ["training.steps=40", "batchSize=16", "threshold=0.5", "rounds=1"].filter {
                names.contains(String($0.prefix { $0 != "=" }))
            }
            let method = try entry.make(nil, settings).method
            let context = try context()
            if entry.info.needs.contains(.images) {
                XCTAssertThrowsError(try method.learn(context)) {
                    XCTAssertEqual($0 as? MethodError, .needsImages(entry.info.name))
                }
                continue
            }
            let model = try method.learn(context).model
            let predicted = Metrics.predictions(
                scores: try model.probabilities(of: context.data.dataset), classes: 2)
            let accuracy = Metrics.accuracy(predicted: predicted, labels: context.data.dataset.labels.map { $0! })
            XCTAssertGreaterThan(accuracy, 0.8, entry.info.name)
        }
    }

    /// Classes that take no part in rebuilding teach nothing about the digits without labels.
    func testM2() throws {
        func run(_ weight: Double) throws -> Double {
            var config = M2.Config()
            (config.batchSize, config.unlabelledRatio, config.unlabelledWeight) = (32, 4, weight)
            config.training.steps = 400
            let context = try Digits.context(perClass: 2, model: "mlp", asRows: true)
            let model = try M2(config).learn(context).model
            return try Digits.accuracy(model.probabilities(of: Digits.test(context)))
        }
        let (whole, labelsAlone) = (try run(1), try run(0))
        XCTAssertGreaterThan(whole, labelsAlone + 0.03)
    }
}
