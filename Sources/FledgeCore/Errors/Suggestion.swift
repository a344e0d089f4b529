/// Finds what a person meant by a name that does not exist.
public enum Suggestion {
    /// The candidates closest to `name`, best first; empty where nothing is close. Letter case is ignored. A candidate
    /// is close within one edit for every three letters (at least one edit), when its last part after a dot is the
    /// name, or when one begins with the other.
    public static func nearest(to name: String, among candidates: some Sequence<String>, limit: Int = 3) -> [String] {
        let wanted = name.lowercased()
        let allowed = max(1, wanted.count / 3)
        var scored: [(String, Int)] = []
        for candidate in candidates {
            let lower = candidate.lowercased()
            let last = lower.split(separator: ".").last.map(String.init) ?? lower
            let distance = min(editDistance(wanted, lower), editDistance(wanted, last))
            if distance <= allowed {
                scored.append((candidate, distance))
            } else if wanted.count >= 3 && (lower.hasPrefix(wanted) || wanted.hasPrefix(lower) && lower.count >= 3) {
                scored.append((candidate, allowed + 1))
            }
        }
        return scored.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.prefix(limit).map(\.0)
    }

    /// The number of insertions, deletions, replacements and swaps of neighbours that turn one string into the other
    /// (optimal string alignment).
    public static func editDistance(_ a: String, _ b: String) -> Int {
        let a = Array(a)
        let b = Array(b)
        if a.isEmpty || b.isEmpty { return a.count + b.count }
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [i] + Array(repeating: 0, count: b.count)
            for j in 1...b.count {
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    row[j] = min(row[j], beforeLast[j - 2] + 1)
                }
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
