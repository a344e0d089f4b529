import Fledge
import FledgeTesting
import Foundation
import XCTest

/// W1: what the labelling page gives to whom.
final class LabelPageTests: XCTestCase {
    private let folder = Result { try TemporaryFolder(inMemory: true) }

    /// Asks about pictures of two classes, 0 and 1.
    private func server() throws -> LabelServer {
        let book = try folder.get().path + "/book.db"
        let server = try LabelServer([try Samples.shared.get().images, "--hide-labels", "--book", book])
        try server.open()
        return server
    }

    /// Every request but one is wrong in one thing only.
    func testAttacksAreRefused() throws {
        let server = try server()
        let (port, token, cookie) = (server.port, server.token, server.cookie)
        let own = "Host: 127.0.0.1:\(port)"
        let before = try server.get("/state").text

        // Who asks.
        for host in [
            "Host: evil.example", "Host: evil.example:\(port)", "Host: 127.0.0.1", "Host: 127.0.0.1:1",
            "Host: 127.0.0.1.evil.example:\(port)", "Host: [::1]:\(port)", "Host:", "X: y",
            "\(own)\r\nHost: evil.example",
        ] {
            for path in ["/", "/state", "/picture/0", "/?token=\(token)"] {
                let answer = try server.exchange("GET \(path) HTTP/1.1\r\n\(host)\r\nCookie: \(cookie)\r\n\r\n")
                XCTAssertEqual(answer?.status, 421, "\(host) \(path)")
            }
        }
        let wrong = String(token.reversed())
        for path in ["/", "/label.js", "/state", "/picture/0", "/thumbnail/0"] {
            for given in [
                "", "Cookie: \(cookie)0\r\n", "Cookie: \(cookie.dropLast())\r\n", "Cookie: \(wrong)\r\n",
                "Cookie: fledge-\(port)=\(token)\r\n", "Cookie: other=\(cookie)\r\n",
                "X-Fledge-Token: \(token)\r\n", "Authorization: Bearer \(token)\r\n",
            ] {
                let answer = try server.exchange("GET \(path) HTTP/1.1\r\n\(own)\r\n\(given)\r\n")
                XCTAssertEqual(answer?.status, 403, "\(given) \(path)")
                XCTAssertNil(answer?.headers["set-cookie"])
            }
        }
        for query in [
            "token=", "token=\(wrong)", "token=\(token)0", "token=\(token)&x=1", "x=\(token)", "TOKEN=\(token)",
        ] {
            XCTAssertEqual(try server.exchange("GET /?\(query) HTTP/1.1\r\n\(own)\r\n\r\n")?.status, 403, query)
        }
        XCTAssertEqual(try server.exchange("GET /state?token=\(token) HTTP/1.1\r\n\(own)\r\n\r\n")?.status, 403)
        XCTAssertEqual(try server.exchange("POST /?token=\(token) HTTP/1.1\r\n\(own)\r\n\r\n")?.status, 403)

        // Who changes something.
        let body = #"{"id":"attack-1","label":"0","sample":0}"#
        func post(_ changed: String...) throws -> Int? {
            let sound = [
                "Host": "127.0.0.1:\(port)", "Origin": "http://127.0.0.1:\(port)", "Cookie": cookie,
                "X-Fledge-Token": token, "Content-Length": "\(body.utf8.count)",
            ]
            var lines = sound
            for line in changed {
                let parts = line.components(separatedBy: ": ")
                lines[parts[0]] = parts.count == 2 ? parts[1] : nil
            }
            let head = lines.map { "\($0.key): \($0.value)\r\n" }.joined()
            return try server.exchange("POST /answers HTTP/1.1\r\n\(head)\r\n\(body)")?.status
        }
        for origin in [
            "Origin", "Origin: null", "Origin: http://evil.example", "Origin: http://localhost:\(port)",
            "Origin: https://127.0.0.1:\(port)", "Origin: http://127.0.0.1:\(port).evil.example",
            "Origin: http://127.0.0.1",
        ] {
            XCTAssertEqual(try post(origin), 403, origin)
        }
        for given in ["X-Fledge-Token", "X-Fledge-Token: ", "X-Fledge-Token: \(wrong)", "X-Fledge-Token: \(token)0"] {
            XCTAssertEqual(try post(given), 403, given)
        }
        XCTAssertEqual(try post("Cookie"), 403)
        XCTAssertEqual(try post("Host: evil.example"), 421)
        XCTAssertEqual(try post("Content-Length"), 411)
        XCTAssertEqual(try post("Content-Length: 16385"), 413)
        XCTAssertEqual(try post("Content-Length: 99999999999"), 413)
        XCTAssertNil(try post("Content-Length: -1"))
        XCTAssertNil(try post("Content-Length: 1e3"))
        XCTAssertEqual(try post("Content-Length", "Transfer-Encoding: chunked"), 411)
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "HEAD"] {
            let answer = try server.exchange("\(method) /state HTTP/1.1\r\n\(own)\r\nCookie: \(cookie)\r\n\r\n")
            XCTAssertEqual(answer?.status, 405, method)
        }

        // What is asked for.
        for path in [
            "/../../../etc/passwd", "/picture/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
            "/%252e%252e/etc/passwd", "/picture/%2e%2e%2fetc%2fpasswd", "//etc/passwd", "/etc/passwd",
            "http://127.0.0.1:\(port)/state", "/picture/0%00.png", "/picture/0\u{0}", "/picture/-1", "/picture/24",
            "/picture/00", "/picture/0x0", "/picture/+1", "/picture/99999999999999999999", "/picture/", "/picture/0/",
            "/thumbnail/0.png", "/label.html", "/answers", "/STATE", "/state/", "/é", "*", "/a|b",
            "/" + String(repeating: "a", count: 300),
        ] {
            let answer = try server.exchange("GET \(path) HTTP/1.1\r\n\(own)\r\nCookie: \(cookie)\r\n\r\n")
            XCTAssertTrue([400, 404].contains(answer?.status), "\(path): \(answer?.status ?? 0)")
            XCTAssertFalse(answer?.text.contains("root:") ?? false)
        }
        for text in [
            "", "{", "[]", "null", "{}", #"{"id":"attack-2"}"#, #"{"id":"attack-2","sample":0}"#,
            #"{"id":"attack-2","sample":-1,"label":"0"}"#, #"{"id":"attack-2","sample":0.5,"label":"0"}"#,
            #"{"id":"attack-2","sample":0,"label":7}"#, #"{"id":7,"sample":0,"label":"0"}"#,
            #"{"id":"attack-2","id":"attack-3","sample":0,"label":"0"}"#, String(repeating: "[", count: 9_000),
            #"{"id":"attack-2","sample":0,"skip":"true"}"#,
        ] {
            let head =
                "POST /answers HTTP/1.1\r\n\(own)\r\nOrigin: http://127.0.0.1:\(port)\r\nCookie: \(cookie)\r\n"
                + "X-Fledge-Token: \(token)\r\nContent-Length: \(text.utf8.count)\r\n\r\n"
            XCTAssertEqual(try server.exchange(head + text)?.status, 400, text)
        }
        for wrong in [
            ["id": "short", "sample": 0, "label": "0"], ["id": "attack-2", "sample": 24, "label": "0"],
            ["id": "attack-2", "sample": 0, "label": "9"], ["id": "attack 2 ", "sample": 0, "label": "0"],
            ["id": "attack-2", "undo": true],
        ] as [[String: Any]] {
            XCTAssertEqual(try server.post("/answers", wrong).status, 409, "\(wrong)")
        }
        for name in ["", " ", "a\nb", "a\u{0}b", String(repeating: "n", count: 101)] {
            XCTAssertEqual(try server.post("/classes", ["name": name]).status, 409, name)
        }
        let attacks = server.requests - 2
        XCTAssertEqual(try server.get("/state").text, before, "nothing came of all that")
        Study.tell("W1: \(attacks) requests refused")
        XCTAssertEqual(try post(), 200, "and the sound request is taken")
    }

    /// What a browser is told with every answer, also a refusal.
    func testEveryAnswerIsGuarded() throws {
        let server = try server()
        let refused = try XCTUnwrap(try server.exchange("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"))
        for answer in [try server.get("/"), try server.get("/state"), try server.get("/picture/3"), refused] {
            XCTAssertTrue(answer.headers["content-security-policy"]?.hasPrefix("default-src 'self'") ?? false)
            XCTAssertEqual(answer.headers["x-frame-options"], "DENY")
            XCTAssertEqual(answer.headers["x-content-type-options"], "nosniff")
            XCTAssertEqual(answer.headers["referrer-policy"], "no-referrer")
            XCTAssertEqual(answer.headers["cache-control"], "no-store")
            XCTAssertNil(answer.headers.keys.first { $0.hasPrefix("access-control") })
        }
        let page = try server.get("/").text
        XCTAssertFalse(page.contains("<script>") || page.contains("style=") || page.contains("onclick"))
        XCTAssertTrue(page.contains(server.token), "the script sends it back")
        let opened = try XCTUnwrap(
            server.exchange("GET /?token=\(server.token) HTTP/1.1\r\nHost: localhost:\(server.port)\r\n\r\n"))
        XCTAssertEqual(opened.headers["location"], "/")
        let cookie = try XCTUnwrap(opened.headers["set-cookie"])
        XCTAssertTrue(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), cookie)
        XCTAssertFalse(cookie.contains(server.token), "the cookie does not give the token away")
    }

    /// Someone who sends nothing, little by little, or without end takes nothing from the others.
    func testSlowAndEndlessRequests() throws {
        let server = try server()
        var held: [LabelServer.Connection] = []
        for i in 0..<100 {
            let connection = try LabelServer.Connection(port: server.port)
            let part = [
                "", "GET", "GET / HTTP/1.1\r\nHost: x\r\n",
                "POST /answers HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nContent-Length: 9000\r\n\r\nabc",
            ][i % 4]
            connection.send(Array(part.utf8))
            held.append(connection)
            if i % 20 == 0 {
                let begin = Date()
                XCTAssertEqual(try server.get("/state").status, 200)
                XCTAssertLessThan(Date().timeIntervalSince(begin), 3)
            }
        }
        // One line without end: the connection is cut, and the process does not grow by what was sent.
        let endless = try LabelServer.Connection(port: server.port, seconds: 2)
        endless.send(Array("GET / HTTP/1.1\r\nHost: ".utf8))
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
        var sent = 0
        while sent < 256, endless.send(piece) { sent += 1 }
        XCTAssertLessThan(sent, 256, "megabytes of a header were taken")
        let status = try String(contentsOfFile: "/proc/\(server.process.processIdentifier)/status", encoding: .utf8)
        let peak = try XCTUnwrap(status.split(separator: "\n").first { $0.hasPrefix("VmHWM") })
        let kilobytes = try XCTUnwrap(peak.split(separator: " ").dropFirst().first.flatMap { Int($0) })
        XCTAssertLessThan(kilobytes, 200_000, String(peak))
        XCTAssertEqual(try server.get("/state").status, 200)
        withExtendedLifetime(held) {}
    }

    /// Names from files and people reach the browser as data, and pictures as what they are.
    func testNamesAreNotMarkup() throws {
        let folder = try folder.get()
        let evil = "<img src=x onerror=alert(1)>"
        let picture = try ImageCodec.png(
            ImageBuffer(width: 8, height: 8, channels: 1, pixels: [UInt8](repeating: 7, count: 64)))
        for name in ["\(evil).png", "a&\"'.png", "c.png"] { try folder.write("data/\(name)", picture) }
        let server = try LabelServer(
            [folder.path + "/data", "--classes", "\(evil),</script>", "--book", folder.path + "/book.db"])
        try server.open()
        XCTAssertFalse(try server.get("/").text.contains("onerror"))
        let state = try server.get("/state")
        XCTAssertEqual(state.headers["content-type"], "application/json")
        let classes = try XCTUnwrap(state.json()["classes"] as? [[String: Any]])
        XCTAssertEqual(classes.map { $0["name"] as? String }, [evil, "</script>"])
        let shown = try server.get("/picture/0")
        XCTAssertEqual(shown.headers["content-type"], "image/png")
        XCTAssertEqual(try ImageCodec.decode(shown.body).pixels, [UInt8](repeating: 7, count: 64))
    }

    /// The whole way of a person: classes that come later, undo, questions by the model once every class has an answer.
    func testLabellingAndLearning() throws {
        let folder = try folder.get()
        let digits = try DataSource.open("digits").train
        let server = try LabelServer(
            ["digits", "--hide-labels", "--book", folder.path + "/book.db", "--retrain-every", "20"])
        try server.open()
        var state = try server.get("/state").json()
        XCTAssertEqual(state["isChosen"] as? Bool, false)
        XCTAssertEqual((state["next"] as? [[String: Any]])?.count, 12)
        for number in 0..<60 {
            let next = try XCTUnwrap((state["next"] as? [[String: Any]])?.first?["sample"] as? Int)
            let label = digits.classNames[digits.labels[next]!]
            state = try server.post("/answers", ["id": "answer-\(number)", "sample": next, "label": label]).json()
        }
        let deadline = Date(timeIntervalSinceNow: 30)
        while Date() < deadline, state["isChosen"] as? Bool != true || (state["agreement"] as? Double ?? 0) == 0 {
            usleep(50_000)
            state = try server.get("/state").json()
        }
        XCTAssertEqual(state["isChosen"] as? Bool, true, "\(state["model"] ?? "")")
        XCTAssertGreaterThan(try XCTUnwrap(state["agreement"] as? Double), 0.5)
        XCTAssertEqual(state["answered"] as? Int, 60)
        let last = try XCTUnwrap((state["next"] as? [[String: Any]])?.first?["sample"] as? Int)

        // Taken back: it is asked about at once.
        state = try server.post("/answers", ["id": "answer-60", "sample": last, "label": "1"]).json()
        XCTAssertEqual((state["last"] as? [String: Any])?["label"] as? String, "1")
        state = try server.post("/answers", ["id": "answer-61", "undo": true]).json()
        XCTAssertEqual(state["answered"] as? Int, 60)
        XCTAssertEqual((state["next"] as? [[String: Any]])?.first?["sample"] as? Int, last)

        // A class that nobody has an answer of: back to asking at random.
        state = try server.post("/classes", ["name": "a cat"]).json()
        XCTAssertEqual(state["isChosen"] as? Bool, false)
        let classes = try XCTUnwrap(state["classes"] as? [[String: Any]])
        XCTAssertEqual(classes.map { $0["key"] as? String }, (0..<10).map { "\($0)" } + ["a"])
    }
}
