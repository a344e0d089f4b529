import Fledge
import FledgeTesting
import FledgeTrack
import Foundation
import XCTest

/// W2: answers that were confirmed are there, each once, whenever the process is killed.
final class LabelDurabilityTests: XCTestCase {
    /// After some answers the process is killed: as soon as they are confirmed, or while they are on their way, which are
    /// then sent again with the same id.
    func testKilledAfterRandomAnswers() throws {
        let (answers, kills) = Study.isLong ? (2_000, 100) : (150, 10)
        let folder = try TemporaryFolder(inMemory: true)
        let book = folder.path + "/book.db"
        let arguments = ["digits", "--hide-labels", "--book", book]
        var random = RandomSource(seed: 3)
        let killed = Set(random.permutation(answers).prefix(kills))
        var server = try LabelServer(arguments)
        try server.open()
        var state = try server.get("/state").json()

        /// What was confirmed, in its order; and what holds for each sample according to that.
        var confirmed: [(id: String, kind: String, sample: Int?, label: String?)] = []
        var standing: [(sample: Int, label: String?)] = []
        var doubtful = 0
        for number in 0..<answers {
            let id = "answer-\(number)-\(random.next())"
            let next = try XCTUnwrap((state["next"] as? [[String: Any]])?.first?["sample"] as? Int)
            let draw = random.uniform()
            var body: [String: Any] = ["id": id]
            if draw < 0.1, !standing.isEmpty {
                body["undo"] = true
                confirmed.append((id, "undo", nil, nil))
                standing.removeLast()
            } else if draw < 0.15 {
                body.merge(["sample": next, "skip": true]) { $1 }
                confirmed.append((id, "skip", next, nil))
                standing.append((next, nil))
            } else {
                let label = String(random.integer(below: 10))
                body.merge(["sample": next, "label": label]) { $1 }
                confirmed.append((id, "label", next, label))
                standing.append((next, label))
            }
            let isKilled = killed.contains(number)
            let isOnItsWay = isKilled && random.uniform() < 0.5
            if isOnItsWay {
                // It may have been written or not.
                doubtful += 1
                let connection = try LabelServer.Connection(port: server.port)
                connection.send(try server.postBytes("/answers", body))
                usleep(UInt32(random.integer(below: 6_000)))
                server.kill()
                server = try LabelServer(arguments)
                try server.open()
            }
            let response = try server.post("/answers", body)
            XCTAssertEqual(response.status, 200, response.text)
            state = try response.json()
            // The same request once more changes nothing.
            if random.uniform() < 0.05 {
                XCTAssertEqual(try server.post("/answers", body).status, 200)
            }
            if isKilled, !isOnItsWay {
                server.kill()
                server = try LabelServer(arguments)
                try server.open()
                state = try server.get("/state").json()
            }
        }
        let labelled = standing.filter { $0.label != nil }.count
        XCTAssertEqual(state["answered"] as? Int, labelled)
        XCTAssertEqual(state["skipped"] as? Int, standing.count - labelled)
        server.kill()

        let read = try LabelBook(reading: book)
        let found = try read.answers()
        XCTAssertEqual(found.map(\.id), confirmed.map(\.id), "none is lost, doubled or moved")
        for (answer, expected) in zip(found, confirmed) {
            XCTAssertEqual(answer.kind.rawValue, expected.kind)
            if let sample = expected.sample { XCTAssertEqual(answer.sample, sample) }
            XCTAssertEqual(answer.className, expected.label)
        }
        let labels = try read.labels()
        XCTAssertEqual(labels.map(\.sample), standing.map(\.sample))
        XCTAssertEqual(labels.map(\.className), standing.map(\.label))
        Study.tell(
            "W2: \(answers) answers, \(kills) kills, \(doubtful) of them with an answer on its way: none lost, none doubled"
        )
    }

    /// The disk is full: an answer is refused instead of confirmed, and those before are there.
    func testFullDiskConfirmsNothing() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let samples = try Samples.shared.get()
        let book = folder.path + "/book.db"
        let lines = (0..<2_000).map { "\($0 % 2 == 1 ? "u" : "1")\n" }.joined()
        try folder.write("lines", lines)
        let result = try CommandLineTool.run(
            ["label", samples.images, "--hide-labels", "--book", book, "--quiet"],
            shell: "exec < '\(folder.path)/lines'; ulimit -f 96")
        XCTAssertEqual(result.status, 6, result.error)
        XCTAssertTrue(result.error.contains("nothing was recorded"), result.error)
        let saved = result.output.split(separator: "\n").filter { $0.hasPrefix("saved ") }.count
        XCTAssertGreaterThan(saved, 50)
        XCTAssertEqual(try LabelBook(reading: book).answers().count, saved)
    }

    func testSignalsEndIt() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let samples = try Samples.shared.get()
        for number in [SIGTERM, SIGINT] {
            let server = try LabelServer([samples.images, "--hide-labels", "--book", folder.path + "/book.db"])
            try server.open()
            kill(server.process.processIdentifier, number)
            let begin = Date()
            server.process.waitUntilExit()
            XCTAssertEqual(server.process.terminationStatus, 0)
            XCTAssertLessThan(Date().timeIntervalSince(begin), 6)
        }
    }
}
