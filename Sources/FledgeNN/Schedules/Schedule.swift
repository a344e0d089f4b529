import FledgeCore
import Foundation

/// A learning rate (or any other number) as a pure function of the step, counted from 0. So nothing has to be saved,
/// and resuming at any step gives the same numbers.
public indirect enum Schedule: Codable, Equatable, Sendable {
    case constant(Double)
    /// Multiplied by `factor` after every `every` steps.
    case step(Double, every: Int, factor: Double)
    /// Multiplied by `factor` at each milestone.
    case multiStep(Double, milestones: [Int], factor: Double)
    /// Half a cosine wave from the start down to `to` at step `steps`, then `to` (Loshchilov and Hutter 2017, eq. 5).
    case cosine(Double, to: Double = 0, steps: Int)
    /// start * (1 - step / steps)^power, then 0: linear decay for power 1.
    case polynomial(Double, power: Double = 1, steps: Int)
    /// start * cos(7 pi step / (16 steps)), the decay of FixMatch (Sohn et al. 2020, section 2.5).
    case fixMatchCosine(Double, steps: Int)
    /// From peak / `startDivisor` to the peak in the share `warm` of `steps`, then down to that start / `endDivisor`,
    /// along half cosine waves (Smith and Topin 2018; PyTorch's two-phase form).
    case oneCycle(
        peak: Double, steps: Int, warm: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4)
    /// Rises in a line over `steps` steps from `start` times the first value of `then`, which runs from its step 0
    /// afterwards.
    case warmUp(steps: Int, start: Double = 0, then: Schedule)

    /// The value at `step`. Stops for a negative step.
    public func callAsFunction(_ step: Int) -> Double {
        require(step >= 0, "Schedule: step \(step) is negative")
        switch self {
        case .constant(let value):
            return value
        case .step(let start, let every, let factor):
            require(every > 0, "Schedule.step: a change every \(every) steps")
            return start * pow(factor, Double(step / every))
        case .multiStep(let start, let milestones, let factor):
            return start * pow(factor, Double(milestones.count { $0 <= step }))
        case .cosine(let start, let end, let steps):
            return halfCosine(start, end, share(step, steps))
        case .polynomial(let start, let power, let steps):
            return start * pow(1 - share(step, steps), power)
        case .fixMatchCosine(let start, let steps):
            return start * cos(7 * .pi / 16 * share(step, steps))
        case .oneCycle(let peak, let steps, let warm, let startDivisor, let endDivisor):
            let start = peak / startDivisor
            let top = warm * Double(steps) - 1
            let now = Double(min(step, steps - 1))
            if now <= top { return top > 0 ? halfCosine(start, peak, now / top) : peak }
            return halfCosine(peak, start / endDivisor, (now - top) / (Double(steps) - 1 - top))
        case .warmUp(let steps, let start, let then):
            guard step < steps else { return then(step - steps) }
            return then(0) * (start + (1 - start) * Double(step) / Double(steps))
        }
    }

    private func share(_ step: Int, _ steps: Int) -> Double {
        steps > 0 ? min(Double(step) / Double(steps), 1) : 1
    }

    private func halfCosine(_ start: Double, _ end: Double, _ share: Double) -> Double {
        end + (start - end) * (1 + cos(.pi * share)) / 2
    }
}
