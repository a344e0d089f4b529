import COneDNN

extension OneDNN {
    /// The shapes of a convolution in oneDNN's order of axes: images N C H W, weights (G) O I H W.
    struct ConvolutionShapes {
        let source: [Int], weights: [Int], destination: [Int]
        let bias: MemoryDescriptor

        init(_ g: Convolution) {
            let (inputs, outputs) = (g.inputChannels, g.outputChannels)
            source = [g.batch, inputs, g.inputHeight, g.inputWidth]
            destination = [g.batch, outputs, g.outputHeight, g.outputWidth]
            weights =
                g.groups == 1
                ? [outputs, inputs, g.kernelHeight, g.kernelWidth]
                : [g.groups, outputs / max(g.groups, 1), inputs / max(g.groups, 1), g.kernelHeight, g.kernelWidth]
            let sizes = source + weights + destination
            guard sizes.allSatisfy({ $0 > 0 }), inputs % g.groups == 0, outputs % g.groups == 0 else {
                fatalError("convolution: sizes do not fit: \(g)")
            }
            bias = MemoryDescriptor([outputs], strides: [1], .float32)!
        }

        func dense(_ shape: [Int], _ type: ElementType) -> MemoryDescriptor {
            var strides = [Int](repeating: 1, count: shape.count)
            for axis in (0..<shape.count - 1).reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
            return MemoryDescriptor(shape, strides: strides, type)!
        }

        /// An N C H W image whose channels lie next to each other in memory.
        func image(_ shape: [Int], _ type: ElementType) -> MemoryDescriptor {
            let (channels, height, width) = (shape[1], shape[2], shape[3])
            return MemoryDescriptor(
                shape, strides: [height * width * channels, 1, width * channels, channels], type)!
        }

        func description(_ key: ConvolutionKey) -> String {
            let g = key.geometry
            return "convolution \(key.direction) of NCHW \(source), weights \(weights), to \(destination), stride "
                + "[\(g.strideHeight), \(g.strideWidth)], padding [\(g.paddingTop), \(g.paddingLeft), "
                + "\(g.paddingBottom), \(g.paddingRight)], dilation [\(g.dilationHeight), \(g.dilationWidth)], \(key.types.compute)"
        }
    }

    /// One way to compute a convolution: what oneDNN chose when offered images as they are, or in any layout.
    struct ConvolutionChoice {
        let key: ConvolutionKey
        let shapes: ConvolutionShapes
        let descriptor: PrimitiveDescriptor

        init?(_ key: ConvolutionKey, _ shapes: ConvolutionShapes, anyImages: Bool) {
            let types = key.types
            func image(_ shape: [Int], _ type: ElementType) -> MemoryDescriptor {
                anyImages ? .any(shape, type) : shapes.image(shape, type)
            }
            let isData = key.direction == .backwardData
            let isWeights = key.direction == .backwardWeights
            let source = image(shapes.source, isData ? types.source : types.compute)
            let weights = MemoryDescriptor.any(shapes.weights, isWeights ? types.weights : types.compute)
            let destination = image(shapes.destination, key.direction == .forward ? types.destination : types.compute)
            let bias = key.hasBias ? shapes.bias : nil

            let g = key.geometry
            var window = onednn_window_t()
            window.strides = (Int64(g.strideHeight), Int64(g.strideWidth))
            window.dilations = (Int64(g.dilationHeight), Int64(g.dilationWidth))
            window.padding_begin = (Int64(g.paddingTop), Int64(g.paddingLeft))
            window.padding_end = (Int64(g.paddingBottom), Int64(g.paddingRight))

            // A backward primitive is described with the help of its forward one.
            let isForward = key.direction == .forward
            let forward = PrimitiveDescriptor(
                shapes.description(key),
                isForward
                    ? [source, weights, bias, destination]
                    : [
                        image(shapes.source, types.compute), .any(shapes.weights, types.compute), nil,
                        image(shapes.destination, types.compute),
                    ]
            ) {
                onednn_convolution_forward_pd_create(&$0, engine, $1[0], $1[1], $1[2], $1[3], &window, $2)
            }
            guard let forward else { return nil }
            let chosen: PrimitiveDescriptor?
            switch key.direction {
            case .forward:
                chosen = forward
            case .backwardData:
                chosen = PrimitiveDescriptor(shapes.description(key), [source, weights, destination], hint: forward) {
                    onednn_convolution_backward_data_pd_create(
                        &$0, engine, $1[0], $1[1], $1[2], &window, forward.handle, $2)
                }
            case .backwardWeights:
                chosen = PrimitiveDescriptor(
                    shapes.description(key), [source, weights, bias, destination], hint: forward
                ) {
                    onednn_convolution_backward_weights_pd_create(
                        &$0, engine, $1[0], $1[1], $1[2], $1[3], &window, forward.handle, $2)
                }
            }
            guard let chosen else { return nil }
            descriptor = chosen
            (self.key, self.shapes) = (key, shapes)
        }

        /// The layouts that the primitive works on: source, weights, destination.
        var layouts: (MemoryDescriptor, MemoryDescriptor, MemoryDescriptor) {
            let isData = key.direction == .backwardData
            let isWeights = key.direction == .backwardWeights
            return (
                .chosen(by: descriptor, isData ? dnnl_query_diff_src_md : dnnl_query_src_md),
                .chosen(by: descriptor, isWeights ? dnnl_query_diff_weights_md : dnnl_query_weights_md),
                .chosen(by: descriptor, key.direction == .forward ? dnnl_query_dst_md : dnnl_query_diff_dst_md)
            )
        }

        func primitive(
            _ source: MemoryDescriptor, _ weights: MemoryDescriptor, _ destination: MemoryDescriptor
        ) -> Primitive {
            let isData = key.direction == .backwardData
            let isWeights = key.direction == .backwardWeights
            var operands = [
                (isData ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, source),
                (isWeights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, weights),
                (key.direction == .forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, destination),
            ]
            if key.hasBias { operands.append((isWeights ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, shapes.bias)) }
            return Primitive("convolution", descriptor, operands)
        }
    }
}
