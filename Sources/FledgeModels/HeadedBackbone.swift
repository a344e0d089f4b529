import FledgeCore
import FledgeNN

/// A network and the first layer of the projection head that it was trained under, whose outputs are the features:
/// SimCLR v2 fine-tunes from there (Chen et al. 2020, "Big self-supervised models are strong semi-supervised learners",
/// section 2). Linear, batch norm, rectifier: [N, ...] to [N, `featureCount`].
public final class HeadedBackbone: Backbone {
    public let network: any Backbone
    public let linear: Linear
    public let norm: BatchNorm
    public var featureCount: Int { linear.weight.shape[0] }

    /// - Parameter width: of the layer.
    public init(_ network: any Backbone, width: Int, random: inout RandomSource) {
        self.network = network
        // The norm has a shift of its own.
        linear = Linear(network.featureCount, width, bias: false, random: &random)
        norm = BatchNorm(width)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { norm(linear(network(x)), relu: true) }

    /// What `Models.make` calls it: the network's name, a plus sign and the width.
    public static func name(_ network: String, width: Int) -> String { "\(network)+\(width)" }

    /// The network's name and the width; nil for names of another form.
    static func parts(of name: String) -> (network: String, width: Int)? {
        guard let plus = name.lastIndex(of: "+"), let width = Int(name[name.index(after: plus)...]),
            (1...65536).contains(width)
        else { return nil }
        return (String(name[..<plus]), width)
    }
}
