import Fledge
import Foundation
import XCTest

/// `fledge label DATA --browser` as a process, and requests to it byte by byte, so that nothing between makes them
/// well-formed.
final class LabelServer {
    let process: Process
    let url: String
    let port: UInt16
    let token: String
    /// `NAME=VALUE`, as the server gave it in exchange for the token.
    private(set) var cookie = ""
    /// How many requests were made.
    private(set) var requests = 0

    struct Response {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        func json() throws -> [String: Any] {
            try XCTUnwrap(JSONSerialization.jsonObject(with: Data(body)) as? [String: Any], text)
        }
    }

    /// Starts it, and waits until it has printed its address.
    init(_ arguments: [String]) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLineTool.path)
        process.arguments = ["label"] + arguments + ["--browser", "--json", "--quiet"]
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        process.standardInput = FileHandle.nullDevice
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        var said = Data()
        while !said.suffix(2).elementsEqual(Data("}\n".utf8)) {
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { break }
            said += more
        }
        guard let document = try? JSONSerialization.jsonObject(with: said) as? [String: Any],
            let url = document["url"] as? String, let parts = URLComponents(string: url), let port = parts.port,
            let token = parts.queryItems?.first?.value
        else {
            process.terminate()
            let told = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            throw NSError(domain: told + String(decoding: said, as: UTF8.self), code: 0)
        }
        self.url = url
        self.port = UInt16(port)
        self.token = token
    }

    deinit { if process.isRunning { kill() } }

    func kill() {
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Opens the link, as a browser would first.
    func open() throws {
        let answer = try exchange("GET /?token=\(token) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n")
        XCTAssertEqual(answer?.status, 303)
        cookie = String(try XCTUnwrap(answer?.headers["set-cookie"]).prefix { $0 != ";" })
    }

    func get(_ path: String) throws -> Response {
        try XCTUnwrap(
            exchange("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nCookie: \(cookie)\r\n\r\n"), "no answer")
    }

    /// The bytes of a POST that is as it should be.
    func postBytes(_ path: String, _ body: [String: Any]) throws -> [UInt8] {
        let content = try JSONSerialization.data(withJSONObject: body, options: .sortedKeys)
        let head =
            "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nOrigin: http://127.0.0.1:\(port)\r\n"
            + "Cookie: \(cookie)\r\nX-Fledge-Token: \(token)\r\nContent-Length: \(content.count)\r\n\r\n"
        return Array(head.utf8) + content
    }

    func post(_ path: String, _ body: [String: Any]) throws -> Response {
        try XCTUnwrap(exchange(postBytes(path, body)), "no answer")
    }

    /// Sends the text and waits for the answer; nil where the connection is closed without one.
    func exchange(_ request: String) throws -> Response? { try exchange(Array(request.utf8)) }

    func exchange(_ request: [UInt8]) throws -> Response? {
        requests += 1
        let connection = try Connection(port: port)
        connection.send(request)
        return connection.response()
    }

    /// One connection to the server.
    final class Connection {
        private let file: Int32

        /// - Parameter seconds: after which sending and receiving give up.
        init(port: UInt16, seconds: Int = 30) throws {
            file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            var limit = timeval(tv_sec: seconds, tv_usec: 0)
            setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let connected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard connected == 0 else { throw NSError(domain: "connect: \(String(cString: strerror(errno)))", code: 0) }
        }

        deinit { close(file) }

        /// Whether all of it was taken.
        @discardableResult
        func send(_ bytes: [UInt8]) -> Bool {
            var sent = 0
            while sent < bytes.count {
                let more = bytes.withUnsafeBytes {
                    Foundation.send(file, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
                }
                if more <= 0 { return false }
                sent += more
            }
            return true
        }

        /// The first answer: as long as its Content-Length says.
        func response() -> Response? {
            var bytes: [UInt8] = []
            var piece = [UInt8](repeating: 0, count: 65_536)
            while true {
                if let found = Self.parse(bytes) { return found }
                let count = recv(file, &piece, piece.count, 0)
                if count <= 0 { return nil }
                bytes += piece.prefix(count)
            }
        }

        private static func parse(_ bytes: [UInt8]) -> Response? {
            let text = String(decoding: bytes, as: UTF8.self)
            guard text.hasPrefix("HTTP/1.1 "), let range = Data(bytes).range(of: Data("\r\n\r\n".utf8)) else {
                return nil
            }
            let lines = String(decoding: bytes[..<range.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
                if parts.count == 2 { headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces) }
            }
            let body = Array(bytes[range.upperBound...])
            guard let length = headers["content-length"].flatMap({ Int($0) }), body.count >= length else { return nil }
            return Response(
                status: Int(lines[0].split(separator: " ")[1]) ?? 0, headers: headers, body: Array(body.prefix(length)))
        }
    }
}
