import FledgeCore
import Foundation
import XCTest

@testable import FledgeTrain

final class ReportTests: XCTestCase {
    /// Predictions that are mostly right, with a class that is often taken for its neighbour.
    static func sample(classes: Int = 10) -> Report {
        var random = RandomSource(seed: 11)
        let names = classes == 10 ? (0..<10).map(String.init) : (0..<classes).map { "class number \($0)" }
        var report = Report(
            title: "Learning digits from 5 labels per class", data: "digits", run: "runs/learn-digits-1",
            classNames: names, seed: 7)
        var probabilities: [Float] = []
        var labels: [Int] = []
        for index in 0..<1797 {
            let label = index % classes
            var logits = (0..<classes).map { _ in random.normal() }
            logits[label] += 5
            if label == 3 { logits[5 % classes] += 3.5 }
            let exponents = logits.map(exp)
            let sum = exponents.reduce(0, +)
            probabilities += exponents.map { Float($0 / sum) }
            labels.append(label)
        }
        report.measure(probabilities: probabilities, labels: labels)
        report.labels = 5 * classes
        report.labelsPerClass = 5
        report.trainSamples = 3823
        report.seconds = 83
        report.baselines = ["raw_pixels_linear": 0.785, "untrained_linear": 0.744, "supervised": 0.831]
        report.recipe = [
            .init("Network", "small convolutional, 4 layers", why: "pictures are 8 × 8"),
            .init("Pretraining", "simclr, 40 epochs", why: "3,773 samples have no label"),
            .init("Learning", "fixmatch, 1,200 steps", why: "few labels, many samples without"),
        ]
        report.warnings = ["Class <b>8</b> & class \"9\" have 4 labels only"]
        let steps = (0..<1200).map(Double.init)
        report.curves = [
            .init(
                chart: "Pretraining loss", name: "simclr", steps: steps,
                values: steps.map { 4.2 * exp(-$0 / 400) + 1 }),
            .init(
                chart: "Learning loss", name: "labelled", steps: steps,
                values: steps.map { 2.3 * exp(-$0 / 150) + 0.05 + 0.05 * sin($0 / 9) }),
            .init(chart: "Learning loss", name: "unlabelled", steps: steps, values: steps.map { 0.4 * exp(-$0 / 500) }),
        ]
        report.settings = .group([
            .init("seed", .integer(7)), .init("temperature", .number(0.5)),
            .init("optimizer", .group([.init("learningRate", .number(0.03))])),
        ])
        report.environment = RunEnvironment(instructionSet: "avx2", threads: 2, oneDNN: "2.6.3")
        var points: [Report.EmbeddingMap.Point] = []
        for index in 0..<900 {
            let label = index % classes
            let angle = Double(label) / Double(classes) * 2 * .pi
            points.append(
                .init(
                    x: 10 * cos(angle) + random.normal(), y: 7 * sin(angle) + random.normal(), label: label,
                    isLabelled: index < 5 * classes))
        }
        report.embedding = .init(caption: "t-SNE of 900 training samples", points: points)
        return report
    }

    func testJSONCarriesWhatIsPromised() throws {
        let text = try CanonicalJSON(Self.sample()).text
        let json = try XCTUnwrap(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        for key in [
            "accuracy", "labels", "labels_per_class", "classes", "train_samples", "test_samples", "seed", "seconds",
            "baselines", "recipe", "run",
        ] {
            XCTAssertNotNil(json[key], key)
            XCTAssertFalse(json[key] is NSNull, key)
        }
        XCTAssertEqual(json["classes"] as? Int, 10)
        XCTAssertEqual(json["test_samples"] as? Int, 1797)
        XCTAssertEqual((json["baselines"] as? [String: Double])?["supervised"], 0.831)
        XCTAssertNil(json["embedding"])
        let empty = try CanonicalJSON(Report(title: "", data: "", run: "", classNames: [], seed: 0)).text
        XCTAssertTrue(empty.contains("\"accuracy\": null"), "keys are there even when nothing was measured")
    }

    func testPageIsSelfContainedAndEscaped() throws {
        var report = Self.sample()
        report.title = "<script>alert(1)</script>"
        report.sheets = [
            .init(
                "Pairs", note: "Two & two", columns: 2, [.init(png: [0x89, 0x50, 0x4E, 0x47], caption: "\"3\" & <4>")]),
            .init("Nothing to see", note: "", []),
        ]
        let html = ReportPage(report).html
        XCTAssertFalse(html.contains("<script"))
        XCTAssertTrue(html.contains("&lt;script&gt;alert(1)"))
        XCTAssertTrue(html.contains("Class &lt;b&gt;8&lt;/b&gt; &amp; class &quot;9&quot;"))
        XCTAssertTrue(html.contains("data:image/png;base64,iVBORw=="))
        XCTAssertFalse(html.contains("http://") || html.contains("https://"), "no request leaves the page")
        XCTAssertFalse(html.contains("nan") && html.contains("NaN"))
        XCTAssertLessThan(html.utf8.count, 600_000)
    }

    /// The page is also well-formed XML after its first line, apart from the void elements of HTML.
    func testTagsAreBalanced() throws {
        for report in [
            Self.sample(), Self.sample(classes: 60),
            Report(title: "", data: "", run: "", classNames: [], seed: 0),
        ] {
            var open: [Substring] = []
            for piece in ReportPage(report).html.split(separator: "<").dropFirst() {
                let tag = piece.prefix { $0 != ">" }
                let name = tag.prefix { !" >/\n".contains($0) }
                if tag.hasPrefix("!") || tag.hasSuffix("/") || ["meta", "img"].contains(name) { continue }
                if tag.hasPrefix("/") {
                    XCTAssertEqual(open.popLast(), tag.dropFirst())
                } else {
                    open.append(name)
                }
            }
            XCTAssertEqual(open, [])
        }
    }

    func testHeadlineAndBars() {
        let html = ReportPage(Self.sample()).html
        XCTAssertTrue(html.contains("<div style=\"width:83.1%\">"))
        XCTAssertTrue(html.contains("Guessing at random would reach 10.0"))
        // Ours stands first, the others from best to worst.
        let supervised = html.range(of: "Supervised, same network")!.lowerBound
        let raw = html.range(of: "Linear on raw values")!.lowerBound
        XCTAssertLessThan(supervised, raw)
    }

    func testAxis() {
        let axis = Axis(covering: [0.03, 2.37], about: 5)
        XCTAssertEqual(axis.ticks.map(axis.label), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"])
        let flat = Axis(covering: [3, 3], about: 5)
        XCTAssertLessThan(flat.lower, 3)
        XCTAssertGreaterThan(flat.upper, 3)
        let steps = Axis(covering: [0, 1199], about: 6, isTight: true)
        XCTAssertEqual(steps.ticks.map(steps.label), ["0", "200", "400", "600", "800", "1,000"])
        XCTAssertFalse(Axis(covering: [.nan], about: 5).ticks.isEmpty)
    }

    func testNumbers() {
        XCTAssertEqual(Markup.count(1_234_567), "1,234,567")
        XCTAssertEqual(Markup.count(-999), "-999")
        XCTAssertEqual(Markup.number(1.239), "1.24")
        XCTAssertEqual(Markup.number(-0.001), "0")
    }
}
