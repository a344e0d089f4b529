import Foundation

/// Finds samples that are there more than once.
enum Copies {
    /// Groups of two or more samples that `same` joins, directly or over others, each in order.
    struct Groups {
        private var parent: [Int]

        init(_ count: Int) { parent = Array(0..<count) }

        mutating func root(_ index: Int) -> Int {
            var index = index
            while parent[index] != index {
                parent[index] = parent[parent[index]]
                index = parent[index]
            }
            return index
        }

        mutating func join(_ a: Int, _ b: Int) {
            let (a, b) = (root(a), root(b))
            if a != b { parent[max(a, b)] = min(a, b) }
        }

        mutating func members() -> [[Int]] {
            var members: [Int: [Int]] = [:]
            for index in parent.indices { members[root(index), default: []].append(index) }
            return members.values.filter { $0.count > 1 }.sorted { $0[0] < $1[0] }
        }
    }

    /// Joins samples of equal content. `digests` only suggest; `equal` decides.
    static func joinExact(_ digests: [Int?], into groups: inout Groups, equal: (Int, Int) -> Bool) {
        let known = digests.indices.filter { digests[$0] != nil }
        for (_, members) in Dictionary(grouping: known, by: { digests[$0]! }) where members.count > 1 {
            // Compared with the first of each kind among them: nearly always that is one.
            var kinds: [Int] = []
            for member in members {
                if let first = kinds.first(where: { equal($0, member) }) {
                    groups.join(first, member)
                } else {
                    kinds.append(member)
                }
            }
        }
    }

    /// Joins pictures that match. Hashes that differ in 7 bits or fewer share one of their 8 bytes, and most that
    /// differ in 8 do, so that only pictures with a byte in common are compared.
    static func joinNear(_ prints: [Fingerprint?], into groups: inout Groups) {
        for byte in 0..<8 {
            let shift = UInt64(8 * byte)
            var buckets = [[Int]](repeating: [], count: 256)
            for (index, print) in prints.enumerated() {
                if let print { buckets[Int(print.hash >> shift & 0xFF)].append(index) }
            }
            for bucket in buckets {
                for (position, a) in bucket.enumerated() {
                    guard let one = prints[a] else { continue }
                    for b in bucket[(position + 1)...] {
                        guard let other = prints[b], one.matches(other) else { continue }
                        groups.join(a, b)
                    }
                }
            }
        }
    }
}
