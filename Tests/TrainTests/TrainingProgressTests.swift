import XCTest

@testable import FledgeTrain

final class TrainingProgressTests: XCTestCase {
    private final class Screen {
        var time = 0.0
        var text = ""
    }

    private func progress(
        _ screen: Screen, _ style: TrainingProgress.Style, goal: TrainingProgress.Goal, isColoured: Bool = false
    ) -> TrainingProgress {
        TrainingProgress(
            "pretrain", goal: goal, unit: "steps", style: style, interval: 5, isColoured: isColoured,
            clock: { screen.time }, write: { screen.text += $0 })
    }

    func testLinesEveryFewSeconds() {
        let screen = Screen()
        let progress = progress(screen, .lines, goal: .steps(200))
        for step in 1...100 {
            screen.time += 0.125
            progress.waitedForData(seconds: 0.03125)
            progress.update(step: step, [("loss", 1 / Double(step))])
        }
        let lines = screen.text.split(separator: "\n")
        XCTAssertEqual(lines.count, 3, screen.text)
        XCTAssertEqual(
            lines[1], "pretrain  20%  41/200  8 steps/s  0:20 left  loss 0.0244  data 25%")
        XCTAssertFalse(screen.text.contains("\u{1B}"), "no control sequences outside a terminal")
        XCTAssertEqual(progress.waitingShare, 0.25, accuracy: 1e-9)
    }

    func testBarRedrawsInPlaceAndFits() {
        let screen = Screen()
        let progress = progress(screen, .bar, goal: .steps(100))
        for step in 1...100 {
            screen.time += 0.01
            progress.update(step: step, [("loss", 0.5)])
        }
        progress.finish()
        XCTAssertEqual(screen.text.filter { $0 == "\n" }.count, 1)
        XCTAssertTrue(screen.text.hasPrefix("\r"))
        XCTAssertLessThan(screen.text.filter { $0 == "\r" }.count, 15, "not drawn at every step")
        XCTAssertTrue(screen.text.contains("100%  100/100"), screen.text)
        for line in screen.text.split(separator: "\r") { XCTAssertLessThan(line.count, 84) }
        XCTAssertFalse(screen.text.contains("\u{1B}[32m"))
    }

    func testColourOnlyWhenAsked() {
        let screen = Screen()
        let progress = progress(screen, .bar, goal: .steps(10), isColoured: true)
        screen.time = 1
        progress.update(step: 5)
        XCTAssertTrue(screen.text.contains("\u{1B}[32m"))
    }

    func testTimeGoalAndQuiet() {
        let screen = Screen()
        let timed = progress(screen, .lines, goal: .seconds(60))
        screen.time = 15
        timed.update(step: 30)
        XCTAssertEqual(screen.text, "pretrain  25%  30 steps  2 steps/s  0:45 left  data 0%\n")
        let silent = progress(screen, .quiet, goal: .open)
        screen.text = ""
        silent.update(step: 1)
        silent.message("x")
        silent.finish()
        XCTAssertEqual(screen.text, "")
    }

    func testNumbersAndTimes() {
        XCTAssertEqual(
            [0.43121, 81.25, 3, 0.0003, 2.5, 123456].map(TrainingProgress.short),
            ["0.4312", "81.2", "3", "3.00e-04", "2.500", "1.23e+05"])
        XCTAssertEqual(
            [7, 750, 3723, -1, .infinity].map(TrainingProgress.duration),
            ["0:07", "12:30", "1:02:03", "0:00", "277777:46:40"])
    }
}
