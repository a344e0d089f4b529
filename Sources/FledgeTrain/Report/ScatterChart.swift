/// Points of the plane, coloured by class; the labelled ones large, with a ring, and on top.
struct ScatterChart {
    let map: Report.EmbeddingMap
    let names: [String]

    var svg: String {
        let width = 900.0
        let height = 560.0
        let margin = 16.0
        let xs = map.points.map(\.x).filter(\.isFinite)
        let ys = map.points.map(\.y).filter(\.isFinite)
        guard let minX = xs.min(), let maxX = xs.max(), let minY = ys.min(), let maxY = ys.max() else { return "" }
        // One scale for both directions: distances are the point of the picture.
        let scale = min(
            (width - 2 * margin) / max(maxX - minX, .leastNormalMagnitude),
            (height - 2 * margin) / max(maxY - minY, .leastNormalMagnitude))
        let offsetX = (width - (maxX - minX) * scale) / 2
        let offsetY = (height - (maxY - minY) * scale) / 2

        var body = ""
        for isLabelled in [false, true] {
            for point in map.points where point.isLabelled == isLabelled && point.x.isFinite && point.y.isFinite {
                let x = Markup.number(offsetX + (point.x - minX) * scale)
                let y = Markup.number(height - offsetY - (point.y - minY) * scale)
                let name = names.indices.contains(point.label) ? names[point.label] : "\(point.label)"
                let title = Markup.escape(isLabelled ? "\(name), labelled" : name)
                let kind = isLabelled ? "r=\"6.5\" class=\"labelled\"" : "r=\"3\" class=\"point\""
                body += "<circle cx=\"\(x)\" cy=\"\(y)\" \(kind) fill=\"\(Markup.color(point.label))\">"
                body += "<title>\(title)</title></circle>"
            }
        }
        return Markup.svg(width: width, height: height, label: map.caption, body)
    }
}
