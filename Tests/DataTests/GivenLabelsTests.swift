import FledgeTesting
import XCTest

@testable import FledgeData

final class GivenLabelsTests: XCTestCase {
    /// Ten rows named a to j, of which two have a class.
    private func table(_ folder: TemporaryFolder) throws -> String {
        let rows = "abcdefghij".enumerated().map { "\($1),\($0),\($0 == 0 ? "cat" : $0 == 1 ? "dog" : "")\n" }
        try folder.write("t.csv", "id,x,label\n" + rows.joined())
        return folder.path + "/t.csv"
    }

    private func labels(_ text: String, _ folder: TemporaryFolder) throws -> GivenLabels {
        try folder.write("labels.csv", text)
        return try GivenLabels.read(folder.path + "/labels.csv")
    }

    func testLabelsTakeThePlaceOfOthers() throws {
        let folder = try TemporaryFolder()
        var options = DataOptions()
        options.labels = try labels("label,file,note\ndog,c,1\ncat,b,2\n\"a, b\",d,\nx,j,\n,e,\n", folder)
        let data = try DataSource.open(table(folder), options: options)
        XCTAssertEqual(data.classNames, ["cat", "dog", "a, b", "x"])
        XCTAssertEqual(data.train.labels, [nil, 0, 1, 2, nil, nil, nil, nil, nil, 3])
        XCTAssertTrue(data.notes.contains { $0.contains("4 labels") && $0.contains("a, b, x") }, "\(data.notes)")
        // Or they stand beside them.
        options.labels = GivenLabels([("b", "cat"), ("c", "dog")], source: "book", keepsOthers: true)
        XCTAssertEqual(try DataSource.open(table(folder), options: options).train.labels.prefix(4), [0, 0, 1, nil])
    }

    func testRoundTrip() throws {
        let folder = try TemporaryFolder()
        let given = GivenLabels(
            [("a \"b\", c.png", "x;y"), ("d", "é"), ("e\r\nf", ",\u{301}")], source: folder.path + "/labels.csv")
        XCTAssertEqual(try labels(given.csv(column: "file"), folder), given)
    }

    /// A test split that is held out of samples with and without labels holds those on which something can be measured.
    func testHeldOutSamplesHaveLabels() throws {
        let folder = try TemporaryFolder()
        var options = DataOptions()
        options.holdOut = 0.5
        options.labels = try labels("id,label\na,x\nb,y\nc,x\nd,y\n", folder)
        let data = try DataSource.open(table(folder), options: options)
        XCTAssertEqual(data.train.count, 8)
        XCTAssertEqual(data.train.labelledCount, 2)
        XCTAssertEqual(Set(data.test?.labels ?? []), [2, 3])
        XCTAssertEqual(data.test?.labelledCount, data.test?.count)
    }

    func testMistakesAreExplained() throws {
        let folder = try TemporaryFolder()
        let data = try table(folder)
        for (text, says) in [
            ("", "is empty"), ("id,label\n", "has no labels"), ("id,label\na,\n", "has no labels"),
            ("a,b,c\n1,2,3\n", "no column 'id'"), ("id,b,c\n1,2,3\n", "no column 'label'"),
            ("id,label\na,x,y\n", "row 2 has 3 cells"), ("id,label\na,x\nb,y\na,x\n", "rows 2 and 4"),
            ("id,label\na,x\nz,y\n", "'z', which is no training sample"),
        ] {
            XCTAssertThrowsError(
                try {
                    var options = DataOptions()
                    options.labels = try labels(text, folder)
                    return try DataSource.open(data, options: options)
                }()
            ) { XCTAssertTrue("\($0)".contains(says), "\(text): \($0)") }
        }
        // Labels of one class are enough for some methods, and the others ask.
        var options = DataOptions()
        options.labels = try labels("id,label\na,x\n", folder)
        XCTAssertThrowsError(try DataSource.open(data, options: options).requireTwoClasses()) {
            XCTAssertTrue("\($0)".contains("one class only"), "\($0)")
        }
        try folder.write("twice.csv", "id,x,label\na,1,\na,2,\nb,3,\n")
        options.labels = GivenLabels([("a", "x"), ("b", "y")], source: "book")
        XCTAssertThrowsError(try DataSource.open(folder.path + "/twice.csv", options: options)) {
            XCTAssertTrue("\($0)".contains("two samples of that name"), "\($0)")
        }
    }
}
