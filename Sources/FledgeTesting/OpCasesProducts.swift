import FledgeCore

// Matrix products.

extension OpTable {
    mutating func addProducts() {
        typealias Layout = OpInput.Layout
        func product(_ name: String, _ a: OpInput, _ b: OpInput) { add("matmul" + name, a, b) { $0[0].matmul($0[1]) } }
        product("", .wave([3, 4]), .wave([4, 2]))
        product(" left transposed", .wave([3, 4], .transposed), .wave([4, 2]))
        product(" right transposed", .wave([3, 4]), .wave([4, 2], .transposed))
        product(" both transposed", .wave([3, 4], .transposed), .wave([4, 2], .transposed))
        product(" sliced", .wave([3, 4], .sliced), .wave([4, 2], .sliced))
        product(" vector", .wave([3, 4]), .wave([4]))
        product(" vector left", .wave([4]), .wave([4, 3]))
        product(" vectors", .wave([4]), .wave([4]))
        product(" batched", .wave([2, 3, 4]), .wave([2, 4, 2]))
        product(" batched transposed", .wave([2, 3, 4], .transposed), .wave([2, 4, 2], .transposed))
        product(" one right side", .wave([2, 3, 4]), .wave([4, 2]))
        product(" one left side", .wave([3, 4]), .wave([2, 4, 2]))
        product(" broadcast batch", .wave([2, 1, 2, 3]), .wave([3, 3, 2]))
        product(" expanded batch", .wave([2, 2, 3], .broadcast), .wave([2, 3, 2]))
        product(" batched vector", .wave([2, 3, 4]), .wave([4]))
        product(" no rows", .wave([0, 4]), .wave([4, 2]))
        product(" no terms", .wave([3, 0]), .wave([0, 2]))
        product(" no batch", .wave([0, 3, 4]), .wave([0, 4, 2]))
        for (name, left, right) in [
            (" large", .contiguous, .contiguous), (" large left transposed", .transposed, .contiguous),
            (" large right transposed", .contiguous, .transposed), (" large both transposed", .transposed, .transposed),
            (" large sliced", .sliced, .sliced), (" large narrowed", .narrowed, .narrowed),
        ] as [(String, Layout, Layout)] {
            add("matmul" + name, .wave([33, 67], left), .wave([67, 29], right), isLarge: true) {
                $0[0].matmul($0[1])
            }
        }
        add("matmul large batch", .wave([5, 33, 17], .transposed), .wave([5, 17, 19]), isLarge: true) {
            $0[0].matmul($0[1])
        }
        add("matmul large heads", .wave([2, 9, 3, 8]), .wave([2, 9, 3, 8]), isLarge: true) { x in
            x[0].transposed(1, 2).matmul(x[1].permuted([0, 2, 3, 1]))
        }
        add("linear", .wave([3, 4]), .wave([2, 4]), .wave([2])) { $0[0].linear($0[1], $0[2]) }
        add("linear without bias", .wave([3, 4], .transposed), .wave([2, 4], .transposed)) { $0[0].linear($0[1]) }
        add("linear batched", .wave([2, 3, 4]), .wave([2, 4]), .wave([2])) { $0[0].linear($0[1], $0[2]) }
        add("linear empty", .wave([0, 4]), .wave([2, 4]), .wave([2])) { $0[0].linear($0[1], $0[2]) }
        add("linear large", .wave([65, 67]), .wave([31, 67]), .wave([31]), isLarge: true) {
            $0[0].linear($0[1], $0[2])
        }
        add("outer", .wave([3]), .wave([4])) { $0[0].outer($0[1]) }
        add("outer empty", .wave([0]), .wave([4])) { $0[0].outer($0[1]) }
    }
}
