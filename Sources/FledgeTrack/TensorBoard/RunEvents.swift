import FledgeCore
import FledgeTrain
import Foundation

/// A run as a TensorBoard event file, so that `tensorboard --logdir runs` shows it.
public enum RunEvents {
    /// Writes, or replaces, the event file in a run's folder from its `metrics.jsonl`, `run.yaml` and `report.json`.
    /// - Returns: its path.
    /// - Throws: `StorageError` when it cannot be written.
    public static func write(_ path: String) throws -> String {
        let (run, metrics) = RunRecord.read(path)
        let file = "\(path)/events.out.tfevents.\(Int(time(of: run))).fledge"
        try AtomicFile.write(events(of: run, metrics), to: file)
        return file
    }

    /// The bytes of the file. Numbers that were not finite are left out; all events have the time the run began.
    static func events(of run: RunRecord, _ metrics: [MetricsFile.Entry]) -> [UInt8] {
        let time = time(of: run)
        var file = EventFile(time: time)
        if !run.settings.isEmpty {
            let rows = run.settings.sorted { $0.key < $1.key }.map { "| \($0.key) | \(cell($0.value)) |" }
            file.addText(
                "settings", (["| setting | value |", "|---|---|"] + rows).joined(separator: "\n"), step: 0, time: time)
        }
        for metric in metrics {
            guard let value = metric.value else { continue }
            let tag = metric.stage.isEmpty ? metric.name : "\(metric.stage)/\(metric.name)"
            file.addScalar(tag, Float(value), step: metric.step, time: time)
        }
        let last = metrics.map(\.step).max() ?? 0
        for (name, value) in run.results.sorted(by: { $0.key < $1.key }) {
            file.addScalar("report/\(name)", Float(value), step: last, time: time)
        }
        return file.bytes
    }

    private static func cell(_ text: String) -> String {
        text.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "\n", with: " ")
    }

    private static func time(of run: RunRecord) -> Double {
        run.started.flatMap { try? Date($0, strategy: .iso8601) }?.timeIntervalSince1970 ?? 0
    }
}
