import Foundation

/// What stays of a picture for finding copies of it.
struct Fingerprint: Sendable {
    /// 64 signs of the lowest cosine frequencies against their median: the perceptual hash "pHash" (C. Zauner,
    /// "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Scaling and encoding change a few.
    let hash: UInt64
    /// The luma of 16 x 16 equal areas, to confirm what the hash suggests.
    let areas: [Float]
    /// The standard deviation of `areas`, at least 1.
    let spread: Float

    private static let side = 32
    private static let kept = 8
    /// cos(pi (2x + 1) u / 64) at u * 32 + x: the first rows of the type-II cosine transform.
    private static let cosines: [Float] = (0..<kept).flatMap { u in
        (0..<side).map { x in Float(cos(Double.pi * Double((2 * x + 1) * u) / Double(2 * side))) }
    }

    init(_ luma: [Float], width: Int, height: Int) {
        let (side, kept) = (Self.side, Self.kept)
        let small = Self.areas(of: luma, width: width, height: height, side: side)
        // Rows first, then columns: kept x kept coefficients.
        var rows = [Float](repeating: 0, count: side * kept)
        for y in 0..<side {
            for u in 0..<kept {
                var sum: Float = 0
                for x in 0..<side { sum += small[y * side + x] * Self.cosines[u * side + x] }
                rows[y * kept + u] = sum
            }
        }
        var frequencies: [Float] = []
        for v in 0..<kept {
            for u in 0..<kept where u + v > 0 {
                var sum: Float = 0
                for y in 0..<side { sum += rows[y * kept + u] * Self.cosines[v * side + y] }
                frequencies.append(sum)
            }
        }
        let median = frequencies.sorted()[frequencies.count / 2]
        hash = frequencies.reduce(0) { $0 << 1 | ($1 > median ? 1 : 0) }
        areas = Self.areas(of: luma, width: width, height: height, side: 16)
        let mean = areas.reduce(0, +) / Float(areas.count)
        let variance = areas.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(areas.count)
        spread = max(1, variance.squareRoot())
    }

    /// Whether two pictures are one, scaled or encoded anew. Measured on photographs: copies at half to twice the
    /// size and JPEG quality 30 to 75 differ in at most 8 bits, and other pictures that near differ in the areas.
    func matches(_ other: Fingerprint) -> Bool {
        guard (hash ^ other.hash).nonzeroBitCount <= 8 else { return false }
        var squares: Float = 0
        for (a, b) in zip(areas, other.areas) { squares += (a - b) * (a - b) }
        return (squares / Float(areas.count)).squareRoot() <= 0.3 * min(spread, other.spread)
    }

    /// Means over side x side equal areas; pixels on a border count by their share.
    private static func areas(of luma: [Float], width: Int, height: Int, side: Int) -> [Float] {
        let columns = shares(width, side)
        let rows = shares(height, side)
        var narrow = [Float](repeating: 0, count: height * side)
        for y in 0..<height {
            for (x, parts) in columns.enumerated() {
                var sum: Float = 0
                for (source, share) in parts { sum += luma[y * width + source] * share }
                narrow[y * side + x] = sum
            }
        }
        var result = [Float](repeating: 0, count: side * side)
        for (y, parts) in rows.enumerated() {
            for (source, share) in parts {
                for x in 0..<side { result[y * side + x] += narrow[source * side + x] * share }
            }
        }
        return result
    }

    /// Which of `length` pixels make each of `count` equal parts, with shares that sum to 1.
    private static func shares(_ length: Int, _ count: Int) -> [[(source: Int, share: Float)]] {
        let size = Double(length) / Double(count)
        return (0..<count).map { part in
            let (start, end) = (Double(part) * size, Double(part + 1) * size)
            return (Int(start)..<min(length, Int(end.rounded(.up)))).map { source in
                let overlap = min(end, Double(source + 1)) - max(start, Double(source))
                return (source, Float(overlap / size))
            }
        }
    }
}

extension ImageView {
    /// Brightness of every pixel, 0...255 (ITU-R BT.601).
    var luma: [Float] {
        (0..<(width * height)).map { i in
            guard channels >= 3 else { return Float(pixels[i * channels]) }
            let p = pixels + channels * i
            return 0.299 * Float(p[0]) + 0.587 * Float(p[1]) + 0.114 * Float(p[2])
        }
    }

    /// Whether all pixels have the same colour, give or take a level of JPEG's noise.
    var isBlank: Bool {
        (0..<channels).allSatisfy { c in
            let first = Int(pixels[c])
            return (0..<(width * height)).allSatisfy { abs(Int(pixels[$0 * channels + c]) - first) <= 2 }
        }
    }

    /// The rows at the bottom in which every sample is 128, the grey of coefficients that never came.
    var greyRowsBelow: Int {
        let row = width * channels
        var count = 0
        while count < height {
            let start = (height - 1 - count) * row
            guard (start..<(start + row)).allSatisfy({ abs(Int(pixels[$0]) - 128) <= 1 }) else { break }
            count += 1
        }
        return count
    }
}
