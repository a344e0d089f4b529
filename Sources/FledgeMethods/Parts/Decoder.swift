import FledgeCore
import FledgeData
import FledgeNN
import FledgeTrain

/// Vectors to samples: [B, inputs] to [B, H, W, C] pictures of any size, or to [B, D] rows.
///
/// Pictures start as a grid of at most 8 x 8 places, which is doubled until it covers them; what stands over is cut
/// off. Each doubling is a convolution to four times the channels whose results are dealt out (Shi et al. 2016).
final class Decoder: Layer {
    /// To the grid, or for rows to the hidden layer.
    let first: Linear
    let firstNorm: BatchNorm
    /// One for each doubling.
    let convolution: [Conv2d]
    let norm: [BatchNorm]
    let output: any Layer
    private let sample: [Int]
    private let grid: [Int]

    /// - Parameters:
    ///   - sample: [H, W, C] or [D].
    ///   - width: channels of the last picture before the output; the grid has twice as many. Rows go through 8 times
    ///     as many hidden units.
    init(_ inputs: Int, sample: [Int], width: Int, random: inout RandomSource) {
        self.sample = sample
        var convolution: [Conv2d] = []
        if sample.count == 3 {
            var doublings = 1
            while max(sample[0], sample[1]) > 8 << doublings { doublings += 1 }
            let scale = 1 << doublings
            grid = [(sample[0] + scale - 1) / scale, (sample[1] + scale - 1) / scale, 2 * width]
            for index in 0..<doublings {
                convolution.append(
                    Conv2d(
                        index == 0 ? 2 * width : width, 4 * width, kernel: 3, padding: 1, bias: false, random: &random))
            }
            output = Conv2d(width, sample[2], kernel: 3, padding: 1, random: &random)
        } else {
            grid = [8 * width]
            output = Linear(8 * width, sample.reduce(1, *), random: &random)
        }
        first = Linear(inputs, grid.reduce(1, *), bias: false, random: &random)
        firstNorm = BatchNorm(grid[grid.count - 1])
        self.convolution = convolution
        norm = convolution.map { _ in BatchNorm(width) }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let start = firstNorm(first(x).reshaped([x.shape[0]] + grid), relu: true)
        let h = zip(convolution, norm).reduce(start) { h, layer in layer.1(layer.0(h).pixelShuffled(2), relu: true) }
        let y = output(h)
        return sample.count == 3 ? y[0..., 0..<sample[0], 0..<sample[1]] : y
    }
}

extension LearningContext {
    /// What it costs to say the same for every sample: the squared distance of normalised samples from their mean,
    /// summed over their values. Of up to 512 samples.
    func squaredDeviation() throws -> Double {
        var random = random("deviation")
        let some = Array(random.permutation(data.dataset.count).prefix(512))
        let values = try Inference.rawValues(data.dataset.subset(some), input: input)
        return noGradient { values.variance(axes: [0]).sum().item() }
    }

    /// Samples to be rebuilt: pictures mirrored and moved a little, rows as they are, normalised.
    var rebuiltView: Augmentation { input.isImage ? weakView : plainView }
}

/// The squared distance of each sample from what was made of it, summed over its values and averaged over the batch.
/// - Parameters:
///   - rebuilt, samples: [B, ...] of one shape.
public func reconstructionLoss(_ rebuilt: Tensor, _ samples: Tensor) -> Tensor {
    meanSquaredError(rebuilt, samples, reduction: .batchMean)
}
