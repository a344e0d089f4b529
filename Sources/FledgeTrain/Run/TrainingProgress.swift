import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Tells a person how training goes, on standard error: a bar on a terminal, a plain line every few seconds where
/// there is none, nothing at all when quiet.
///
///     pretrain  ━━━━━━━━━━────────  52%  1040/2000  81.3 steps/s  0:12 left  loss 0.4312  data 4%
///
/// `data` is the share of the time spent waiting for the loader: near 0 the network is the limit, near 100 reading is.
public final class TrainingProgress {
    public enum Style: Sendable {
        /// A bar where standard error is a terminal, else lines.
        case automatic
        case bar, lines, quiet
    }

    /// What ends the stage.
    public enum Goal: Sendable, Equatable {
        case steps(Int)
        case seconds(Double)
        case open
    }

    private let title: String
    private let goal: Goal
    private let unit: String
    private let style: Style
    private let interval: Double
    private let isColoured: Bool
    private let clock: () -> Double
    private let write: (String) -> Void

    private let start: Double
    private var lastShown = -Double.infinity
    private var waited = 0.0
    private var step = 0
    private var fields: [(String, Double)] = []
    private var isBarShown = false
    /// (time, step) of the last seconds, oldest first, for a rate that follows changes but does not jump.
    private var recent: [(time: Double, step: Int)] = []

    /// - Parameters:
    ///   - title: the name of the stage: "pretrain".
    ///   - unit: what a step is called in the rate.
    ///   - interval: seconds between lines where there is no terminal.
    public convenience init(
        _ title: String, goal: Goal, unit: String = "steps", style: Style = .automatic,
        interval: Double = 5
    ) {
        let environment = ProcessInfo.processInfo.environment
        let isTerminal = isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
        self.init(
            title, goal: goal, unit: unit, style: style == .automatic ? (isTerminal ? .bar : .lines) : style,
            interval: interval, isColoured: isTerminal && (environment["NO_COLOR"] ?? "").isEmpty,
            clock: { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 },
            write: StandardStream.error.tell)
    }

    init(
        _ title: String, goal: Goal, unit: String, style: Style, interval: Double, isColoured: Bool,
        clock: @escaping () -> Double, write: @escaping (String) -> Void
    ) {
        self.title = title
        self.goal = goal
        self.unit = unit
        self.style = style
        self.interval = interval
        self.isColoured = isColoured
        self.clock = clock
        self.write = write
        start = clock()
        recent = [(start, 0)]
    }

    /// Call after every step. Shows something only when it is time to.
    /// - Parameters:
    ///   - step: how many steps are done.
    ///   - fields: numbers to show, in this order: `[("loss", 0.43), ("lr", 0.03)]`.
    public func update(step: Int, _ fields: [(String, Double)] = []) {
        self.step = step
        self.fields = fields
        guard style != .quiet else { return }
        let now = clock()
        guard now - lastShown >= (style == .bar ? 0.1 : interval) else { return }
        show(at: now)
    }

    /// Adds time that was spent waiting for data.
    public func waitedForData(seconds: Double) { waited += seconds }

    /// The share of the time so far that was spent waiting for data, 0 to 1.
    public var waitingShare: Double {
        let elapsed = clock() - start
        return elapsed > 0 ? min(waited / elapsed, 1) : 0
    }

    /// Prints a line of its own without disturbing the bar.
    public func message(_ text: String) {
        guard style != .quiet else { return }
        write((isBarShown ? "\r\u{1B}[K" : "") + text + "\n")
        if isBarShown { show(at: clock()) }
    }

    /// Shows the last state and leaves the bar standing.
    public func finish() {
        guard style != .quiet else { return }
        show(at: clock())
        if isBarShown { write("\n") }
        isBarShown = false
    }

    // MARK: Drawing

    private func show(at now: Double) {
        lastShown = now
        recent.append((now, step))
        while recent.count > 2 && now - recent[0].time > 10 { recent.removeFirst() }
        if style == .bar {
            write("\r" + line(at: now, withBar: true) + "\u{1B}[K")
            isBarShown = true
        } else {
            write(line(at: now, withBar: false) + "\n")
        }
    }

    private func line(at now: Double, withBar: Bool) -> String {
        let elapsed = now - start
        let window = now - recent[0].time
        let rate = window > 0 ? Double(step - recent[0].step) / window : 0
        var parts: [String] = []
        var share: Double?
        var left: Double?
        switch goal {
        case .steps(let total):
            share = total > 0 ? Double(step) / Double(total) : 1
            left = rate > 0 ? Double(max(total - step, 0)) / rate : nil
            parts.append("\(step)/\(total)")
        case .seconds(let total):
            share = total > 0 ? elapsed / total : 1
            left = max(total - elapsed, 0)
            parts.append("\(step) \(unit)")
        case .open:
            parts.append("\(step) \(unit)")
        }
        if rate > 0 { parts.append("\(Self.short(rate)) \(unit)/s") }
        if let share, share >= 1 {
            parts.append(Self.duration(elapsed))
        } else if let left {
            parts.append("\(Self.duration(left)) left")
        } else {
            parts.append(Self.duration(elapsed))
        }
        for (name, value) in fields { parts.append("\(name) \(Self.short(value))") }
        parts.append("data \(Int((waitingShare * 100).rounded()))%")
        if let share { parts.insert("\(Int(min(share, 1) * 100))%", at: 0) }

        let text = parts.joined(separator: "  ")
        guard withBar else { return "\(title)  \(text)" }
        // Everything must fit a line, or the carriage return would not get back to its beginning.
        let columns = Self.terminalColumns()
        let room = min(30, columns - title.count - text.count - 5)
        let bar = share.flatMap { room >= 6 ? self.bar(min($0, 1), width: room) + "  " : nil } ?? ""
        let plain = bar.isEmpty ? String("\(title)  \(text)".prefix(columns - 1)) : nil
        return plain ?? "\(title)  \(bar)\(text)"
    }

    private func bar(_ share: Double, width: Int) -> String {
        let full = Int(share * Double(width))
        let done = String(repeating: "━", count: full)
        let rest = String(repeating: "─", count: width - full)
        return isColoured ? "\u{1B}[32m\(done)\u{1B}[0m\u{1B}[2m\(rest)\u{1B}[0m" : done + rest
    }

    private static func terminalColumns() -> Int {
        var size = winsize()
        return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// Four significant digits: 0.4312, 81.25, 3.000e-04.
    static func short(_ value: Double) -> String {
        let size = abs(value)
        if !value.isFinite { return "\(value)" }
        if value == value.rounded() && size < 100_000 { return String(Int(value)) }
        if size < 0.001 || size >= 100_000 { return String(format: "%.2e", value) }
        return String(format: size < 1 ? "%.4f" : size < 10 ? "%.3f" : size < 100 ? "%.1f" : "%.0f", value)
    }

    /// 0:07, 12:30, 1:02:03.
    static func duration(_ seconds: Double) -> String {
        let whole = Int(min(max(seconds, 0), 1e9).rounded())
        let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
        return hours > 0
            ? String(format: "%d:%02d:%02d", hours, minutes, rest) : String(format: "%d:%02d", minutes, rest)
    }
}
