/// What one element of a tensor is.
public enum DType: String, Codable, Sendable, CaseIterable {
    case float32, float64
    /// Storage only: cast to `float32` to compute.
    case bfloat16
    case int32, int64, uint8, bool

    /// Bytes per element.
    public var size: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        case .bfloat16: 2
        case .uint8, .bool: 1
        }
    }

    public var isFloatingPoint: Bool { self == .float32 || self == .float64 || self == .bfloat16 }
}

/// Where a tensor is computed.
public enum Device: String, Codable, Sendable, CaseIterable {
    /// oneDNN and the C kernels, on all cores. Types other than `float32` fall back to the reference kernels.
    case cpu
    /// Plain Swift that computes every operation in double precision and rounds at the end: slow, and the oracle of
    /// every test.
    case reference

    /// The device of tensors made without naming one.
    public nonisolated(unsafe) static var `default`: Device = .cpu

    var backend: any Backend {
        switch self {
        case .cpu: CPUBackend.shared
        case .reference: ReferenceBackend.shared
        }
    }
}

/// A Swift type that is the element of some `DType`.
public protocol TensorScalar: Sendable {
    static var dtype: DType { get }
}

extension Float: TensorScalar { public static var dtype: DType { .float32 } }
extension Double: TensorScalar { public static var dtype: DType { .float64 } }
extension Int32: TensorScalar { public static var dtype: DType { .int32 } }
extension Int64: TensorScalar { public static var dtype: DType { .int64 } }
extension Int: TensorScalar { public static var dtype: DType { .int64 } }
extension UInt8: TensorScalar { public static var dtype: DType { .uint8 } }
extension Bool: TensorScalar { public static var dtype: DType { .bool } }
