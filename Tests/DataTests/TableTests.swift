import FledgeData
import FledgeTesting
import XCTest

final class TableTests: XCTestCase {
    private func open(_ text: String, _ options: DataOptions = DataOptions(), name: String = "t.csv") throws
        -> OpenedData
    {
        let folder = try TemporaryFolder()
        try folder.write(name, text)
        return try DataSource.open(folder.path + "/" + name, options: options)
    }

    func testHeaderQuotesAndLineEnds() throws {
        let data = try open(
            "\u{FEFF}id,\"size, cm\",species,weight\r\nA1,1.5,\"big \"\"cat\"\"\",2\r\n\r\nA2, 3 ,dog,-4e1")
        let table = try XCTUnwrap(data.train as? FeatureDataset)
        XCTAssertEqual(table.featureNames, ["size, cm", "weight"])
        XCTAssertEqual(table.features, [1.5, 2, 3, -40])
        XCTAssertEqual(data.classNames, ["big \"cat\"", "dog"])
        XCTAssertEqual(table.labels, [0, 1])
        XCTAssertEqual(table.id(of: 1), "A2")
    }

    func testWithoutHeaderTheLastColumnIsTheClass() throws {
        let data = try open("1\t2\t9\n3\t4\t10\n5\t6\t9\n")
        XCTAssertEqual(data.classNames, ["9", "10"])
        XCTAssertEqual(data.train.labels, [0, 1, 0])
        XCTAssertEqual((data.train as? FeatureDataset)?.features, [1, 2, 3, 4, 5, 6])
    }

    func testLabelColumnByNameAndNone() throws {
        var options = DataOptions()
        options.labelColumn = .named("a")
        let text = "a,b,c\n1,5,7\n2,6,8\n"
        XCTAssertEqual(try open(text, options).classNames, ["1", "2"])
        options.labelColumn = .none
        XCTAssertEqual(try open(text, options).train.labels, [nil, nil])
        options.labelColumn = .named("z")
        guard case .missingColumn(_, "z", ["a", "b", "c"])? = dataError(try open(text, options)) else {
            return XCTFail("z")
        }
    }

    func testBadCellsAreNamed() throws {
        func error(_ text: String) -> DataError? { dataError(try open(text)) }
        guard case .notANumber(_, 3, "b", "NaN")? = error("a,b,label\n1,2,x\n3,NaN,y\n4,5,x\n") else {
            return XCTFail("NaN")
        }
        guard case .notANumber(_, 2, "a", "")? = error("a,b,label\n,2,x\n3,1,y\n") else { return XCTFail("empty") }
        guard case .notANumber(_, 4, "a", "3x")? = error("a,b,label\n1,2,x\n3,1,y\n3x,1,y\n") else {
            return XCTFail("3x")
        }
        guard case .notANumber(_, 3, "a", "1e999")? = error("a,b,label\n1,2,x\n1e999,1,y\n") else {
            return XCTFail("inf")
        }
        guard case .mixedWidths(_, 3, 2, 3)? = error("a,b,label\n1,2,x\n3,y\n") else { return XCTFail("width") }
        guard case .textColumn(_, "b", "red")? = error("a,b,label\n1,red,x\n2,blue,y\n1,red,y\n") else {
            return XCTFail("text")
        }
        guard case .textColumn(_, "text", "hello")? = error("text,label\nhello,x\nbye,y\n") else {
            return XCTFail("texts")
        }
        guard case .malformed? = error("a,b,label\n1,\"2,x\n") else { return XCTFail("open quote") }
        guard case .oneClass(_, "x")? = error("a,label\n1,x\n2,x\n") else { return XCTFail("one class") }
        guard case .malformed? = error("a,b\n" + (0..<40).map { "1,\($0).5\n" }.joined()) else {
            return XCTFail("regression")
        }
        guard case .emptyFolder? = error("a,label\n") else { return XCTFail("no rows") }
    }

    func testTextColumnsMayBeDropped() throws {
        var options = DataOptions()
        options.dropColumns = ["b"]
        let data = try open("a,b,label\n1,red,x\n2,blue,y\n", options)
        XCTAssertEqual((data.train as? FeatureDataset)?.featureNames, ["a"])
    }

    func testFirstColumnOfNamesIsAnIdentifier() throws {
        let data = try open("animal,legs,type\nbear,4,1\nbee,6,2\nbird,2,3\n")
        XCTAssertEqual(data.train.id(of: 2), "bird")
        XCTAssertEqual((data.train as? FeatureDataset)?.features, [4, 6, 2])
    }

    func testTrainAndTestPair() throws {
        let folder = try TemporaryFolder()
        try folder.write("x-train.csv", "1,2,0\n3,4,1\n")
        try folder.write("x-test.csv", "5,6,1\n")
        for path in [folder.path, folder.path + "/x-train.csv"] {
            let data = try DataSource.open(path)
            XCTAssertEqual(data.train.count, 2)
            XCTAssertEqual(data.test?.labels, [1])
        }
        try folder.write("x-test.csv", "5,6,7\n")
        guard case .labelOutOfRange(_, 0, "'7'", _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("7")
        }
        try folder.write("other.csv", "1,2\n2,3\n")
        guard case .ambiguous? = dataError(try DataSource.open(folder.path)) else { return XCTFail("three tables") }
    }
}
