import FledgeCore
import FledgeTesting
import XCTest

@testable import FledgeData

final class TagsTests: XCTestCase {
    private func read(_ text: String) throws -> Tags {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", text)
        return try Tags.read(folder.path + "/t.csv", ids: ["a", "b", "c"])
    }

    func testWords() throws {
        let tags = try read("id,tags\nc,#Sea sun;sun\na,\"sea, sand\"\n")
        XCTAssertEqual(tags.names, ["sand", "sea", "sun"])
        XCTAssertEqual(tags.ofSample, [[0, 1], [], [1, 2]])
        XCTAssertEqual(tags.counts, [1, 2, 1])
        XCTAssertEqual(tags.leavingOut(below: 2), Tags([["sea"], [], ["sea"]]))
        // One row for each sample, in their order.
        XCTAssertEqual(try read("words\nx\ny x\n#y\n").ofSample, [[0], [0, 1], [1]])
    }

    func testWhatIsRefused() {
        let cases = [
            ("id,tags\nd,x\n", "'d', which the data do not have"), ("id,tags\na,x\na,y\n", "the same sample"),
            ("id,tags\na,#\n", "no sample has a tag"), ("id,one,two\na,x,y\n", "2 columns of tags"),
            ("tags\nx\n", "1 rows for 3 samples"), ("id,tags\na\n", "row 2 has 1 cells"), ("", "empty"),
        ]
        for (text, says) in cases {
            XCTAssertThrowsError(try read(text), text) {
                XCTAssertTrue("\($0)".contains(says), "\(text): \($0)")
            }
        }
    }
}
