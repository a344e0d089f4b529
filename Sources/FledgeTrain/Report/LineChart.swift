/// Curves that share axes, as SVG.
struct LineChart {
    let title: String
    let curves: [Report.Curve]

    private let width = 520.0
    private let height = 270.0
    private let left = 56.0
    private let right = 14.0
    private let top = 14.0
    private let bottom = 40.0

    init(title: String, curves: [Report.Curve]) {
        self.title = title
        self.curves = curves
    }

    var svg: String {
        let x = Axis(covering: curves.lazy.flatMap(\.steps), about: 6, isTight: true)
        let y = Axis(covering: curves.lazy.flatMap(\.values), about: 5)
        func across(_ value: Double) -> Double { x.position(value, from: left, to: width - right) }
        func up(_ value: Double) -> Double { y.position(value, from: height - bottom, to: top) }

        var body = ""
        for tick in y.ticks {
            body += Markup.line(left, up(tick), width - right, up(tick), kind: "grid")
            body += Markup.text(left - 8, up(tick) + 4, y.label(tick), anchor: .end)
        }
        for tick in x.ticks {
            body += Markup.text(across(tick), height - bottom + 18, x.label(tick), anchor: .middle)
        }
        body += Markup.line(left, height - bottom, width - right, height - bottom, kind: "axis")
        let axis = curves.lazy.compactMap(\.axis).first ?? "step"
        body += Markup.text((left + width - right) / 2, height - 5, axis, anchor: .middle)

        for (index, curve) in curves.enumerated() {
            let color = Markup.color(index)
            let points = thinned(zip(curve.steps, curve.values).filter { $0.0.isFinite && $0.1.isFinite })
            let path = points.enumerated().map { number, point in
                "\(number == 0 ? "M" : "L")\(Markup.number(across(point.0))) \(Markup.number(up(point.1)))"
            }.joined()
            body += "<path d=\"\(path)\" class=\"curve\" stroke=\"\(color)\"/>"
            // Invisible discs carry the tooltips; few enough that pages stay small.
            let every = max(1, points.count / 40)
            for (number, point) in points.enumerated() where number % every == 0 || number == points.count - 1 {
                let isEnd = number == points.count - 1
                body += "<circle cx=\"\(Markup.number(across(point.0)))\" cy=\"\(Markup.number(up(point.1)))\" "
                body += "r=\"\(isEnd ? 3 : 6)\" fill=\"\(color)\"\(isEnd ? "" : " opacity=\"0\" class=\"probe\"")>"
                let value = TrainingProgress.short(point.1)
                body +=
                    "<title>\(Markup.escape("\(curve.name) \(value) at \(axis) \(Markup.number(point.0))"))</title>"
                    + "</circle>"
            }
        }
        let names = curves.map { curve in
            "\(curve.name) \(curve.values.last.map(TrainingProgress.short) ?? "")"
        }
        let legend = Legend(names: names).html
        let drawing = Markup.svg(
            width: width, height: height, label: "\(title) over \(axis == "step" ? "training steps" : axis)", body)
        return "<figure><figcaption>\(Markup.escape(title))</figcaption>\(drawing)\(legend)</figure>"
    }

    /// At most two points for each pixel column pair: the smallest and the largest value, so that spikes stay.
    private func thinned(_ points: [(Double, Double)]) -> [(Double, Double)] {
        let buckets = 250
        guard points.count > 2 * buckets else { return points }
        var kept: [(Double, Double)] = []
        for bucket in 0..<buckets {
            let range = bucket * points.count / buckets..<(bucket + 1) * points.count / buckets
            let low = range.min { points[$0].1 < points[$1].1 } ?? range.lowerBound
            let high = range.max { points[$0].1 < points[$1].1 } ?? range.lowerBound
            for index in Set([low, high]).sorted() { kept.append(points[index]) }
        }
        if let last = points.last { kept.append(last) }
        return kept
    }
}

/// Names beside their colours.
struct Legend {
    let names: [String]

    var html: String {
        let items = names.enumerated().map { index, name in
            "<li><i style=\"background:\(Markup.color(index))\"></i>\(Markup.escape(name))</li>"
        }
        return "<ul class=\"legend\">\(items.joined())</ul>"
    }
}
