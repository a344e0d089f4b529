/// Stops the program with a message when a programmer's error is found, in release builds too
/// (`precondition` prints nothing under optimisation).
@inline(__always)
public func require(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { stop(message()) }
}

/// Ends the program because of a programmer's error, naming it.
public func stop(_ message: String) -> Never {
    fatalError("fledge: \(message)")
}
