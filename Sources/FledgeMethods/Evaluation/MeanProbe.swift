import FledgeCore

/// The mean classifier: the weights of a class are the mean of its samples' features, and the class whose mean has the
/// largest product with a sample's features wins (Arora et al. 2019, "A theoretical analysis of contrastive unsupervised
/// representation learning", definition 2.2).
///
/// It is the classifier that the theory of contrast bounds: a low contrastive loss makes this one good, and with it the
/// best linear one. Nothing is fitted, so where it comes near `LinearProbe` with few labels, the features have the
/// classes in groups of their own. Features are brought to length 1, the bound that the theory puts on them.
public struct MeanProbe {
    /// [classes, D]; zero for a class without samples, which is never the answer.
    public let weight: Tensor
    /// [classes]: 1 where there is a sample.
    private let isKnown: Tensor

    /// - Parameters:
    ///   - features: [N, D] of labelled samples, of any length.
    ///   - labels: N class indices.
    public init(features: Tensor, labels: [Int], classes: Int) {
        require(
            features.rank == 2 && features.shape[0] == labels.count && !labels.isEmpty,
            "MeanProbe: features \(features.shape) for \(labels.count) labels")
        (weight, isKnown) = noGradient {
            let members = Tensor(labels).oneHot(classes: classes)
            let counts = members.sum(axis: 0)
            let sums = members.transposed().matmul(features.detached().l2Normalized(axis: -1))
            return (
                sums / maximum(counts, .ones([classes])).unsqueezed(axis: 1), (counts .> 0).cast(to: .float32)
            )
        }
    }

    /// Class probabilities [M, classes] of features [M, D]: the softmax of the products, as the logistic loss of the
    /// paper reads them.
    public func probabilities(_ features: Tensor) -> [Float] {
        noGradient {
            let scores = features.detached().l2Normalized(axis: -1).matmul(weight.transposed())
            return scores.maskedFill(isKnown .< 0.5, -1e9).softmax()
        }.floats()
    }
}
