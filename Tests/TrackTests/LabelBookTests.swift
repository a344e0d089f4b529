import FledgeData
import FledgeTesting
import Foundation
import GRDB
import XCTest

@testable import FledgeTrack

final class LabelBookTests: XCTestCase {
    private var folder: TemporaryFolder!
    private var path: String { folder.path + "/labels/book.db" }

    override func setUpWithError() throws { folder = try TemporaryFolder(inMemory: true) }

    private func rows(_ count: Int = 6, offset: Float = 0) -> FeatureDataset {
        FeatureDataset(
            features: (0..<(2 * count)).map { Float($0) + offset }, width: 2,
            labels: [Int?](repeating: nil, count: count), classNames: [], ids: (0..<count).map { "row \($0)" })
    }

    private func open(
        _ dataset: (any Dataset)? = nil, hides: Bool = false, classes: [String] = ["cat", "dog"], at path: String? = nil
    ) throws -> LabelBook {
        try LabelBook(
            path ?? self.path, data: "rows", dataset: dataset ?? rows(), hidesLabels: hides, classNames: classes)
    }

    private func assertThrows(
        _ expected: LabelError, line: UInt = #line, _ body: @autoclosure () throws -> some Any
    ) {
        XCTAssertThrowsError(try body(), line: line) { XCTAssertEqual($0 as? LabelError, expected, line: line) }
    }

    func testTheLastAnswerHolds() throws {
        let book = try open()
        func record(_ action: LabelBook.Action, _ id: String) throws -> LabelBook.Answer {
            try book.record(action, id: id, name: "row")
        }
        func now() throws -> [Int: String?] {
            Dictionary(uniqueKeysWithValues: try book.labels().map { ($0.sample, $0.className) })
        }
        XCTAssertEqual(try record(.label(sample: 3, className: "cat"), "answer-1").number, 1)
        _ = try record(.label(sample: 1, className: "dog"), "answer-2")
        _ = try record(.label(sample: 3, className: "dog"), "answer-3")
        _ = try record(.skip(sample: 0), "answer-4")
        XCTAssertEqual(try now(), [3: "dog", 1: "dog", 0: nil])
        // Back, one after the other: the skip, then the correction, which brings the first answer back.
        XCTAssertEqual(try record(.undo, "answer-5").undoes, 4)
        XCTAssertEqual(try now(), [3: "dog", 1: "dog"])
        XCTAssertEqual(try record(.undo, "answer-6").sample, 3)
        XCTAssertEqual(try now(), [3: "cat", 1: "dog"])
        XCTAssertEqual(try book.label(of: 3)?.number, 1)
        _ = try record(.undo, "answer-7")
        _ = try record(.undo, "answer-8")
        XCTAssertEqual(try now(), [:])
        assertThrows(.nothingToUndo, try record(.undo, "answer-9"))
        // What happened stays written down.
        XCTAssertEqual(try book.answers().map(\.kind), [.label, .label, .label, .skip, .undo, .undo, .undo, .undo])
    }

    /// A request that is sent again because its answer got lost.
    func testTheSameIDCountsOnce() throws {
        let book = try open()
        let first = try book.record(.label(sample: 2, className: "cat"), id: "answer-1", name: "row 2")
        XCTAssertEqual(try book.record(.label(sample: 2, className: "cat"), id: "answer-1", name: "row 2"), first)
        let undo = try book.record(.undo, id: "answer-2", name: "")
        // The undo takes back one answer, however often it comes; and the label does not come back with its own.
        XCTAssertEqual(try book.record(.undo, id: "answer-2", name: ""), undo)
        XCTAssertEqual(try book.record(.label(sample: 2, className: "cat"), id: "answer-1", name: "row 2"), first)
        XCTAssertEqual(try book.labels(), [])
        XCTAssertEqual(try book.answers().count, 2)
        for other in [LabelBook.Action.label(sample: 2, className: "dog"), .label(sample: 1, className: "cat"), .undo] {
            assertThrows(.idInUse("answer-1"), try book.record(other, id: "answer-1", name: ""))
        }
        for id in ["", "short", "with a space", String(repeating: "x", count: 65), "ümlaut-1"] {
            assertThrows(.badID(id), try book.record(.skip(sample: 0), id: id, name: ""))
        }
        assertThrows(
            .noClass("cta", among: ["cat", "dog"]),
            try book.record(.label(sample: 0, className: "cta"), id: "answer-3", name: ""))
        XCTAssertEqual(try book.answers().count, 2)
    }

    func testReopening() throws {
        do {
            let book = try open()
            try book.record(.label(sample: 2, className: "dog"), id: "answer-1", name: "row 2")
            assertThrows(.inUse(path), try open())
        }
        let again = try open(classes: ["bird"])
        XCTAssertEqual(try again.labels().map(\.className), ["dog"])
        XCTAssertEqual(try again.labels().map(\.name), ["row 2"])
        XCTAssertEqual(try again.classes().map(\.name), ["cat", "dog", "bird"])
        // Reading is possible meanwhile.
        XCTAssertEqual(try LabelBook(reading: path).labels().count, 1)
        XCTAssertFalse(try again.hidesLabels())
    }

    func testOtherDataAreRefused() throws {
        do { try open().record(.skip(sample: 0), id: "answer-1", name: "row 0") }
        for other in [rows(7), rows(offset: 1)] {
            assertThrows(.otherData(path, book: "rows", now: "rows"), try open(other))
        }
        let renamed = FeatureDataset(
            features: rows().features, width: 2, labels: rows().labels, classNames: [], ids: (0..<6).map { "r\($0)" })
        assertThrows(.otherData(path, book: "rows", now: "rows"), try open(renamed))
        assertThrows(.otherLabels(path, hid: false), try open(hides: true))
        // Labels of the data are no part of them.
        let labelled = rows().relabelled([0, 1, nil, nil, nil, nil], classNames: ["cat", "dog"])
        XCTAssertEqual(try open(labelled).answers().count, 1)
    }

    func testOtherFilesAreRefusedAndLeftAlone() throws {
        for (name, bytes) in [
            ("text", Array("no database, but a longer text".utf8)), ("cut", Array("SQLite format 3\0".utf8)),
        ] {
            try folder.write(name, bytes)
            XCTAssertThrowsError(try open(at: folder.path + "/" + name)) { error in
                guard case .notABook = error as? LabelError else { return XCTFail("\(error)") }
            }
            XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: folder.path + "/" + name)), Data(bytes))
        }
        let other = folder.path + "/other.db"
        do { try DatabaseQueue(path: other).write { try $0.execute(sql: "CREATE TABLE run (name TEXT)") } }
        let before = try Data(contentsOf: URL(fileURLWithPath: other))
        assertThrows(.notABook(other, reason: "it is another program's database"), try open(at: other))
        assertThrows(.notABook(other, reason: "it is another program's database"), try LabelBook(reading: other))
        XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: other)), before)
        XCTAssertTrue(LabelBook.isDatabase(other))
        XCTAssertFalse(LabelBook.isDatabase(folder.path + "/text"))
        assertThrows(
            .notABook(folder.path + "/none", reason: "there is no such file"),
            try LabelBook(reading: folder.path + "/none"))
    }

    /// The file itself refuses to forget, and commits the hard way.
    func testAnswersAreOnlyAdded() throws {
        let book = try open()
        try book.record(.label(sample: 2, className: "dog"), id: "answer-1", name: "row 2")
        let queue = try DatabaseQueue(path: path)
        for change in ["UPDATE answer SET class = 'cat'", "DELETE FROM answer"] {
            XCTAssertThrowsError(try queue.write { try $0.execute(sql: change) }) {
                XCTAssertTrue("\($0)".contains("answers stay"), "\($0)")
            }
        }
        XCTAssertEqual(try book.commitRules(), [3, 1], "synchronous is EXTRA, the classes of answers are checked")
    }

    func testKeys() throws {
        let book = try open(classes: ["cat", "1", "s", "x"] + (0..<40).map { "class \($0)" })
        try book.addClasses(["5", "2", "cat"])
        let classes = try book.classes()
        XCTAssertEqual(classes.prefix(5).map(\.key), ["2", "1", "3", "x", "4"], "s means skip")
        XCTAssertEqual(classes.map(\.name).suffix(2), ["5", "2"])
        let keys = classes.compactMap(\.key)
        XCTAssertEqual(Set(keys).count, keys.count)
        XCTAssertFalse(keys.contains { "usq".contains($0) })
        XCTAssertEqual(keys.count, 9 + 23)
        for name in ["", " cat", "cat ", "c\nt", String(repeating: "c", count: 101)] {
            assertThrows(.badClassName(name), try book.addClasses(["new", name]))
        }
        XCTAssertEqual(try book.classes(), classes)
    }
}
