/// A safetensors file that cannot be read or written: which file, which tensor, what is wrong, what to do.
public struct SafetensorsError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable, CaseIterable {
        /// The system does not let the file be read.
        case unreadable
        /// The system does not let the file be written.
        case unwritable
        /// The file ends before the data it announces.
        case truncated
        /// The header is not the JSON that the format asks for.
        case malformedHeader
        /// More than a file may have: header bytes, tensors, name length, axes.
        case limit
        /// One name stands for two tensors.
        case duplicateName
        /// The tensors' places in the file leave holes, overlap, or do not end where the file ends.
        case badOffsets
        /// A shape whose size overflows or does not agree with the bytes that are there.
        case badShape
        /// An element type that has no counterpart here, or that is not known at all.
        case unsupportedType
        /// A byte of a bool tensor that is neither 0 nor 1.
        case badValue
        /// No tensor of that name.
        case missing
        /// The index of a sharded file and its shards do not agree.
        case badIndex
    }

    public let kind: Kind
    /// The path as it was given.
    public let file: String
    /// The tensor that is wrong, where it is one.
    public let tensor: String?
    /// What is wrong, with the numbers.
    public let reason: String
    /// What to do about it.
    public let advice: String

    init(_ kind: Kind, file: String, tensor: String? = nil, _ reason: String, advice: String? = nil) {
        self.kind = kind
        self.file = file
        self.tensor = tensor
        self.reason = reason
        self.advice = advice ?? kind.advice
    }

    public var description: String {
        "\(file): " + (tensor.map { "tensor \(StrictJSON.quoted($0)): " } ?? "") + "\(reason); \(advice)"
    }
}

extension SafetensorsError.Kind {
    fileprivate var advice: String {
        switch self {
        case .unreadable: "check the path and its permissions"
        case .unwritable: "check that the folder exists, may be written to and has space left"
        case .truncated: "download or copy it again"
        case .malformedHeader, .duplicateName, .badOffsets, .badShape, .badValue:
            "it is damaged or not a safetensors file: download it again or write it anew"
        case .limit: "split it into several files or shorten the names"
        case .unsupportedType: "convert the tensor to F32, F64, F16, BF16, I32, I64, U8 or BOOL where the file was made"
        case .missing: "compare the names the file holds with those that are wanted"
        case .badIndex: "download all shards and the index again"
        }
    }
}
