import FledgeCore
import FledgeTrain

/// A method that cannot work with what it was given.
public enum MethodError: ExplainedError, Equatable {
    case unknown(String, nearest: [String])
    case needsImages(String)
    case needsLabels(String)
    case needsColour(String)
    /// Squares of `least` pixels are the smallest that the method can cut up.
    case picturesTooSmall(String, side: Int, least: Int)
    /// The method works with networks such as `like` only.
    case needsNetwork(String, like: String)
    /// A second network of this name cannot take the weights of the first.
    case notTheRegisteredNetwork(String)
    /// Pictures of this side, or rows of this length, cannot be cut into so many pieces.
    case patchesTooSmall(String, grid: Int, side: Int)
    /// Rows of numbers cannot be read in so many directions.
    case tooManyDirections(String, Int)

    public var what: String {
        switch self {
        case .unknown(let name, _): "there is no method \"\(name)\""
        case .needsImages(let name), .needsLabels(let name), .needsColour(let name),
            .picturesTooSmall(let name, _, _), .patchesTooSmall(let name, _, _), .tooManyDirections(let name, _):
            "\(name) cannot learn from this data"
        case .needsNetwork(let name, _): "\(name) cannot train this network"
        case .notTheRegisteredNetwork(let name): "cannot make a second network like the backbone, \(name)"
        }
    }

    public var why: String? {
        switch self {
        case .unknown: nil
        case .needsImages: "its views are made of pictures, and these samples are rows of numbers"
        case .needsLabels: "no sample has a label"
        case .patchesTooSmall(_, let grid, let side):
            "\(grid) pieces that overlap by half along \(side) pixels or numbers would be shorter than 4"
        case .tooManyDirections(_, let directions):
            "rows of numbers are read onwards and backwards, and directions is \(directions)"
        case .needsColour: "it learns from red, green and blue, and these samples have other channels"
        case .picturesTooSmall(_, let side, let least):
            "it cuts pictures up, which takes \(least) pixels at least, and these have \(side)"
        case .needsNetwork(_, let like): "it trains parts that only networks such as \(like) have"
        case .notTheRegisteredNetwork: "the network that is registered under this name holds other tensors"
        }
    }

    public var next: String? {
        switch self {
        case .unknown(_, let nearest):
            (nearest.isEmpty ? "" : "did you mean \(nearest.joined(separator: ", "))? ")
                + "`fledge methods` lists them all"
        case .needsImages: "use supervised, fixmatch or label-spreading"
        case .picturesTooSmall: "give larger pictures, or a larger --image-size"
        case .needsColour: "use another pretext task, such as rotation"
        case .needsNetwork(_, let like): "leave --model out, or give --model \(like)"
        case .needsLabels: "label some samples, or use a self-supervised method such as simclr"
        case .patchesTooSmall(_, _, let side):
            side >= 6 ? "set grid to \(side / 2 - 1) or less" : "use another method; these samples are too small"
        case .tooManyDirections: "set directions to 2 or 1"
        case .notTheRegisteredNetwork: "make the backbone with Models.make, or register it"
        }
    }
}
