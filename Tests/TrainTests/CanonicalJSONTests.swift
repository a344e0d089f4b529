import Foundation
import XCTest

@testable import FledgeTrain

final class CanonicalJSONTests: XCTestCase {
    private struct Record: Encodable {
        var zeta = 1
        var alpha = 0.1 as Float
        var path = "a/b \"c\" \u{1}\n"
        var missing: Int?
        var values = [1.5, .nan, .infinity]
        var nested = ["b": true, "a": false]
        var big = UInt64.max
    }

    func testBytes() throws {
        let document = try CanonicalJSON(Record(), pretty: false)
        XCTAssertEqual(
            document.text,
            #"{"alpha":0.1,"big":18446744073709551615,"missing":null,"nested":{"a":false,"b":true},"#
                + #""path":"a/b \"c\" \u0001\n","values":[1.5,null,null],"zeta":1}"#)
        XCTAssertEqual(document.nonFinite, ["values[1]", "values[2]"])
        XCTAssertEqual(document.warning, "not a finite number, written as null: values[1] and 1 more")
    }

    func testFoundationReadsBackWhatWasWritten() throws {
        let value: [String: [Double]] = ["x": [1e-300, -0.0, 1.0 / 3, 1e22, 123456789.125], "empty": []]
        for pretty in [false, true] {
            let text = try CanonicalJSON(value, pretty: pretty).text
            XCTAssertEqual(try JSONDecoder().decode([String: [Double]].self, from: Data(text.utf8)), value)
        }
    }

    func testPrettyKeepsRowsOfNumbersTogether() throws {
        let text = try CanonicalJSON(["m": [[1, 2], [3, 4]]]).text
        XCTAssertEqual(text, "{\n  \"m\": [\n    [1, 2],\n    [3, 4]\n  ]\n}")
    }
}
