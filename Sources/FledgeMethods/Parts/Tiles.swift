import FledgeCore
import FledgeModels

/// Square pieces of pictures: one of each, exact.
/// - Parameters:
///   - pictures: [B, H, W, C].
///   - size: side of the pieces in pixels.
///   - corners: row and column of the upper left pixel of the piece, for each picture. Stops where one would stand
///     over.
/// - Returns: [B, size, size, C].
func crops(_ pictures: Tensor, size: Int, corners: [(row: Int, column: Int)]) -> Tensor {
    let (n, height, width, channels) = (pictures.shape[0], pictures.shape[1], pictures.shape[2], pictures.shape[3])
    require(
        corners.count == n
            && corners.allSatisfy {
                $0.row >= 0 && $0.column >= 0 && $0.row + size <= height && $0.column + size <= width
            }, "crops: \(corners.count) pieces of \(size) pixels from pictures \(pictures.shape)")
    var pixels: [Int] = []
    pixels.reserveCapacity(n * size * size)
    for (picture, corner) in corners.enumerated() {
        for row in corner.row..<corner.row + size {
            let start = (picture * height + row) * width + corner.column
            pixels.append(contentsOf: start..<start + size)
        }
    }
    return pictures.reshaped([n * height * width, channels]).indexSelect(axis: 0, pixels)
        .reshaped([n, size, size, channels])
}

/// The pieces of a 3 x 3 grid, each at a place of its own within its cell, so that edges do not run on from one to the
/// next.
struct TileGrid {
    /// Sides of a cell and of the piece that is taken from it, in pixels.
    let cell: Int
    let size: Int

    /// - Parameter share: side of a piece as a share of its cell's.
    /// - Throws: `MethodError.picturesTooSmall` below 6 pixels.
    init(_ context: LearningContext, share: Double, method: String) throws {
        guard context.input.size >= 6 else {
            throw MethodError.picturesTooSmall(method, side: context.input.size, least: 6)
        }
        self.init(side: context.input.size, share: share)
    }

    init(side: Int, share: Double) {
        cell = side / 3
        size = max(1, min(cell, Int((Double(cell) * share).rounded())))
    }

    /// Nine tensors [B, size, size, C], row by row. Every piece of every picture has its own offset.
    func tiles(_ pictures: Tensor, random: inout RandomSource) -> [Tensor] {
        (0..<9).map { place in
            let corners = (0..<pictures.shape[0]).map { _ in
                (
                    row: place / 3 * cell + random.integer(below: cell - size + 1),
                    column: place % 3 * cell + random.integer(below: cell - size + 1)
                )
            }
            return crops(pictures, size: size, corners: corners)
        }
    }
}

/// Brings pieces of samples to the size of whole ones, for networks that take no other.
struct PieceScaling {
    /// nil where the network takes pieces as they are.
    private let shape: [Int]?

    /// - Parameter side: of the pieces in pixels, or numbers of a row.
    init(_ context: LearningContext, side: Int) {
        shape = context.takes(side: side) ? nil : context.input.shape
    }

    /// - Parameter pieces: [N, side, side, C], or [N, side] of rows.
    func callAsFunction(_ pieces: Tensor) -> Tensor {
        guard let shape else { return pieces }
        guard shape.count == 1 else { return pieces.resized(to: (shape[0], shape[1])) }
        let lines = pieces.reshaped([pieces.shape[0], 1, pieces.shape[1], 1])
        return lines.resized(to: (1, shape[0])).reshaped([pieces.shape[0], shape[0]])
    }
}

extension LearningContext {
    /// Whether the backbone takes pictures of another side, or rows of another length, as well: one made for them would
    /// hold the same tensors.
    func takes(side: Int) -> Bool {
        var random = random("size")
        let shape = input.isImage ? [side, side, input.channels] : [side]
        guard let other = try? Models.make(modelName, inputShape: shape, random: &random) else { return false }
        return backbone.featureCount == other.featureCount
            && backbone.parameters().map { $0.name } == other.parameters().map { $0.name }
            && zip(backbone.parameters(), other.parameters()).allSatisfy { $0.item.shape == $1.item.shape }
    }
}
