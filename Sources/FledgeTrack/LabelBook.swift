import Crypto
import FledgeCore
import FledgeData
import Foundation
import GRDB

/// What a person answered about the samples of one data set: one SQLite file, to which answers are only ever added.
///
/// An answer is a label, a skip, or an undo of the answer before; the labels of now are a view of them. `record` comes
/// back when the answer would survive a power cut, and gives the same answer once however often it is repeated. The
/// tables are a public format; see `schema`.
///
/// All use of the SQL library for labels is in this file. May be used from several threads.
public final class LabelBook: Sendable {
    public let path: String
    private let queue: DatabaseQueue
    /// Keeps other processes from answering into the same file; the system lets go of it however the process ends.
    private let lock: FileLock?

    /// One answer, as it is asked for.
    public enum Action: Equatable, Sendable {
        case label(sample: Int, className: String)
        case skip(sample: Int)
        /// Takes back the last answer that was not taken back yet.
        case undo
    }

    /// One answer, as it was recorded.
    public struct Answer: Equatable, Sendable {
        /// 1, 2, 3, ... in the order of the answers.
        public let number: Int
        /// Made by whoever answered, to tell a repeated request from a second answer.
        public let id: String
        /// The sample that is labelled, skipped, or without its last answer now.
        public let sample: Int
        public let name: String
        public let kind: Kind
        /// Of a label.
        public let className: String?
        /// The number of the answer that an undo took back.
        public let undoes: Int?
        /// Of the machine's clock, ISO 8601. Nothing depends on it: clocks change.
        public let time: String
    }

    public enum Kind: String, Codable, Sendable { case label, skip, undo }

    /// What can be answered, and the key that answers it, which stays as it is when more classes come.
    public struct Choice: Equatable, Sendable {
        public let name: String
        /// A digit or a small letter; nil when all are taken.
        public let key: Character?
    }

    /// `fingerprint` binds a book to its data. Triggers keep answers as they are. `standing` are the answers that were
    /// not taken back, `label` is the last of them for each sample.
    static let schema = """
        CREATE TABLE book (data TEXT NOT NULL, fingerprint TEXT NOT NULL, samples INTEGER NOT NULL,
            hides_labels INTEGER NOT NULL, created TEXT NOT NULL);
        CREATE TABLE class (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, key TEXT UNIQUE);
        CREATE TABLE answer (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, sample INTEGER NOT NULL,
            name TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('label', 'skip', 'undo')),
            class TEXT REFERENCES class (name), undoes INTEGER UNIQUE REFERENCES answer, time TEXT NOT NULL,
            CHECK ((kind = 'label') = (class IS NOT NULL)), CHECK ((kind = 'undo') = (undoes IS NOT NULL)));
        CREATE INDEX answer_of_sample ON answer (sample, number);
        CREATE TRIGGER answer_is_not_changed BEFORE UPDATE ON answer BEGIN SELECT RAISE(ABORT, 'answers stay'); END;
        CREATE TRIGGER answer_is_not_removed BEFORE DELETE ON answer BEGIN SELECT RAISE(ABORT, 'answers stay'); END;
        CREATE VIEW standing AS SELECT * FROM answer AS a
            WHERE kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM answer AS u WHERE u.undoes = a.number);
        CREATE VIEW label AS SELECT * FROM standing AS s
            WHERE number = (SELECT max(number) FROM standing AS t WHERE t.sample = s.sample);
        """
    private static let version = 1
    /// "Flbl", by which the file is known.
    private static let applicationID = 0x466C_626C

    // MARK: Opening

    /// Opens the book for answering, or begins it.
    /// - Parameters:
    ///   - data: what the samples are called in messages.
    ///   - dataset: the samples that are answered about.
    ///   - hidesLabels: whether the labels that the data have count as unknown. A book keeps to what it began with.
    ///   - classNames: can be answered, beside those that the book has already.
    /// - Throws: `LabelError` when the file is none of these, was begun on other data, is damaged, cannot be written, or
    ///   is open in another process.
    public init(
        _ path: String, data: String, dataset: any Dataset, hidesLabels: Bool, classNames: [String]
    ) throws {
        self.path = path
        let folder = path.deletingLastPathComponent
        do {
            if !folder.isEmpty {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
        } catch { throw LabelError.unwritable(path, reason: error.localizedDescription) }
        lock = try FileLock(path)
        let fingerprint = try dataset.sampleFingerprint()
        queue = try Self.explained(path) {
            let queue = try Self.openQueue(path)
            try queue.write { db in
                let isNew = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") == 0
                if isNew {
                    try db.execute(sql: Self.schema)
                    try db.execute(
                        sql: "INSERT INTO book VALUES (?, ?, ?, ?, ?)",
                        arguments: [data, fingerprint, dataset.count, hidesLabels, Self.now()])
                    try db.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
                    try db.execute(sql: "PRAGMA user_version = \(Self.version)")
                }
                try Self.check(db, path)
                guard let row = try Row.fetchOne(db, sql: "SELECT * FROM book") else {
                    throw LabelError.notABook(path, reason: "it does not say what it is about")
                }
                guard row["fingerprint"] == fingerprint else {
                    throw LabelError.otherData(path, book: row["data"], now: data)
                }
                let hid: Bool = row["hides_labels"]
                guard hid == hidesLabels else { throw LabelError.otherLabels(path, hid: hid) }
            }
            return queue
        }
        try addClasses(classNames)
    }

    /// Opens a book to read what it says, also while it is being answered into.
    /// - Throws: `LabelError` when there is no such file, or it is none of these.
    public init(reading path: String) throws {
        self.path = path
        lock = nil
        guard FileManager.default.fileExists(atPath: path) else {
            throw LabelError.notABook(path, reason: "there is no such file")
        }
        queue = try Self.explained(path) {
            let queue = try Self.openQueue(path)
            try queue.read { db in try Self.check(db, path) }
            return queue
        }
    }

    // Before the lock is given up: closing any descriptor of a file drops the locks that SQLite holds on it.
    deinit { try? queue.close() }

    /// Whether a file begins as every SQLite file does.
    public static func isDatabase(_ path: String) -> Bool {
        guard let file = FileHandle(forReadingAtPath: path) else { return false }
        defer { try? file.close() }
        return (try? file.read(upToCount: 16)) == Data("SQLite format 3\0".utf8)
    }

    private static func openQueue(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            // A commit is over when the answer and the removal of the journal are on the disk: FULL alone would let a
            // power cut bring the journal back, and with it the book before the answer.
            try db.execute(sql: "PRAGMA synchronous = EXTRA")
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    private static func check(_ db: Database, _ path: String) throws {
        guard try Int.fetchOne(db, sql: "PRAGMA application_id") == applicationID else {
            throw LabelError.notABook(path, reason: "it is another program's database")
        }
        guard let found = try Int.fetchOne(db, sql: "PRAGMA user_version"), found == version else {
            throw LabelError.notABook(path, reason: "it was written by another version of Fledge")
        }
    }

    // MARK: Answering

    /// Writes an answer down. It is on the disk when this returns.
    ///
    /// An `id` that is known gives the answer that was recorded with it, and nothing is written.
    /// - Parameter name: of the sample; unused for an undo.
    /// - Throws: `LabelError` for a class that is not there, a known `id` with another answer, an undo where there is
    ///   nothing to take back, and when the file cannot be written; then nothing was.
    @discardableResult
    public func record(_ action: Action, id: String, name: String) throws -> Answer {
        guard (8...64).contains(id.utf8.count), id.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw LabelError.badID(id)
        }
        return try Self.explained(path) {
            try queue.write { db in
                if let row = try Row.fetchOne(db, sql: "SELECT * FROM answer WHERE id = ?", arguments: [id]) {
                    let known = Answer(row)
                    guard known.isAnswer(to: action) else { throw LabelError.idInUse(id) }
                    return known
                }
                let new: (kind: Kind, sample: Int, name: String, className: String?, undoes: Int?)
                switch action {
                case .label(let sample, let chosen):
                    guard
                        try Int.fetchOne(db, sql: "SELECT 1 FROM class WHERE name = ?", arguments: [chosen]) != nil
                    else { throw LabelError.noClass(chosen, among: try Self.classes(db).map(\.name)) }
                    new = (.label, sample, name, chosen, nil)
                case .skip(let sample): new = (.skip, sample, name, nil, nil)
                case .undo:
                    guard let last = try Row.fetchOne(db, sql: "SELECT * FROM standing ORDER BY number DESC LIMIT 1")
                    else { throw LabelError.nothingToUndo }
                    new = (.undo, last["sample"], last["name"], nil, last["number"])
                }
                try db.execute(
                    sql: """
                        INSERT INTO answer (id, sample, name, kind, class, undoes, time) VALUES (?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [id, new.sample, new.name, new.kind.rawValue, new.className, new.undoes, Self.now()])
                guard
                    let row = try Row.fetchOne(
                        db, sql: "SELECT * FROM answer WHERE number = ?", arguments: [db.lastInsertedRowID])
                else { fatalError("an answer that was just written is not there") }
                return Answer(row)
            }
        }
    }

    /// Adds those of these classes that are not there yet, each with the next free key; a class whose name is one digit or
    /// letter has that for its key where it can.
    /// - Throws: `LabelError` for a name that is empty, longer than 100 bytes, or holds control characters; then none was
    ///   added.
    public func addClasses(_ names: [String]) throws {
        for name in names {
            guard !name.isEmpty, name.utf8.count <= 100, name.trimmingCharacters(in: .whitespaces) == name,
                !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
            else { throw LabelError.badClassName(name) }
        }
        try Self.explained(path) {
            try queue.write { db in
                let known = try Self.classes(db)
                var seen = Set(known.map(\.name))
                let new = names.filter { seen.insert($0).inserted }
                var taken = Set(known.compactMap(\.key))
                var keys: [String: Character] = [:]
                for name in new where name.count == 1 && Self.ownKeys.contains(name.first!) {
                    if taken.insert(name.first!).inserted { keys[name] = name.first! }
                }
                for (place, name) in new.enumerated() {
                    let key = keys[name] ?? Self.keys.first { !taken.contains($0) }
                    if let key { taken.insert(key) }
                    try db.execute(
                        sql: "INSERT INTO class VALUES (?, ?, ?)",
                        arguments: [known.count + place, name, key.map(String.init)])
                }
            }
        }
    }

    /// In the order in which they are dealt out. The letters that mean undo, skip and quit are left out.
    static let keys: [Character] = Array("123456789abcdefghijklmnoprtvwxyz")
    /// Those that a class of this name may have.
    private static let ownKeys = Set(keys + ["0"])

    // MARK: Reading

    /// The classes, in the order in which they were given.
    public func classes() throws -> [Choice] { try Self.explained(path) { try queue.read(Self.classes) } }

    private static func classes(_ db: Database) throws -> [Choice] {
        try Row.fetchAll(db, sql: "SELECT name, key FROM class ORDER BY position").map {
            Choice(name: $0["name"], key: ($0["key"] as String?)?.first)
        }
    }

    /// All answers ever given, in their order.
    public func answers() throws -> [Answer] { try fetch("SELECT * FROM answer ORDER BY number") }

    /// The answer that holds for each sample now, in the order in which they were given.
    public func labels() throws -> [Answer] { try fetch("SELECT * FROM label ORDER BY number") }

    /// The answer that holds for one sample now.
    public func label(of sample: Int) throws -> Answer? {
        try Self.explained(path) {
            try queue.read { db in
                try Row.fetchOne(
                    db, sql: "SELECT * FROM standing WHERE sample = ? ORDER BY number DESC LIMIT 1", arguments: [sample]
                ).map(Answer.init)
            }
        }
    }

    /// What an undo would take back.
    public func lastStanding() throws -> Answer? {
        try fetch("SELECT * FROM standing ORDER BY number DESC LIMIT 1").first
    }

    /// Whether the labels that the data have count as unknown.
    public func hidesLabels() throws -> Bool {
        try Self.explained(path) { try queue.read { try Bool.fetchOne($0, sql: "SELECT hides_labels FROM book") } }
            ?? false
    }

    /// For tests: how careful commits are, and whether references are checked.
    func commitRules() throws -> [Int] {
        try queue.read { db in
            try ["synchronous", "foreign_keys"].map { try Int.fetchOne(db, sql: "PRAGMA \($0)") ?? -1 }
        }
    }

    private func fetch(_ sql: String) throws -> [Answer] {
        try Self.explained(path) { try queue.read { try Row.fetchAll($0, sql: sql).map(Answer.init) } }
    }

    private static func now() -> String { Date().formatted(.iso8601.time(includingFractionalSeconds: true)) }

    /// Errors of the SQL library as a person can use them.
    private static func explained<R>(_ path: String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_NOTADB: throw LabelError.notABook(path, reason: "it is no SQLite file")
            case .SQLITE_CORRUPT: throw LabelError.notABook(path, reason: "it is damaged")
            default: throw LabelError.unwritable(path, reason: error.message ?? "\(error.resultCode)")
            }
        }
    }
}

/// A file that no other process has open in the same way, as long as this lives.
private final class FileLock: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw LabelError.unwritable(path, reason: String(cString: strerror(errno))) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw LabelError.inUse(path) }
    }

    deinit { close(descriptor) }
}

extension LabelBook.Answer {
    fileprivate init(_ row: Row) {
        number = row["number"]
        id = row["id"]
        sample = row["sample"]
        name = row["name"]
        kind = LabelBook.Kind(rawValue: row["kind"]) ?? .skip
        className = row["class"]
        undoes = row["undoes"]
        time = row["time"]
    }

    fileprivate func isAnswer(to action: LabelBook.Action) -> Bool {
        switch action {
        case .label(let sample, let className):
            kind == .label && self.sample == sample && self.className == className
        case .skip(let sample): kind == .skip && self.sample == sample
        case .undo: kind == .undo
        }
    }
}

extension Dataset {
    /// SHA-256 over the number and names of the samples and the values of up to 32 of them, spread over the set. Labels
    /// do not count.
    /// - Throws: `DataError` when a sample cannot be read.
    func sampleFingerprint() throws -> String {
        var hash = SHA256()
        for index in 0..<count { hash.update(data: Data((id(of: index) + "\n").utf8)) }
        // Pictures may differ in size.
        let view = Augmentation.none(size: self is ImageDataset ? 32 : nil)
        let workspace = AugmentWorkspace()
        var values = [Float](repeating: 0, count: sampleShape(after: view).reduce(1, *))
        for index in stride(from: 0, to: count, by: Swift.max(1, count / 32)) {
            try values.withUnsafeMutableBufferPointer {
                try write(
                    sample: index, augmentation: view, random: RandomSource(seed: 0), workspace: workspace, into: $0)
            }
            values.withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        return hash.finalize().map { String(format: "%02x", $0) }.joined()
    }
}

/// What is wrong with a label book, or with an answer.
public enum LabelError: ExplainedError, Equatable {
    case notABook(String, reason: String)
    case otherData(String, book: String, now: String)
    case otherLabels(String, hid: Bool)
    case inUse(String)
    case unwritable(String, reason: String)
    case noClass(String, among: [String])
    case badClassName(String)
    case noSample(Int, count: Int)
    case badID(String)
    case idInUse(String)
    case nothingToUndo

    public var what: String {
        switch self {
        case .notABook: "that is no label book"
        case .otherData: "the label book is about other data"
        case .otherLabels(_, let hid):
            hid ? "the label book was begun with --hide-labels" : "the label book was begun without --hide-labels"
        case .inUse: "the label book is open in another process"
        case .unwritable: "the label book cannot be used; nothing was recorded"
        case .noClass(let name, _): "there is no class '\(name)'"
        case .badClassName(let name): "'\(name)' cannot be the name of a class"
        case .noSample(let sample, _): "there is no sample \(sample)"
        case .badID: "that is no id of an answer"
        case .idInUse: "another answer has this id"
        case .nothingToUndo: "there is no answer to take back"
        }
    }

    public var place: String? {
        switch self {
        case .notABook(let path, _), .otherData(let path, _, _), .otherLabels(let path, _), .inUse(let path),
            .unwritable(let path, _):
            path
        case .idInUse(let id), .badID(let id): id
        case .noClass, .badClassName, .noSample, .nothingToUndo: nil
        }
    }

    public var why: String? {
        switch self {
        case .notABook(_, let reason), .unwritable(_, let reason): reason
        case .otherData(_, let book, let now):
            "it was begun on '\(book)'; the samples of '\(now)' have other names, another number, or other values"
        case .badClassName: "a name has 1 to 100 bytes, no space around it and no control characters"
        case .badID: "an id has 8 to 64 printable characters without spaces"
        case .noSample(_, let count): "the data have samples 0 to \(count - 1)"
        default: nil
        }
    }

    public var next: String? {
        switch self {
        case .notABook: "name another file with --book"
        case .otherData: "give the data it was begun on, or begin another book with --book"
        case .otherLabels(_, let hid):
            hid
                ? "add --hide-labels, or begin another book with --book"
                : "leave --hide-labels out, or begin another book with --book"
        case .inUse: "end the other `fledge label`, or answer there"
        case .unwritable: "check the disk and the permissions, then go on: every answer before is safe"
        case .noClass(let name, let names):
            switch Suggestion.nearest(to: name, among: names) {
            case let near where !near.isEmpty: "did you mean \(near.joined(separator: " or "))?"
            default: "add it with --classes, or on the page"
            }
        default: nil
        }
    }
}
