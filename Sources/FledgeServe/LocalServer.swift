import FledgeCore
import FlyingFox
import FlyingSocks
import Foundation

/// Pages for the person at this machine: a web server on 127.0.0.1 that answers nobody who does not hold its token.
///
/// What may come in is decided in `RequestRules`, how much and how long in `ConnectionWatch`; a page sees only requests
/// that passed both.
public final class LocalServer: Sendable {
    /// What the browser opens: the address with the token. Whoever has it can see the pages.
    public let link: String
    public let port: Int
    private let server: HTTPServer
    private let watch: ConnectionWatch

    /// Starts listening; requests are answered on threads of their own.
    /// - Parameters:
    ///   - port: 0 for any that is free.
    ///   - respond: what a request is answered with. Gets the token, which the page must send back in the header
    ///     `RequestRules.header` of every request that changes something.
    /// - Throws: `ServeError` when the port is taken or may not be used.
    public init(port: Int, respond: @escaping @Sendable (PageRequest, _ token: String) -> PageResponse) throws {
        let rules = RequestRules()
        let answering = DispatchQueue(label: "fledge.pages", attributes: .concurrent)
        let handler = ClosureHTTPHandler { request in
            switch await rules.judge(request) {
            case .refused(let response), .answered(let response): return response.http
            case .admitted(let page):
                return await withCheckedContinuation { continuation in
                    answering.async { continuation.resume(returning: respond(page, rules.token).http) }
                }
            }
        }
        guard let address = try? sockaddr_in.inet(ip4: "127.0.0.1", port: UInt16(clamping: port)) else {
            throw ServeError(port: port, reason: "127.0.0.1 is no address on this machine")
        }
        // A body up to this length is read before the rules are asked, so it is no longer than a body may be.
        let server = HTTPServer(
            config: .init(
                address: address, timeout: 15, sharedRequestBufferSize: RequestRules.longestBody,
                sharedRequestReplaySize: RequestRules.longestBody, logger: .disabled), handler: handler)
        self.server = server
        let found = try Self.start(server, port: port)
        rules.listen(on: found)
        self.port = found
        link = "http://127.0.0.1:\(found)/?token=\(rules.token)"
        watch = ConnectionWatch(port: found)
    }

    /// Closes every connection. What was answered is answered.
    public func stop() {
        watch.stop()
        let done = DispatchSemaphore(value: 0)
        Task { [server] in
            await server.stop(timeout: 1)
            done.signal()
        }
        _ = done.wait(timeout: .now() + 3)
    }

    /// Runs the server in the background, and waits until it listens.
    private static func start(_ server: HTTPServer, port: Int) throws -> Int {
        let outcome = Outcome()
        Task {
            do { try await server.run() } catch { outcome.settle(.failure(error)) }
        }
        Task {
            do {
                try await server.waitUntilListening(timeout: 10)
                if case .ip4(_, let port) = await server.listeningAddress { outcome.settle(.success(Int(port))) }
            } catch { outcome.settle(.failure(error)) }
        }
        do {
            return try outcome.wait()
        } catch let error as SocketError {
            guard case .failed(_, let errno, _) = error else { throw ServeError(port: port, reason: "\(error)") }
            throw ServeError(port: port, reason: String(cString: strerror(errno)))
        } catch {
            throw ServeError(port: port, reason: "\(error)")
        }
    }

    /// The first of several results, for a thread that waits for it.
    private final class Outcome: @unchecked Sendable {
        private let condition = NSCondition()
        private var result: Result<Int, any Error>?

        func settle(_ result: Result<Int, any Error>) {
            condition.withLock {
                if self.result == nil { self.result = result }
                condition.signal()
            }
        }

        func wait() throws -> Int {
            try condition.withLock {
                while result == nil { condition.wait() }
                return try result!.get()
            }
        }
    }
}

/// A request that passed `RequestRules`.
public struct PageRequest: Sendable {
    public enum Method: Sendable { case get, post }

    public let method: Method
    /// As it was sent: begins with a slash, holds letters, digits and `/._-` only, and no `..`.
    public let path: String
    /// Empty for `get`.
    public let body: [UInt8]
}

/// What a page answers.
public struct PageResponse: Sendable {
    public enum Kind: String, Sendable {
        case html = "text/html; charset=utf-8"
        case css = "text/css; charset=utf-8"
        case javascript = "text/javascript; charset=utf-8"
        case json = "application/json"
        case png = "image/png"
        case text = "text/plain; charset=utf-8"
    }

    public var status: Int
    public var kind: Kind
    public var body: [UInt8]
    var headers: [(name: String, value: String)] = []

    public init(_ kind: Kind, _ body: [UInt8], status: Int = 200) {
        self.status = status
        self.kind = kind
        self.body = body
    }

    public init(_ kind: Kind, _ body: String, status: Int = 200) { self.init(kind, Array(body.utf8), status: status) }

    public static let notFound = PageResponse(.text, "there is nothing here\n", status: 404)

    /// With the headers that every answer has.
    var http: HTTPResponse {
        var found = HTTPHeaders()
        found[HTTPHeader("Content-Type")] = kind.rawValue
        for (name, value) in RequestRules.responseHeaders + headers { found[HTTPHeader(name)] = value }
        let phrases = [
            200: "OK", 303: "See Other", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
            405: "Method Not Allowed", 409: "Conflict", 411: "Length Required", 413: "Payload Too Large",
            421: "Misdirected Request", 507: "Insufficient Storage",
        ]
        return HTTPResponse(
            statusCode: HTTPStatusCode(status, phrase: phrases[status] ?? "Error"), headers: found, body: Data(body))
    }
}

/// The server could not start.
public struct ServeError: ExplainedError, Equatable {
    public let port: Int
    public let reason: String

    public var what: String { "cannot open a page on this machine" }
    public var place: String? { "127.0.0.1:\(port)" }
    public var why: String? { reason }
    public var next: String? { "give another port with --port, or leave it out for any that is free" }
}
