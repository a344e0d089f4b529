/// How `gridSampled` reads between pixels.
public enum GridMode: String, Codable, Sendable, CaseIterable {
    case nearest, bilinear
}

/// What `gridSampled` finds outside the image: zeros, the border's pixels, or the image mirrored at its border.
public enum GridPadding: String, Codable, Sendable, CaseIterable {
    case zeros, border, reflection
}

extension Tensor {
    /// Reads images at given places (the sampler of Jaderberg et al. 2015): x [N, H, W, C] and `grid` [N, OH, OW, 2]
    /// give [N, OH, OW, C].
    ///
    /// A place is (x, y), each from -1 (left, top) to 1 (right, bottom). Gradients flow into the image and, for
    /// `bilinear`, into the grid. Stops for empty images and when shapes do not go together.
    /// - Parameter alignCorners: whether -1 and 1 are the centres of the corner pixels, or the corners of the image.
    public func gridSampled(
        _ grid: Tensor, mode: GridMode = .bilinear, padding: GridPadding = .zeros, alignCorners: Bool = false
    ) -> Tensor {
        requireOneKind("gridSampled", grid)
        require(
            rank == 4 && grid.rank == 4 && grid.shape[0] == shape[0] && grid.shape[3] == 2 && shape[1] > 0
                && shape[2] > 0,
            "gridSampled: x \(shape), grid \(grid.shape)")
        let (height, width) = (shape[1], shape[2])
        let x = grid[TensorIndex.ellipsis, 0].pixelPosition(width, padding, alignCorners)
        let y = grid[TensorIndex.ellipsis, 1].pixelPosition(height, padding, alignCorners)
        if mode == .nearest { return pixels(y.rounded(), x.rounded()) }

        let (left, top) = (x.floor().detached(), y.floor().detached())
        let (dx, dy) = ((x - left).unsqueezed(axis: -1), (y - top).unsqueezed(axis: -1))
        let upper = pixels(top, left) * (1 - dx) + pixels(top, left + 1) * dx
        let lower = pixels(top + 1, left) * (1 - dx) + pixels(top + 1, left + 1) * dx
        return upper * (1 - dy) + lower * dy
    }

    /// The pixels at whole positions [N, OH, OW]; zeros outside the image.
    private func pixels(_ y: Tensor, _ x: Tensor) -> Tensor {
        let (n, height, width, channels) = (shape[0], shape[1], shape[2], shape[3])
        let (y, x) = (y.detached(), x.detached())
        let (row, column) = (y.clamped(0, Double(height - 1)), x.clamped(0, Double(width - 1)))
        let image = (Tensor.arange(n, device: device) * Double(height * width)).reshaped([n, 1, 1])
        let index = image + row.cast(to: .int64) * Double(width) + column.cast(to: .int64)
        let values = reshaped([n * height * width, channels]).indexSelect(axis: 0, index.reshaped([index.count]))
            .reshaped(index.shape + [channels])
        let inside = (row .== y).cast(to: dtype) * (column .== x).cast(to: dtype)
        return values * inside.unsqueezed(axis: -1)
    }

    /// Grid coordinates -1...1 as positions on an axis of `length` pixels, brought inside as `padding` says.
    private func pixelPosition(_ length: Int, _ padding: GridPadding, _ alignCorners: Bool) -> Tensor {
        let n = Double(length)
        let position = alignCorners ? (self + 1) * ((n - 1) / 2) : (self + 1) * (n / 2) - 0.5
        switch padding {
        case .zeros: return position
        case .border: return position.clamped(0, n - 1)
        case .reflection:
            // Mirrors stand at the centres or at the outer edges of the border pixels.
            let (low, span) = alignCorners ? (0, n - 1) : (-0.5, n)
            if span == 0 { return position * 0 }
            let distance = (position - low).abs()
            let crossings = (distance / span).floor()
            let rest = distance - crossings * span
            let isOdd = crossings - (crossings / 2).floor() * 2
            return (rest + isOdd * (span - rest * 2) + low).clamped(0, n - 1)
        }
    }
}
