import ArgumentParser
import Fledge
import Foundation

/// `fledge bench`
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Time training steps and operations on this machine.",
        discussion: "Workloads:\n"
            + BenchWorkload.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n")
            + "\n\n`make bench` times PyTorch next to it, turn by turn.")

    @Option(help: ArgumentHelp("One of the workloads; may be repeated. All of them by default.", valueName: "workload"))
    var only: [String] = []

    @Option(help: ArgumentHelp("How many measurements of each.", valueName: "count"))
    var rounds = 3

    @Option(help: ArgumentHelp("How long a measurement repeats its step, at least three times.", valueName: "number"))
    var seconds = 1.0

    @OptionGroup var output: OutputOptions

    private struct Result: Encodable {
        var name: String
        var summary: String
        /// The median time of a step in each round.
        var milliseconds: [Double]
        var median: Double
    }

    private struct Document: Encodable {
        var version: String
        var processor: String
        var threads: Int
        var instructionSet: String
        var oneDNN: String
        var workloads: [Result]

        enum CodingKeys: String, CodingKey {
            case version, processor, threads, workloads
            case instructionSet = "instruction_set"
            case oneDNN = "onednn"
        }
    }

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds must be at least 1") }
        guard seconds > 0, seconds.isFinite else { throw ValidationError("--seconds must be above 0") }
    }

    func run() throws {
        let workloads = try only.isEmpty ? BenchWorkload.all : only.map(Self.workload)
        let width = workloads.map(\.name.count).max()!
        var results: [Result] = []
        for workload in workloads {
            output.tell("timing \(workload.name): \(workload.summary)")
            let step = workload.prepare()
            for _ in 0..<2 { step() }  // primitives and memory are made in the first steps
            let times = (0..<rounds).map { _ in measure(step) }
            let result = Result(
                name: workload.name, summary: workload.summary, milliseconds: times, median: Self.median(times))
            try output.print(
                workload.name.padding(toLength: width + 2, withPad: " ", startingAt: 0)
                    + "\(Self.rounded(result.median)) ms  (\(times.map(Self.rounded).joined(separator: ", ")))")
            results.append(result)
        }
        guard output.json else { return }
        let machine = Machine.current()
        try output.print(
            json: Document(
                version: FledgeVersion.current, processor: machine.processor, threads: Engine.threads,
                instructionSet: Engine.instructionSet, oneDNN: Engine.oneDNNVersion, workloads: results))
    }

    private static func workload(_ name: String) throws -> BenchWorkload {
        if let known = BenchWorkload.all.first(where: { $0.name == name }) { return known }
        throw CommandFailure.unknown(
            "workload", name, among: BenchWorkload.all.map(\.name), list: "fledge bench --help")
    }

    /// The median time of the step in milliseconds, over `seconds` and at least three steps.
    private func measure(_ step: () -> Void) -> Double {
        let clock = ContinuousClock()
        let start = clock.now
        var times: [Double] = []
        while times.count < 3 || start.duration(to: clock.now) < .seconds(seconds) {
            let time = clock.measure(step)
            times.append(time / .milliseconds(1))
        }
        return Self.median(times)
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// Three digits or so.
    private static func rounded(_ milliseconds: Double) -> String {
        String(format: milliseconds < 1 ? "%.4f" : milliseconds < 100 ? "%.2f" : "%.1f", milliseconds)
    }
}
