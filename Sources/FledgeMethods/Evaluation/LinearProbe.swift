import FledgeCore
import FledgeNN

/// Multinomial logistic regression on fixed features: the usual measure of how good features are.
///
/// Features are standardised by the mean and deviation of the samples given; the loss is the mean cross-entropy plus
/// `l2` / 2 times the squared weights (not the bias), minimised by L-BFGS to convergence.
public struct LinearProbe {
    /// [classes, D] and [classes], for features as they come (standardisation folded in).
    public let weight: Tensor
    public let bias: Tensor
    public let steps: Int

    /// - Parameters:
    ///   - features: [N, D].
    ///   - labels: N class indices.
    ///   - l2: strength of the penalty; 1 / N by default, which is scikit-learn's C = 1.
    public init(features: Tensor, labels: [Int], classes: Int, l2: Double? = nil, maximumSteps: Int = 300) {
        let (n, d) = (features.shape[0], features.shape[1])
        require(n == labels.count && n > 0, "LinearProbe: \(n) features for \(labels.count) labels")
        let penalty = l2 ?? 1 / Double(n)
        let (mean, deviation): (Tensor, Tensor) = noGradient {
            let mean = features.mean(axis: 0)
            // Features that never vary carry nothing; do not blow up their rounding.
            return (mean, (features.variance(axis: 0) + 1e-6).sqrt())
        }
        let x = noGradient { ((features - mean) / deviation).contiguous() }
        let targets = Tensor(labels).oneHot(classes: classes)
        let found = noGradient {
            LBFGS.minimize(from: [Double](repeating: 0, count: (d + 1) * classes), maximumSteps: maximumSteps) {
                point in
                let w = Tensor(point[..<(d * classes)].map { Float($0) }, shape: [d, classes])
                let b = Tensor(point[(d * classes)...].map { Float($0) }, shape: [classes])
                let logProbabilities = (x.matmul(w) + b).logSoftmax()
                let loss = -(logProbabilities * targets).sum().item() / Double(n)
                let error = (logProbabilities.exp() - targets) * (1 / Double(n))
                var gradient = x.transposed().matmul(error).doubles()
                var squares = 0.0
                for i in 0..<d * classes {
                    gradient[i] += penalty * point[i]
                    squares += point[i] * point[i]
                }
                return (loss + 0.5 * penalty * squares, gradient + error.sum(axis: 0).doubles())
            }
        }
        steps = found.steps
        (weight, bias) = noGradient {
            let w = Tensor(found.point[..<(d * classes)].map { Float($0) }, shape: [d, classes])
            let b = Tensor(found.point[(d * classes)...].map { Float($0) }, shape: [classes])
            let scaled = (w / deviation.unsqueezed(axis: 1)).transposed().contiguous()
            return (scaled, b - scaled.matmul(mean))
        }
    }

    /// The same as a layer, to be trained further.
    public var layer: Linear { Linear(weight: weight, bias: bias) }

    /// Class probabilities [M, classes] of features [M, D].
    public func probabilities(_ features: Tensor) -> [Float] {
        noGradient { features.linear(weight, bias).softmax() }.floats()
    }
}
