/// A confusion matrix as a map of shaded cells with counts: rows are the truth, columns the answers. A row's shades
/// are shares of that class; right answers and mistakes have different colours.
struct MatrixChart {
    let matrix: ConfusionMatrix
    let names: [String]

    var svg: String {
        let classes = matrix.classes
        let cell = classes <= 12 ? 40.0 : max(480 / Double(classes), 6)
        let showsCounts = classes <= 16
        let showsNames = cell >= 11
        let longest = min(names.map(\.count).max() ?? 0, 18)
        // A letter is about 7 wide; long names of columns stand at 45 degrees and lean over the right edge.
        let isSlanted = longest > 3
        let margin = showsNames ? Double(longest) * 7 + 34 : 24
        let overhang = isSlanted && showsNames ? Double(longest) * 5 : 14
        let topMargin = showsNames ? (isSlanted ? overhang + 36 : 40) : 24
        let side = cell * Double(classes)

        var body = Markup.text(margin + side / 2, 12, "predicted", anchor: .middle)
        body += "<text transform=\"translate(12 \(Markup.number(topMargin + side / 2))) rotate(-90)\" "
        body += "text-anchor=\"middle\" class=\"tick\">true</text>"
        for row in 0..<classes {
            let support = matrix.counts[row].reduce(0, +)
            let y = topMargin + Double(row) * cell
            if showsNames {
                body += Markup.text(margin - 8, y + cell / 2 + 4, short(names[row]), anchor: .end, kind: "name")
                let x = margin + (Double(row) + 0.5) * cell
                if isSlanted {
                    body +=
                        "<text transform=\"translate(\(Markup.number(x)) \(Markup.number(topMargin - 8))) "
                        + "rotate(-45)\" "
                    body += "class=\"name\">\(Markup.escape(short(names[row])))</text>"
                } else {
                    body += Markup.text(x, topMargin - 8, names[row], anchor: .middle, kind: "name")
                }
            }
            for column in 0..<classes {
                let count = matrix.counts[row][column]
                let share = support > 0 ? Double(count) / Double(support) : 0
                let x = margin + Double(column) * cell
                // Mistakes are rare where things go well; the root makes one in a hundred visible.
                let shade = count == 0 ? 0 : row == column ? 0.08 + 0.82 * share : 0.12 + 0.78 * share.squareRoot()
                let place = "x=\"\(Markup.number(x + 0.75))\" y=\"\(Markup.number(y + 0.75))\" "
                let size = "width=\"\(Markup.number(cell - 1.5))\" height=\"\(Markup.number(cell - 1.5))\" rx=\"3\""
                let title =
                    "\(names[row]) taken for \(names[column]): \(count) of \(support) (\(Markup.percent(share)))"
                body += "<g><title>\(Markup.escape(title))</title><rect \(place)\(size) class=\"empty\"/>"
                if count > 0 {
                    let kind = row == column ? "right" : "wrong"
                    body += "<rect \(place)\(size) class=\"\(kind)\" fill-opacity=\"\(Markup.number(shade))\"/>"
                    if showsCounts {
                        let kind = shade > 0.5 ? "count strong" : "count"
                        body += Markup.text(x + cell / 2, y + cell / 2 + 4, String(count), anchor: .middle, kind: kind)
                    }
                }
                body += "</g>"
            }
        }
        let label = "Confusion matrix of \(classes) classes"
        return Markup.svg(width: margin + side + overhang, height: topMargin + side + 6, label: label, body)
    }

    private func short(_ name: String) -> String { name.count > 18 ? name.prefix(17) + "…" : name }
}
