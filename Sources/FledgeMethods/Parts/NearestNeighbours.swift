import FledgeCore

/// The nearest neighbours by cosine similarity, by brute force in blocks: exact, and a matrix product does the work.
public enum NearestNeighbours {
    /// For each query, the `count` most similar rows of `bank`, the most similar first.
    /// - Parameters:
    ///   - queries: [M, D], rows of length 1.
    ///   - bank: [N, D], rows of length 1.
    ///   - skippingSelf: queries and bank are the same rows; a row is not its own neighbour.
    /// - Returns: indices into the bank and similarities, `count` for each query in turn (fewer rows: fewer neighbours).
    public static func search(
        _ queries: Tensor, in bank: Tensor, count: Int, skippingSelf: Bool = false
    ) -> (indices: [Int32], similarities: [Float], count: Int) {
        let (m, n) = (queries.shape[0], bank.shape[0])
        let k = min(count, skippingSelf ? n - 1 : n)
        require(k > 0, "nearest neighbours: \(count) of \(n) rows")
        var indices = [Int32](repeating: 0, count: m * k)
        var similarities = [Float](repeating: 0, count: m * k)
        let transposed = bank.detached().transposed()
        let block = max(1, min(m, (64 << 20) / (4 * n)))
        for start in stride(from: 0, to: m, by: block) {
            let rows = min(block, m - start)
            let scores = noGradient { queries.narrowed(axis: 0, start: start, length: rows).matmul(transposed) }
            scores.withElements(Float.self) { scores in
                for r in 0..<rows {
                    let base = (start + r) * k
                    indices.withUnsafeMutableBufferPointer { indices in
                        similarities.withUnsafeMutableBufferPointer { similarities in
                            select(
                                scores.baseAddress! + r * n, n, skipping: skippingSelf ? start + r : -1, k,
                                indices.baseAddress! + base, similarities.baseAddress! + base)
                        }
                    }
                }
            }
        }
        return (indices, similarities, k)
    }

    /// The k largest of n scores in falling order, by insertion: nearly every score fails the first comparison.
    private static func select(
        _ scores: UnsafePointer<Float>, _ n: Int, skipping: Int, _ k: Int, _ indices: UnsafeMutablePointer<Int32>,
        _ best: UnsafeMutablePointer<Float>
    ) {
        var filled = 0
        for i in 0..<n where i != skipping {
            let score = scores[i]
            if filled == k, score <= best[k - 1] { continue }
            var place = filled < k ? filled : k - 1
            while place > 0, best[place - 1] < score {
                best[place] = best[place - 1]
                indices[place] = indices[place - 1]
                place -= 1
            }
            best[place] = score
            indices[place] = Int32(i)
            if filled < k { filled += 1 }
        }
    }
}
