/// Capsules by routing of agreement (Sabour, Frosst and Hinton 2017, procedure 1): each capsule below votes for what
/// each capsule above should be, and its vote counts for those above that agree with it.
///
/// - Parameters:
///   - votes: [N, inputs, outputs, length], at least one output. The rounds and their gradient take memory for a sample
///     only; what they keep for the gradient is (rounds - 1) / length of the votes, and little more.
///   - rounds: how often the shares of the votes are decided, at least 1; in the first all are equal.
///   - epsilon: added to squared lengths under the root, so that a capsule of length 0 has a gradient.
/// - Returns: [N, outputs, length], each capsule shorter than 1: the longer, the more it is there.
public func dynamicRouting(_ votes: Tensor, rounds: Int = 3, epsilon: Double = 1e-7) -> Tensor {
    require(
        votes.rank == 4 && votes.shape[2] > 0 && votes.dtype.isFloatingPoint,
        "dynamicRouting: votes are [N, inputs, outputs, length], not \(votes.dtype) of \(votes.shape)")
    require(rounds > 0 && epsilon > 0, "dynamicRouting: \(rounds) rounds, epsilon \(epsilon)")
    let keeps = Autograd.records([votes])
    let (capsules, kept) = noGradient {
        votes.backend.dynamicRouting(votes, rounds: rounds, epsilon: epsilon, keeps: keeps)
    }
    return record("dynamicRouting", capsules, from: [votes], saving: [votes] + (kept.map { [$0] } ?? [])) { context in
        let (votes, gradient) = (context.saved[0], context.gradient)
        if Autograd.isRecording {
            return [composedRoutingGradient(gradient, votes, rounds: rounds, epsilon: epsilon)]
        }
        let kept = context.saved.count > 1 ? context.saved[1] : nil
        return [votes.backend.dynamicRoutingGradient(gradient, votes, kept: kept, rounds: rounds, epsilon: epsilon)]
    }
}

/// What each round of `dynamicRouting` computes, in tensor operations: the definition.
private struct Routing {
    /// [N, outputs, inputs, length]
    let votes: Tensor
    /// Of each round: what share of each input's vote goes to which output, [N, outputs, 1, inputs]; the sum of the
    /// votes and the capsules, [N, outputs, 1, length].
    private(set) var shares: [Tensor] = []
    private(set) var sums: [Tensor] = []
    private(set) var capsules: [Tensor] = []

    init(_ votes: Tensor, rounds: Int, epsilon: Double) {
        self.votes = votes.permuted([0, 2, 1, 3])
        let (n, inputs, outputs) = (votes.shape[0], votes.shape[1], votes.shape[2])
        var logits = Tensor.zeros([n, outputs, 1, inputs], dtype: votes.dtype, device: votes.device)
        for round in 0..<rounds {
            if round > 0 { logits = logits + capsules[round - 1].matmul(self.votes.transposed()) }
            shares.append(logits.softmax(axis: 1))
            sums.append(shares[round].matmul(self.votes))
            capsules.append(sums[round] * Self.factor(sums[round], epsilon))
        }
    }

    /// By which a sum is made a capsule, from its squared length q: q / ((1 + q) sqrt(q + epsilon)).
    private static func factor(_ sum: Tensor, _ epsilon: Double) -> Tensor {
        let q = sum.square().sum(axis: -1, keepDims: true)
        return q / ((1 + q) * (q + epsilon).sqrt())
    }

    static func squashGradient(_ gradient: Tensor, _ sum: Tensor, _ epsilon: Double) -> Tensor {
        let q = sum.square().sum(axis: -1, keepDims: true)
        let slope = ((1 + q).reciprocal() - q / (2 * (q + epsilon))) / ((1 + q) * (q + epsilon).sqrt())
        let along = (sum * gradient).sum(axis: -1, keepDims: true)
        return gradient * factor(sum, epsilon) + sum * (2 * slope * along)
    }
}

func composedRouting(_ votes: Tensor, rounds: Int, epsilon: Double) -> Tensor {
    Routing(votes, rounds: rounds, epsilon: epsilon).capsules[rounds - 1].squeezed(axis: 2)
}

/// The gradient of the votes, from that of the capsules: through the rounds, backwards.
func composedRoutingGradient(_ gradient: Tensor, _ votes: Tensor, rounds: Int, epsilon: Double) -> Tensor {
    let forward = Routing(votes, rounds: rounds, epsilon: epsilon)
    let votes = forward.votes
    var dVotes = Tensor.zeros(like: votes)
    var dCapsules = gradient.unsqueezed(axis: 2)
    var dLogits: Tensor?
    for round in (0..<rounds).reversed() {
        let share = forward.shares[round]
        let dSum = Routing.squashGradient(dCapsules, forward.sums[round], epsilon)
        dVotes = dVotes + share.transposed() * dSum
        if round == 0 { break }
        let dShare = dSum.matmul(votes.transposed())
        let own = share * (dShare - (share * dShare).sum(axis: 1, keepDims: true))
        let d = dLogits.map { $0 + own } ?? own
        dVotes = dVotes + d.transposed() * forward.capsules[round - 1]
        dCapsules = d.matmul(votes)
        dLogits = d
    }
    return dVotes.permuted([0, 2, 1, 3])
}
