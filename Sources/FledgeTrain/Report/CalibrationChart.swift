/// Accuracy over confidence in bins: bars on the diagonal can be believed. The width of a bar shows how many samples
/// its bin has.
struct CalibrationChart {
    let calibration: Calibration

    var svg: String {
        let size = 300.0
        let left = 46.0
        let top = 12.0
        let right = left + size
        let bottom = top + size
        func across(_ value: Double) -> Double { left + value * size }
        func up(_ value: Double) -> Double { bottom - value * size }

        var body = ""
        for tick in stride(from: 0.0, through: 1, by: 0.25) {
            body += Markup.line(left, up(tick), right, up(tick), kind: "grid")
            body += Markup.text(left - 8, up(tick) + 4, "\(Int(tick * 100))", anchor: .end)
            body += Markup.text(across(tick), bottom + 18, "\(Int(tick * 100))", anchor: .middle)
        }
        let most = Double(calibration.bins.map(\.count).max() ?? 1)
        for bin in calibration.bins where bin.count > 0 {
            let full = (bin.upper - bin.lower) * size - 2
            let width = full * max(0.25, (Double(bin.count) / most).squareRoot())
            let x = across((bin.lower + bin.upper) / 2) - width / 2
            let height = max(bin.accuracy * size, 1)
            let title =
                "confidence \(Markup.percent(bin.confidence)), right \(Markup.percent(bin.accuracy)), "
                + "\(Markup.count(bin.count)) samples"
            body += "<rect x=\"\(Markup.number(x))\" y=\"\(Markup.number(bottom - height))\" "
            body += "width=\"\(Markup.number(width))\" height=\"\(Markup.number(height))\" rx=\"2\" class=\"bin\">"
            body += "<title>\(Markup.escape(title))</title></rect>"
            body += Markup.line(x - 1, up(bin.confidence), x + width + 1, up(bin.confidence), kind: "mark")
        }
        body += Markup.line(left, bottom, right, top, kind: "diagonal")
        body += Markup.line(left, bottom, right, bottom, kind: "axis")
        body += Markup.text((left + right) / 2, bottom + 36, "confidence, %", anchor: .middle)
        body += "<text transform=\"translate(11 \(Markup.number((top + bottom) / 2))) rotate(-90)\" "
        body += "text-anchor=\"middle\" class=\"tick\">right, %</text>"
        return Markup.svg(width: right + 12, height: bottom + 42, label: "Accuracy by confidence", body)
    }
}
