import COneDNN

extension OneDNN {
    /// Shape, element type and layout of one operand.
    final class MemoryDescriptor {
        let handle: OpaquePointer

        private init(owning handle: OpaquePointer) { self.handle = handle }

        /// A layout given by strides in elements, or nil where oneDNN cannot express it (overlapping elements).
        init?(_ shape: [Int], strides: [Int], _ type: ElementType) {
            var handle: OpaquePointer?
            let shape = shape.map(Int64.init)
            let strides = strides.map(Int64.init)
            let status = onednn_md_create_strided(&handle, Int32(shape.count), shape, type.raw, strides)
            guard status == dnnl_success, let handle else { return nil }
            self.handle = handle
        }

        /// A layout that the primitive is free to choose.
        static func any(_ shape: [Int], _ type: ElementType) -> MemoryDescriptor {
            var handle: OpaquePointer?
            let dims = shape.map(Int64.init)
            check(onednn_md_create_any(&handle, Int32(dims.count), dims, type.raw), "describing \(shape)")
            return MemoryDescriptor(owning: handle!)
        }

        /// The layout that a primitive descriptor chose for one of its operands.
        static func chosen(by descriptor: PrimitiveDescriptor, _ what: dnnl_query_t) -> MemoryDescriptor {
            var handle: OpaquePointer?
            check(onednn_pd_query_md(&handle, descriptor.handle, what, 0), "asking for a layout")
            return MemoryDescriptor(owning: handle!)
        }

        deinit { onednn_md_destroy(handle) }

        /// Bytes of a buffer of this layout, the padding of blocked layouts included.
        var bytes: Int { onednn_md_size(handle) }

        /// A memory object of this layout that has no buffer yet.
        func memory() -> dnnl_memory_t {
            var memory: dnnl_memory_t?
            check(onednn_memory_create(&memory, handle, engine), "making a memory object of \(bytes) bytes")
            return memory!
        }

        func equals(_ other: MemoryDescriptor) -> Bool { onednn_md_equal(handle, other.handle) != 0 }
    }

    /// A fully described operation: what is computed, on which layouts, by which implementation.
    final class PrimitiveDescriptor {
        let handle: dnnl_primitive_desc_t

        /// Nil where oneDNN has no implementation. `make` fills in the handle from the operands' handles, in their
        /// order, and from attributes that leave the scratchpad to the caller and hold the post-operations asked for.
        /// `doing` names operation and shapes for a failure.
        init?(
            _ doing: @autoclosure () -> String, _ operands: [MemoryDescriptor?], hint: PrimitiveDescriptor? = nil,
            accumulate: Bool = false, relu: Bool = false,
            make: (inout dnnl_primitive_desc_t?, [OpaquePointer?], dnnl_primitive_attr_t) -> dnnl_status_t
        ) {
            var attributes: dnnl_primitive_attr_t?
            check(onednn_attr_create(&attributes, accumulate ? 1 : 0, relu ? 1 : 0), doing())
            defer { dnnl_primitive_attr_destroy(attributes) }
            var handle: dnnl_primitive_desc_t?
            let status = withExtendedLifetime((operands, hint)) {
                make(&handle, operands.map { $0?.handle }, attributes!)
            }
            guard isImplemented(status, doing()), let handle else { return nil }
            self.handle = handle
        }

        deinit { dnnl_primitive_desc_destroy(handle) }

        var implementation: String { onednn_pd_implementation(handle).map { String(cString: $0) } ?? "unknown" }

        /// Whether this is oneDNN's plain-loop fallback: correct, and hundreds of times slower.
        var isReference: Bool { implementation.hasPrefix("ref") }
    }

    /// An operation ready to run: only the addresses of its operands change from call to call.
    ///
    /// Not re-entrant, since it holds its argument list; the engine's one thread makes that safe.
    final class Primitive {
        let implementation: String
        private let handle: dnnl_primitive_t
        private let arguments: UnsafeMutablePointer<dnnl_exec_arg_t>
        private let count: Int
        private let scratchpadBytes: Int
        private let name: StaticString

        /// `operands` are pairs of oneDNN's argument number and the layout; `set` refers to them by position.
        init(_ name: StaticString, _ descriptor: PrimitiveDescriptor, _ operands: [(Int32, MemoryDescriptor)]) {
            var handle: dnnl_primitive_t?
            check(dnnl_primitive_create(&handle, descriptor.handle), "making \(name)")
            let scratchpad = MemoryDescriptor.chosen(by: descriptor, dnnl_query_scratchpad_md)
            let all = scratchpad.bytes > 0 ? operands + [(DNNL_ARG_SCRATCHPAD, scratchpad)] : operands
            self.handle = handle!
            self.name = name
            implementation = descriptor.implementation
            scratchpadBytes = scratchpad.bytes
            count = all.count
            arguments = .allocate(capacity: count)
            for (index, (argument, layout)) in all.enumerated() {
                arguments[index] = dnnl_exec_arg_t(arg: argument, memory: layout.memory())
            }
        }

        deinit {
            for index in 0..<count { dnnl_memory_destroy(arguments[index].memory) }
            arguments.deallocate()
            dnnl_primitive_destroy(handle)
        }

        @inline(__always)
        func set(_ index: Int, _ pointer: UnsafeMutableRawPointer) {
            check(dnnl_memory_set_data_handle(arguments[index].memory, pointer), "giving \(name) its operand \(index)")
        }

        /// Runs to the end, with a scratchpad borrowed from the pool.
        func execute() {
            guard scratchpadBytes > 0 else {
                check(onednn_execute(handle, stream, Int32(count), arguments), "running \(name) (\(implementation))")
                return
            }
            let scratchpad = MemoryPool.shared.allocateOrStop(scratchpadBytes)
            set(count - 1, scratchpad)
            check(onednn_execute(handle, stream, Int32(count), arguments), "running \(name) (\(implementation))")
            MemoryPool.shared.release(scratchpad, scratchpadBytes)
        }
    }

    /// A primitive that copies one layout and element type into another, or nil where they are the same.
    static func reorder(from: MemoryDescriptor, to: MemoryDescriptor) -> Primitive? {
        if from.equals(to) { return nil }
        let descriptor = PrimitiveDescriptor("a reorder of \(from.bytes) bytes", [from, to]) {
            onednn_reorder_pd_create(&$0, engine, $1[0], $1[1], $2)
        }
        guard let descriptor else { fatalError("oneDNN \(version): no reorder of \(from.bytes) bytes exists") }
        return Primitive("reorder", descriptor, [(DNNL_ARG_FROM, from), (DNNL_ARG_TO, to)])
    }

    /// Prepared operations by what they were prepared for. A refusal is remembered too.
    ///
    /// Making one costs up to a millisecond, finding it a fraction of a microsecond. Shapes without end (texts of every
    /// length) would fill memory, so a full cache starts again from nothing: rare, and cheaper than an order of use.
    struct Cache<Key: Hashable, Plan> {
        private var plans: [Key: Plan?] = [:]
        static var capacity: Int { 4096 }

        mutating func plan(_ key: Key, make: () -> Plan?) -> Plan? {
            if let known = plans[key] { return known }
            let plan = make()
            if plans.count >= Self.capacity { plans.removeAll(keepingCapacity: true) }
            plans.updateValue(plan, forKey: key)
            return plan
        }

        mutating func removeAll() { plans.removeAll() }
        var count: Int { plans.count }
    }
}
