/// Turns what a file says about classes into class indices, the same way for every reader.
enum ClassIndex {
    /// Class names in the order of their indices: as numbers when all of them are numbers, else by character.
    static func sorted(_ names: some Sequence<String>) -> [String] {
        let unique = Array(Set(names))
        let numbers = unique.map { Double($0) }
        guard numbers.allSatisfy({ $0?.isFinite == true }) else { return unique.sorted() }
        return zip(unique, numbers).sorted { ($0.1 ?? 0, $0.0) < ($1.1 ?? 0, $1.0) }.map(\.0)
    }

    /// Indices of the labels of one split among the class names. Throws for a label that is not among them.
    static func indices(of labels: [String?], in names: [String], path: String) throws -> [Int?] {
        let lookup = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        return try labels.enumerated().map { sample, label in
            guard let label else { return nil }
            guard let index = lookup[label] else {
                throw DataError.labelOutOfRange(
                    path: path, sample: sample, label: "'\(label)'",
                    allowed: "the classes of the training split: "
                        + names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", ..." : ""))
            }
            return index
        }
    }

    /// Class names of whole-number codes in the training split, and the index of every code. The codes must run without
    /// a gap from 0 or 1; -1 means "no label". With `names` (such as of batches.meta.txt) codes index them from 0.
    static func codes(_ train: [Int], names: [String]? = nil, path: String) throws -> CodeTable {
        if let names {
            let table = CodeTable(first: 0, names: names)
            _ = try table.indices(of: train, path: path)
            return table
        }
        let used = Set(train).subtracting([-1]).sorted()
        guard let lowest = used.first else { return CodeTable(first: 0, names: []) }
        let first = lowest == 1 ? 1 : 0
        // The first code that its neighbours do not lead up to is the odd one out, such as 200 after 0...9.
        var expected = first
        for code in used {
            guard code == expected else {
                let sample = train.firstIndex(of: code) ?? 0
                throw DataError.labelOutOfRange(
                    path: path, sample: sample, label: String(code),
                    allowed: expected == first
                        ? "\(first), \(first + 1), ... without a gap (or -1 for none)"
                        : "\(first)...\(expected - 1), as no sample has \(expected)")
            }
            expected += 1
        }
        return CodeTable(first: first, names: used.map(String.init))
    }

    struct CodeTable {
        var first: Int
        var names: [String]

        func indices(of codes: [Int], path: String) throws -> [Int?] {
            try codes.enumerated().map { sample, code in
                if code == -1 { return nil }
                guard code >= first, code - first < names.count else {
                    throw DataError.labelOutOfRange(
                        path: path, sample: sample, label: String(code),
                        allowed: "\(first)...\(first + names.count - 1)")
                }
                return code - first
            }
        }
    }
}
