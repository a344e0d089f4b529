import Foundation

/// Small pieces of HTML and SVG.
enum Markup {
    /// Text made safe between tags and inside double-quoted attributes. Control characters, which no document may
    /// hold, become a replacement character.
    static func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case _ where scalar.value < 0x20 && !"\n\t".unicodeScalars.contains(scalar): result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A coordinate with two decimals at most.
    static func number(_ value: Double) -> String {
        let rounded = (value * 100).rounded() / 100
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int(rounded)) : String(rounded)
    }

    /// 0.9412 as 94.1 %.
    static func percent(_ value: Double) -> String {
        value.isFinite ? String(format: "%.1f", value * 100) + "\u{202F}%" : "–"
    }

    /// 12345 as 12,345.
    static func count(_ value: Int) -> String {
        let digits = Array(String(abs(value)))
        var result = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return result
    }

    /// `raw_pixels_linear` as Raw pixels linear.
    static func words(_ name: String) -> String {
        let text = name.replacingOccurrences(of: "_", with: " ")
        return text.prefix(1).uppercased() + text.dropFirst()
    }

    static func section(_ title: String, note: String? = nil, _ body: String) -> String {
        let note = note.map { "<p class=\"note\">\(escape($0))</p>" } ?? ""
        return "<section><h2>\(escape(title))</h2>\(note)\(body)</section>\n"
    }

    /// A drawing that shrinks with the page. `label` is read by screen readers.
    static func svg(width: Double, height: Double, label: String, _ body: String) -> String {
        let box = "0 0 \(number(width)) \(number(height))"
        return "<svg viewBox=\"\(box)\" style=\"max-width:\(number(width))px\" role=\"img\" "
            + "aria-label=\"\(escape(label))\">\(body)</svg>"
    }

    enum Anchor: String { case start, middle, end }

    static func text(_ x: Double, _ y: Double, _ text: String, anchor: Anchor = .start, kind: String = "tick") -> String
    {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor.rawValue)\" class=\"\(kind)\">"
            + "\(escape(text))</text>"
    }

    static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, kind: String) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" class=\"\(kind)\"/>"
    }

    /// The colour of series or class `index`. Ten that people with any colour vision can tell apart on white and on
    /// black, as far as ten can be; beyond these, hues a golden angle apart.
    static func color(_ index: Int) -> String {
        let palette = [
            "#3b7dd8", "#e07b39", "#2a9d77", "#c94f7c", "#8a63d2", "#b8912b", "#3aa6c4", "#d1495b", "#6b8e3d",
            "#7d7f8a",
        ]
        if index < palette.count { return palette[index] }
        return "hsl(\(Int(Double(index) * 137.508) % 360) 55% 50%)"
    }
}

/// Round numbers for an axis.
struct Axis {
    let lower: Double
    let upper: Double
    let ticks: [Double]
    private let decimals: Int

    /// Covers the values with about `count` ticks at multiples of 1, 2 or 5 times a power of ten.
    init(covering values: some Sequence<Double>, about count: Int, isTight: Bool = false) {
        let finite = values.filter(\.isFinite)
        var low = finite.min() ?? 0
        var high = finite.max() ?? 1
        if high - low <= 1e-12 * max(abs(high), abs(low), 1e-300) {
            let margin = max(abs(high) * 0.1, 1e-3)
            low -= margin
            high += margin
        }
        let raw = (high - low) / Double(count)
        let power = pow(10, floor(log10(raw)))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= raw * 0.999 } ?? 10 * power
        lower = isTight ? low : floor(low / step) * step
        upper = isTight ? high : ceil(high / step) * step
        let first = Int(ceil(lower / step - 1e-9))
        let last = Int(floor(upper / step + 1e-9))
        ticks = (first...max(first, last)).map { Double($0) * step }
        decimals = max(0, Int(-floor(log10(step) + 1e-9)))
    }

    func position(_ value: Double, from start: Double, to end: Double) -> Double {
        start + (value - lower) / (upper - lower) * (end - start)
    }

    func label(_ tick: Double) -> String {
        if abs(tick) >= 1e6 || decimals > 5 { return String(format: "%.1e", tick) }
        if decimals == 0 { return Markup.count(Int(tick.rounded())) }
        return String(format: "%.\(decimals)f", tick)
    }
}
