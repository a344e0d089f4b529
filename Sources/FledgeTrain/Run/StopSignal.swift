import FledgeCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Turns the wish to stop (Ctrl-C, `kill`, the end of a batch job's time) into a flag that a training loop looks at
/// between steps, saves, and throws `StoppedBySignal`. A second signal ends the process at once. SIGUSR1 is the wish to
/// save and go on.
public enum StopSignal {
    private static let received = Atomic<Int32>(0)
    private static let wantsSave = Atomic<Bool>(false)

    /// Starts listening to SIGINT, SIGTERM and SIGUSR1.
    public static func listen() {
        signal(SIGUSR1) { _ in StopSignal.wantsSave.store(true, ordering: .relaxed) }
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                // Only what is allowed inside a signal handler: an atomic and _exit.
                if StopSignal.received.exchange(number, ordering: .relaxed) != 0 { _exit(75) }
            }
        }
    }

    /// The number of the signal that came; `nil` while none did.
    public static var number: Int32? {
        let value = received.load(ordering: .relaxed)
        return value == 0 ? nil : value
    }

    /// Whether SIGUSR1 came since this was last asked.
    static func takeSaveRequest() -> Bool { wantsSave.exchange(false, ordering: .relaxed) }

    /// Throws once a signal came.
    public static func check() throws(StoppedBySignal) {
        if let number { throw StoppedBySignal(number: number) }
    }

    /// Forgets a signal that came.
    static func reset() {
        received.store(0, ordering: .relaxed)
        wantsSave.store(false, ordering: .relaxed)
    }
}

/// A run was asked to stop and did, with everything saved.
public struct StoppedBySignal: ExplainedError, Equatable {
    public let number: Int32
    /// The folder of the run, where there is one.
    public var run: String?

    public init(number: Int32, run: String? = nil) {
        self.number = number
        self.run = run
    }

    public var what: String { "stopped before the end" }
    public var place: String? { run }
    public var why: String? { number == SIGINT ? "interrupted (SIGINT)" : "asked to end (signal \(number))" }
    public var next: String? { "fledge resume \(run ?? "RUN") goes on where it stopped" }
}
