import FledgeCore
import FledgeNN

/// A network that cannot be made, or weights that do not fit it.
public enum ModelError: ExplainedError {
    /// No network has this name; `nearest` holds those like it, best first.
    case unknown(name: String, nearest: [String])
    /// The network does not take samples of this shape.
    case unsupportedInput(model: String, shape: [Int], reason: String, advice: String)
    /// The tensors of a file are not those of the network. Nothing was changed.
    case weights(file: String, mismatch: StateMismatch)

    public var what: String {
        switch self {
        case .unknown(let name, _): "there is no network '\(name)'"
        case .unsupportedInput(let model, let shape, _, _): "\(model) does not take samples of shape \(shape)"
        case .weights: "the weights do not fit the network"
        }
    }

    public var place: String? {
        if case .weights(let file, _) = self { file } else { nil }
    }

    public var why: String? {
        switch self {
        case .unknown: nil
        case .unsupportedInput(_, _, let reason, _): reason
        case .weights(_, let mismatch): Self.list(mismatch)
        }
    }

    public var next: String? {
        switch self {
        case .unknown(_, let nearest):
            nearest.isEmpty
                ? "choose one of \(Models.all.map(\.name).joined(separator: ", "))"
                : "did you mean \(nearest.map { "'\($0)'" }.joined(separator: " or "))?"
        case .unsupportedInput(_, _, _, let advice): advice
        case .weights: "check that the file belongs to this network, made for this image size and number of classes"
        }
    }

    /// Every tensor by its full name.
    private static func list(_ mismatch: StateMismatch) -> String {
        let lines =
            mismatch.missing.map { "missing: \($0)" } + mismatch.unexpected.map { "unexpected: \($0)" }
            + mismatch.misshapen.map { "misshapen: \($0.name) should be \($0.expected), is \($0.found)" }
        return lines.joined(separator: "\n         ")
    }
}
