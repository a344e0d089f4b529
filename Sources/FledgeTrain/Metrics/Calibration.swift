import Foundation

/// Whether predicted probabilities can be believed: of the answers given with 80 % confidence, 80 % should be right.
public struct Calibration: Codable, Sendable, Equatable {
    /// The samples whose confidence, the highest probability of their row, lies in (lower, upper].
    public struct Bin: Codable, Sendable, Equatable {
        public let lower: Double
        public let upper: Double
        public let count: Int
        /// Mean confidence; 0 for an empty bin.
        public let confidence: Double
        /// Share of right answers; 0 for an empty bin.
        public let accuracy: Double
    }

    /// Bins of equal width that cover 0...1.
    public let bins: [Bin]
    /// The mean distance of confidence and accuracy over the bins, weighted by their samples: expected calibration
    /// error (Naeini, Cooper and Hauskrecht 2015; in this form Guo et al., "On calibration of modern neural
    /// networks", 2017, equation 5).
    public let expectedError: Double
    /// The mean over samples of the squared distance of the probabilities from the true one-hot row, summed over
    /// classes: 0 to 2 (Brier 1950).
    public let brier: Double
    /// The mean of -log of the true class's probability, in nats. Probabilities below 1e-12 count as 1e-12.
    public let negativeLogLikelihood: Double

    /// - Parameter probabilities: [N, C] row-major, every row adding up to 1.
    public init(probabilities: [Float], classes: Int, labels: [Int], bins count: Int = 15) {
        Metrics.requireRows(probabilities, classes, labels, "Calibration")
        let predicted = Metrics.predictions(scores: probabilities, classes: classes)
        var sizes = Array(repeating: 0, count: count)
        var hits = Array(repeating: 0, count: count)
        var confidences = Array(repeating: 0.0, count: count)
        var squares = 0.0
        var logs = 0.0
        for (row, label) in labels.enumerated() {
            let base = row * classes
            let confidence = Double(probabilities[base + predicted[row]])
            let bin = min(max(Int((confidence * Double(count)).rounded(.up)) - 1, 0), count - 1)
            sizes[bin] += 1
            confidences[bin] += confidence
            if predicted[row] == label { hits[bin] += 1 }
            for c in 0..<classes {
                let distance = Double(probabilities[base + c]) - (c == label ? 1 : 0)
                squares += distance * distance
            }
            logs -= log(max(Double(probabilities[base + label]), 1e-12))
        }
        let samples = Double(labels.count)
        bins = (0..<count).map { bin in
            let size = Double(max(sizes[bin], 1))
            return Bin(
                lower: Double(bin) / Double(count), upper: Double(bin + 1) / Double(count), count: sizes[bin],
                confidence: confidences[bin] / size, accuracy: Double(hits[bin]) / size)
        }
        expectedError = bins.reduce(0) { $0 + Double($1.count) / samples * abs($1.accuracy - $1.confidence) }
        brier = squares / samples
        negativeLogLikelihood = logs / samples
    }
}
