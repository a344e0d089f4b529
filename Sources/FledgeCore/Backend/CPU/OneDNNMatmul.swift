import CFledgeKernels
import COneDNN

extension OneDNN {
    /// A tensor seen from below: where it starts, its shape, and its strides in elements.
    struct Operand {
        var pointer: UnsafeMutableRawPointer
        var shape: [Int], strides: [Int]
        var type: ElementType

        init(_ pointer: UnsafeMutableRawPointer, _ shape: [Int], strides: [Int], _ type: ElementType = .float32) {
            (self.pointer, self.shape, self.strides, self.type) = (pointer, shape, strides, type)
        }

        /// An operand that is only read.
        init(reading pointer: UnsafeRawPointer, _ shape: [Int], strides: [Int], _ type: ElementType = .float32) {
            self.init(UnsafeMutableRawPointer(mutating: pointer), shape, strides: strides, type)
        }
    }

    /// C = A · B (+ bias) (+ C), then max(·, 0) with `relu`: A [..., m, k], B [..., k, n], C [..., m, n], bias [n].
    ///
    /// - A, B and C have the same rank, 2 to 5, and any strides. Leading axes of A and B equal those of C; one of
    ///   the two may be 1, or of stride 0 (broadcast). Transposed and sliced views work without a copy.
    /// - A and B are both float32 or both bfloat16; C is float32 or bfloat16; sums are in float32; bias is float32.
    /// - `accumulate` adds the old contents of C. The relu turns a NaN into 0.
    /// - Returns: false, with nothing done, where no fast kernel takes these strides: copy A, B or C to contiguous ones
    ///   and call again, which always works for float32. bfloat16 is also refused where the processor has no native
    ///   instructions for it. Stops on shapes that do not fit and on empty ones.
    @discardableResult
    static func matmul(
        _ a: Operand, _ b: Operand, into c: Operand, bias: UnsafePointer<Float>? = nil, accumulate: Bool = false,
        relu: Bool = false
    ) -> Bool {
        EngineThread.precondition("matmul")
        guard var product = Product(a, b, c) else { return false }
        product.flags = (bias == nil ? 0 : 1) | (accumulate ? 2 : 0) | (relu ? 4 : 0)
        // oneDNN writes rows only: a C of columns is computed as Cᵀ = Bᵀ · Aᵀ.
        let swapped = product.cColumn != 1 && product.cRow == 1 && bias == nil
        if swapped { product.transpose() }
        let (left, right) = swapped ? (b.pointer, a.pointer) : (a.pointer, b.pointer)
        if var small = product.asSmallProducts() {
            fk_small_products(
                &small, left.assumingMemoryBound(to: Float.self), right.assumingMemoryBound(to: Float.self),
                c.pointer.assumingMemoryBound(to: Float.self))
            return true
        }
        // A small product ends before a second thread has woken up. Primitives keep the number of threads they are made
        // with.
        let threads = CPUBackend.threads
        if product.isSmall && threads > 1 { CPUBackend.threads = 1 }
        defer { if product.isSmall && threads > 1 { CPUBackend.threads = threads } }
        guard let primitive = matmuls.plan(product, make: { product.primitive() }) else { return false }
        primitive.set(0, left)
        primitive.set(1, right)
        primitive.set(2, c.pointer)
        if let bias { primitive.set(3, UnsafeMutableRawPointer(mutating: bias)) }
        primitive.execute()
        return true
    }

    /// The implementation that a contiguous [m, k] · [k, n] runs on, or nil where there is none.
    static func matmulImplementationName(m: Int, n: Int, k: Int, inputs: ElementType = .float32) -> String? {
        let nowhere = UnsafeMutableRawPointer(bitPattern: 64)!
        return Product(
            Operand(nowhere, [m, k], strides: [k, 1], inputs), Operand(nowhere, [k, n], strides: [n, 1], inputs),
            Operand(nowhere, [m, n], strides: [n, 1]))?.primitive()?.implementation
    }

    nonisolated(unsafe) static var matmuls = Cache<Product, Primitive>()

    /// A product in normal form, the key of its primitive: batch axes merged or folded into the rows wherever strides
    /// allow it, since one large product is faster than many small ones and has fewer forms to prepare.
    struct Product: Hashable {
        /// One batch axis; stride 0 repeats an operand along it.
        struct Axis: Hashable {
            var size = 1, a = 0, b = 0, c = 0
        }

        var m: Int, n: Int, k: Int
        var aRow: Int, aColumn: Int, bRow: Int, bColumn: Int, cRow: Int, cColumn: Int
        var inner = Axis(), middle = Axis(), outer = Axis()
        var inputs: ElementType, output: ElementType
        var flags = 0

        /// At most 2^18 multiplications: a few microseconds.
        var isSmall: Bool { m * n * k * inner.size * middle.size * outer.size <= 1 << 18 }

        /// Nil where A and B are of different types, both repeated along one axis, or not strided as matrices are.
        /// Stops unless the shapes fit.
        init?(_ a: Operand, _ b: Operand, _ c: Operand) {
            guard Self.fit(a.shape, b.shape, c.shape) else {
                fatalError("matmul: shapes \(a.shape) · \(b.shape) -> \(c.shape) do not fit, or are empty")
            }
            let row = c.shape.count - 2
            let column = row + 1
            (m, n, k) = (c.shape[row], c.shape[column], a.shape[column])
            if a.type != b.type { return nil }
            (inputs, output) = (a.type, c.type)
            (aRow, aColumn) = (a.strides[row], a.strides[column])
            (bRow, bColumn) = (b.strides[row], b.strides[column])
            (cRow, cColumn) = (c.strides[row], c.strides[column])
            for axis in (0..<row).reversed() {
                if c.shape[axis] == 1 { continue }
                let next = Axis(
                    size: c.shape[axis], a: a.shape[axis] == 1 ? 0 : a.strides[axis],
                    b: b.shape[axis] == 1 ? 0 : b.strides[axis], c: c.strides[axis])
                if next.a == 0 && next.b == 0 { return nil }
                append(next)
            }
            // The stride of an axis of size 1 means nothing: give it the value that makes a plain matrix.
            (aRow, aColumn) = Self.plain(m, k, aRow, aColumn)
            (bRow, bColumn) = Self.plain(k, n, bRow, bColumn)
            (cRow, cColumn) = Self.plain(m, n, cRow, cColumn)
            guard Self.isMatrix(m, k, aRow, aColumn), Self.isMatrix(k, n, bRow, bColumn),
                Self.isMatrix(m, n, cRow, cColumn)
            else { return nil }
        }

        private static func fit(_ a: [Int], _ b: [Int], _ c: [Int]) -> Bool {
            let rank = c.count
            guard (2...5).contains(rank), a.count == rank, b.count == rank else { return false }
            for axis in 0..<rank - 2 {
                let size = c[axis]
                if size < 1 || max(a[axis], b[axis]) != size || (a[axis] != b[axis] && min(a[axis], b[axis]) != 1) {
                    return false
                }
            }
            let (m, n, k) = (c[rank - 2], c[rank - 1], a[rank - 1])
            return a[rank - 2] == m && b[rank - 2] == k && b[rank - 1] == n && m > 0 && n > 0 && k > 0
        }

        /// Whether rows, or columns, are contiguous and do not overlap: what fast kernels take.
        private static func isMatrix(_ rows: Int, _ columns: Int, _ row: Int, _ column: Int) -> Bool {
            (column == 1 && row >= columns) || (row == 1 && column >= rows)
        }

        private static func plain(_ rows: Int, _ columns: Int, _ row: Int, _ column: Int) -> (row: Int, column: Int) {
            if columns == 1 { return rows == 1 ? (1, 1) : (row, 1) }
            if rows == 1 { return column == 1 ? (columns, 1) : (1, column) }
            return (row, column)
        }

        /// Adds the next batch axis, from the innermost outwards.
        private mutating func append(_ axis: Axis) {
            func continues(_ last: Axis) -> Bool {
                axis.a == last.size * last.a && axis.b == last.size * last.b && axis.c == last.size * last.c
            }
            if inner.size == 1 {
                if axis.b == 0 && m == 1 {
                    (m, aRow, cRow) = (axis.size, axis.a, axis.c)
                } else if axis.b == 0 && axis.a == m * aRow && axis.c == m * cRow {
                    m *= axis.size
                } else {
                    inner = axis
                }
            } else if middle.size == 1 {
                if continues(inner) { inner.size *= axis.size } else { middle = axis }
            } else {
                if continues(middle) { middle.size *= axis.size } else { outer = axis }
            }
        }

        mutating func transpose() {
            (m, n) = (n, m)
            (aRow, aColumn, bRow, bColumn) = (bColumn, bRow, aColumn, aRow)
            (cRow, cColumn) = (cColumn, cRow)
            (inner.a, inner.b, middle.a, middle.b, outer.a, outer.b) = (
                inner.b, inner.a, middle.b, middle.a, outer.b, outer.a
            )
        }

        /// Many small matrices, which the kernel of their own takes faster; nil for all others.
        func asSmallProducts() -> fk_small_shape? {
            guard inner.size * middle.size * outer.size >= 8, m * n * k <= 1 << 19, inputs == .float32,
                output == .float32, flags & ~2 == 0, cColumn == 1
            else { return nil }
            func steps(_ path: KeyPath<Axis, Int>) -> (Int64, Int64, Int64) {
                (Int64(outer[keyPath: path]), Int64(middle[keyPath: path]), Int64(inner[keyPath: path]))
            }
            var shape = fk_small_shape(
                m: Int64(m), n: Int64(n), k: Int64(k), a_row: Int64(aRow), a_column: Int64(aColumn),
                b_row: Int64(bRow), b_column: Int64(bColumn), c_row: Int64(cRow), size: steps(\.size),
                a_step: steps(\.a), b_step: steps(\.b), c_step: steps(\.c), adds: flags & 2 == 0 ? 0 : 1)
            return fk_small_products_supported(&shape) == 1 ? shape : nil
        }

        /// The primitive, or nil where only plain loops would take these strides or this type.
        func primitive() -> Primitive? {
            if (inputs == .bfloat16 || output == .bfloat16) && !hasBFloat16 { return nil }
            let axes = [outer, middle, inner].filter { $0.size > 1 }
            func layout(
                _ rows: Int, _ columns: Int, _ row: Int, _ column: Int, _ batch: KeyPath<Axis, Int>, _ type: ElementType
            ) -> MemoryDescriptor? {
                // A repeated operand has size 1 along the axis; its stride there is free, and must not be 0.
                MemoryDescriptor(
                    axes.map { $0[keyPath: batch] == 0 ? 1 : $0.size } + [rows, columns],
                    strides: axes.map { $0[keyPath: batch] == 0 ? rows * columns : $0[keyPath: batch] } + [
                        row, column,
                    ],
                    type)
            }
            guard let a = layout(m, k, aRow, aColumn, \.a, inputs), let b = layout(k, n, bRow, bColumn, \.b, inputs),
                let c = layout(m, n, cRow, cColumn, \.c, output)
            else { return nil }
            let ones = [Int](repeating: 1, count: axes.count + 1)
            let bias =
                flags & 1 == 0 ? nil : MemoryDescriptor(ones + [n], strides: ones.map { $0 * n } + [1], .float32)!
            let doing = "matmul [\(m), \(k)] · [\(k), \(n)], batch \(axes.map(\.size)), \(inputs) to \(output)"
            let descriptor = PrimitiveDescriptor(
                doing, [a, b, bias, c], accumulate: flags & 2 != 0, relu: flags & 4 != 0
            ) {
                onednn_matmul_pd_create(&$0, engine, $1[0], $1[1], $1[2], $1[3], $2)
            }
            guard let descriptor else { return nil }
            let isContiguous = aColumn == 1 && bColumn == 1 && cColumn == 1
            if descriptor.isReference && (inputs == .bfloat16 || !isContiguous) { return nil }
            return Primitive(
                "matmul", descriptor,
                [(DNNL_ARG_SRC, a), (DNNL_ARG_WEIGHTS, b), (DNNL_ARG_DST, c)]
                    + (bias.map { [(DNNL_ARG_BIAS, $0)] } ?? []))
        }
    }
}
