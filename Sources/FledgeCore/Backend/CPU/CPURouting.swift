import CFledgeKernels

extension CPUBackend {
    func dynamicRouting(
        _ votes: Tensor, rounds: Int, epsilon: Double, keeps: Bool
    ) -> (capsules: Tensor, kept: Tensor?) {
        guard isFast(votes), votes.count > 0 else {
            return reference.dynamicRouting(votes, rounds: rounds, epsilon: epsilon, keeps: keeps)
        }
        let votes = votes.laidOutForRouting()
        var shape = votes.routingShape(rounds: rounds, epsilon: epsilon)
        let capsules = output([votes.shape[0], votes.shape[2], votes.shape[3]], like: votes)
        let scratch = output([fk_routing_scratch(&shape) / 4], like: votes)
        let kept = keeps ? output([fk_routing_kept(&shape) / 4], like: votes) : nil
        fk_routing(&shape, votes.data(), capsules.data(), kept?.data(), scratch.data(Float.self))
        return (capsules, kept)
    }

    func dynamicRoutingGradient(
        _ gradient: Tensor, _ votes: Tensor, kept: Tensor?, rounds: Int, epsilon: Double
    ) -> Tensor {
        guard let kept else {
            return reference.dynamicRoutingGradient(gradient, votes, kept: nil, rounds: rounds, epsilon: epsilon)
        }
        let (votes, gradient) = (votes.laidOutForRouting(), gradient.contiguous())
        var shape = votes.routingShape(rounds: rounds, epsilon: epsilon)
        let order = votes.isContiguous ? [0, 1, 2, 3] : [1, 0, 2, 3]
        let dVotes = output(order.map { votes.shape[$0] }, like: votes)
        let scratch = output([fk_routing_scratch(&shape) / 4], like: votes)
        fk_routing_grad(
            &shape, votes.data(), kept.data(), gradient.data(), dVotes.data(), scratch.data(Float.self))
        return dVotes.permuted(order)
    }
}

extension Tensor {
    /// Votes [N, inputs, outputs, length] without gaps, sample after sample or, as a product for each input makes them,
    /// input after input.
    fileprivate func laidOutForRouting() -> Tensor { permuted([1, 0, 2, 3]).isContiguous ? self : contiguous() }

    fileprivate func routingShape(rounds: Int, epsilon: Double) -> fk_routing_shape {
        fk_routing_shape(
            samples: Int64(shape[0]), inputs: Int64(shape[1]), outputs: Int64(shape[2]), length: Int64(shape[3]),
            rounds: Int64(rounds), sample_stride: Int64(strides[0]), input_stride: Int64(strides[1]),
            epsilon: Float(epsilon))
    }
}
