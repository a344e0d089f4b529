import FledgeCore

// Convolution, pooling, resizing and other operations on channels-last images.

extension OpTable {
    mutating func addConvolutions() {
        let x = OpInput.wave([1, 5, 4, 2])
        let w = OpInput.wave([3, 2, 3, 3])
        let b = OpInput.wave([3])
        add("convolution2D", x, w, b) { $0[0].convolution2D($0[1], bias: $0[2], padding: (1, 1)) }
        add("convolution2D stride", x, w) { $0[0].convolution2D($0[1], stride: (2, 1), padding: (1, 2)) }
        add("convolution2D leftover", .wave([1, 6, 5, 1]), .wave([1, 1, 3, 2])) {
            $0[0].convolution2D($0[1], stride: (2, 2))
        }
        add("convolution2D dilation", x, .wave([1, 2, 2, 2]), .wave([1])) {
            $0[0].convolution2D($0[1], bias: $0[2], padding: (1, 0), dilation: (2, 3))
        }
        add("convolution2D groups", .wave([1, 3, 3, 4]), .wave([2, 2, 2, 2]), .wave([2])) {
            $0[0].convolution2D($0[1], bias: $0[2], padding: (1, 0), groups: 2)
        }
        add("convolution2D depthwise", .wave([2, 3, 3, 3]), .wave([3, 1, 3, 3])) {
            $0[0].convolution2D($0[1], stride: (2, 2), padding: (1, 1), groups: 3)
        }
        add("convolution2D point", .wave([2, 3, 2, 3]), .wave([2, 3, 1, 1]), .wave([2])) {
            $0[0].convolution2D($0[1], bias: $0[2])
        }
        add("convolution2D point stride", .wave([1, 3, 4, 2]), .wave([3, 2, 1, 1])) {
            $0[0].convolution2D($0[1], stride: (2, 2))
        }
        add(
            "convolution2D strided views", .wave([1, 3, 4, 2], .transposed), .wave([2, 2, 2, 3], .transposed),
            .wave([2], .sliced)
        ) {
            $0[0].convolution2D($0[1], bias: $0[2], padding: (0, 1))
        }
        add("convolution2D sliced", .wave([2, 3, 3, 2], .sliced), .wave([2, 2, 2, 2], .narrowed)) {
            $0[0].convolution2D($0[1])
        }
        add("convolution2D one pixel", .wave([1, 1, 1, 2]), w) { $0[0].convolution2D($0[1], padding: (1, 1)) }
        add("convolution2D empty", .wave([0, 4, 4, 2]), w, b) { $0[0].convolution2D($0[1], bias: $0[2]) }
        // Up to 1e-4: Winograd (3x3, channels in sixteens) rounds in its transforms as well, and sums are long.
        let sixteen = OpInput.wave([2, 9, 11, 16])
        add("convolution2D large", sixteen, .wave([32, 16, 3, 3]), .wave([32]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1], bias: $0[2], padding: (1, 1))
        }
        add("convolution2D large without padding", sixteen, .wave([16, 16, 3, 3]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1])
        }
        add("convolution2D large stride", sixteen, .wave([16, 16, 3, 3]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1], stride: (2, 2), padding: (1, 1))
        }
        add("convolution2D large point", sixteen, .wave([48, 16, 1, 1]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1])
        }
        add("convolution2D large stem", .wave([2, 19, 17, 3]), .wave([9, 3, 7, 7]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1], stride: (2, 2), padding: (3, 3))
        }
        add("convolution2D large groups", sixteen, .wave([32, 4, 3, 3]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1], padding: (1, 1), groups: 4)
        }
        add("convolution2D large depthwise", sixteen, .wave([16, 1, 3, 3]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1], padding: (1, 1), groups: 16)
        }
        add("convolution2D large dilation", sixteen, .wave([16, 16, 3, 3]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution2D($0[1], padding: (2, 2), dilation: (2, 2))
        }
        add(
            "convolution2D large permuted", .wave([2, 16, 9, 11]), .wave([16, 16, 3, 3]), tolerance: 1e-4, isLarge: true
        ) {
            $0[0].permuted([0, 2, 3, 1]).convolution2D($0[1], padding: (1, 1))
        }
        add("convolution1D", .wave([2, 5, 2]), .wave([3, 2, 3]), .wave([3])) {
            $0[0].convolution1D($0[1], bias: $0[2], padding: 1)
        }
        add("convolution1D stride", .wave([1, 7, 2], .transposed), .wave([2, 1, 2])) {
            $0[0].convolution1D($0[1], stride: 2, padding: 1, dilation: 2, groups: 2)
        }
        add("convolution1D large", .wave([3, 67, 17]), .wave([9, 17, 5]), tolerance: 1e-4, isLarge: true) {
            $0[0].convolution1D($0[1], stride: 2, padding: 2)
        }
        add("transposedConvolution2D", .wave([1, 3, 2, 2]), .wave([2, 3, 2, 3]), .wave([3])) {
            $0[0].transposedConvolution2D($0[1], bias: $0[2])
        }
        add("transposedConvolution2D stride", .wave([1, 2, 3, 2]), .wave([2, 1, 3, 3])) {
            $0[0].transposedConvolution2D($0[1], stride: (2, 3), padding: (1, 1), outputPadding: (1, 2))
        }
        add("transposedConvolution2D dilation", .wave([1, 2, 2, 2]), .wave([2, 2, 2, 2], .transposed), .wave([4])) {
            $0[0].transposedConvolution2D($0[1], bias: $0[2], padding: (1, 0), dilation: (2, 1), groups: 2)
        }
        add("transposedConvolution2D empty", .wave([0, 2, 2, 2]), .wave([2, 3, 2, 2])) {
            $0[0].transposedConvolution2D($0[1])
        }
        add(
            "transposedConvolution2D large", sixteen, .wave([16, 16, 3, 3]), .wave([16]), tolerance: 1e-4, isLarge: true
        ) {
            $0[0].transposedConvolution2D($0[1], bias: $0[2], stride: (2, 2), padding: (1, 1), outputPadding: (1, 1))
        }
        add("transposedConvolution1D", .wave([1, 4, 2]), .wave([2, 3, 3]), .wave([3])) {
            $0[0].transposedConvolution1D($0[1], bias: $0[2], stride: 2, padding: 1, outputPadding: 1)
        }
    }

    mutating func addPooling() {
        add("maxPool2D", .wave([1, 4, 4, 2])) { $0[0].maxPool2D(kernel: (2, 2)) }
        add("maxPool2D overlapping", .wave([2, 5, 4, 2], .transposed)) {
            $0[0].maxPool2D(kernel: (3, 3), stride: (2, 1), padding: (1, 1))
        }
        add("maxPool2D dilation", .wave([1, 6, 5, 1])) {
            $0[0].maxPool2D(kernel: (2, 3), stride: (1, 1), padding: (1, 1), dilation: (2, 2))
        }
        add("maxPool2D ceiling", .wave([1, 5, 4, 2], .sliced)) {
            $0[0].maxPool2D(kernel: (2, 3), stride: (2, 2), ceiling: true)
        }
        add("maxPool2D ties", .values([1, 1, 1, 1], [1, 2, 2, 1]), order: 0) { $0[0].maxPool2D(kernel: (2, 2)) }
        add("maxPool2D empty", .wave([0, 4, 4, 2])) { $0[0].maxPool2D(kernel: (2, 2)) }
        add("maxPool2D large", .wave([2, 17, 15, 19]), isLarge: true) {
            $0[0].maxPool2D(kernel: (3, 3), stride: (2, 2), padding: (1, 1))
        }
        add("averagePool2D", .wave([1, 4, 4, 2])) { $0[0].averagePool2D(kernel: (2, 2)) }
        add("averagePool2D padding", .wave([1, 5, 4, 2], .transposed)) {
            $0[0].averagePool2D(kernel: (3, 3), stride: (2, 2), padding: (1, 1))
        }
        add("averagePool2D counts inside", .wave([1, 5, 4, 2])) {
            $0[0].averagePool2D(kernel: (3, 2), stride: (2, 2), padding: (1, 1), countsPadding: false)
        }
        add("averagePool2D ceiling", .wave([1, 5, 4, 2])) {
            $0[0].averagePool2D(kernel: (2, 3), stride: (2, 2), padding: (1, 1), ceiling: true)
        }
        add("averagePool2D ceiling counts inside", .wave([1, 5, 4, 1])) {
            $0[0].averagePool2D(kernel: (2, 3), stride: (2, 2), padding: (1, 1), countsPadding: false, ceiling: true)
        }
        add("averagePool2D empty", .wave([0, 4, 4, 2])) { $0[0].averagePool2D(kernel: (2, 2)) }
        add("averagePool2D large", .wave([2, 17, 15, 19]), isLarge: true) {
            $0[0].averagePool2D(kernel: (3, 3), stride: (2, 2), padding: (1, 1))
        }
        add("adaptiveAveragePool2D", .wave([1, 4, 6, 2])) { $0[0].adaptiveAveragePool2D((2, 3)) }
        add("adaptiveAveragePool2D uneven", .wave([2, 5, 4, 2])) { $0[0].adaptiveAveragePool2D((3, 3)) }
        add("adaptiveAveragePool2D larger", .wave([1, 2, 3, 2])) { $0[0].adaptiveAveragePool2D((3, 4)) }
        add("adaptiveAveragePool2D one", .wave([1, 3, 2, 2], .transposed)) { $0[0].adaptiveAveragePool2D((1, 1)) }
        add("adaptiveMaxPool2D", .wave([1, 4, 6, 2])) { $0[0].adaptiveMaxPool2D((2, 3)) }
        add("adaptiveMaxPool2D uneven", .wave([2, 5, 4, 2])) { $0[0].adaptiveMaxPool2D((3, 3)) }
        add("globalAveragePool2D", .wave([2, 3, 4, 2])) { $0[0].globalAveragePool2D() }
        add("globalAveragePool2D large", .wave([3, 7, 9, 33]), isLarge: true) {
            $0[0].globalAveragePool2D()
        }
    }

    mutating func addImages() {
        add("resized nearest", .wave([1, 3, 4, 2])) { $0[0].resized(to: (5, 2), mode: .nearest) }
        for corners in [false, true] {
            let suffix = corners ? " corners" : ""
            add("resized bilinear" + suffix, .wave([2, 3, 4, 1])) { $0[0].resized(to: (5, 3), alignCorners: corners) }
            add("resized bilinear one" + suffix, .wave([1, 3, 4, 2], .transposed)) {
                $0[0].resized(to: (1, 6), alignCorners: corners)
            }
            add("resized bicubic" + suffix, .wave([1, 3, 4, 2])) {
                $0[0].resized(to: (5, 6), mode: .bicubic, alignCorners: corners)
            }
            add("resized bicubic smaller" + suffix, .wave([1, 5, 6, 1])) {
                $0[0].resized(to: (3, 2), mode: .bicubic, alignCorners: corners)
            }
        }
        add("resized bilinear antialias", .wave([1, 7, 6, 1])) { $0[0].resized(to: (3, 4), antialias: true) }
        add("resized bicubic antialias", .wave([1, 7, 9, 1])) {
            $0[0].resized(to: (3, 4), mode: .bicubic, antialias: true)
        }
        add("resized same size", .wave([1, 3, 2, 2])) { $0[0].resized(to: (3, 2)) }
        add("resized empty", .wave([0, 3, 4, 2])) { $0[0].resized(to: (2, 2)) }
        add("resized large", .wave([2, 13, 17, 9]), isLarge: true) { $0[0].resized(to: (29, 11)) }

        let (image, grid) = (OpInput.wave([2, 3, 4, 2]), OpInput.wave([2, 2, 3, 2], amplitude: 1.6))
        for (name, padding) in [("", .zeros), (" border", .border), (" reflection", .reflection)]
            as [(String, GridPadding)]
        {
            for corners in [false, true] {
                add("gridSampled" + name + (corners ? " corners" : ""), image, grid) {
                    $0[0].gridSampled($0[1], padding: padding, alignCorners: corners)
                }
                add("gridSampled nearest" + name + (corners ? " corners" : ""), image, grid) {
                    $0[0].gridSampled($0[1], mode: .nearest, padding: padding, alignCorners: corners)
                }
            }
        }
        add("gridSampled strided", .wave([1, 3, 4, 2], .transposed), .wave([1, 2, 2, 2], .transposed)) {
            $0[0].gridSampled($0[1])
        }
        // Positions inside an image of 33 pixels are 30 times as far off as coordinates in -1...1.
        add("gridSampled large", .wave([2, 33, 29, 5]), .wave([2, 17, 13, 2]), tolerance: 1e-4, isLarge: true) {
            $0[0].gridSampled($0[1])
        }

        add("unfolded", .wave([1, 4, 3, 2])) { $0[0].unfolded(kernel: (2, 2)) }
        add("unfolded stride", .wave([2, 4, 5, 1], .transposed)) {
            $0[0].unfolded(kernel: (2, 3), stride: (2, 1), padding: (1, 1), dilation: (2, 1))
        }
        add("folded", .wave([1, 6, 8])) { $0[0].folded(to: (4, 3), kernel: (2, 2)) }
        add("folded stride", .wave([2, 4, 6], .transposed)) {
            $0[0].folded(to: (3, 4), kernel: (2, 3), stride: (2, 2), padding: (1, 1))
        }
        add("unfolded large", .wave([2, 9, 11, 5]), isLarge: true) { $0[0].unfolded(kernel: (3, 3), padding: (1, 1)) }
        add("padded2D", .wave([1, 2, 3, 2])) { $0[0].padded2D(top: 1, left: 0, bottom: 2, right: 3) }
        add("padded2D value", .wave([1, 2, 3, 2])) {
            $0[0].padded2D(top: 1, left: 2, bottom: 0, right: 1, mode: .constant(-1.5))
        }
        add("padded2D reflect", .wave([1, 3, 4, 2], .transposed)) {
            $0[0].padded2D(top: 2, left: 1, bottom: 1, right: 3, mode: .reflect)
        }
        add("padded2D replicate", .wave([1, 2, 3, 2], .sliced)) {
            $0[0].padded2D(top: 2, left: 1, bottom: 0, right: 3, mode: .replicate)
        }
        add("pixelShuffled", .wave([1, 2, 3, 8])) { $0[0].pixelShuffled(2) }
        add("pixelUnshuffled", .wave([1, 4, 2, 3])) { $0[0].pixelUnshuffled(2) }
    }
}
