import Foundation
import Glibc
import Synchronization

/// Ends connections that ask for too much. The web server under `LocalServer` reads header lines of any length, waits
/// for them without end and takes any number of connections; this thread looks at the process's own sockets ten times
/// a second and shuts those that are too old, have sent too much, or are the oldest of too many. The server reads a
/// few megabytes a second at most, so that is also a limit of memory.
final class ConnectionWatch: Sendable {
    /// A request is answered within milliseconds, and its connection closed.
    static let longestSeconds = 20.0
    static let mostBytes = 64 << 10
    static let mostConnections = 64

    private let port: Int
    private let isStopped = Atomic(false)

    init(port: Int) {
        self.port = port
        let thread = Thread { [self] in run() }
        thread.name = "fledge-connections"
        thread.start()
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    private func run() {
        /// When a connection was first seen, by the number of its socket in the system, which is not used twice.
        var seen: [UInt: Date] = [:]
        while !isStopped.load(ordering: .relaxed) {
            let now = Date()
            let open = connections()
            seen = seen.filter { number, _ in open.contains { $0.number == number } }
            for connection in open where seen[connection.number] == nil { seen[connection.number] = now }
            let byAge = open.sorted { (seen[$0.number] ?? now, $0.number) < (seen[$1.number] ?? now, $1.number) }
            for (place, connection) in byAge.enumerated() {
                let age = now.timeIntervalSince(seen[connection.number] ?? now)
                if age > Self.longestSeconds || connection.received > Self.mostBytes
                    || byAge.count - place > Self.mostConnections
                {
                    shutdown(connection.file, Int32(SHUT_RDWR))
                }
            }
            usleep(100_000)
        }
    }

    private struct Connection {
        let file: Int32
        let number: UInt
        let received: UInt64
    }

    /// The open sockets that someone connected to our port.
    private func connections() -> [Connection] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return names.compactMap { Int32($0) }.compactMap { file in
            var own = sockaddr_in(), peer = sockaddr_in(), status = stat()
            guard Self.address(getsockname, file, &own), own.sin_family == sa_family_t(AF_INET),
                Int(UInt16(bigEndian: own.sin_port)) == port, Self.address(getpeername, file, &peer),
                fstat(file, &status) == 0
            else { return nil }
            return Connection(file: file, number: UInt(status.st_ino), received: Self.received(file))
        }
    }

    private static func address(
        _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32, _ file: Int32,
        _ address: inout sockaddr_in
    ) -> Bool {
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(file, $0, &length) == 0 }
        }
    }

    /// How many bytes came in so far: `tcpi_bytes_received` of Linux's `struct tcp_info`, which lies at byte 128; the C
    /// library's own declaration of the structure ends before it.
    private static func received(_ file: Int32) -> UInt64 {
        var information = [UInt64](repeating: 0, count: 32)
        var length = socklen_t(256)
        guard getsockopt(file, Int32(IPPROTO_TCP), TCP_INFO, &information, &length) == 0, length >= 136 else {
            return 0
        }
        return information[16]
    }
}
