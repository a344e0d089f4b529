import Crypto
import FlyingFox
import Foundation
import Synchronization

/// Who may ask what. In front of every page, in this order:
///
/// 1. `Host` must be this server's own, so that a foreign name that was made to point at 127.0.0.1 gets nothing.
/// 2. Only GET and POST; a path of plain characters, which is compared and never decoded; a body of known, small length.
/// 3. The link's token, once, in the address of the first page: it is answered with a cookie (`HttpOnly`,
///    `SameSite=Strict`) and a redirect, so that it stays in no address bar and in no `Referer`.
/// 4. Everything else needs that cookie.
/// 5. What changes something (POST) also needs an `Origin` that is this server's own, and the token in a header, which
///    no page of another origin can send or read.
///
/// Secrets are compared as SHA-256 digests, whose comparison takes the same time wherever they differ. No answer has a
/// header that lets other origins in.
final class RequestRules: Sendable {
    static let header = "X-Fledge-Token"
    static let longestBody = 16 << 10

    /// In the link, and in the header of every POST.
    let token = RequestRules.secret()
    private let cookie = RequestRules.secret()
    private let port = Mutex(0)

    /// Whatever is served: nothing but the server's own files runs, nobody frames it, nothing is kept.
    static let responseHeaders = [
        (
            name: "Content-Security-Policy",
            value: "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
        ),
        (name: "X-Frame-Options", value: "DENY"), (name: "X-Content-Type-Options", value: "nosniff"),
        (name: "Referrer-Policy", value: "no-referrer"), (name: "Cross-Origin-Resource-Policy", value: "same-origin"),
        (name: "Cross-Origin-Opener-Policy", value: "same-origin"), (name: "Cache-Control", value: "no-store"),
        (name: "Connection", value: "close"),
    ]

    enum Verdict {
        case admitted(PageRequest)
        /// The link's token was right; the browser is sent on.
        case answered(PageResponse)
        case refused(PageResponse)

        static func refused(_ status: Int, _ why: String) -> Verdict {
            .refused(PageResponse(.text, why + "\n", status: status))
        }
    }

    func listen(on port: Int) { self.port.withLock { $0 = port } }

    func judge(_ request: HTTPRequest) async -> Verdict {
        let port = port.withLock { $0 }
        let hosts = ["127.0.0.1:\(port)", "localhost:\(port)"]
        guard let host = request.headers[.host]?.lowercased(), hosts.contains(host) else {
            return .refused(421, "this server answers to 127.0.0.1 and localhost only")
        }
        guard request.method == .GET || request.method == .POST else {
            return .refused(405, "only GET and POST are known here")
        }
        let path = request.target.path()
        guard path.hasPrefix("/"), !path.contains(".."), path.utf8.count <= 256, path.utf8.allSatisfy(Self.isPlain)
        else { return .refused(400, "that is no path of this server") }
        let cookieName = "fledge-\(port)"

        let query = request.target.query()
        if !query.isEmpty {
            guard request.method == .GET, path == "/", query.hasPrefix("token="),
                isSame(String(query.dropFirst("token=".count)), token)
            else { return .refused(403, "the token is not right: open the link as it was printed") }
            var response = PageResponse(.text, "", status: 303)
            response.headers = [
                ("Location", "/"), ("Set-Cookie", "\(cookieName)=\(cookie); Path=/; HttpOnly; SameSite=Strict"),
            ]
            return .answered(response)
        }
        guard let given = Self.cookie(cookieName, in: request.headers[.cookie] ?? ""), isSame(given, cookie) else {
            return .refused(403, "open the link that was printed: it holds the token")
        }
        guard request.method == .POST else {
            return .admitted(PageRequest(method: .get, path: path, body: []))
        }

        guard request.headers[HTTPHeader("Origin")]?.lowercased() == "http://\(host)" else {
            return .refused(403, "requests of other origins are refused")
        }
        guard let given = request.headers[HTTPHeader(Self.header)], isSame(given, token) else {
            return .refused(403, "the header \(Self.header) is missing or not right")
        }
        guard request.headers[.transferEncoding] == nil,
            let length = request.headers[.contentLength].flatMap({ Int($0) })
        else { return .refused(411, "a body needs its Content-Length") }
        guard length <= Self.longestBody else { return .refused(413, "a body may have \(Self.longestBody) bytes") }
        guard let body = try? await request.bodyData, body.count == length else {
            return .refused(400, "the body ends early")
        }
        return .admitted(PageRequest(method: .post, path: path, body: Array(body)))
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func cookie(_ name: String, in header: String) -> String? {
        for pair in header.split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            if parts.count == 2, parts[0] == name { return parts[1] }
        }
        return nil
    }

    private func isSame(_ given: String, _ secret: String) -> Bool {
        SHA256.hash(data: Data(given.utf8)) == SHA256.hash(data: Data(secret.utf8))
    }

    /// 256 random bits of the system as 64 hexadecimal digits.
    private static func secret() -> String {
        var system = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(system.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
