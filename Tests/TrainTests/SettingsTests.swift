import FledgeCore
import XCTest

@testable import FledgeTrain

private enum Shape: String, Codable, CaseIterable { case constant, cosine, step }

private struct OptimizerPart: Settings, Equatable {
    var learningRate = 3e-4
    var momentum: Float = 0.9
    static let meanings = ["learningRate": "step size", "momentum": "share of the last step"]
}

private struct Sample: Settings, Equatable {
    var temperature = 0.5
    var batch = 64
    var isSymmetric = true
    var name = "base"
    var schedule = Shape.cosine
    var layers = [64, 32]
    var limit: Int?
    var warmup: Double? = 5
    var optimizer = OptimizerPart()
    static let meanings = [
        "temperature": "divides the similarities", "batch": "samples a step", "isSymmetric": "both ways",
        "name": "of the network", "schedule": "of the step size", "layers": "widths", "limit": "most steps",
        "warmup": "epochs of rising step size", "optimizer": "how weights change",
    ]
}

private struct Careless: Settings {
    var depth = 1
    var width = 2
    static let meanings = ["depth": "layers", "heigth": "typing error"]
}

final class SettingsTests: XCTestCase {
    func testFieldsInOrderWithTypes() throws {
        let fields = try Sample.fields()
        XCTAssertEqual(
            fields.map(\.name),
            [
                "temperature", "batch", "isSymmetric", "name", "schedule", "layers", "limit", "warmup",
                "optimizer.learningRate", "optimizer.momentum",
            ])
        XCTAssertEqual(
            fields.map(\.type.description),
            [
                "float", "int", "bool", "string", "constant|cosine|step", "[int]", "int?", "float?", "float", "float",
            ])
        XCTAssertEqual(fields[0].defaultValue, .number(0.5))
        XCTAssertEqual(fields[2].defaultValue, .bool(true))
        XCTAssertEqual(fields[6].defaultValue, .null)
        XCTAssertEqual(fields[9].defaultValue, .number(0.9), "a Float is listed by its shortest decimal")
        XCTAssertEqual(fields[8].meaning, "step size")
    }

    func testMissingAndStaleMeaningsAreFound() throws {
        XCTAssertEqual(try Sample.problems(), [])
        XCTAssertEqual(try Careless.problems(), ["width has no meaning", "heigth has a meaning but is no field"])
    }

    func testOverrides() throws {
        let changed = try Sample().applying([
            "temperature=0.1", "batch=128", "isSymmetric=false", "name=a=b", "schedule=step", "layers=8,4,2",
            "limit=10", "warmup=none", "optimizer.learningRate=1e-2", "optimizer.momentum=0.5",
        ])
        var expected = Sample()
        expected.temperature = 0.1
        expected.batch = 128
        expected.isSymmetric = false
        expected.name = "a=b"
        expected.schedule = .step
        expected.layers = [8, 4, 2]
        expected.limit = 10
        expected.warmup = nil
        expected.optimizer.learningRate = 1e-2
        expected.optimizer.momentum = 0.5
        XCTAssertEqual(changed, expected)
        XCTAssertEqual(try Sample().applying(["temperature=1", "temperature=2"]).temperature, 2, "the last one counts")
        XCTAssertEqual(try Sample().applying(["layers=[]"]).layers, [])
        XCTAssertEqual(try Sample().applying(["layers=[1, 2]"]).layers, [1, 2])
    }

    func testUnknownNamesSuggestNearOnes() {
        expectError(["temprature=1"], .unknown(name: "temprature", nearest: ["temperature"]))
        expectError(["learningRate=1"], .unknown(name: "learningRate", nearest: ["optimizer.learningRate"]))
        expectError(["zzz=1"], .unknown(name: "zzz", nearest: []))
    }

    func testWrongTypes() {
        expectError(["batch=3.5"], .wrongType(name: "batch", value: "3.5", type: .integer))
        expectError(["temperature=warm"], .wrongType(name: "temperature", value: "warm", type: .number))
        expectError(["temperature=nan"], .wrongType(name: "temperature", value: "nan", type: .number))
        expectError(["isSymmetric=1"], .wrongType(name: "isSymmetric", value: "1", type: .bool))
        expectError(["layers=1,x"], .wrongType(name: "layers", value: "1,x", type: .list(.integer)))
        expectError(["optimizer=adam"], .wrongType(name: "optimizer", value: "adam", type: .group))
        expectError(["temperature"], .malformed("temperature"))
        expectError(["=1"], .malformed("=1"))
        let message = String(describing: SettingsError(.wrongType(name: "batch", value: "x", type: .integer)))
        XCTAssertTrue(message.contains("a whole number") && message.contains("batch=100"), message)
    }

    func testNumberThatDoesNotFitIsRefused() {
        XCTAssertThrowsError(try Sample().applying(["batch=99999999999999999999999"])) { error in
            guard case .refused? = (error as? SettingsError)?.kind else { return XCTFail("\(error)") }
        }
    }

    func testYAMLRoundTrip() throws {
        var sample = Sample()
        sample.name = "no: \"quoted\" # and 'odd'\n"
        sample.limit = 3
        sample.warmup = nil
        sample.layers = []
        let text = try YAMLText.write(sample)
        XCTAssertTrue(text.hasPrefix("temperature: 0.5\nbatch: 64\nisSymmetric: true\n"), text)
        XCTAssertTrue(text.contains("optimizer:\n  learningRate: 0.0003\n"), text)
        XCTAssertEqual(try Sample().applying(yaml: text), sample)
    }

    func testWordsThatYAMLWouldTakeForOtherTypesStayText() throws {
        for word in ["true", "null", "12", "1e3", "no", "~", "", " x", "-", "*x", "&x", "a: b", "[1]", "ä", "none"] {
            var sample = Sample()
            sample.name = word
            XCTAssertEqual(try Sample().applying(yaml: try YAMLText.write(sample)).name, word)
        }
    }

    func testYAMLErrorsNameTheLine() {
        expectYAML("batch: 3\ntemperatur: 1", .unknown(name: "temperatur", nearest: ["temperature"]), "s, line 2")
        expectYAML("batch: \"3\"", .wrongType(name: "batch", value: "3", type: .integer), "s, line 1")
        expectYAML(
            "optimizer:\n  momentum: high", .wrongType(name: "optimizer.momentum", value: "high", type: .number),
            "s, line 2")
        XCTAssertThrowsError(try Sample().applying(yaml: "batch: 1\nbatch: 2"))
        XCTAssertThrowsError(try Sample().applying(yaml: "batch: [1"))
        XCTAssertThrowsError(try Sample().applying(yaml: "- 1\n- 2"))
        XCTAssertEqual(try Sample().applying(yaml: "# nothing\n"), Sample())
        XCTAssertEqual(
            try Sample().applying(yaml: "method: simclr\nsettings:\n  batch: 7", section: "settings").batch, 7)
    }

    func testYAMLLimits() throws {
        var bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for (last, next) in zip("abcdefgh", "bcdefghi") {
            bomb += "\(next): &\(next) [" + Array(repeating: "*\(last)", count: 9).joined(separator: ", ") + "]\n"
        }
        for text in [
            bomb, String(repeating: "[", count: 100_000), String(repeating: "{a: ", count: 200),
            String(repeating: "- ", count: 100_000), "name: " + String(repeating: "x", count: 1 << 20),
        ] {
            XCTAssertThrowsError(try Sample().applying(yaml: text)) { XCTAssertTrue($0 is SettingsError, "\($0)") }
        }
        XCTAssertEqual(try Sample().applying(yaml: "name: \"a *b\" # *c").name, "a *b", "quoted and commented stars")
        XCTAssertThrowsError(try Sample().applying(yamlFile: "/nowhere/run.yaml"))
    }

    func testEditDistance() {
        XCTAssertEqual(Suggestion.editDistance("kitten", "sitting"), 3)
        XCTAssertEqual(Suggestion.editDistance("ab", "ba"), 1)
        XCTAssertEqual(Suggestion.editDistance("", "abc"), 3)
        XCTAssertEqual(Suggestion.nearest(to: "simcrl", among: ["simclr", "simsiam", "fixmatch"]), ["simclr"])
        XCTAssertEqual(Suggestion.nearest(to: "moco", among: ["moco-v2", "byol"]), ["moco-v2"])
    }

    private func expectError(_ overrides: [String], _ kind: SettingsError.Kind, line: UInt = #line) {
        XCTAssertThrowsError(try Sample().applying(overrides), line: line) {
            XCTAssertEqual(($0 as? SettingsError)?.kind, kind, line: line)
        }
    }

    private func expectYAML(_ text: String, _ kind: SettingsError.Kind, _ place: String, line: UInt = #line) {
        XCTAssertThrowsError(try Sample().applying(yaml: text, name: "s"), line: line) {
            XCTAssertEqual($0 as? SettingsError, SettingsError(kind, place: place), line: line)
        }
    }
}
