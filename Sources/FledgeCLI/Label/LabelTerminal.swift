import Fledge
import FledgeTrack
import Foundation

/// Labelling in the terminal: the picture in half-block characters, one key per answer. Where standard input is no
/// terminal, answers are lines, so that a script can give them.
final class LabelTerminal {
    private let session: LabelSession
    private let inColour: Bool
    private let out: StandardStream

    /// What a person typed.
    private enum Input {
        case choice(String)
        case newClass(String)
        case skip, undo, quit
        case unknown(String)
    }

    /// - Parameter out: where everything is shown.
    init(_ session: LabelSession, out: StandardStream) {
        self.session = session
        self.out = out
        inColour = ProcessInfo.processInfo.environment["NO_COLOR"].map(\.isEmpty) ?? true
    }

    /// Asks until the person quits, the lines end, or a signal comes.
    func run() throws {
        if isatty(STDIN_FILENO) != 0, isatty(out.rawValue) != 0 { try onScreen() } else { try byLines() }
    }

    private func id() -> String { UUID().uuidString }

    /// Writes an answer down, and says so once it is on the disk.
    private func answer(_ input: Input, _ sample: LabelSession.View.Sample?) throws -> String {
        func recorded(_ action: (Int) -> LabelBook.Action, _ what: String) throws -> String {
            guard let sample else { return "there is nothing left to answer" }
            let answer = try session.answer(action(sample.sample), id: id())
            return "saved \(answer.number): \(sample.name) \(what)"
        }
        switch input {
        case .choice(let name): return try recorded({ .label(sample: $0, className: name) }, "is \(name)")
        case .skip: return try recorded({ .skip(sample: $0) }, "skipped")
        case .undo:
            let answer = try session.answer(.undo, id: id())
            return "saved \(answer.number): took back the answer about \(answer.name)"
        case .newClass(let name):
            try session.addClass(name)
            return "added the class \(name)"
        case .unknown(let text): return "not understood: \(text)"
        case .quit: return ""
        }
    }

    /// A mistake that the person can do something about is a line of text; a book that cannot be written is the end.
    private func answered(_ input: Input, _ sample: LabelSession.View.Sample?) throws -> String {
        do {
            return Self.plain(try answer(input, sample))
        } catch let error as LabelError {
            if case .unwritable = error { throw error }
            return [error.what, error.why, error.next].compactMap { $0 }.joined(separator: "; ")
        }
    }

    // MARK: Lines

    /// A line is a key, the name of a class, `+NAME` for a new class, `s`, `u` or `q`.
    private func byLines() throws {
        while StopSignal.number == nil {
            let view = try session.view(next: 1)
            let sample = view.next.first
            try out.write((sample.map { Self.plain($0.name) + "?" } ?? Self.finished(view)) + "\n")
            guard let line = Self.readLine(), StopSignal.number == nil else { return }
            let input = Self.input(line.trimmingCharacters(in: .whitespaces), view)
            if case .quit = input { return }
            try out.write(try answered(input, sample) + "\n")
        }
    }

    /// The bytes up to the next line break; nil at the end, or when a signal came. Foundation's and the standard
    /// library's own functions go on waiting after a signal.
    private static func readLine() -> String? {
        var bytes: [UInt8] = []
        while true {
            guard let byte = readByte() else { return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self) }
            if byte == 10 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
    }

    /// The next byte of standard input; nil at its end, or when a signal came.
    private static func readByte() -> UInt8? {
        var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        while StopSignal.number == nil {
            // A signal that comes just before the call would not wake it: look again now and then.
            if poll(&waiting, 1, 200) <= 0 { continue }
            var byte: UInt8 = 0
            return read(STDIN_FILENO, &byte, 1) == 1 ? byte : nil
        }
        return nil
    }

    private static func input(_ text: String, _ view: LabelSession.View) -> Input {
        switch text {
        case "s": return .skip
        case "u": return .undo
        case "q": return .quit
        default: break
        }
        if let choice = view.classes.first(where: { $0.key == text }) ?? view.classes.first(where: { $0.name == text })
        {
            return .choice(choice.name)
        }
        if text.hasPrefix("+"), text.count > 1 { return .newClass(String(text.dropFirst())) }
        return text.count > 1 ? .choice(text) : .unknown(text)
    }

    private static func finished(_ view: LabelSession.View) -> String {
        "every sample has an answer: \(view.answered) labelled, \(view.known) known before, \(view.skipped) skipped"
    }

    // MARK: The screen

    private func onScreen() throws {
        let screen = Screen()
        defer { screen.restore() }
        var message = ""
        while StopSignal.number == nil {
            let view = try session.view(next: 1)
            let sample = view.next.first
            screen.enter()
            try draw(view, sample, message)
            guard let byte = Self.readByte() else { return }
            let input: Input
            if byte == UInt8(ascii: ":") || byte == UInt8(ascii: "+") {
                try out.write("\nname of the class: ")
                screen.restore()
                let name = Self.readLine()?.trimmingCharacters(in: .whitespaces) ?? ""
                if name.isEmpty { continue }
                input = view.classes.contains { $0.name == name } ? .choice(name) : .newClass(name)
            } else {
                input = Self.input(String(UnicodeScalar(byte)), view)
            }
            if case .quit = input { return }
            message = try answered(input, sample)
        }
    }

    private func draw(_ view: LabelSession.View, _ sample: LabelSession.View.Sample?, _ message: String) throws {
        var size = winsize()
        let isKnown = ioctl(out.rawValue, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let (columns, rows) = isKnown ? (Int(size.ws_col), Int(size.ws_row)) : (80, 24)
        let keys = view.classes.map { "[\($0.key ?? ":")] \($0.name) \($0.count)" }
        var lines = [
            "\(view.answered) labelled, \(view.skipped) skipped, \(view.left) to go   "
                + Self.plain(sample?.name ?? ""), "",
        ]
        let room = max(4, rows - 8 - (keys.joined(separator: "   ").count / max(1, columns)))
        if sample == nil { lines.append(Self.finished(view)) }
        if let values = sample?.values {
            lines += values.prefix(room).map { "  \(Self.plain($0[0])): \($0[1])" }
        } else if let sample, let image = try SamplePicture.of(sample.sample, in: session.samples, side: 512) {
            lines += SamplePicture.text(image, columns: min(columns - 2, 100), rows: room, inColour: inColour)
        }
        lines += ["", Self.plain(keys.joined(separator: "   ")), "[u] undo   [s] skip   [q] quit   [:] another class"]
        lines += [Self.plain(view.model) + Self.figures(view), message]
        try out.write("\u{1B}[2J\u{1B}[H" + lines.joined(separator: "\r\n") + "\r\n")
    }

    /// What the model can do, where it learned.
    private static func figures(_ view: LabelSession.View) -> String {
        func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
        return
            (view.agreement.map {
                " It finds \(percent($0)) of your labels when they are hidden from it, in cross-validation"
            } ?? "") + (view.sure.map { "; sure (90 % or more) of \(percent($0)) of the rest" } ?? "")
    }

    /// Names come from files: nothing in them may steer the terminal.
    private static func plain(_ text: String) -> String {
        String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }

    /// The terminal while keys are read one by one, and as it was before.
    private final class Screen {
        private var before = termios()
        private let isKnown: Bool

        init() { isKnown = tcgetattr(STDIN_FILENO, &before) == 0 }

        /// Keys come one by one and unseen; Ctrl-C stays a signal. Said before every question, since a shell that let the
        /// program sleep (Ctrl-Z) sets the terminal as it likes.
        func enter() {
            var raw = before
            raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
            if isKnown { tcsetattr(STDIN_FILENO, TCSANOW, &raw) }
        }

        func restore() {
            if isKnown { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
        }
    }
}
