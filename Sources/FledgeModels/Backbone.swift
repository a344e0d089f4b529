import FledgeCore
import FledgeNN

/// A network that turns every sample of a batch into a vector of features.
///
/// Calling a backbone gives features, always: [N, H, W, C] or [N, D] to [N, `featureCount`]. A network that is published
/// with a classifier can own it under its published name; only `logits` applies it.
public protocol Backbone: Layer {
    /// How many features a sample gets.
    var featureCount: Int { get }
    /// The published classifier: torchvision's `fc`, timm's `head`. nil when the network was made without one.
    var classifier: Linear? { get }
}

/// A backbone that can also say what it finds where.
public protocol SpatialBackbone: Backbone {
    /// What the network knows of each place before it is averaged: [N, H, W, C] to [N, H', W', `featureCount`].
    func featureMap(_ x: Tensor) -> Tensor
}

extension Backbone {
    public var classifier: Linear? { nil }

    /// The network's feature map, or its features as a map of one place: [N, H', W', `featureCount`].
    public func map(_ x: Tensor) -> Tensor {
        if let spatial = self as? any SpatialBackbone { return spatial.featureMap(x) }
        return self(x).reshaped([x.shape[0], 1, 1, featureCount])
    }

    /// What the network's own classifier makes of the features: [N, classes]. Stops when there is none.
    public func logits(_ x: Tensor) -> Tensor {
        guard let classifier else {
            stop(
                "logits: this \(type(of: self)) has no classifier; make it with a number of classes, or use Classifier")
        }
        return classifier(self(x))
    }
}

/// A backbone and a linear classifier: [N, ...] to logits [N, classes]. The backbone's tensors are named
/// `backbone.*` on disk, the classifier's `head.*`.
public final class Classifier: Layer {
    public let backbone: any Backbone
    public let head: Linear

    public init(_ backbone: any Backbone, classes: Int, random: inout RandomSource) {
        self.backbone = backbone
        head = Linear(backbone.featureCount, classes, random: &random)
    }

    /// With a classifier that exists already.
    /// - Parameter head: from `backbone.featureCount` inputs.
    public init(_ backbone: any Backbone, head: Linear) {
        require(
            head.weight.value.shape[1] == backbone.featureCount,
            "Classifier: a head for \(head.weight.value.shape[1]) features on \(backbone.featureCount)")
        self.backbone = backbone
        self.head = head
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { head(backbone(x)) }
}
