import FledgeCore
import FledgeTrain
import XCTest

@testable import FledgeMethods

/// `training.precision`: a vision transformer learns as well with products of bfloat16, and really has them.
final class PrecisionLearningTests: XCTestCase {
    func testVisionTransformerLearnsTheSame() throws {
        if !Engine.hasBFloat16 { throw XCTSkip("needs a processor with products of bfloat16") }
        func train(_ precision: Precision) throws -> [Float] {
            var config = Supervised.Config()
            (config.training.steps, config.training.precision) = (100, precision)
            (config.view, config.training.learningRate) = (.plain, 0.002)
            let context = try Digits.context(perClass: 40, model: "vit-mini")
            return try Supervised(config).learn(context).model.probabilities(of: Digits.test())
        }
        let (full, rounded) = (try train(.float32), try train(.bfloat16))
        let accuracy = try Digits.accuracy(full)
        XCTAssertGreaterThan(accuracy, 0.4)
        XCTAssertEqual(try Digits.accuracy(rounded), accuracy, accuracy: 0.06)
        XCTAssertNotEqual(rounded, full)
        XCTAssertEqual(Engine.precision, .float32)
    }
}
