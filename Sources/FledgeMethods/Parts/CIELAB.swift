import FledgeCore

/// sRGB levels from 0 to 1 (IEC 61966-2-1) to CIELAB with the white of daylight D65: lightness from 0 to 100, and the
/// colour plane, green to red and blue to yellow (CIE 1976).
/// - Parameter pixels: [..., 3]; levels outside of 0...1 are brought to the nearest.
public func cielab(_ pixels: Tensor) -> Tensor {
    require(pixels.rank > 0 && pixels.shape[pixels.rank - 1] == 3, "cielab: pixels \(pixels.shape)")
    let levels = pixels.clamped(0, 1)
    let linear = Tensor.where(levels .<= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055).pow(2.4))
    // To XYZ, each relative to that of white.
    let xyz = linear.linear(toXYZ.to(pixels.device).cast(to: pixels.dtype))
    // The cube root, with a straight line where it would be steep.
    let bent = Tensor.where(xyz .> 216.0 / 24389, xyz.clamped(1e-6, 10).pow(1.0 / 3), xyz * (24389.0 / 3132) + 4.0 / 29)
    let parts = bent.split(3, axis: -1)
    return concatenate(
        [parts[1] * 116 - 16, (parts[0] - parts[1]) * 500, (parts[1] - parts[2]) * 200], axis: -1)
}

/// The level of the grey that has this lightness: the inverse of `cielab` for colours without colour. 0...100 to 0...1.
public func levels(lightness: Tensor) -> Tensor { companded(straightened((lightness + 16) / 116)) }

/// sRGB levels of colours, the inverse of `cielab`: [..., 3] to [..., 3]; what no screen can show is brought to the
/// nearest levels.
public func levels(lab: Tensor) -> Tensor {
    require(lab.rank > 0 && lab.shape[lab.rank - 1] == 3, "levels: colours \(lab.shape)")
    let parts = lab.split(3, axis: -1)
    let y = (parts[0] + 16) / 116
    let xyz = straightened(concatenate([y + parts[1] / 500, y, y - parts[2] / 200], axis: -1))
    return companded(xyz.linear(toXYZ.inverse().to(lab.device).cast(to: lab.dtype)))
}

/// Linear red, green and blue to XYZ, each relative to that of the white of daylight D65.
private var toXYZ: Tensor {
    let white = [0.95047, 1, 1.08883]
    let rows = [
        [0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041],
    ]
    return Tensor(float64: zip(rows, white).flatMap { row, white in row.map { $0 / white } }, shape: [3, 3])
}

/// The inverse of the cube root with its straight beginning.
private func straightened(_ f: Tensor) -> Tensor {
    Tensor.where(f .> 24 / 116, f.pow(3), (f - 4.0 / 29) * (3132.0 / 24389))
}

/// Linear light to sRGB levels.
private func companded(_ linear: Tensor) -> Tensor {
    let root = linear.clamped(1e-6, 1).pow(1 / 2.4) * 1.055 - 0.055
    return Tensor.where(linear .<= 0.0031308, linear * 12.92, root).clamped(0, 1)
}
