import Foundation

/// Mean and standard deviation of a number measured several times, as over seeds.
public struct Spread: Codable, Sendable, Equatable {
    public let mean: Double
    /// The sample standard deviation (divided by count - 1); `nil` for a single value, which says nothing of spread.
    public let deviation: Double?
    public let count: Int

    /// Stops for no values.
    public init(_ values: [Double]) {
        if values.isEmpty { fatalError("Spread: there are no values") }
        let mean = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        count = values.count
        deviation =
            values.count > 1
            ? (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot() : nil
    }

    /// Such as `0.9412 ± 0.0031`.
    public var text: String {
        let mean = String(format: "%.4f", self.mean)
        return deviation.map { mean + " ± " + String(format: "%.4f", $0) } ?? mean
    }
}
