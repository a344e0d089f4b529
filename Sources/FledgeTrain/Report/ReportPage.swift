import Foundation

/// `report.html`: one file without scripts or links to the outside, light or dark as the reader's system is, and
/// fit to print.
public struct ReportPage {
    private let report: Report

    public init(_ report: Report) { self.report = report }

    public var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="generator" content="Fledge \(FledgeVersion.current)">
        <title>\(Markup.escape(report.title))</title>
        <style>\(reportStyle)</style>
        </head>
        <body><main>
        \(header)\(warnings)\(comparison)\(recipe)\(curves)\(confusion)\(classes)\(calibration)\(embedding)\(sheets)\
        \(damaged)\(settings)\(environment)
        </main></body>
        </html>

        """
    }

    private var header: String {
        var facts: [(String, String)] = []
        if let labels = report.labels { facts.append((Markup.count(labels), labels == 1 ? "label" : "labels")) }
        if let perClass = report.labelsPerClass { facts.append((Markup.count(perClass), "per class")) }
        facts.append((Markup.count(report.classes), "classes"))
        if let train = report.trainSamples { facts.append((Markup.count(train), "training samples")) }
        if let test = report.testSamples { facts.append((Markup.count(test), "test samples")) }
        facts.append((TrainingProgress.duration(report.seconds), report.seconds < 3600 ? "minutes" : "hours"))
        let items =
            facts.map { "<li><b>\(Markup.escape($0.0))</b> \($0.1)</li>" }.joined()
            + "<li>seed <b>\(report.seed)</b></li>"
        let range = report.accuracyInterval.map {
            "; of all samples of their kind \(Markup.percent($0[0])) to \(Markup.percent($0[1])), 19 times of 20"
        }
        let headline = report.accuracy.map {
            "<p class=\"headline\"><strong>\(Markup.percent($0))</strong> "
                + "<span>of the test samples are right\(range ?? "")</span></p>"
        }
        return
            "<header><p class=\"brand\">Fledge · \(Markup.escape(report.data))</p>"
            + "<h1>\(Markup.escape(report.title))</h1>"
            + "\(headline ?? "")<ul class=\"facts\">\(items)</ul></header>\n"
    }

    private var warnings: String {
        let all = report.changes.map { "this run was continued although \($0)" } + report.warnings
        guard !all.isEmpty else { return "" }
        let items = all.map { "<li>\(Markup.escape($0))</li>" }.joined()
        return "<aside class=\"warnings\"><h2>Mind this</h2><ul>\(items)</ul></aside>\n"
    }

    private var damaged: String {
        guard !report.damaged.isEmpty else { return "" }
        let rows = report.damaged.prefix(100).map {
            "<tr><td>\(Markup.escape($0.id))</td><td>\(Markup.escape($0.reason))</td></tr>"
        }.joined()
        let shown = report.damaged.count > 100 ? " The first 100 are shown; quarantine.jsonl names all." : ""
        return Markup.section(
            "Left out as damaged", note: "\(Markup.count(report.damaged.count)) files could not be used.\(shown)",
            "<table><thead><tr><th>file</th><th>why</th></tr></thead><tbody>\(rows)</tbody></table>")
    }

    private var comparison: String {
        guard let accuracy = report.accuracy, !report.baselines.isEmpty else { return "" }
        let known = [
            "supervised": "Supervised, same network",
            "untrained_linear": "Linear on the untrained network",
            "raw_pixels_linear": "Linear on raw values",
        ]
        let rows =
            [("Fledge", accuracy, true)]
            + report.baselines.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { (known[$0.key] ?? Markup.words($0.key), $0.value, false) }
        let bars = rows.map { name, value, isOurs in
            let share = value.isFinite ? min(max(value, 0), 1) : 0
            return "<div class=\"row\(isOurs ? " ours" : "")\"><span>\(Markup.escape(name))</span>"
                + "<div class=\"track\"><div style=\"width:\(Markup.number(share * 100))%\"></div></div>"
                + "<b>\(Markup.percent(value))</b></div>"
        }.joined()
        let chance =
            report.classes > 0 ? " Guessing at random would reach \(Markup.percent(1 / Double(report.classes)))." : ""
        return Markup.section(
            "Compared on the same labels",
            note: "Accuracy on the same test split, which was looked at once, at the end.\(chance)",
            "<div class=\"bars\">\(bars)</div>")
    }

    private var recipe: String {
        guard !report.recipe.isEmpty else { return "" }
        let items = report.recipe.map {
            "<dt>\(Markup.escape($0.name))</dt><dd><b>\(Markup.escape($0.value))</b> "
                + "<span>\(Markup.escape($0.why))</span></dd>"
        }.joined()
        return Markup.section("What was done, and why", "<dl class=\"recipe\">\(items)</dl>")
    }

    private var curves: String {
        var charts: [(String, [Report.Curve])] = []
        for curve in report.curves where curve.values.contains(where: \.isFinite) {
            if let index = charts.firstIndex(where: { $0.0 == curve.chart }) {
                charts[index].1.append(curve)
            } else {
                charts.append((curve.chart, [curve]))
            }
        }
        guard !charts.isEmpty else { return "" }
        let drawings = charts.map { LineChart(title: $0.0, curves: $0.1).svg }.joined()
        return Markup.section("Training", "<div class=\"charts\">\(drawings)</div>")
    }

    private var confusion: String {
        guard let matrix = report.confusion, matrix.samples > 0 else { return "" }
        let mistakes = matrix.commonMistakes(limit: 8)
        var list = ""
        if !mistakes.isEmpty {
            let items = mistakes.map {
                "<tr><td>\(name($0.label))</td><td>\(name($0.predicted))</td>"
                    + "<td class=\"n\">\(Markup.count($0.count))</td></tr>"
            }.joined()
            list =
                "<div><table><caption>Most frequent mistakes</caption><thead><tr><th>is</th><th>taken for</th>"
                + "<th class=\"n\">times</th></tr></thead><tbody>\(items)</tbody></table></div>"
        }
        let chart = MatrixChart(matrix: matrix, names: report.classNames).svg
        return Markup.section(
            "What is taken for what", note: "Rows are the truth, columns the answers; a shade is a share of the row.",
            "<div class=\"side\"><div class=\"wide\">\(chart)</div>\(list)</div>")
    }

    private var classes: String {
        guard let scores = report.perClass else { return "" }
        let rows = scores.enumerated().map { index, score in
            "<tr><td>\(name(index))</td>" + cell(score.precision) + cell(score.recall) + cell(score.f1)
                + "<td class=\"n\">\(Markup.count(score.support))</td></tr>"
        }.joined()
        let measures = report.metrics.sorted { $0.key < $1.key }.map {
            "<li><b>\(TrainingProgress.short($0.value))</b> \(Markup.escape(Markup.words($0.key).lowercased()))</li>"
        }.joined()
        return Markup.section(
            "Each class",
            "<ul class=\"facts\">\(measures)</ul><table class=\"full\"><thead><tr><th>class</th><th>precision</th>"
                + "<th>recall</th><th>F1</th><th class=\"n\">samples</th></tr></thead><tbody>\(rows)</tbody></table>")
    }

    private var calibration: String {
        guard let calibration = report.calibration, calibration.bins.contains(where: { $0.count > 0 }) else {
            return ""
        }
        let note =
            "Of the answers given with 80 % confidence, 80 % should be right: bars should end on the diagonal. "
            + "Wider bars hold more samples; the mark is the mean confidence of the bar."
        let facts = [
            (Markup.percent(calibration.expectedError), "expected calibration error"),
            (TrainingProgress.short(calibration.negativeLogLikelihood), "negative log-likelihood, nats"),
            (TrainingProgress.short(calibration.brier), "Brier score"),
        ].map { "<li><b>\($0.0)</b> \($0.1)</li>" }.joined()
        return Markup.section(
            "Can its confidence be believed?", note: note,
            "<div class=\"side\">\(CalibrationChart(calibration: calibration).svg)"
                + "<ul class=\"facts tall\">\(facts)</ul></div>")
    }

    private var embedding: String {
        guard let map = report.embedding, !map.points.isEmpty else { return "" }
        let hasLabelled = map.points.contains(where: \.isLabelled)
        let note = map.caption + (hasLabelled ? ". Large points with a ring are the labelled ones." : ".")
        let names = report.classNames.count <= 40 ? Legend(names: report.classNames).html : ""
        let drawing = ScatterChart(map: map, names: report.classNames).svg
        return Markup.section("What the network sees as similar", note: note, drawing + names)
    }

    private var sheets: String {
        report.sheets.filter { !$0.pictures.isEmpty }.map { sheet in
            let pictures = sheet.pictures.map {
                "<figure><img alt=\"\(Markup.escape($0.caption))\" src=\"data:image/png;base64,"
                    + "\(Data($0.png).base64EncodedString())\">"
                    + "<figcaption>\(Markup.escape($0.caption))</figcaption></figure>"
            }.joined()
            let columns = sheet.columns.map { " style=\"grid-template-columns:repeat(\($0),minmax(0,104px))\"" } ?? ""
            return Markup.section(
                sheet.title, note: sheet.note, "<div class=\"samples\"\(columns)>\(pictures)</div>")
        }.joined()
    }

    private var settings: String {
        guard case .group(let fields) = report.settings, !fields.isEmpty else { return "" }
        let text = (try? YAMLText.write(report.settings)) ?? ""
        return Markup.section("Settings", "<pre>\(Markup.escape(text))</pre>")
    }

    private var environment: String {
        guard let environment = report.environment else { return "" }
        let memory = environment.memory.map { String(format: "%.1f GiB", Double($0) / 0x1p30) } ?? "unknown"
        let rows = [
            ("Fledge", environment.fledge), ("Swift", environment.swift), ("oneDNN", environment.oneDNN),
            ("Processor", environment.processor), ("Instruction set", environment.instructionSet),
            ("Threads", "\(environment.threads) of \(environment.logicalCores)"), ("Memory", memory),
            ("System", "\(environment.system), kernel \(environment.kernel)"), ("Begun", environment.date),
            ("Run folder", report.run),
        ].map { "<tr><th>\($0.0)</th><td>\(Markup.escape($0.1))</td></tr>" }.joined()
        return Markup.section("Made with", "<table class=\"pairs\"><tbody>\(rows)</tbody></table>")
    }

    private func name(_ index: Int) -> String {
        Markup.escape(report.classNames.indices.contains(index) ? report.classNames[index] : "\(index)")
    }

    /// A share as a number over a thin bar.
    private func cell(_ value: Double) -> String {
        "<td><div class=\"meter\"><b>\(Markup.percent(value))</b>"
            + "<i style=\"width:\(Markup.number(value * 100))%\"></i></div></td>"
    }
}
