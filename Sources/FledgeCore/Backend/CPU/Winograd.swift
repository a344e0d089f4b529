import CFledgeKernels
import Glibc

/// A 3x3 convolution of stride 1 or 2 by minimal filtering (Winograd 1980; Lavin and Gray 2016), where it beats the direct
/// kernels of oneDNN, with an error of about 2e-6 of the largest output.
///
/// `FLEDGE_WINOGRAD=0` in the environment leaves everything to oneDNN.
struct WinogradConvolution {
    private var shape: fk_winograd_shape

    private static let isEnabled = getenv("FLEDGE_WINOGRAD").map { String(cString: $0) != "0" } ?? true

    /// Nil where direct convolution is right or the better choice. `x` is [n, h, w, c], `weight` [k, c, 3, 3].
    init?(x: [Int], weight: [Int], _ p: ConvolutionParameters) {
        guard Self.isEnabled, weight[2] == 3, weight[3] == 3, p.strideH == p.strideW, p.dilationH == 1,
            p.dilationW == 1, p.groups == 1, p.top == p.left, p.top == p.bottom, p.top == p.right
        else { return nil }
        shape = fk_winograd_shape(
            n: Int64(x[0]), h: Int64(x[1]), w: Int64(x[2]), c: Int64(x[3]), k: Int64(weight[0]),
            stride: Int64(p.strideH), pad: Int64(p.top))
        if fk_winograd_supported(&shape) == 0 { return nil }
    }

    func forward(_ x: Tensor, _ weight: Tensor, bias: Tensor?, into y: Tensor) {
        withScratch(FK_WINOGRAD_FORWARD) {
            fk_winograd_forward($0, x.data(), weight.data(), bias?.data(), 0, y.data(), $1)
        }
    }

    func inputGradient(_ gradient: Tensor, _ weight: Tensor, into dx: Tensor) {
        withScratch(FK_WINOGRAD_BACKWARD_DATA) {
            fk_winograd_backward_data($0, gradient.data(), weight.data(), dx.data(), $1)
        }
    }

    func weightGradient(_ gradient: Tensor, _ x: Tensor, into dw: Tensor) {
        withScratch(FK_WINOGRAD_BACKWARD_WEIGHTS) {
            fk_winograd_backward_weights($0, x.data(), gradient.data(), dw.data(), $1)
        }
    }

    private func withScratch(
        _ direction: fk_winograd_direction, _ body: (UnsafePointer<fk_winograd_shape>, UnsafeMutableRawPointer) -> Void
    ) {
        withUnsafePointer(to: shape) { shape in
            let bytes = fk_winograd_scratch(shape, direction)
            let scratch = MemoryPool.shared.allocateOrStop(bytes)
            body(shape, scratch)
            MemoryPool.shared.release(scratch, bytes)
        }
    }
}
