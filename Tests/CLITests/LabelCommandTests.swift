import Fledge
import FledgeTesting
import FledgeTrack
import Foundation
import XCTest

/// `fledge label` in the terminal, and what is done with its labels.
final class LabelCommandTests: XCTestCase {
    /// Runs the command with these lines on standard input.
    private func label(_ arguments: [String], _ lines: [String], _ folder: TemporaryFolder) throws
        -> CommandLineTool.Result
    {
        try folder.write("lines", lines.map { $0 + "\n" }.joined())
        return try CommandLineTool.run(["label"] + arguments, shell: "exec < '\(folder.path)/lines'")
    }

    /// Answers each question of the command, until it has no more, with the lines that `answers` gives.
    private func talk(_ arguments: [String], _ answers: (String) -> [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLineTool.path)
        process.arguments = ["label", "--quiet"] + arguments
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var seen = ""
        // As many questions as lines are on their way are not asked: an undo asks again.
        var expected = 1
        while true {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            seen += String(decoding: more, as: UTF8.self)
            let questions = seen.split(separator: "\n").filter { $0.hasSuffix("?") }
            if seen.contains("every sample has an answer") {
                try input.fileHandleForWriting.close()
            } else if questions.count == expected, seen.hasSuffix("?\n") {
                let lines = answers(String(questions[questions.count - 1].dropLast()))
                expected += lines.count
                input.fileHandleForWriting.write(Data(lines.map { $0 + "\n" }.joined().utf8))
            }
        }
        process.waitUntilExit()
        XCTAssertEqual(process.terminationStatus, 0)
    }

    /// A folder of twelve pictures without labels, half of them bright.
    private func pictures(_ folder: TemporaryFolder) throws -> String {
        for i in 0..<12 {
            let pixels = (0..<64).map { UInt8(($0 * 7 + i * 3) % 90 + (i % 2 == 0 ? 0 : 150)) }
            try folder.write(
                "photos/\(i).png",
                try ImageCodec.png(ImageBuffer(width: 8, height: 8, channels: 1, pixels: pixels)))
        }
        return folder.path + "/photos"
    }

    /// From a folder without labels to a trained network, by a script.
    func testFromPicturesToTraining() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let data = try pictures(folder)
        let before = try FileManager.default.contentsOfDirectory(atPath: data).sorted()
        let (book, csv) = (folder.path + "/book.db", folder.path + "/labels.csv")
        // Answers each question rightly, some after a mistake that is taken back.
        var answered: [String: String] = [:]
        try talk([data, "--classes", "dark,bright", "--book", book]) { name in
            let isBright = Int(name.prefix { $0 != "." })! % 2 == 1
            let isFirst = answered.updateValue(isBright ? "bright" : "dark", forKey: name) == nil
            if answered.count % 5 == 0, isFirst { return [isBright ? "1" : "2", "u"] }
            return [answered.count % 2 == 0 ? answered[name]! : isBright ? "2" : "1"]
        }
        XCTAssertEqual(answered.count, 12)
        // The last answer can be taken back as well.
        let undone = try label([data, "--book", book, "--quiet"], ["u", "q"], folder)
        let last = try XCTUnwrap(undone.output.split(separator: "\n").last).dropLast()
        XCTAssertTrue(undone.output.hasSuffix("took back the answer about \(last)\n\(last)?\n"), undone.output)
        let right = try XCTUnwrap(answered[String(last)])
        XCTAssertEqual(try label([data, "--book", book], [right], folder).status, 0)
        let finished = try label([data, "--book", book, "--json"], [], folder)
        XCTAssertEqual(try finished.json()["labels"] as? Int, 12)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: data).sorted(), before, "data are only read")

        let exported = try CommandLineTool.run("label", data, "--book", book, "--export", csv)
        XCTAssertEqual(exported.status, 0, exported.error)
        let rows = try String(contentsOfFile: csv, encoding: .utf8).split(separator: "\n")
        XCTAssertEqual(rows.first, "file,label")
        XCTAssertEqual(Set(rows.dropFirst()), Set(answered.map { "\($0.key),\($0.value)" }))

        // The table and the book say the same, to every command that reads data.
        for labels in [csv, book] {
            let seen = try CommandLineTool.run("data", "inspect", data, "--labels", labels, "--json")
            let train = try XCTUnwrap(seen.json()["train"] as? [String: Any])
            XCTAssertEqual(train["labelled"] as? Int, 12)
            XCTAssertEqual(train["per_class"] as? [Int] ?? train["perClass"] as? [Int], [6, 6])
        }
        let run = folder.path + "/run"
        let trained = try CommandLineTool.run(
            "train", "supervised", "--data", data, "--labels", book, "--hold-out", "0.34", "--out", run, "--json",
            "--set", "training.steps=60", "--set", "batchSize=8")
        XCTAssertEqual(trained.status, 0, trained.error)
        let report = try trained.json()
        XCTAssertEqual(report["class_names"] as? [String], ["bright", "dark"])
        XCTAssertEqual(report["test_samples"] as? Int, 4)
        XCTAssertEqual(try XCTUnwrap(report["accuracy"] as? Double), 1)
        // More labels of one class than of the other: all are used, less those that are measured with.
        let some = rows.dropFirst().sorted { ($0.hasSuffix("dark") ? 1 : 0) < ($1.hasSuffix("dark") ? 1 : 0) }
        try folder.write("some.csv", (["file,label"] + some.prefix(9)).joined(separator: "\n"))
        let learned = try CommandLineTool.run(
            "learn", data, "--labels", folder.path + "/some.csv", "--hold-out", "0.34", "--out",
            folder.path + "/learn", "--json", "--set", "supervised.training.steps=4", "--set",
            "pretraining.training.steps=4", "--set", "learning.training.steps=4")
        XCTAssertEqual(learned.status, 0, learned.error)
        let lesson = try learned.json()
        XCTAssertEqual(lesson["labels"] as? Int, 6)
        XCTAssertEqual(lesson["test_samples"] as? Int, 3)
        let interval = try XCTUnwrap(lesson["accuracy_interval"] as? [Double])
        XCTAssertGreaterThan(interval[1] - interval[0], 0.5, "three samples tell little")
    }

    /// A table: rows with an empty cell are asked about, those with a class count as known.
    func testTables() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let rows = (0..<20).map { i in
            "\(i),\(Double(i % 2) + 0.01 * Double(i)),\(i < 6 ? (i % 2 == 0 ? "a" : "b") : "")\n"
        }
        try folder.write("t.csv", "id,x,label\n" + rows.joined())
        let (data, book) = (folder.path + "/t.csv", folder.path + "/book.db")
        let result = try label(
            [data, "--book", book, "--quiet"], ["a", "b", "s", "+c d", "c d", "zebra", "?"], folder)
        XCTAssertEqual(result.status, 0, result.error)
        for text in [
            "saved 3", "skipped", "added the class c d", "is c d", "there is no class 'zebra'", "not understood: ?",
        ] {
            XCTAssertTrue(result.output.contains(text), result.output)
        }
        let exported = try CommandLineTool.run(
            "label", data, "--book", book, "--export", folder.path + "/labels.csv", "--json")
        XCTAssertEqual(try exported.json()["labels"] as? Int, 9, "six of the data, three answers")
        XCTAssertTrue(try String(contentsOfFile: folder.path + "/labels.csv", encoding: .utf8).hasPrefix("id,label\n"))
    }

    func testMistakesAreExplained() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let samples = try Samples.shared.get()
        let book = folder.path + "/book.db"
        try folder.write("foreign.csv", "id,label\n0,1\n24,0\n")
        func run(_ arguments: String...) throws -> CommandLineTool.Result {
            try label(arguments, ["q"], folder)
        }
        XCTAssertEqual(try run(samples.images, "--hide-labels", "--book", book).status, 0)
        for (status, text, arguments) in [
            (2, "--hide-labels asks about them", [samples.images, "--book", folder.path + "/other.db"]),
            (3, "about other data", [samples.table, "--hide-labels", "--book", book]),
            (3, "no SQLite file", [samples.table, "--hide-labels", "--book", samples.votes]),
            (2, "--port needs --browser", [samples.images, "--port", "80"]),
            (2, "Did you mean", [samples.images, "--hide-lables"]),
            (3, "no such file", [samples.images, "--book", folder.path + "/none.db", "--export", "x.csv"]),
            (3, "no training sample", [samples.images, "--labels", folder.path + "/foreign.csv"]),
        ] as [(Int32, String, [String])] {
            let result = try label(arguments, [], folder)
            XCTAssertEqual(result.status, status, result.error)
            XCTAssertTrue(result.error.contains(text), result.error)
        }
        let server = try LabelServer([samples.images, "--hide-labels", "--book", book])
        let second = try run(samples.images, "--hide-labels", "--book", book)
        XCTAssertEqual(second.status, 2)
        XCTAssertTrue(second.error.contains("open in another process"), second.error)
        let taken = try run(
            samples.images, "--hide-labels", "--book", folder.path + "/second.db", "--browser", "--port",
            "\(server.port)")
        XCTAssertEqual(taken.status, 2, taken.output)
        XCTAssertTrue(taken.error.contains("Address already in use"), taken.error)
    }
}
