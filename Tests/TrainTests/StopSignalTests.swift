import Foundation
import XCTest

@testable import FledgeTrain

final class StopSignalTests: XCTestCase {
    func testSignalBecomesAnError() throws {
        defer {
            StopSignal.reset()
            signal(SIGTERM, SIG_DFL)
            signal(SIGINT, SIG_DFL)
        }
        StopSignal.listen()
        XCTAssertNoThrow(try StopSignal.check())
        raise(SIGTERM)
        XCTAssertEqual(StopSignal.number, SIGTERM)
        XCTAssertThrowsError(try StopSignal.check()) {
            XCTAssertEqual($0 as? StoppedBySignal, StoppedBySignal(number: SIGTERM))
        }
    }
}
