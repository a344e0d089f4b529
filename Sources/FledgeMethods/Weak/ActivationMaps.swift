import FledgeCore
import FledgeModels
import FledgeNN

// Where a classifier that knows only what is in a picture sees it.

/// Class activation maps (Zhou et al. 2016, "Learning deep features for discriminative localization", equation 2): of a
/// network that averages its last features over all positions before a linear layer, each position's share in the logits.
/// The mean of a map over the positions is the class's logit, without its bias.
/// - Parameters:
///   - features: [N, h, w, D], what is averaged.
///   - weights: [classes, D] of the linear layer.
/// - Returns: [N, h, w, classes].
public func classActivationMaps(_ features: Tensor, weights: Tensor) -> Tensor {
    require(
        features.rank == 4 && weights.rank == 2 && features.shape[3] == weights.shape[1],
        "classActivationMaps: features \(features.shape), weights \(weights.shape)")
    return features.matmul(weights.transposed())
}

/// Grad-CAM (Selvaraju et al. 2017, equations 1 and 2): the same for any network. Each feature weighs as much as the score
/// rises with it on average over the positions; what lowers the score is left out.
/// - Parameters:
///   - features: [N, h, w, D] of the layer that is looked at.
///   - score: the score to explain of each sample, [N], from those features.
/// - Returns: [N, h, w], not negative.
public func gradCAM(_ features: Tensor, score: (Tensor) -> Tensor) -> Tensor {
    require(features.rank == 4, "gradCAM: features \(features.shape)")
    let leaf = features.detached().requiringGradient()
    let scores = score(leaf)
    require(scores.shape == [features.shape[0]], "gradCAM: scores \(scores.shape) of features \(features.shape)")
    guard let gradient = gradients(of: scores.sum(), for: [leaf])[0] else {
        return .zeros(Array(features.shape[..<3]), dtype: features.dtype, device: features.device)
    }
    return noGradient {
        (gradient.mean(axes: [1, 2], keepDims: true) * features).sum(axis: 3).relu()
    }
}

/// Maps on a scale of 0...1: negative parts left out, divided by the largest of each picture and class. A map without a
/// positive part is 0 everywhere.
/// - Parameter maps: [N, h, w, classes].
public func normalizedMaps(_ maps: Tensor) -> Tensor {
    require(maps.rank == 4, "normalizedMaps: maps \(maps.shape)")
    let positive = maps.relu()
    return positive / (positive.max(axes: [1, 2], keepDims: true) + 1e-12)
}

/// Sums the maps of a picture at several scales and of its mirror image, each brought back to the picture's size (as Ahn
/// et al. 2019 make them): finer than those of one pass.
/// - Parameters:
///   - pictures: [N, H, W, C].
///   - maps: gives [n, h, w, classes] of pictures of any size.
///   - scales: factors of the sides.
/// - Returns: [N, H, W, classes].
public func summedMaps(_ pictures: Tensor, scales: [Double] = [1, 1.5, 2], _ maps: (Tensor) -> Tensor) -> Tensor {
    require(pictures.rank == 4 && !scales.isEmpty, "summedMaps: pictures \(pictures.shape), scales \(scales)")
    let size = (pictures.shape[1], pictures.shape[2])
    func mirrored(_ x: Tensor) -> Tensor { x.indexSelect(axis: 2, Array((0..<x.shape[2]).reversed())) }
    return noGradient {
        scales.map { scale in
            let scaled = pictures.resized(
                to: (
                    Swift.max(1, Int((Double(size.0) * scale).rounded())),
                    Swift.max(1, Int((Double(size.1) * scale).rounded()))
                ))
            let both = maps(scaled) + mirrored(maps(mirrored(scaled)))
            return both.resized(to: size)
        }.reduce(Tensor.zeros([1])) { $0 + $1 }
    }
}

/// Maps that follow the edges of their pictures: again and again each position takes the mean of those around it, the
/// more of one the more alike their colours are (pixel-adaptive mask refinement: Araslanov and Roth 2020, "Single-stage
/// semantic segmentation from image labels"). What was seen of a thing spreads over all of it, and not beyond.
/// - Parameters:
///   - maps: [N, H, W, classes].
///   - pictures: [N, H, W, C].
///   - steps: how often; each carries what was seen as far as the largest distance.
///   - distances: of the eight positions around each that are looked at, in rows and columns.
/// - Returns: [N, H, W, classes].
public func refinedMaps(
    _ maps: Tensor, by pictures: Tensor, steps: Int = 10, distances: [Int] = [1, 2, 4]
) -> Tensor {
    require(
        maps.rank == 4 && pictures.rank == 4 && maps.shape[..<3] == pictures.shape[..<3] && steps >= 0
            && !distances.isEmpty && distances.allSatisfy { $0 > 0 },
        "refinedMaps: maps \(maps.shape), pictures \(pictures.shape), \(steps) steps, distances \(distances)")
    let (height, width, edge) = (maps.shape[1], maps.shape[2], distances.max()!)
    func around(_ x: Tensor) -> [Tensor] {
        let wide = x.padded2D(top: edge, left: edge, bottom: edge, right: edge, mode: .replicate)
        return distances.flatMap { distance in
            [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)].map { step in
                let (top, left) = (edge + step.0 * distance, edge + step.1 * distance)
                return wide[0..., top..<top + height, left..<left + width]
            }
        }
    }
    return noGradient {
        let neighbours = stack(around(pictures), axis: 0)
        let spread = neighbours.variance(axes: [0]).sqrt()
        // Measured by how much colours differ around a position, so that faint edges count where all is faint; a tenth of it
        // lowers a neighbour's weight to 1 / e.
        let likeness = -((neighbours - pictures).abs() / (spread * 0.1 + 1e-8)).mean(axes: [4], keepDims: true)
        let shares = likeness.softmax(axis: 0)
        let weights = (0..<shares.shape[0]).map { shares[$0] }
        return (0..<steps).reduce(maps) { maps, _ in
            zip(around(maps), weights).map { $0 * $1 }.reduce(Tensor.zeros([1])) { $0 + $1 }
        }
    }
}

/// A picture's labels of every position as far as its maps are sure of them: seeds for a segmenter.
public enum PseudoMask {
    public static let background = -1
    public static let unknown = -2

    /// - Parameters:
    ///   - maps: rows * columns * classes of one picture, normalised to 0...1.
    ///   - present: the classes that are in the picture; others get no position.
    ///   - foreground: a position belongs to the class with the highest value where that is at least this.
    ///   - background: to none where all values are below this; in between it is unknown.
    /// - Returns: a class index, `background` or `unknown` for each position.
    public static func make(
        _ maps: [Float], classes: Int, present: Set<Int>, foreground: Float = 0.3, background: Float = 0.05
    ) -> [Int] {
        require(
            classes > 0 && maps.count % classes == 0 && background <= foreground,
            "PseudoMask: \(maps.count) values of \(classes) classes, thresholds \(background) and \(foreground)")
        return (0..<maps.count / classes).map { position in
            var best = unknown
            var value: Float = -.infinity
            for c in 0..<classes where present.contains(c) && maps[position * classes + c] > value {
                (best, value) = (c, maps[position * classes + c])
            }
            return value >= foreground ? best : value < background ? Self.background : unknown
        }
    }

    /// The rows and columns that the largest connected part of a map covers where it is at least `share` of its maximum
    /// (Zhou et al. 2016, section 3.2). nil for a map without a positive value.
    /// - Parameter map: rows * columns of one picture and class.
    public static func box(
        _ map: [Float], columns: Int, share: Float = 0.2
    ) -> (rows: ClosedRange<Int>, columns: ClosedRange<Int>)? {
        require(columns > 0 && map.count % columns == 0, "PseudoMask: \(map.count) values, \(columns) columns")
        guard let top = map.max(), top > 0 else { return nil }
        var isOpen = map.map { $0 >= share * top }
        var largest: [Int] = []
        for start in map.indices where isOpen[start] {
            isOpen[start] = false
            var part = [start]
            var next = 0
            while next < part.count {
                let place = part[next]
                next += 1
                let column = place % columns
                let neighbours = [
                    place - columns, place + columns, column > 0 ? place - 1 : -1,
                    column < columns - 1 ? place + 1 : -1,
                ]
                for other in neighbours where map.indices.contains(other) && isOpen[other] {
                    isOpen[other] = false
                    part.append(other)
                }
            }
            if part.count > largest.count { largest = part }
        }
        let (rows, across) = (largest.map { $0 / columns }, largest.map { $0 % columns })
        return (rows.min()!...rows.max()!, across.min()!...across.max()!)
    }
}
