import COneDNN
import Glibc

/// The oneDNN library below tensors: matrix products and convolutions on pointers, sizes and strides.
///
/// Every call of the library in Fledge is in the `OneDNN*.swift` files of this folder; what differs between its
/// versions 2.6 and 3 is in `COneDNN/shim.h`. All calls come from the engine thread (`EngineThread`).
enum OneDNN {
    /// The kinds of number that products work on.
    enum ElementType: Int32, Sendable {
        case float32, bfloat16

        var stride: Int { self == .float32 ? 4 : 2 }
        var raw: dnnl_data_type_t { self == .float32 ? dnnl_f32 : dnnl_bf16 }
    }

    /// Version of the library that was loaded, such as "2.6.3".
    static var version: String {
        let version = dnnl_version()!.pointee
        return "\(version.major).\(version.minor).\(version.patch)"
    }

    /// The widest instruction set that the library uses on this machine, such as "cpu_isa_avx512_core_bf16".
    /// ONEDNN_MAX_CPU_ISA in the environment lowers it.
    static var maxISA: String { String(cString: onednn_isa_name()) }

    /// Whether products of bfloat16 numbers run on native instructions; without them, bfloat16 is refused.
    static let hasBFloat16 = onednn_has_bfloat16() != 0

    // The library's context. One stream, used from the engine thread only.
    nonisolated(unsafe) static let engine: dnnl_engine_t = {
        var engine: dnnl_engine_t?
        check(dnnl_engine_create(&engine, dnnl_cpu, 0), "making the engine")
        return engine!
    }()
    nonisolated(unsafe) static let stream: dnnl_stream_t = {
        var stream: dnnl_stream_t?
        check(dnnl_stream_create(&stream, engine, UInt32(dnnl_stream_default_flags.rawValue)), "making the stream")
        return stream!
    }()

    /// Stops unless the library succeeded: `doing` names the operation and its shapes.
    @inline(__always)
    static func check(_ status: dnnl_status_t, _ doing: @autoclosure () -> String) {
        if status != dnnl_success { stop(status, doing()) }
    }

    /// As `check`, but false where the library has no implementation for what was asked.
    static func isImplemented(_ status: dnnl_status_t, _ doing: @autoclosure () -> String) -> Bool {
        if status == dnnl_unimplemented { return false }
        check(status, doing())
        return true
    }

    private static func stop(_ status: dnnl_status_t, _ doing: String) -> Never {
        fatalError("oneDNN \(version): \(String(cString: dnnl_status2str(status))) in \(doing)")
    }
}

/// The one thread that runs the engine.
///
/// The OpenMP pool under oneDNN keeps a team of threads per calling thread, and cached primitives and buffers belong to
/// one caller at a time. The first thread that calls the engine becomes its thread; debug builds stop on any other.
public enum EngineThread {
    nonisolated(unsafe) private static var owner: pthread_t?

    /// Moves the engine to the calling thread. Nothing may be running on the one before.
    public static func claim() { owner = pthread_self() }

    /// Stops, in debug builds, unless this is the engine's thread.
    @inline(__always)
    static func precondition(_ operation: StaticString) {
        assert(isCurrent, "\(operation) was called on a second thread; the engine runs on one (EngineThread.claim)")
    }

    private static var isCurrent: Bool {
        if let owner { return pthread_equal(owner, pthread_self()) != 0 }
        claim()
        return true
    }
}
