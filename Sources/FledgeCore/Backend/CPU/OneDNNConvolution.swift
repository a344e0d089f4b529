import COneDNN

extension OneDNN {
    /// The geometry of a 2-D convolution (1-D: every height 1). Images are [batch, height, width, channels],
    /// contiguous; weights are [outputChannels, inputChannels / groups, kernelHeight, kernelWidth], contiguous.
    struct Convolution: Hashable, Sendable {
        var batch: Int, inputChannels: Int, outputChannels: Int
        var inputHeight: Int, inputWidth: Int
        var kernelHeight: Int, kernelWidth: Int
        var strideHeight = 1, strideWidth = 1
        var paddingTop = 0, paddingLeft = 0, paddingBottom = 0, paddingRight = 0
        /// Zeros between the taps of the kernel: 0 means none (what other libraries call dilation 1).
        var dilationHeight = 0, dilationWidth = 0
        var groups = 1

        var outputHeight: Int {
            (inputHeight + paddingTop + paddingBottom - (kernelHeight - 1) * (dilationHeight + 1) - 1) / strideHeight
                + 1
        }
        var outputWidth: Int {
            (inputWidth + paddingLeft + paddingRight - (kernelWidth - 1) * (dilationWidth + 1) - 1) / strideWidth + 1
        }
    }

    enum ConvolutionDirection: Int, Sendable { case forward, backwardData, backwardWeights }

    /// Storage types of the three operands, and the type that is multiplied. An input of another type than `compute` is
    /// converted on the way in; results are written as they are summed, in float32, or rounded to bfloat16.
    struct ConvolutionTypes: Hashable, Sendable {
        var compute: ElementType = .float32
        var source: ElementType = .float32
        var weights: ElementType = .float32
        var destination: ElementType = .float32
    }

    /// destination [N, OH, OW, O] = source [N, H, W, I] * weights [O, I/groups, KH, KW] (+ bias [O]).
    ///
    /// - Parameter storage: holds the weights and, from now on, also the copy of them in the primitive's layout, if that is
    ///   another: for weights that come again.
    /// - Returns: false, with nothing done, where bfloat16 was asked for and the processor lacks it. Float32 always
    ///   works.
    @discardableResult
    static func convolutionForward(
        _ geometry: Convolution, source: UnsafeRawPointer, weights: UnsafeRawPointer, bias: UnsafePointer<Float>? = nil,
        destination: UnsafeMutableRawPointer, keeping storage: Storage? = nil,
        types: ConvolutionTypes = ConvolutionTypes()
    ) -> Bool {
        run(
            geometry, .forward, types, UnsafeMutableRawPointer(mutating: source),
            UnsafeMutableRawPointer(mutating: weights), destination,
            bias: bias.map { UnsafeMutableRawPointer(mutating: $0) }, keeping: storage)
    }

    /// The gradient with respect to the source: sourceGradient [N, H, W, I] from destinationGradient [N, OH, OW, O].
    /// This is also the forward pass of the transposed convolution. Returns as `convolutionForward`.
    @discardableResult
    static func convolutionBackwardData(
        _ geometry: Convolution, sourceGradient: UnsafeMutableRawPointer, weights: UnsafeRawPointer,
        destinationGradient: UnsafeRawPointer, types: ConvolutionTypes = ConvolutionTypes()
    ) -> Bool {
        run(
            geometry, .backwardData, types, sourceGradient, UnsafeMutableRawPointer(mutating: weights),
            UnsafeMutableRawPointer(mutating: destinationGradient), bias: nil)
    }

    /// The gradient with respect to the weights [O, I/groups, KH, KW] and, where asked for, to the bias [O], summed
    /// over the batch. Overwrites both. Returns as `convolutionForward`.
    @discardableResult
    static func convolutionBackwardWeights(
        _ geometry: Convolution, source: UnsafeRawPointer, weightsGradient: UnsafeMutableRawPointer,
        biasGradient: UnsafeMutablePointer<Float>? = nil, destinationGradient: UnsafeRawPointer,
        types: ConvolutionTypes = ConvolutionTypes()
    ) -> Bool {
        run(
            geometry, .backwardWeights, types, UnsafeMutableRawPointer(mutating: source), weightsGradient,
            UnsafeMutableRawPointer(mutating: destinationGradient),
            bias: biasGradient.map { UnsafeMutableRawPointer($0) })
    }

    /// The implementation that a convolution runs on, or nil where it would be refused.
    static func convolutionImplementationName(
        _ geometry: Convolution, _ direction: ConvolutionDirection, types: ConvolutionTypes = ConvolutionTypes()
    ) -> String? {
        let key = ConvolutionKey(geometry: geometry, direction: direction, types: types, hasBias: false)
        return convolutions.plan(key) { ConvolutionPlan(key) }?.primitive.implementation
    }

    nonisolated(unsafe) static var convolutions = Cache<ConvolutionKey, ConvolutionPlan>()

    struct ConvolutionKey: Hashable {
        var geometry: Convolution
        var direction: ConvolutionDirection
        var types: ConvolutionTypes
        var hasBias: Bool
    }

    private static func run(
        _ geometry: Convolution, _ direction: ConvolutionDirection, _ types: ConvolutionTypes,
        _ source: UnsafeMutableRawPointer, _ weights: UnsafeMutableRawPointer, _ destination: UnsafeMutableRawPointer,
        bias: UnsafeMutableRawPointer?, keeping storage: Storage? = nil
    ) -> Bool {
        EngineThread.precondition("convolution")
        let key = ConvolutionKey(geometry: geometry, direction: direction, types: types, hasBias: bias != nil)
        guard let plan = convolutions.plan(key, make: { ConvolutionPlan(key) }) else { return false }
        plan.run(source, weights, destination, bias: bias, keeping: storage)
        return true
    }

    /// A convolution ready to run: the primitive, and for each operand the copy between the caller's layout and the one
    /// the primitive works on, where they differ. Weights always do; images only where no kernel takes them as they
    /// are.
    final class ConvolutionPlan {
        let primitive: Primitive
        private let source: Bridge, weights: Bridge, destination: Bridge
        /// Stands for the primitive's layout of the weights.
        private let layout = Layout()

        private final class Layout {}

        /// One operand: which copy stands between the caller and the primitive, and how large the buffer for it is.
        private struct Bridge {
            let reorder: Primitive?
            let bytes: Int
            let isResult: Bool

            init(caller: MemoryDescriptor, primitive: MemoryDescriptor, isResult: Bool) {
                reorder =
                    isResult
                    ? OneDNN.reorder(from: primitive, to: caller) : OneDNN.reorder(from: caller, to: primitive)
                bytes = primitive.bytes
                self.isResult = isResult
            }

            /// The address for the primitive: the caller's own, or a buffer that holds the copy.
            func open(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
                guard let reorder else { return pointer }
                let buffer = MemoryPool.shared.allocateOrStop(bytes)
                if !isResult { copy(reorder, from: pointer, to: buffer) }
                return buffer
            }

            /// As `open`, of an input whose copy `storage` holds beyond the call; nil where no copy is needed.
            func open(
                _ pointer: UnsafeMutableRawPointer, keeping storage: Storage, _ layout: Layout
            ) -> UnsafeMutableRawPointer? {
                guard let reorder else { return nil }
                let offset = pointer - storage.pointer
                if let made = storage.rearranged, made.layout === layout, made.offset == offset {
                    return made.copy.pointer
                }
                let made = Storage(byteCount: bytes)
                copy(reorder, from: pointer, to: made.pointer)
                storage.rearranged = Storage.Rearranged(layout: layout, offset: offset, copy: made)
                return made.pointer
            }

            func close(_ pointer: UnsafeMutableRawPointer, _ buffer: UnsafeMutableRawPointer) {
                guard let reorder else { return }
                if isResult { copy(reorder, from: buffer, to: pointer) }
                MemoryPool.shared.release(buffer, bytes)
            }

            private func copy(
                _ reorder: Primitive, from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer
            ) {
                reorder.set(0, from)
                reorder.set(1, to)
                reorder.execute()
            }
        }

        init?(_ key: ConvolutionKey) {
            let types = key.types
            let usesBFloat16 = [types.compute, types.source, types.weights, types.destination].contains(.bfloat16)
            if usesBFloat16 && !hasBFloat16 { return nil }

            // What the caller has.
            let shapes = ConvolutionShapes(key.geometry)
            let source = shapes.image(shapes.source, types.source)
            let weights = shapes.dense(shapes.weights, types.weights)
            let destination = shapes.image(shapes.destination, types.destination)

            // What the primitive is offered: images as they are, and blocked ones only where the first gives plain
            // loops.
            let plain = ConvolutionChoice(key, shapes, anyImages: false)
            var choice = plain
            if plain?.descriptor.isReference ?? true {
                let blocked = ConvolutionChoice(key, shapes, anyImages: true)
                if let blocked, plain == nil || !blocked.descriptor.isReference { choice = blocked }
            }
            guard let choice, !(usesBFloat16 && choice.descriptor.isReference) else {
                if usesBFloat16 { return nil }
                fatalError("oneDNN \(version): nothing implements \(shapes.description(key))")
            }

            let direction = key.direction
            let (chosenSource, chosenWeights, chosenDestination) = choice.layouts
            self.source = Bridge(caller: source, primitive: chosenSource, isResult: direction == .backwardData)
            self.weights = Bridge(caller: weights, primitive: chosenWeights, isResult: direction == .backwardWeights)
            self.destination = Bridge(
                caller: destination, primitive: chosenDestination, isResult: direction == .forward)
            primitive = choice.primitive(chosenSource, chosenWeights, chosenDestination)
        }

        func run(
            _ source: UnsafeMutableRawPointer, _ weights: UnsafeMutableRawPointer,
            _ destination: UnsafeMutableRawPointer, bias: UnsafeMutableRawPointer?, keeping storage: Storage?
        ) {
            let sourceBuffer = self.source.open(source)
            let kept = storage.flatMap { self.weights.open(weights, keeping: $0, layout) }
            let weightsBuffer = kept ?? self.weights.open(weights)
            let destinationBuffer = self.destination.open(destination)
            primitive.set(0, sourceBuffer)
            primitive.set(1, weightsBuffer)
            primitive.set(2, destinationBuffer)
            if let bias { primitive.set(3, bias) }
            primitive.execute()
            self.destination.close(destination, destinationBuffer)
            if kept == nil { self.weights.close(weights, weightsBuffer) }
            self.source.close(source, sourceBuffer)
        }
    }
}
