import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation
import XCTest

@testable import FledgeMethods

/// What self-supervised methods share.
final class PretrainingPartsTests: XCTestCase {
    private let za = Table.za.exact, zb = Table.zb.exact

    /// Values computed in float64 from the papers' formulas.
    func testHealthValues() {
        let health = FeatureHealth(za, others: zb)
        XCTAssertEqual(health.rank, 5.231532, accuracy: 1e-5)
        XCTAssertEqual(health.spread / 6.0.squareRoot(), 0.431699, accuracy: 1e-5)
        XCTAssertEqual(health.alignment!, 0.100185, accuracy: 1e-6)
        XCTAssertEqual(health.uniformity, -3.042816, accuracy: 1e-5)
    }

    func testHealthNamesWhatIsWrong() {
        let ruler = LossRuler(uninformative: log(15), formula: "ln 15")
        XCTAssertEqual(ruler.learned(log(15)), 0)
        XCTAssertEqual(ruler.learned(0), 1)
        let sound = FeatureHealth(za)
        XCTAssertEqual(sound.warnings(loss: 0.5, ruler: ruler, spread: 0.9), [])
        XCTAssertTrue(sound.warnings(loss: 2.70, ruler: ruler, spread: 0.9).contains { $0.contains("ln 15 = 2.7081") })
        XCTAssertTrue(sound.warnings(loss: 0.5, ruler: nil, spread: 0.05)[0].hasPrefix("collapse"))
        let same = FeatureHealth(.ones([8, 6]) + za.cast(to: .float32).to(.cpu) * 1e-4)
        XCTAssertTrue(same.warnings(loss: nil, ruler: nil, spread: nil)[0].hasPrefix("collapse"))
    }

    /// First in, first out, around the end, and the same after a checkpoint.
    func testQueue() throws {
        func rows(_ values: [Float]) -> Tensor { Tensor(values.flatMap { [$0, -$0] }, shape: [values.count, 2]) }
        func contents(_ queue: FeatureQueue) -> Set<Float> {
            Set(queue.contents.floats().enumerated().filter { $0.offset % 2 == 0 }.map(\.element))
        }
        let queue = FeatureQueue(capacity: 5, width: 2)
        XCTAssertEqual(queue.count, 0)
        queue.enqueue(rows([1, 2]))
        XCTAssertEqual(contents(queue), [1, 2])
        queue.enqueue(rows([3, 4]))
        queue.enqueue(rows([5, 6]))
        XCTAssertEqual(queue.count, 5)
        XCTAssertEqual(contents(queue), [2, 3, 4, 5, 6])
        let second = FeatureQueue(capacity: 5, width: 2)
        try second.load(queue.state())
        for queue in [queue, second] {
            queue.enqueue(rows([7, 8, 9]))
            XCTAssertEqual(contents(queue), [5, 6, 7, 8, 9])
        }
        XCTAssertEqual(second.contents.floats(), queue.contents.floats())
        queue.enqueue(rows([10, 11, 12, 13, 14, 15]))
        XCTAssertEqual(contents(queue), [11, 12, 13, 14, 15])
    }

    /// After k equal steps the teacher's distance is momentum^k of what it was, and no gradient reaches it.
    func testTeacherFollowsAndIsNotTrained() throws {
        let context = try Digits.context(perClass: 2, samples: 100)
        var random = context.random("test")
        func head() -> Sequential { projector([context.backbone.featureCount, 8, 4], random: &random) }
        let student = Encoder(context.backbone, head())
        let teacher = try student.makeTeacher(context, projector: head())
        let x = Tensor.ones([2, 8, 8, 1])
        XCTAssertEqual(teacher(x).floats(), student(x).floats())
        XCTAssertTrue(teacher.parameters().allSatisfy { !$0.item.isTrainable })

        let before = teacher.parameters().map { $0.item.value.detached() }
        for parameter in student.parameters() { parameter.item.value = parameter.item.value + 1 }
        for _ in 0..<3 { teacher.follow(student, decay: 0.9) }
        for (old, new) in zip(before, teacher.parameters()) {
            let moved = (new.item.value - old).floats()
            XCTAssertTrue(moved.allSatisfy { abs($0 - Float(1 - pow(0.9, 3))) < 1e-5 }, new.name)
        }
        XCTAssertEqual(risingMomentum(0.996, progress: 0), 0.996, accuracy: 1e-12)
        XCTAssertEqual(risingMomentum(0.996, progress: 0.5), 0.998, accuracy: 1e-12)
        XCTAssertEqual(risingMomentum(0.996, progress: 1), 1, accuracy: 1e-12)
    }
}
