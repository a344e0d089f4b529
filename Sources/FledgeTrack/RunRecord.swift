import FledgeCore
import FledgeTrain
import Foundation

/// What is known of a run from the files in its folder. Files that are missing or damaged leave gaps and a word in
/// `problems`; they never keep a run from being listed.
public struct RunRecord: Codable, Equatable, Sendable {
    public enum Status: String, Codable, Sendable {
        /// It has a report.
        case finished
        /// It has settings or numbers and no report: still going, or stopped.
        case unfinished
        /// Nothing in the folder can be read as a run.
        case unreadable
    }

    /// The folder's name.
    public var name: String
    public var path: String
    public var status: Status
    /// What was wrong with its files.
    public var problems: [String] = []
    /// Of `run.yaml`, by full name: `training.steps`.
    public var settings: [String: String] = [:]
    /// Numbers of `report.json`: `accuracy`, `seconds`, `baselines.supervised`, `metrics.macro_f1`, ...
    public var results: [String: Double] = [:]
    /// The report's title: "simclr on digits".
    public var title: String?
    /// When it began, ISO 8601.
    public var started: String?

    /// The method, or "learn" for a run of the whole recipe.
    public var method: String {
        settings["method"] ?? settings["command"] ?? (settings["labelsPerClass"] == nil ? "" : "learn")
    }
    public var data: String? {
        settings["data"] ?? title.flatMap { $0.components(separatedBy: " on ").dropFirst().first }
    }

    /// Reads the folder of a run, and every line of its `metrics.jsonl`.
    public static func read(_ path: String) -> (record: RunRecord, metrics: [MetricsFile.Entry]) {
        var record = RunRecord(
            name: path.lastPathComponent, path: path, status: .unreadable)
        let hasSettings = record.readSettings()
        let hasReport = record.readReport()
        record.readEnvironment()
        let metrics = record.readMetrics()
        if hasReport {
            record.status = .finished
        } else if hasSettings || !metrics.isEmpty {
            record.status = .unfinished
        } else if record.problems.isEmpty {
            record.problems = ["it has no run.yaml, report.json or metrics.jsonl"]
        }
        return (record, metrics)
    }

    /// The bytes of a file, nil where there is none; one that cannot be read is a problem.
    private mutating func bytes(_ name: String, limit: Int) -> [UInt8]? {
        let file = path + "/" + name
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        do {
            return try FileBytes.read(file, limit: limit)
        } catch {
            problems.append("\(name): \((error as? FileError)?.reason ?? "\(error)")")
            return nil
        }
    }

    private mutating func readSettings() -> Bool {
        guard let bytes = bytes("run.yaml", limit: 1 << 20) else { return false }
        do {
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw SettingsError(.syntax("the file is not UTF-8 text"), place: "run.yaml")
            }
            settings = try YAMLText.flattened(text, name: "run.yaml")
            return true
        } catch {
            let explained = error as? any ExplainedError
            problems.append("run.yaml: \(explained?.why ?? explained?.what ?? "\(error)")")
            return false
        }
    }

    private mutating func json(_ name: String, limit: Int) -> StrictJSON? {
        guard let bytes = bytes(name, limit: limit) else { return nil }
        do throws(StrictJSON.Failure) {
            return try StrictJSON.parse(bytes)
        } catch {
            problems.append("\(name): \(error.reason) at byte \(error.offset)")
            return nil
        }
    }

    private mutating func readReport() -> Bool {
        guard let report = json("report.json", limit: 256 << 20) else { return false }
        guard let members = report.members else {
            problems.append("report.json: it is no object")
            return false
        }
        title = report["title"]?.text
        for member in members {
            if let value = member.value.double {
                results[member.key] = value
            } else if member.key == "metrics" || member.key == "baselines" {
                for inner in member.value.members ?? [] {
                    if let value = inner.value.double { results["\(member.key).\(inner.key)"] = value }
                }
            }
        }
        return true
    }

    private mutating func readEnvironment() {
        started = json("environment.json", limit: 1 << 20)?["date"]?.text
    }

    private mutating func readMetrics() -> [MetricsFile.Entry] {
        guard let bytes = bytes("metrics.jsonl", limit: 1 << 30) else { return [] }
        let (metrics, broken) = MetricsFile.parse(bytes)
        if !broken.isEmpty {
            problems.append(
                "metrics.jsonl: \(broken.count) broken line\(broken.count == 1 ? "" : "s"), the first is line \(broken[0])"
            )
        }
        return metrics
    }
}
