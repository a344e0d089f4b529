import FledgeCore

// Sums, extremes, soft maxima.

extension OpTable {
    mutating func addReductions() {
        typealias Function = (Tensor, [Int]?, Bool) -> Tensor
        /// Each reduction over everything, inner, outer and mixed axes of every layout. The large
        /// ones are longer than vectors, blocks of pairwise sums and shares of threads.
        func every(_ name: String, shift: Double = 0, order: Int = 2, _ f: @escaping Function) {
            func input(_ shape: [Int], _ layout: OpInput.Layout = .contiguous) -> OpInput {
                .wave(shape, shift: shift, layout)
            }
            add(name, input([3, 4]), order: order) { f($0[0], nil, false) }
            add(name + " scalar", input([]), order: order) { f($0[0], nil, false) }
            add(name + " last axis", input([3, 5]), order: order) { f($0[0], [-1], false) }
            add(name + " first axis", input([3, 5]), order: order) { f($0[0], [0], true) }
            add(name + " middle axis", input([2, 3, 2]), order: order) { f($0[0], [1], false) }
            add(name + " outer axes", input([2, 3, 2]), order: order) { f($0[0], [0, 2], true) }
            add(name + " transposed", input([2, 3, 2], .transposed), order: order) { f($0[0], [1], false) }
            add(name + " sliced", input([3, 3], .sliced), order: order) { f($0[0], [1], false) }
            add(name + " broadcast", input([3, 2], .broadcast), order: order) { f($0[0], [0], false) }
            add(name + " no rows", input([0, 3]), order: order) { f($0[0], [1], false) }
            add(name + " large", input([4099], .narrowed), isLarge: true) { f($0[0], nil, false) }
            add(name + " large last axis", input([67, 257]), isLarge: true) { f($0[0], [1], false) }
            add(name + " large first axis", input([257, 67]), isLarge: true) { f($0[0], [0], false) }
            add(name + " large middle axis", input([3, 257, 17]), isLarge: true) {
                f($0[0], [1], false)
            }
            add(name + " large outer axes", input([5, 129, 17]), isLarge: true) {
                f($0[0], [0, 1], false)
            }
            add(name + " large transposed", input([129, 33], .transposed), isLarge: true) {
                f($0[0], [1], false)
            }
        }
        every("sum") { $0.sum(axes: $1, keepDims: $2) }
        every("mean") { $0.mean(axes: $1, keepDims: $2) }
        every("variance") { $0.variance(axes: $1, keepDims: $2) }
        every("max") { $0.max(axes: $1, keepDims: $2) }
        every("min") { $0.min(axes: $1, keepDims: $2) }
        every("norm") { $0.norm(axes: $1, keepDims: $2) }
        every("norm cubic") { $0.norm(3, axes: $1, keepDims: $2) }
        every("norm absolute") { $0.norm(1, axes: $1, keepDims: $2) }
        every("norm largest") { $0.norm(.infinity, axes: $1, keepDims: $2) }
        add("sum empty", .wave([0, 3])) { $0[0].sum(axis: 0) }
        add("sum nothing", .wave([2, 0])) { $0[0].sum() }
        add("sum integers", .indices([3, 4], below: 5), order: 0) { $0[0].sum(axis: 1) }
        add("variance unbiased", .wave([3, 4])) { $0[0].variance(axis: 1, unbiased: true) }
        add("standardDeviation", .wave([3, 4])) { $0[0].standardDeviation(axes: [1]) }
        add("standardDeviation unbiased", .wave([3, 4], .transposed)) {
            $0[0].standardDeviation(axes: [0], unbiased: true, keepDims: true)
        }
        let product: Function = { $0.product(axes: $1, keepDims: $2) }
        add("product", .wave([3, 4], shift: 1.5), order: 1) { product($0[0], nil, false) }
        add("product last axis", .wave([3, 4], shift: 1.5, .transposed), order: 1) { product($0[0], [1], true) }
        add("product empty", .wave([3, 0]), order: 1) { product($0[0], [1], false) }
        add("product with zeros", .values([1, 2, 3, 0, 5, 6, 0, 8, 0], [3, 3]), order: 1) { product($0[0], [1], false) }
        add("product large", .wave([129, 33], amplitude: 0.05, shift: 1), isLarge: true) {
            product($0[0], [1], false)
        }
        // Ties share the gradient; the norm of nothing but zeros has gradient 0.
        let ties = OpInput.values([1, 3, 3, 2, 2, 2, -1, 0, -1], [3, 3])
        add("max ties", ties, order: 0) { $0[0].max(axis: 1) }
        add("min ties", ties, order: 0) { $0[0].min(axis: 1) }
        add("max not a number", .values([1, .nan, 3, 2], [2, 2]), order: 0) { $0[0].detached().max(axis: 1) }
        add("norm at 0", .values([0, 0, 3, 4], [2, 2]), order: 0) { $0[0].norm(axes: [1]) }
        add("norm cubic at 0", .values([0, 0, 3, 4], [2, 2]), order: 0) { $0[0].norm(3, axes: [1]) }

        for (name, f) in [
            ("argmax", { $0.argmax(axis: $1, keepDims: $2) }), ("argmin", { $0.argmin(axis: $1, keepDims: $2) }),
        ]
            as [(String, (Tensor, Int, Bool) -> Tensor)]
        {
            add(name, .wave([3, 5]), order: 0) { f($0[0], -1, false) }
            add(name + " first axis", .wave([3, 5], .sliced), order: 0) { f($0[0], 0, true) }
            add(name + " transposed", .wave([2, 3, 4], .transposed), order: 0) { f($0[0], 1, false) }
            add(name + " ties", ties, order: 0) { f($0[0], 1, false) }
            add(name + " large", .wave([67, 257]), isLarge: true) { f($0[0], 1, false) }
            add(name + " large first axis", .wave([257, 67]), isLarge: true) { f($0[0], 0, false) }
        }
        add("logSumExp", .wave([3, 5], amplitude: 3)) { $0[0].logSumExp() }
        add("logSumExp first axis", .wave([3, 5], .transposed)) { $0[0].logSumExp(axis: 0, keepDims: true) }
        // The gradient is exp(x - output), and float32 holds 1000 to 6e-5 only.
        add("logSumExp far", .values([1000, 1001, -1000, -1002], [2, 2]), order: 1, tolerance: 1e-4) {
            $0[0].logSumExp()
        }
        add("logSumExp infinite", .values([-.infinity, 1, -.infinity, -.infinity, 2, 0], [3, 2]), order: 0) {
            $0[0].logSumExp()
        }
        add("logSumExp large", .wave([67, 257], amplitude: 3), isLarge: true) { $0[0].logSumExp() }
        add("cumulativeSum", .wave([3, 4])) { $0[0].cumulativeSum(axis: 1) }
        add("cumulativeSum first axis", .wave([3, 2, 2], .transposed)) { $0[0].cumulativeSum(axis: 0) }
        add("cumulativeSum empty", .wave([0, 2])) { $0[0].cumulativeSum(axis: 0) }
        add("cumulativeSum integers", .indices([6], below: 5), order: 0) { $0[0].cumulativeSum(axis: 0) }
        add("cumulativeSum large", .wave([5, 4099]), isLarge: true) { $0[0].cumulativeSum(axis: 1) }
        func truth(_ holds: Bool) -> Tensor { Tensor([holds]) }
        addSeveral("any", .mask([7]), order: 0) { x in [truth(x[0].any()), truth((x[0] .& .!x[0]).any())] }
        addSeveral("all", .mask([7]), order: 0) { x in [truth(x[0].all()), truth((x[0] .| .!x[0]).all())] }

        for (name, f) in [("softmax", { $0.softmax(axis: $1) }), ("logSoftmax", { $0.logSoftmax(axis: $1) })]
            as [(String, (Tensor, Int) -> Tensor)]
        {
            add(name, .wave([3, 5], amplitude: 3)) { f($0[0], -1) }
            add(name + " first axis", .wave([3, 4])) { f($0[0], 0) }
            add(name + " middle axis", .wave([2, 3, 2])) { f($0[0], 1) }
            add(name + " strided", .wave([3, 3], .transposed)) { f($0[0], -1) }
            add(name + " sliced", .wave([3, 3], .sliced)) { f($0[0], -1) }
            add(name + " one", .wave([3, 1])) { f($0[0], -1) }
            add(name + " empty", .wave([0, 3])) { f($0[0], -1) }
            add(name + " far", .values([1000, 1001, -1000, -1002], [2, 2]), order: 1) { f($0[0], -1) }
            add(name + " masked", .values([-.infinity, 1, 0.5, 2, -.infinity, -.infinity], [2, 3]), order: 0) {
                f($0[0], -1)
            }
            add(name + " large", .wave([67, 257], amplitude: 3), isLarge: true) { f($0[0], -1) }
            add(name + " large first axis", .wave([257, 67], amplitude: 3), isLarge: true) { f($0[0], 0) }
            add(name + " one long row", .wave([1, 4099], .narrowed), isLarge: true) { f($0[0], -1) }
        }
    }
}
