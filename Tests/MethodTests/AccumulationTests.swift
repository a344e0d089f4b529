import FledgeCore
import FledgeData
import XCTest

@testable import FledgeMethods
@testable import FledgeTrain

/// Updates whose gradients are averaged over several batches.
final class AccumulationTests: XCTestCase {
    /// An epoch is a pass over the data whatever the number of batches in an update, and each of these draws numbers of its
    /// own.
    func testAccumulation() throws {
        final class Drawing: TrainingTask {
            let base: any TrainingTask
            var feeds: [Feed] { base.feeds }
            var drawn: [UInt64] = []
            init(_ base: any TrainingTask) { self.base = base }
            func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
                var random = context.random.stream("test")
                drawn.append(random.next())
                return try base.step(batches, context)
            }
        }
        func draws(accumulation: Int) throws -> [UInt64] {
            var config = Supervised.Config()
            config.batchSize = 16
            (config.training.steps, config.training.epochs, config.training.accumulation) = (0, 6, accumulation)
            let context = try Digits.context(perClass: 2, samples: 200)
            let task = Drawing(Supervised.Task(config, context))
            let trainer = Trainer(task, data: context.data, settings: config.training, seed: 5, workers: 0)
            try trainer.run()
            XCTAssertEqual(trainer.step * accumulation, task.drawn.count)
            return task.drawn
        }
        // 20 labels in batches of 16, six epochs.
        let alone = try draws(accumulation: 1)
        let together = try draws(accumulation: 3)
        XCTAssertEqual(alone.count, 6)
        XCTAssertEqual(together.count, 6)
        XCTAssertEqual(Set(together).count, 6)
        XCTAssertEqual(together[0], alone[0])
        XCTAssertEqual(together[3], alone[1])
    }
}
