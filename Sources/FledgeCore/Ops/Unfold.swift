// Sliding windows as columns, and the adjoint that adds columns back up; padding modes; pixel shuffling.

/// Where the windows of `unfolded` and `folded` lie.
private struct Windows {
    let kernel, stride, padding, dilation: (Int, Int)
    /// Number of windows down and across.
    let count: (Int, Int)

    init(
        _ size: (Int, Int), _ kernel: (Int, Int), _ stride: (Int, Int), _ padding: (Int, Int), _ dilation: (Int, Int),
        _ operation: StaticString
    ) {
        require(
            kernel.0 > 0 && kernel.1 > 0 && stride.0 > 0 && stride.1 > 0 && dilation.0 > 0 && dilation.1 > 0
                && padding.0 >= 0 && padding.1 >= 0,
            "\(operation): kernel \(kernel), stride \(stride), padding \(padding), dilation \(dilation)")
        let room = (
            size.0 + 2 * padding.0 - dilation.0 * (kernel.0 - 1) - 1,
            size.1 + 2 * padding.1 - dilation.1 * (kernel.1 - 1) - 1
        )
        require(
            room.0 >= 0 && room.1 >= 0,
            "\(operation): kernel \(kernel), dilation \(dilation) is larger than \(size) with padding \(padding)")
        (self.kernel, self.stride, self.padding, self.dilation) = (kernel, stride, padding, dilation)
        count = (room.0 / stride.0 + 1, room.1 / stride.1 + 1)
    }
}

extension Tensor {
    /// The windows that a convolution sees, one row each (im2col): [N, H, W, C] to [N, OH * OW, C * kh * kw]. Within a
    /// row the order is channel, kernel row, kernel column, so that `unfolded(...)` times the flattened weights of a
    /// `convolution2D` is that convolution. Stops when the kernel is larger than the padded image.
    public func unfolded(
        kernel: (Int, Int), stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1)
    ) -> Tensor {
        require(rank == 4, "unfolded: x has shape \(shape), not [N, H, W, C]")
        return unfolded(Windows((shape[1], shape[2]), kernel, stride, padding, dilation, "unfolded"))
    }

    /// Adds the rows of windows up where they came from (col2im), the adjoint of `unfolded`:
    /// [N, OH * OW, C * kh * kw] to [N, size.0, size.1, C]. Stops when the shape does not belong to these windows.
    public func folded(
        to size: (Int, Int), kernel: (Int, Int), stride: (Int, Int) = (1, 1), padding: (Int, Int) = (0, 0),
        dilation: (Int, Int) = (1, 1)
    ) -> Tensor {
        let windows = Windows(size, kernel, stride, padding, dilation, "folded")
        require(
            rank == 3 && shape[1] == windows.count.0 * windows.count.1 && shape[2] % (kernel.0 * kernel.1) == 0,
            "folded: \(shape) for \(windows.count) windows of kernel \(kernel) over \(size)")
        return folded(to: size, windows)
    }

    private func unfolded(_ w: Windows) -> Tensor {
        let size = (shape[1], shape[2])
        let result = noGradient {
            let x = padded([(0, 0), (w.padding.0, w.padding.0), (w.padding.1, w.padding.1), (0, 0)])
            let s = x.strides
            // Overlapping windows are a view; only the last step copies.
            return x.view(
                shape: [shape[0], w.count.0, w.count.1, shape[3], w.kernel.0, w.kernel.1],
                strides: [
                    s[0], s[1] * w.stride.0, s[2] * w.stride.1, s[3], s[1] * w.dilation.0, s[2] * w.dilation.1,
                ], offset: x.offset
            ).contiguous().reshaped([shape[0], w.count.0 * w.count.1, shape[3] * w.kernel.0 * w.kernel.1])
        }
        return record("unfolded", result, from: [self]) { [$0.gradient.folded(to: size, w)] }
    }

    private func folded(to size: (Int, Int), _ w: Windows) -> Tensor {
        let channels = shape[2] / (w.kernel.0 * w.kernel.1)
        let result = noGradient {
            let columns = reshaped([shape[0], w.count.0, w.count.1, channels, w.kernel.0, w.kernel.1])
            let full = [shape[0], size.0 + 2 * w.padding.0, size.1 + 2 * w.padding.1, channels]
            var sum = Tensor.zeros(full, dtype: dtype, device: device)
            for ky in 0..<w.kernel.0 {
                for kx in 0..<w.kernel.1 {
                    let tap = columns[TensorIndex.ellipsis, ky, kx]
                    sum += tap.placed(
                        in: full, starts: [0, ky * w.dilation.0, kx * w.dilation.1, 0],
                        steps: [1, w.stride.0, w.stride.1, 1])
                }
            }
            return sum.narrowed(axis: 1, start: w.padding.0, length: size.0)
                .narrowed(axis: 2, start: w.padding.1, length: size.1)
        }
        return record("folded", result, from: [self]) { [$0.gradient.unfolded(w)] }
    }

    /// Adds a frame around channels-last images [N, H, W, C]: [N, top + H + bottom, left + W + right, C]. Stops for
    /// negative widths, and for `reflect` when a width is not below the image's own.
    public func padded2D(top: Int, left: Int, bottom: Int, right: Int, mode: PaddingMode = .constant(0)) -> Tensor {
        require(rank == 4, "padded2D: x has shape \(shape), not [N, H, W, C]")
        switch mode {
        case .constant(let value):
            return padded([(0, 0), (top, bottom), (left, right), (0, 0)], value: value)
        case .reflect:
            return reflectPadded(axis: 1, before: top, after: bottom)
                .reflectPadded(axis: 2, before: left, after: right)
        case .replicate:
            return replicatePadded(axis: 1, before: top, after: bottom)
                .replicatePadded(axis: 2, before: left, after: right)
        }
    }

    /// Moves channels into the plane (Shi et al. 2016): [N, H, W, C r^2] to [N, H r, W r, C]. Channel
    /// (c r + i) r + j goes to row i and column j of each r x r block, as in PyTorch.
    public func pixelShuffled(_ r: Int) -> Tensor {
        require(rank == 4 && r > 0 && shape[3] % (r * r) == 0, "pixelShuffled: x \(shape) by \(r)")
        let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3] / (r * r))
        return reshaped([n, h, w, c, r, r]).permuted([0, 1, 4, 2, 5, 3]).reshaped([n, h * r, w * r, c])
    }

    /// The inverse of `pixelShuffled`: [N, H r, W r, C] to [N, H, W, C r^2].
    public func pixelUnshuffled(_ r: Int) -> Tensor {
        require(
            rank == 4 && r > 0 && shape[1] % r == 0 && shape[2] % r == 0, "pixelUnshuffled: x \(shape) by \(r)")
        let (n, h, w, c) = (shape[0], shape[1] / r, shape[2] / r, shape[3])
        return reshaped([n, h, r, w, r, c]).permuted([0, 1, 3, 5, 2, 4]).reshaped([n, h, w, c * r * r])
    }
}

/// What stands beyond the border of an image.
public enum PaddingMode: Hashable, Sendable {
    /// The same value everywhere.
    case constant(Double)
    /// The image mirrored at its border pixels, which are not repeated.
    case reflect
    /// The border pixels, repeated.
    case replicate
}
