import Fledge
import FledgeTesting
import Foundation
import XCTest

/// What the commands print and write: the keys that scripts rely on.
final class CommandTests: XCTestCase {
    func testEveryCommandHasHelp() throws {
        let commands = [
            ["learn"], ["train"], ["resume"], ["replay"], ["evaluate"], ["embed"], ["predict"], ["methods"], ["models"],
            ["data", "inspect"],
            ["doctor"],
        ]
        let overview = try CommandLineTool.run("--help").output
        for command in commands {
            let result = try CommandLineTool.run(command + ["--help"])
            XCTAssertEqual(result.status, 0, "\(command)")
            XCTAssertTrue(result.output.hasPrefix("OVERVIEW: "), "\(command)")
            XCTAssertTrue(result.output.contains("--json"), "\(command)")
            XCTAssertTrue(overview.contains("\n  \(command[0]) "), "\(command) is missing in the overview")
        }
    }

    // MARK: Lists

    func testMethods() throws {
        let result = try CommandLineTool.run("methods", "--json")
        XCTAssertEqual(result.status, 0, result.error)
        let methods = try XCTUnwrap(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
        XCTAssertEqual(methods.map { $0["name"] as? String }, Methods.all.map(\.info.name))
        for method in methods {
            XCTAssertNotNil(method["family"] as? String)
            XCTAssertNotNil(method["paper"] as? String)
            XCTAssertFalse(try XCTUnwrap(method["needs"] as? [String]).isEmpty)
            let config = try XCTUnwrap(method["config"] as? [[String: Any]])
            XCTAssertFalse(config.isEmpty)
            for field in config {
                XCTAssertTrue(Set(["field", "type", "default", "meaning"]).isSubset(of: field.keys), "\(field)")
            }
        }
        let text = try CommandLineTool.run("methods", "fixmatch").output
        XCTAssertTrue(text.contains("threshold") && text.contains("at least 0 and at most 1"), text)
        XCTAssertTrue(try CommandLineTool.run("methods").output.contains("label-spreading"))
    }

    func testModels() throws {
        let result = try CommandLineTool.run("models", "--json")
        let models = try XCTUnwrap(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
        XCTAssertEqual(models.map { $0["name"] as? String }, Models.all.map(\.name))
        XCTAssertTrue(models.allSatisfy { $0["parameters"] is Int && $0["paper"] is String && $0["input"] is String })
        XCTAssertTrue(try CommandLineTool.run("models").output.contains("resnet50"))
    }

    func testInspect() throws {
        let result = try CommandLineTool.run("data", "inspect", try Samples.shared.get().images, "--json")
        let data = try result.json()
        XCTAssertEqual(data["format"] as? String, "IDX")
        XCTAssertEqual(data["kind"] as? String, "image")
        XCTAssertEqual((data["train"] as? [String: Any])?["samples"] as? Int, 24)
        XCTAssertEqual((data["test"] as? [String: Any])?["perClass"] as? [Int], [6, 6])
        let held = try CommandLineTool.run(
            "data", "inspect", try Samples.shared.get().table + "/test.csv", "--hold-out", "0.5", "--json")
        XCTAssertEqual((try held.json()["test"] as? [String: Any])?["samples"] as? Int, 6)
    }

    // MARK: Learning

    private let quick = ["supervised", "pretraining", "learning"].flatMap { ["--set", "\($0).training.steps=2"] }

    func testLearn() throws {
        let folder = try TemporaryFolder()
        let run = folder.path + "/run"
        let result = try CommandLineTool.run(
            [
                "learn", try Samples.shared.get().images, "--labels-per-class", "3", "--seed", "7", "--out", run,
                "--json",
            ]
                + quick)
        XCTAssertEqual(result.status, 0, result.error)
        let report = try result.json()
        XCTAssertEqual(report["labels"] as? Int, 6)
        XCTAssertEqual(report["labels_per_class"] as? Int, 3)
        XCTAssertEqual(report["classes"] as? Int, 2)
        XCTAssertEqual(report["train_samples"] as? Int, 24)
        XCTAssertEqual(report["test_samples"] as? Int, 12)
        XCTAssertEqual(report["seed"] as? Int, 7)
        XCTAssertEqual(report["run"] as? String, run)
        XCTAssertTrue((0...1).contains(try XCTUnwrap(report["accuracy"] as? Double)))
        XCTAssertGreaterThan(try XCTUnwrap(report["seconds"] as? Double), 0)
        let baselines = try XCTUnwrap(report["baselines"] as? [String: Double])
        XCTAssertEqual(Set(baselines.keys), ["raw_pixels_linear", "untrained_linear", "supervised"])
        XCTAssertEqual(baselines["raw_pixels_linear"], 1, "bright halves are told apart by a line")
        let recipe = try XCTUnwrap(report["recipe"] as? [[String: Any]])
        XCTAssertTrue(recipe.allSatisfy { $0["name"] is String && $0["value"] is String && $0["why"] is String })

        // The folder holds what the plan says, and the file is what was printed.
        for file in [
            "run.yaml", "metrics.jsonl", "model.safetensors", "report.json", "report.html", "environment.json",
        ] {
            XCTAssertTrue(FileManager.default.fileExists(atPath: run + "/" + file), file)
        }
        XCTAssertEqual(try String(contentsOfFile: run + "/report.json", encoding: .utf8), result.output)
        let stages = try String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
            try XCTUnwrap(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])["stage"] as? String
        }
        XCTAssertEqual(stages, ["supervised", "supervised", "simclr", "simclr", "fixmatch", "fixmatch"])
        let page = try String(contentsOfFile: run + "/report.html", encoding: .utf8)
        XCTAssertFalse(page.contains("http://") || page.contains("https://"), "the page works offline")
    }

    func testLearnOnATable() throws {
        let folder = try TemporaryFolder()
        let result = try CommandLineTool.run(
            ["learn", try Samples.shared.get().table, "--labels-per-class", "4", "--json"] + quick, in: folder.path)
        XCTAssertEqual(result.status, 0, result.error)
        XCTAssertEqual(try result.json()["run"] as? String, "runs/learn-table-1")
        XCTAssertEqual((try result.json()["baselines"] as? [String: Double])?["raw_pixels_linear"], 1)
        let text = try CommandLineTool.run(
            ["learn", try Samples.shared.get().table, "--labels-per-class", "4"] + quick, in: folder.path)
        XCTAssertTrue(text.output.contains("accuracy on 12 test samples, touched once"), text.output)
        XCTAssertTrue(text.output.contains("runs/learn-table-2/report.html"), text.output)
    }

    /// The same seed gives the same bytes, for any number of loader workers; another seed gives others.
    func testSameSeedSameBytes() throws {
        let folder = try TemporaryFolder()
        let data = try Samples.shared.get().images
        func bytes(_ arguments: [String]) throws -> [UInt8] {
            let run = folder.path + "/" + UUID().uuidString
            let result = try CommandLineTool.run(arguments + ["--out", run, "--quiet"])
            XCTAssertEqual(result.status, 0, result.error)
            return try FileBytes.read(run + "/model.safetensors")
        }
        let learn = ["learn", data, "--labels-per-class", "3"] + quick
        let train = ["train", "fixmatch", "--data", data, "--set", "training.steps=4", "--set", "batchSize=4"]
        for (command, workers) in [(learn, ["--set", "workers=4"]), (train, ["--workers", "4"])] {
            let first = try bytes(command)
            XCTAssertEqual(try bytes(command), first, command[0])
            XCTAssertEqual(try bytes(command + workers), first, "\(command[0]) with 4 workers")
            XCTAssertNotEqual(try bytes(command + ["--seed", "1"]), first, command[0])
        }
    }

    func testTrainEveryMethod() throws {
        let folder = try TemporaryFolder()
        let samples = try Samples.shared.get()
        for info in Methods.all.map(\.info) {
            let data = info.needs.contains(.colour) ? samples.colours : samples.images
            let run = folder.path + "/" + info.name
            let fields = Set(try Methods.entry(named: info.name).fields().map(\.name))
            // What every method gets of these that it has.
            let settings = [
                "training.steps=2", "batchSize=4", "positive=0", "votes=\(samples.votes)", "tags=\(samples.tags)",
            ]
            .filter { fields.contains(String($0.prefix { $0 != "=" })) }
            let result = try CommandLineTool.run(
                ["train", info.name, "--data", data, "--out", run, "--json"] + settings.flatMap { ["--set", $0] })
            XCTAssertEqual(result.status, 0, "\(info.name): \(result.error)")
            let report = try result.json()
            let classifies = info.needs.contains(.labels) || info.needs.contains(.votes)
            XCTAssertEqual(report["accuracy"] is Double, classifies, info.name)
            XCTAssertEqual(report["run"] as? String, run)
            XCTAssertNoThrow(try FittedModel.load(from: run + "/model.safetensors"), info.name)
            // The settings of a run make the same run again.
            let again = try CommandLineTool.run(
                "train", info.name, "--data", data, "--out", run + "-again", "--settings", run + "/run.yaml")
            XCTAssertEqual(again.status, 0, again.error)
            XCTAssertEqual(
                try FileBytes.read(run + "-again/model.safetensors"), try FileBytes.read(run + "/model.safetensors"))
        }
    }

    /// The profile accounts for an update: operations within its parts, forward and backward; and changes nothing.
    func testProfile() throws {
        let folder = try TemporaryFolder()
        let arguments = [
            "train", "supervised", "--data", try Samples.shared.get().images, "--set", "training.steps=6", "--set",
            "batchSize=8",
        ]
        let watched = try CommandLineTool.run(arguments + ["--out", folder.path + "/a", "--profile", "2"])
        XCTAssertEqual(watched.status, 0, watched.error)
        let lines = watched.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        XCTAssertTrue(watched.output.contains("One update, the mean of 2:"), watched.output)
        for wanted in [
            ["forward", "convolution"], ["backward", "convolution"], ["forward", "crossEntropy"], ["optimizer", "all"],
        ] {
            XCTAssertTrue(lines.contains { Array($0.prefix(2)) == wanted }, "\(wanted) in \(watched.output)")
        }
        let trace = try JSONSerialization.jsonObject(
            with: try Data(contentsOf: URL(fileURLWithPath: folder.path + "/a/trace.json")))
        let events = try XCTUnwrap((trace as? [String: Any])?["traceEvents"] as? [[String: Any]])
        for part in ["forward", "backward"] {
            let own = events.filter { $0["cat"] as? String == part }
            let whole = own.filter { $0["name"] as? String == part }
            XCTAssertEqual(whole.count, 2)
            func time(_ events: [[String: Any]]) -> Double { events.reduce(0) { $0 + ($1["dur"] as? Double ?? 0) } }
            XCTAssertLessThanOrEqual(time(own) - time(whole), time(whole), part)
            XCTAssertGreaterThan(time(own) - time(whole), 0, part)
        }
        XCTAssertEqual(try CommandLineTool.run(arguments + ["--out", folder.path + "/b"]).status, 0)
        XCTAssertEqual(
            try FileBytes.read(folder.path + "/a/model.safetensors"),
            try FileBytes.read(folder.path + "/b/model.safetensors"))
        let short = try CommandLineTool.run(
            arguments + ["--out", folder.path + "/c", "--profile", "2", "--set", "training.steps=2"])
        XCTAssertEqual(short.status, 0)
        XCTAssertTrue(short.error.contains("nothing was watched"), short.error)
        XCTAssertEqual(try CommandLineTool.run(arguments + ["--profile", "0"]).status, 2)
    }

    // MARK: Using a run

    func testEvaluate() throws {
        let samples = try Samples.shared.get()
        let plain = try CommandLineTool.run("evaluate", samples.run, "--data", samples.images, "--json")
        XCTAssertEqual(plain.status, 0, plain.error)
        XCTAssertEqual(try plain.json()["test_samples"] as? Int, 12)
        XCTAssertNotNil(try plain.json()["accuracy"] as? Double)
        for (probe, baselines) in [
            ("knn", ["raw", "untrained"]), ("linear", ["raw", "untrained"]), ("mean", ["raw", "untrained"]),
            ("finetune", ["raw", "supervised", "untrained"]),
        ] {
            let result = try CommandLineTool.run(
                "evaluate", samples.features, "--data", samples.images, "--probe", probe, "--labels-per-class", "3",
                "--json")
            XCTAssertEqual(result.status, 0, result.error)
            let document = try result.json()
            XCTAssertEqual(document["probe"] as? String, probe)
            XCTAssertEqual(document["labels"] as? Int, 6)
            XCTAssertNotNil(document["accuracy"] as? Double)
            XCTAssertEqual(try XCTUnwrap(document["baselines"] as? [String: Double]).keys.sorted(), baselines)
        }
        let text = try CommandLineTool.run("evaluate", samples.run, "--data", samples.images, "--probe", "knn")
        XCTAssertTrue(text.output.contains("knn probe") && text.output.contains("the run, k"), text.output)
        let several = try CommandLineTool.run(
            "evaluate", samples.features, "--data", samples.images, "--probe", "linear", "--labels-per-class", "1,3",
            "--draws", "4")
        for words in ["1 per class", "3 per class", "untrained network", "±", "over 4 draws"] {
            XCTAssertTrue(several.output.contains(words), several.output)
        }
    }

    /// A run is measured again on the samples it held out, whatever the seed, and on no others.
    func testEvaluateTakesWhatTheRunHeldOut() throws {
        let folder = try TemporaryFolder()
        var random = RandomSource(seed: 4)
        // Labels by chance: only samples it learned by heart does it answer well.
        let rows = (0..<80).map { _ in
            (0..<12).map { _ in String(random.normal()) }.joined(separator: ",") + ",\(random.integer(below: 2))\n"
        }
        try folder.write("t.csv", (0..<12).map { "x\($0)," }.joined() + "label\n" + rows.joined())
        let (table, run) = (folder.path + "/t.csv", folder.path + "/run")
        let trained = try CommandLineTool.run(
            "train", "supervised", "--data", table, "--hold-out", "0.3", "--seed", "3", "--out", run, "--json", "--set",
            "training.steps=300", "--set", "batchSize=16")
        XCTAssertEqual(trained.status, 0, trained.error)
        let first = try XCTUnwrap(trained.json()["accuracy"] as? Double)
        XCTAssertLessThan(first, 0.8)
        for options in [[], ["--seed", "1"], ["--hold-out", "0.3"]] {
            let again = try CommandLineTool.run(["evaluate", run, "--data", table, "--json"] + options)
            XCTAssertEqual(again.status, 0, again.error)
            XCTAssertEqual(try again.json()["accuracy"] as? Double, first, "\(options)")
        }
        let other = try CommandLineTool.run("evaluate", run, "--data", table, "--hold-out", "0.5")
        XCTAssertEqual(other.status, 2)
        XCTAssertTrue(other.error.contains("tested on other samples"), other.error)
    }

    /// One class and samples without a label are enough for the methods that learn from these, and for no others.
    func testPositivesAndUnlabelledInFolders() throws {
        let folder = try TemporaryFolder()
        for index in 0..<24 {
            let place = index < 8 ? "positive" : "unlabelled"
            try folder.write("photos/\(place)/\(index).png", Samples.png(index))
        }
        let learned = try CommandLineTool.run(
            "train", "nnpu", "--data", folder.path + "/photos", "--set", "positive=positive", "--set",
            "training.steps=10", "--set",
            "batchSize=4", "--out", folder.path + "/run", "--json")
        XCTAssertEqual(learned.status, 0, learned.error)
        XCTAssertEqual(try learned.json()["class_names"] as? [String], ["not positive", "positive"])
        let supervised = try CommandLineTool.run("train", "supervised", "--data", folder.path + "/photos")
        XCTAssertEqual(supervised.status, 3)
        XCTAssertTrue(supervised.error.contains("nnpu"), supervised.error)
    }

    func testPredict() throws {
        let samples = try Samples.shared.get()
        let result = try CommandLineTool.run("predict", samples.run, "--data", samples.images)
        XCTAssertEqual(result.status, 0, result.error)
        let lines = try result.output.split(separator: "\n").map {
            try XCTUnwrap(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        XCTAssertEqual(lines.map { $0["id"] as? String }, (0..<12).map(String.init))
        for line in lines {
            let probabilities = try XCTUnwrap(line["probabilities"] as? [String: Double])
            XCTAssertEqual(Set(probabilities.keys), ["0", "1"])
            XCTAssertEqual(probabilities.values.reduce(0, +), 1, accuracy: 1e-5)
            XCTAssertEqual(line["label"] as? String, probabilities.max { $0.value < $1.value }?.key)
        }
        let folder = try TemporaryFolder()
        for (split, count) in [("train", 24), ("all", 36)] {
            let file = folder.path + "/\(split).jsonl"
            let written = try CommandLineTool.run(
                "predict", samples.run, "--data", samples.images, "--split", split, "--out", file, "--json")
            XCTAssertEqual(written.status, 0, written.error)
            XCTAssertEqual(try written.json()["samples"] as? Int, count)
            XCTAssertEqual(try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").count, count)
        }
    }

    func testEmbed() throws {
        let samples = try Samples.shared.get()
        let folder = try TemporaryFolder()
        let file = folder.path + "/e.npz"
        let result = try CommandLineTool.run("embed", samples.run, "--data", samples.images, "--out", file, "--json")
        XCTAssertEqual(result.status, 0, result.error)
        XCTAssertEqual(try result.json()["samples"] as? Int, 36)
        XCTAssertEqual(try result.json()["dimensions"] as? Int, 256)
        let arrays = Dictionary(
            uniqueKeysWithValues: try Npz.read(FileBytes.read(file)).map { ($0.name, $0.array) })
        XCTAssertEqual(arrays.keys.sorted(), ["embedding", "id", "label"])
        XCTAssertEqual(arrays["embedding"]?.dtype, "<f4")
        XCTAssertEqual(arrays["embedding"]?.shape, [36, 256])
        XCTAssertEqual(arrays["label"]?.dtype, "<i8")
        XCTAssertEqual(arrays["id"]?.shape, [36])

        let tensors = folder.path + "/e.safetensors"
        _ = try CommandLineTool.run("embed", samples.run, "--data", samples.images, "--split", "test", "--out", tensors)
        let loaded = try Safetensors.load(tensors)
        XCTAssertEqual(loaded["embedding"]?.shape, [12, 256])
        XCTAssertEqual(loaded["label"]?.dtype, .int64)
        XCTAssertEqual(loaded["label"]?.doubles(), (0..<12).map { Double($0 % 2) })
        let ids = String(decoding: loaded["id"]?.doubles().map { UInt8($0) } ?? [], as: UTF8.self)
        XCTAssertEqual(ids, (0..<12).map(String.init).joined(separator: "\n"))
    }

    func testDoctorKnowsTheEngine() throws {
        let findings = try XCTUnwrap(CommandLineTool.run("doctor", "--json").json()["findings"] as? [[String: Any]])
        func value(_ name: String) -> String? { findings.first { $0["name"] as? String == name }?["value"] as? String }
        XCTAssertTrue(value("oneDNN")?.contains(Engine.oneDNNVersion) == true)
        XCTAssertTrue(value("engine")?.contains(Engine.instructionSet) == true)
        XCTAssertNotNil(value("bfloat16"))
    }
}
