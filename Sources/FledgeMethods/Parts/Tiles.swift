import FledgeCore

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
