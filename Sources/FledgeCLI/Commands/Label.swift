import ArgumentParser
import Fledge
import FledgeServe
import FledgeTrack
import Foundation

/// `fledge label DATA`
struct LabelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "label",
        abstract: "Label samples, the most instructive first.",
        discussion: """
            Shows one sample after the other, in the terminal or with --browser on a page of this machine, and asks for \
            its class: one key per class, u takes the last answer back, s skips, q ends. A small model learns from the \
            answers meanwhile and chooses what to ask next, once every class has an answer. Every answer is on the disk \
            before the next sample is asked about; the data are never changed. \
            `fledge train METHOD --data DATA --labels BOOK` learns from them.

            Strategies: \(QueryStrategy.allCases.map(\.rawValue).joined(separator: ", ")). Where standard input is no \
            terminal, each line of it is an answer: a key, the name of a class, +NAME for a new class, s, u or q.
            """)

    @Argument(help: "A path, or the bundled name `digits`.")
    var data: String

    @OptionGroup var reading: ReadingOptions
    @OptionGroup var network: NetworkOptions

    @Option(help: "Classes beside those of the data, separated by commas.")
    var classes = ""

    @Option(help: "The file of the answers. Default: labels/NAME.db.")
    var book: String?

    @Flag(help: "Ask about samples whose label is known as well, as if the data had none.")
    var hideLabels = false

    @Option(help: "How the next samples are chosen.")
    var strategy = QueryStrategy.margin

    @Option(help: "Answers after which the model learns anew.")
    var retrainEvery = 10

    @Option(help: "Decides the random order and the model's weights.")
    var seed = 0

    @Flag(help: "Show a page on 127.0.0.1 instead, and print its address.")
    var browser = false

    @Option(help: "The page's port. Default: any that is free.")
    var port = 0

    @Option(help: ArgumentHelp("Write the labels to a CSV file, and ask nothing.", valueName: "file"))
    var export: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if !(1...10_000).contains(retrainEvery) {
            throw ValidationError("--retrain-every must be at least 1 and at most 10000")
        }
        if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        if !(0...65_535).contains(port) { throw ValidationError("--port must be at least 0 and at most 65535") }
        if port != 0, !browser { throw ValidationError("--port needs --browser") }
        if browser, export != nil { throw ValidationError("--export asks nothing, so it has no page") }
    }

    private var bookPath: String { book ?? "labels/\(URL(fileURLWithPath: data).lastPathComponent).db" }

    /// What `--json` prints: with --browser when the page can be opened, else at the end.
    private struct Result: Encodable {
        var book: String
        var url: String?
        var labels: Int?
        var skipped: Int?
        var file: String?
    }

    func run() throws {
        let opened = try reading.open(data, seed: seed)
        let samples = opened.train
        if let export { return try write(opened, to: export) }
        guard hideLabels || samples.labelledCount < samples.count else {
            throw CommandFailure.usage(
                "every sample of \(opened.source) has a label", next: "--hide-labels asks about them all the same")
        }
        let extra = classes.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        let book = try LabelBook(
            bookPath, data: opened.source, dataset: samples, hidesLabels: hideLabels,
            classNames: opened.classNames + extra)
        StopSignal.listen()
        let session = try LabelSession(
            source: opened.source, samples: samples, known: known(opened), book: book,
            settings: .init(strategy: strategy, retrainEvery: retrainEvery, seed: UInt64(seed)),
            features: try features(of: samples))
        output.tell("\(data): \(opened.reason)")
        output.tell("answers go to \(bookPath)")
        let outcome = Swift.Result { try ask(session) }
        let hasEnded = session.stop()
        try outcome.get()
        let view = try session.view(next: 0)
        output.tell(
            "answers: \(view.answered) labels, \(view.skipped) skipped; learn from them with --labels \(bookPath)")
        if output.json, !browser {
            try output.print(json: Result(book: bookPath, labels: view.answered, skipped: view.skipped))
        }
        // The libraries under the engine must not be taken down below a thread that computes. Everything is on the disk.
        if !hasEnded { _exit(ExitStatus.ok.rawValue) }
    }

    /// Shows the page or asks in the terminal, until the person ends it.
    private func ask(_ session: LabelSession) throws {
        guard browser else { return try LabelTerminal(session, out: output.json ? .error : .output).run() }
        let page = LabelPage(session: session)
        let server = try LocalServer(port: port) { page.respond(to: $0, token: $1) }
        if output.json {
            try output.print(json: Result(book: bookPath, url: server.link))
        } else {
            try output.print("open \(server.link)\nCtrl-C ends it")
        }
        while StopSignal.number == nil { usleep(100_000) }
        server.stop()
    }

    /// The classes that the data themselves give, where they count.
    private func known(_ opened: OpenedData) -> [String?] {
        opened.train.labels.map { hideLabels ? nil : $0.map { opened.classNames[$0] } }
    }

    /// What the model sees: the features of the network that was asked for, or the values of the samples, pictures at
    /// 32 pixels at most.
    private func features(of samples: any Dataset) throws -> @Sendable ([Int]) throws -> Tensor {
        if network.model != nil || network.weights != nil {
            let input = try InputSpec(measuring: samples, size: network.imageSize)
            // Made here, so that a mistake is known at once; from now on the model's thread alone has it.
            nonisolated(unsafe) let backbone = try network.make(for: input, seed: UInt64(seed)).backbone
            return { pool in try Inference.features(backbone, samples.subset(pool), input: input) }
        }
        let natural = (samples as? ImageDataset)?.uniformSize
        let isSmall = natural.map { $0.width == $0.height && $0.width <= 32 } ?? false
        let input = try InputSpec(measuring: samples, size: network.imageSize ?? (isSmall ? nil : 32))
        return { pool in try Inference.rawValues(samples.subset(pool), input: input) }
    }

    /// Every label that the book and the data have, as a table.
    private func write(_ opened: OpenedData, to path: String) throws {
        let labels = GivenLabels(of: try GivenLabels(book: bookPath).applied(to: opened))
        let isFiles = (opened.train as? ImageDataset) != nil && opened.train.count > 0 && opened.train.id(of: 0) != "0"
        try AtomicFile.write(labels.csv(column: isFiles ? "file" : "id"), to: path)
        if output.json {
            return try output.print(json: Result(book: bookPath, labels: labels.labels.count, file: path))
        }
        try output.print("wrote \(labels.labels.count) labels to \(path)")
    }
}

extension QueryStrategy: ExpressibleByArgument {}

extension GivenLabels {
    /// The labels of a book; those of the data count beside them unless it was begun without.
    /// - Throws: `LabelError`.
    init(book path: String) throws {
        let book = try LabelBook(reading: path)
        self.init(
            try book.labels().compactMap { answer in answer.className.map { (answer.name, $0) } }, source: path,
            keepsOthers: try !book.hidesLabels())
    }
}
