import FledgeCore
import FledgeTrain

/// A method that cannot work with what it was given.
public enum MethodError: ExplainedError, Equatable {
    case unknown(String, nearest: [String])
    case needsImages(String)
    case needsLabels(String)
    /// A second network of this name cannot take the weights of the first.
    case notTheRegisteredNetwork(String)

    public var what: String {
        switch self {
        case .unknown(let name, _): "there is no method \"\(name)\""
        case .needsImages(let name), .needsLabels(let name): "\(name) cannot learn from this data"
        case .notTheRegisteredNetwork(let name): "cannot make a second network like the backbone, \(name)"
        }
    }

    public var why: String? {
        switch self {
        case .unknown: nil
        case .needsImages: "its views are made of pictures, and these samples are rows of numbers"
        case .needsLabels: "no sample has a label"
        case .notTheRegisteredNetwork: "the network that is registered under this name holds other tensors"
        }
    }

    public var next: String? {
        switch self {
        case .unknown(_, let nearest):
            (nearest.isEmpty ? "" : "did you mean \(nearest.joined(separator: ", "))? ")
                + "`fledge methods` lists them all"
        case .needsImages: "use supervised, fixmatch or label-spreading"
        case .needsLabels: "label some samples, or use a self-supervised method such as simclr"
        case .notTheRegisteredNetwork: "make the backbone with Models.make, or register it"
        }
    }
}
