import Foundation

/// 0.9412 as 94.1 %, with the interval as 94.1 % (92.5 to 95.4); nothing as -.
func percent(_ share: Double?, interval: [Double]? = nil) -> String {
    guard let share else { return "-" }
    let value = String(format: "%.1f %%", share * 100)
    guard let interval else { return value }
    return value + String(format: " (%.1f to %.1f)", interval[0] * 100, interval[1] * 100)
}
