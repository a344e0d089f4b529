import Fledge
import FledgeTrack
import Foundation
import Synchronization

/// A person labelling: what was answered, what is asked next, and a model that learns from the answers on a thread of its
/// own. Both front ends, the terminal and the page, are views of one session. May be used from several threads.
final class LabelSession: Sendable {
    struct Settings: Sendable {
        var strategy = QueryStrategy.margin
        /// Answers after which the model learns anew.
        var retrainEvery = 10
        var seed: UInt64 = 0
    }

    /// What the model is doing.
    enum Model: Sendable, Equatable {
        /// Needs an answer of each of these classes.
        case waiting(missing: [String])
        case training
        case ready(LabelLearner.Finding)
        case failed(String)
    }

    private struct State: Sendable {
        /// The answer that holds for each sample.
        var answers: [Int: LabelBook.Answer] = [:]
        var classes: [LabelBook.Choice] = []
        var queue: QuestionQueue
        var model = Model.waiting(missing: [])
        /// Labels that came, went or changed since the model was last asked to learn.
        var changes = 0
    }

    let source: String
    let samples: any Dataset
    let book: LabelBook
    let settings: Settings
    /// The class of each sample in the data themselves.
    private let known: [String?]
    private let state: Mutex<State>
    private let learner: LabelLearner

    /// - Parameters:
    ///   - known: the class that each sample has in the data, where it counts.
    ///   - features: computes what the model sees; called once, on the model's thread.
    init(
        source: String, samples: any Dataset, known: [String?], book: LabelBook, settings: Settings,
        features: @escaping @Sendable ([Int]) throws -> Tensor
    ) throws {
        self.source = source
        self.samples = samples
        self.known = known
        self.book = book
        self.settings = settings
        var state = State(queue: QuestionQueue(count: samples.count, seed: settings.seed))
        state.classes = try book.classes()
        for answer in try book.labels() { state.answers[answer.sample] = answer }
        // What can be learned from comes first, so that labels that the data have are never left out.
        let order = state.queue.order
        let pool = Array(
            (order.filter { known[$0] != nil } + order.filter { known[$0] == nil }).prefix(LabelLearner.poolLimit))
        learner = LabelLearner(pool: pool, settings: settings, features: features)
        self.state = Mutex(state)
        learner.start { [weak self] in self?.learned($0) }
        self.state.withLock { askToLearn(&$0) }
    }

    /// Ends the model's thread.
    /// - Returns: whether it ended within five seconds.
    func stop() -> Bool { learner.stop() }

    // MARK: Answering

    /// Writes an answer down and acts on it; it is on the disk when this returns.
    /// - Throws: `LabelError`; then nothing was written and nothing changed.
    @discardableResult
    func answer(_ action: LabelBook.Action, id: String) throws -> LabelBook.Answer {
        switch action {
        case .label(let sample, _), .skip(let sample):
            guard samples.labels.indices.contains(sample) else {
                throw LabelError.noSample(sample, count: samples.count)
            }
        case .undo: break
        }
        // One after the other, so that what is held here and what the book says cannot part.
        return try state.withLock { state in
            let name: String =
                switch action {
                case .label(let sample, _), .skip(let sample): samples.id(of: sample)
                case .undo: ""
                }
            let answer = try book.record(action, id: id, name: name)
            let before = state.answers[answer.sample]
            let now = try book.label(of: answer.sample)
            state.answers[answer.sample] = now
            if answer.kind == .undo, now != before { state.queue.reopen(answer.sample) }
            if before?.className != now?.className { state.changes += 1 }
            if state.changes >= settings.retrainEvery || state.model.isWaiting { askToLearn(&state) }
            return answer
        }
    }

    func addClass(_ name: String) throws {
        try state.withLock { state in
            try book.addClasses([name])
            state.classes = try book.classes()
            askToLearn(&state)
        }
    }

    // MARK: Learning

    private func className(of sample: Int, _ state: State) -> String? {
        if let answer = state.answers[sample] { return answer.className }
        return known[sample]
    }

    /// Hands the labels of this moment to the model, as soon as every class has one.
    private func askToLearn(_ state: inout State) {
        let places = Dictionary(uniqueKeysWithValues: state.classes.enumerated().map { ($1.name, $0) })
        var labelled: [(sample: Int, label: Int)] = []
        for sample in 0..<samples.count {
            if let name = className(of: sample, state), let label = places[name] { labelled.append((sample, label)) }
        }
        let present = Set(labelled.map(\.label))
        let missing = state.classes.indices.filter { !present.contains($0) }.map { state.classes[$0].name }
        guard missing.isEmpty, state.classes.count > 1 else {
            state.model = .waiting(missing: missing)
            state.queue.want([])
            return
        }
        state.changes = 0
        if case .failed = state.model { return }
        let isSkipped = Set(state.answers.filter { $0.value.kind == .skip }.keys)
        if state.model.isWaiting { state.model = .training }
        learner.learn(.init(labelled: labelled, skipped: isSkipped, classes: state.classes.count))
    }

    private func learned(_ result: Result<LabelLearner.Finding, any Error>) {
        state.withLock { state in
            switch result {
            case .success(let finding):
                // A class that came meanwhile has no answer yet.
                if state.model.isWaiting { return }
                state.model = .ready(finding)
                state.queue.want(finding.wanted)
            case .failure(let error):
                let explained = error as? any ExplainedError
                state.model = .failed(explained?.what ?? (error as? DataError)?.what ?? "\(error)")
            }
        }
    }

    // MARK: Looking

    /// What both front ends show.
    struct View: Encodable, Sendable {
        struct Class: Encodable, Sendable {
            var name: String
            var key: String?
            var count: Int
        }
        struct Sample: Encodable, Sendable {
            var sample: Int
            var name: String
            /// Of a row of numbers: what each is called, and its value. nil for a picture.
            var values: [[String]]?
        }
        struct Last: Encodable, Sendable {
            var name: String
            /// nil for a skip.
            var label: String?
        }
        var data: String
        var total: Int
        /// Labels that were answered, labels that the data had, samples that were skipped, and the rest.
        var answered: Int
        var known: Int
        var skipped: Int
        var left: Int
        var classes: [Class]
        var next: [Sample]
        /// What an undo would take back.
        var last: Last?
        /// What the model is doing, in a sentence.
        var model: String
        /// Whether the next samples are those that the strategy chose.
        var isChosen: Bool
        /// Of `LabelLearner.Finding`.
        var agreement: Double?
        var sure: Double?
    }

    /// - Parameter count: how many of the next samples.
    func view(next count: Int = 12) throws -> View {
        try state.withLock { state in
            var counts: [String: Int] = [:]
            var (answered, own, skipped) = (0, 0, 0)
            for sample in 0..<samples.count {
                if let answer = state.answers[sample] {
                    if answer.kind == .skip { skipped += 1 } else { answered += 1 }
                } else if known[sample] != nil {
                    own += 1
                }
                if let name = className(of: sample, state) { counts[name, default: 0] += 1 }
            }
            let next = state.queue.next(count) { state.answers[$0] == nil && known[$0] == nil }
            var finding: LabelLearner.Finding?
            if case .ready(let found) = state.model { finding = found }
            return View(
                data: source, total: samples.count, answered: answered, known: own, skipped: skipped,
                left: samples.count - answered - own - skipped,
                classes: state.classes.map {
                    View.Class(name: $0.name, key: $0.key.map(String.init), count: counts[$0.name] ?? 0)
                },
                next: next.map { View.Sample(sample: $0, name: samples.id(of: $0), values: values(of: $0)) },
                last: try book.lastStanding().map { View.Last(name: $0.name, label: $0.className) },
                model: describe(state.model), isChosen: finding != nil, agreement: finding?.agreement,
                sure: finding?.sure)
        }
    }

    private func describe(_ model: Model) -> String {
        switch model {
        case .waiting(let missing) where missing.isEmpty: "Asking at random: add at least two classes."
        case .waiting(let missing):
            "Asking at random until every class has an answer; none yet: "
                + missing.prefix(5).joined(separator: ", ") + (missing.count > 5 ? ", …" : ".")
        case .training: "The model learns from the first answers."
        case .ready(let finding):
            "Asking by \(settings.strategy.rawValue), from a model of \(finding.labels) labels."
                + (finding.labels >= 50 && finding.agreement ?? 1 < 0.5
                    ? " What it sees says little about your classes: --weights RUN gives it better features." : "")
        case .failed(let why): "Asking at random: the model cannot learn. \(why)"
        }
    }

    /// The first numbers of a row, as a person reads them.
    private func values(of sample: Int) -> [[String]]? {
        guard let rows = samples as? FeatureDataset else { return nil }
        return zip(rows.featureNames, rows.row(sample)).prefix(60).map { [$0, String(format: "%.6g", Double($1))] }
    }
}

extension LabelSession.Model {
    fileprivate var isWaiting: Bool { if case .waiting = self { true } else { false } }
}
