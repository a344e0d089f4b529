import FledgeCore
import Foundation

/// What a linear classifier says of samples that it was not fitted to: each part of the samples is judged by a
/// classifier of the other parts.
enum OutOfFold {
    /// - Parameters:
    ///   - features: [N, D].
    ///   - labels: N class indices.
    ///   - folds: parts, of which each class is spread evenly over all; at most N.
    ///   - random: decides who is in which part.
    /// - Returns: N * classes probabilities, from the strength of the penalty that foretells these labels best.
    static func probabilities(
        _ features: Tensor, labels: [Int], classes: Int, folds: Int, random: RandomSource
    ) -> [Float] {
        var best: (loss: Double, found: [Float])?
        for l2 in [1 / Double(labels.count), 0.01, 0.1] {
            let found = probabilities(features, labels, classes, folds, l2: l2, random)
            let loss = labels.indices.reduce(0) { $0 - log(max(Double(found[$1 * classes + labels[$1]]), 1e-9)) }
            if best.map({ loss < $0.loss }) ?? true { best = (loss, found) }
        }
        return best!.found
    }

    /// The fold of each sample. Dealt out class after class, so that no fold lacks a class that has enough samples.
    static func assignment(_ labels: [Int], folds: Int, random: RandomSource) -> [Int] {
        var random = random
        let order = random.permutation(labels.count).sorted { labels[$0] < labels[$1] }
        var fold = [Int](repeating: 0, count: labels.count)
        for (place, sample) in order.enumerated() { fold[sample] = place % folds }
        return fold
    }

    private static func probabilities(
        _ features: Tensor, _ labels: [Int], _ classes: Int, _ folds: Int, l2: Double, _ random: RandomSource
    ) -> [Float] {
        let n = labels.count
        require(folds >= 2 && n >= folds, "out-of-fold probabilities: \(folds) folds of \(n) samples")
        let fold = assignment(labels, folds: folds, random: random)
        var result = [Float](repeating: 0, count: n * classes)
        for part in 0..<folds {
            let (rest, held) = ((0..<n).filter { fold[$0] != part }, (0..<n).filter { fold[$0] == part })
            let probe = LinearProbe(
                features: features.indexSelect(axis: 0, rest), labels: rest.map { labels[$0] }, classes: classes, l2: l2
            )
            let found = probe.probabilities(features.indexSelect(axis: 0, held))
            for (place, sample) in held.enumerated() {
                for c in 0..<classes { result[sample * classes + c] = found[place * classes + c] }
            }
        }
        return result
    }
}
