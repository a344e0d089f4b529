#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// How values between pixels are found.
public enum ResizeMode: String, Codable, Sendable, CaseIterable {
    case nearest, bilinear, bicubic
}

extension Tensor {
    /// Resizes channels-last images [N, H, W, C] to [N, size.0, size.1, C], with PyTorch's conventions.
    ///
    /// Rows and columns are independent, so each axis is one product with a matrix of interpolation weights. Stops for
    /// empty images and sizes, and for `nearest` with `alignCorners` or `antialias`.
    /// - Parameters:
    ///   - mode: `bicubic` is Keys' kernel with a = -0.75, or a = -0.5 with `antialias`, as PyTorch and Pillow have it.
    ///   - alignCorners: the centres of the corner pixels stay in the corners, instead of the corners of the image.
    ///   - antialias: when shrinking, widens the kernel so that every input pixel counts (as Pillow does).
    public func resized(
        to size: (Int, Int), mode: ResizeMode = .bilinear, alignCorners: Bool = false, antialias: Bool = false
    ) -> Tensor {
        requireOneKind("resized")
        require(
            rank == 4 && shape[1] > 0 && shape[2] > 0 && size.0 > 0 && size.1 > 0,
            "resized: x \(shape) to size \(size)")
        if mode == .nearest {
            require(!alignCorners && !antialias, "resized: alignCorners and antialias are not for nearest")
            return nearest(axis: 1, size.0).nearest(axis: 2, size.1)
        }
        if !alignCorners && !antialias && (shape[1], shape[2]) == size { return self }
        func weights(_ length: Int, _ target: Int) -> (Int) -> [(Int, Double)] {
            antialias
                ? filterWeights(length, target, mode, alignCorners)
                : pointWeights(length, target, mode, alignCorners)
        }
        return interpolated(axis: 1, size.0, weights(shape[1], size.0))
            .interpolated(axis: 2, size.1, weights(shape[2], size.1))
    }

    private func nearest(axis: Int, _ target: Int) -> Tensor {
        let length = shape[axis]
        if target == length { return self }
        return indexSelect(axis: axis, (0..<target).map { $0 * length / target })
    }

    /// Replaces `axis` (not the last) by `target` weighted sums over it: element i is the sum of weight * x[index] over
    /// the pairs (index, weight) of `weights(i)`.
    func interpolated(axis: Int, _ target: Int, _ weights: (Int) -> [(Int, Double)]) -> Tensor {
        let length = shape[axis]
        var matrix = [Double](repeating: 0, count: target * length)
        for i in 0..<target { for (j, w) in weights(i) { matrix[i * length + j] += w } }
        let outer = Array(shape[..<axis])
        let inner = Array(shape[(axis + 1)...])
        let product = Reference.make(matrix, [target, length], dtype, device)
            .matmul(reshaped([outer.elementCount, length, inner.elementCount]))
        return product.reshaped(outer + [target] + inner)
    }
}

/// Keys' cubic convolution kernel (1981).
private func cubic(_ x: Double, _ a: Double) -> Double {
    let x = abs(x)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return ((x - 5) * x + 8) * x * a - 4 * a }
    return 0
}

/// Input pixels per output pixel.
private func scale(_ length: Int, _ target: Int, _ alignCorners: Bool) -> Double {
    if alignCorners { return target > 1 ? Double(length - 1) / Double(target - 1) : 0 }
    return Double(length) / Double(target)
}

/// Weights of the pixels around one point. Beyond the border the border pixel repeats.
private func pointWeights(
    _ length: Int, _ target: Int, _ mode: ResizeMode, _ alignCorners: Bool
) -> (Int) -> [(Int, Double)] {
    let scale = scale(length, target, alignCorners)
    return { i in
        var x = alignCorners ? Double(i) * scale : (Double(i) + 0.5) * scale - 0.5
        if mode == .bilinear { x = max(x, 0) }
        let base = floor(x)
        let t = x - base
        func pixel(_ k: Int) -> Int { min(max(Int(base) + k, 0), length - 1) }
        if mode == .bilinear { return [(pixel(0), 1 - t), (pixel(1), t)] }
        return (-1...2).map { (pixel($0), cubic(Double($0) - t, -0.75)) }
    }
}

/// Weights of a kernel that is as wide as an output pixel when shrinking, cut at the border and normalised.
private func filterWeights(
    _ length: Int, _ target: Int, _ mode: ResizeMode, _ alignCorners: Bool
) -> (Int) -> [(Int, Double)] {
    let scale = scale(length, target, alignCorners)
    let stretch = max(scale, 1)
    let support = (mode == .bilinear ? 1 : 2) * stretch
    return { i in
        let centre = scale * (Double(i) + 0.5)
        let first = max(Int(centre - support + 0.5), 0)
        let end = min(Int(centre + support + 0.5), length)
        let weights = (first..<max(end, first)).map { j -> Double in
            let x = (Double(j) - centre + 0.5) / stretch
            return mode == .bilinear ? max(1 - abs(x), 0) : cubic(x, -0.5)
        }
        let total = weights.reduce(0, +)
        return weights.enumerated().map { (first + $0, total != 0 ? $1 / total : $1) }
    }
}
