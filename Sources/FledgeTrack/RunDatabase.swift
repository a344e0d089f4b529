import FledgeTrain
import Foundation
import GRDB

/// `fledge.db`: what the run folders of a project say, as SQL tables. It holds nothing of its own: it can be deleted
/// at any time and is made again from the folders. The tables are a public format; see `schema`.
///
/// All use of the SQL library for runs is in this file.
final class RunDatabase {
    private let queue: DatabaseQueue
    /// Why it is not the file that was asked for; nil where it is.
    private(set) var note: String?

    /// `value` is NULL for a number that was not finite. `stamp` tells whether the folder changed since it was read.
    static let schema = """
        CREATE TABLE run (
            name TEXT PRIMARY KEY, path TEXT NOT NULL, status TEXT NOT NULL, problems TEXT NOT NULL, method TEXT NOT NULL,
            data TEXT, title TEXT, started TEXT, stamp TEXT NOT NULL);
        CREATE TABLE setting (
            run TEXT NOT NULL REFERENCES run ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (run, name)) WITHOUT ROWID;
        CREATE TABLE result (
            run TEXT NOT NULL REFERENCES run ON DELETE CASCADE, name TEXT NOT NULL, value REAL,
            PRIMARY KEY (run, name)) WITHOUT ROWID;
        CREATE TABLE metric (
            run TEXT NOT NULL REFERENCES run ON DELETE CASCADE, stage TEXT NOT NULL, step INTEGER NOT NULL,
            name TEXT NOT NULL, value REAL);
        CREATE INDEX metric_of_run ON metric (run, stage, name, step);
        """
    private static let version = 1

    /// Opens or makes the file. A damaged one, or one of another version, is moved aside and made anew; where the
    /// folder cannot be written, the tables live in memory.
    init(path: String) throws {
        do {
            queue = try Self.open(path)
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_MISMATCH:
                let aside = path + ".damaged-\(Int(Date().timeIntervalSince1970))"
                try FileManager.default.moveItem(atPath: path, toPath: aside)
                queue = try Self.open(path)
                note = "\(path) was damaged or of another version; it was moved to \(aside) and made anew"
            case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_IOERR, .SQLITE_FULL, .SQLITE_BUSY:
                queue = try DatabaseQueue()
                try Self.prepare(queue)
                note = "\(path) cannot be written (\(error.message ?? "\(error.resultCode)")); nothing is kept"
            default: throw error
            }
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        try prepare(queue)
        return queue
    }

    private static func prepare(_ queue: DatabaseQueue) throws {
        try queue.write { db in
            let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
            let isNew = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") == 0
            if isNew {
                try db.execute(sql: schema)
                try db.execute(sql: "PRAGMA user_version = \(version)")
            } else if found != version {
                throw DatabaseError(resultCode: .SQLITE_MISMATCH)
            }
        }
    }

    /// The stamp of each run that is stored.
    func stamps() throws -> [String: String] {
        try queue.read { db in
            Dictionary(
                uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT name, stamp FROM run").map { ($0[0], $0[1]) })
        }
    }

    /// Puts runs in the place of what was stored of them, and forgets others, all or nothing.
    func update(_ runs: [(record: RunRecord, metrics: [MetricsFile.Entry], stamp: String)], forgetting gone: [String])
        throws
    {
        try queue.write { db in
            for name in gone + runs.map(\.record.name) {
                try db.execute(sql: "DELETE FROM run WHERE name = ?", arguments: [name])
            }
            for (run, metrics, stamp) in runs {
                try db.execute(
                    sql: "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        run.name, run.path, run.status.rawValue, run.problems.joined(separator: "\n"), run.method,
                        run.data, run.title, run.started, stamp,
                    ])
                for (name, value) in run.settings {
                    try db.execute(sql: "INSERT INTO setting VALUES (?, ?, ?)", arguments: [run.name, name, value])
                }
                for (name, value) in run.results {
                    try db.execute(sql: "INSERT INTO result VALUES (?, ?, ?)", arguments: [run.name, name, value])
                }
                let insert = try db.makeStatement(sql: "INSERT INTO metric VALUES (?, ?, ?, ?, ?)")
                for metric in metrics {
                    try insert.execute(
                        arguments: [run.name, metric.stage, metric.step, metric.name, metric.value])
                }
            }
        }
    }

    /// All runs, the newest first.
    func runs() throws -> [RunRecord] {
        try queue.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM run ORDER BY started DESC NULLS LAST, name").map { row in
                var run = RunRecord(
                    name: row["name"], path: row["path"],
                    status: RunRecord.Status(rawValue: row["status"]) ?? .unreadable)
                let problems: String = row["problems"]
                run.problems = problems.split(separator: "\n").map(String.init)
                run.title = row["title"]
                run.started = row["started"]
                for row in try Row.fetchAll(
                    db, sql: "SELECT name, value FROM setting WHERE run = ?", arguments: [run.name])
                {
                    run.settings[row[0]] = row[1]
                }
                for row in try Row.fetchAll(
                    db, sql: "SELECT name, value FROM result WHERE run = ?", arguments: [run.name])
                {
                    run.results[row[0]] = row[1]
                }
                return run
            }
        }
    }

    /// The last value of every number a run watched, by "stage/name".
    func lastValues(of run: String) throws -> [String: Double] {
        try queue.read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT stage, name, value, max(step) FROM metric WHERE run = ? AND value IS NOT NULL
                    GROUP BY stage, name
                    """, arguments: [run])
            return Dictionary(
                uniqueKeysWithValues: rows.map { row in
                    let (stage, name): (String, String) = (row[0], row[1])
                    return (stage.isEmpty ? name : "\(stage)/\(name)", row[2] as Double)
                })
        }
    }
}
