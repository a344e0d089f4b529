import FledgeCore

// Normalisation, dropout, attention, losses, distances.

extension OpTable {
    mutating func addNormalization() {
        let (w, b) = (OpInput.wave([3], shift: 1.5), OpInput.wave([3]))
        add("batchNorm", .wave([6, 3]), w, b) { $0[0].batchNorm(weight: $0[1], bias: $0[2]).y }
        add("batchNorm images", .wave([2, 3, 2, 3]), w, b) {
            $0[0].batchNorm(weight: $0[1], bias: $0[2], epsilon: 1e-3).y
        }
        add("batchNorm plain", .wave([4, 3], .transposed)) { $0[0].batchNorm().y }
        add("batchNorm relu", .wave([6, 3]), w, b) { $0[0].batchNorm(weight: $0[1], bias: $0[2], relu: true).y }
        for relu in [false, true] {
            add("batchNorm residual" + (relu ? " relu" : ""), .wave([6, 3]), w, b, .wave([6, 3], .sliced)) {
                $0[0].batchNorm(weight: $0[1], bias: $0[2], residual: $0[3], relu: relu).y
            }
        }
        addSeveral("batchNorm statistics", .wave([6, 3]), order: 0) { x in
            let (y, mean, variance) = x[0].batchNorm()
            return [y, mean, variance]
        }
        add("batchNorm empty", .wave([0, 3]), w, b) { $0[0].batchNorm(weight: $0[1], bias: $0[2]).y }
        // Integers, because given statistics have no gradient.
        let given = OpInput.indices([3], below: 3)
        func normalized(_ x: [Tensor], relu: Bool) -> Tensor {
            let i = x[3].cast(to: x[0].dtype)
            return x[0].batchNorm(
                mean: i * 0.2, variance: i * 0.3 + 0.5, weight: x[1], bias: x[2],
                residual: x.count > 4 ? x[4] : nil, relu: relu)
        }
        add("batchNorm given", .wave([4, 3]), w, b, given) { normalized($0, relu: false) }
        add("batchNorm given relu", .wave([2, 3, 3], .sliced), w, b, given) { normalized($0, relu: true) }
        add("batchNorm given residual", .wave([4, 3]), w, b, given, .wave([4, 3])) { normalized($0, relu: true) }
        // 5e-5: sums over 297 rows, and differences of such.
        for relu in [false, true] {
            add(
                "batchNorm large" + (relu ? " relu" : ""), .wave([3, 9, 11, 33]), .wave([33], shift: 1.5), .wave([33]),
                tolerance: 5e-5, isLarge: true
            ) { $0[0].batchNorm(weight: $0[1], bias: $0[2], relu: relu).y }
        }
        add("layerNorm", .wave([4, 3]), w, b) { $0[0].layerNorm(weight: $0[1], bias: $0[2]) }
        add("layerNorm plain", .wave([2, 2, 4], .transposed)) { $0[0].layerNorm(epsilon: 1e-3) }
        add("layerNorm weight only", .wave([2, 2, 3], .sliced), w) { $0[0].layerNorm(weight: $0[1]) }
        add("layerNorm empty", .wave([0, 3]), w, b) { $0[0].layerNorm(weight: $0[1], bias: $0[2]) }
        add(
            "layerNorm large", .wave([65, 131]), .wave([131], shift: 1.5), .wave([131]), isLarge: true
        ) {
            $0[0].layerNorm(weight: $0[1], bias: $0[2])
        }
        let (w4, b4) = (OpInput.wave([4], shift: 1.5), OpInput.wave([4]))
        add("groupNorm", .wave([2, 2, 2, 4]), w4, b4) { $0[0].groupNorm(groups: 2, weight: $0[1], bias: $0[2]) }
        add("groupNorm one", .wave([2, 3, 4], .transposed)) { $0[0].groupNorm(groups: 1) }
        add("groupNorm large", .wave([3, 7, 9, 12]), isLarge: true) { $0[0].groupNorm(groups: 3) }
        add("instanceNorm", .wave([2, 3, 2, 4]), w4, b4) { $0[0].instanceNorm(weight: $0[1], bias: $0[2]) }
        let dropout: (Tensor, Double) -> Tensor = { x, rate in
            let before = Randomness.current
            Randomness.current = RandomSource(seed: 5)
            defer { Randomness.current = before }
            return x.dropout(rate)
        }
        add("dropout", .wave([3, 5], .transposed), notGolden: "random") { dropout($0[0], 0.3) }
        add("dropout all", .wave([3, 5])) { dropout($0[0], 1) }
        add("dropout none", .wave([3, 5])) { dropout($0[0], 0) }
        add("dropout large", .wave([4099]), isLarge: true) { dropout($0[0], 0.3) }
    }

    mutating func addAttention() {
        let (q, k, v) = (OpInput.wave([1, 2, 2, 3]), OpInput.wave([1, 3, 2, 3]), OpInput.wave([1, 3, 2, 2]))
        add("scaledDotProductAttention", q, k, v) { scaledDotProductAttention($0[0], $0[1], $0[2]) }
        add("scaledDotProductAttention scale", q, k, v) { scaledDotProductAttention($0[0], $0[1], $0[2], scale: 0.3) }
        add("scaledDotProductAttention causal", k, k, v) {
            scaledDotProductAttention($0[0], $0[1], $0[2], causal: true)
        }
        add("scaledDotProductAttention mask", q, k, v, .mask([2, 3])) {
            scaledDotProductAttention($0[0], $0[1], $0[2], mask: $0[3])
        }
        add("scaledDotProductAttention bias", q, k, v, .wave([2, 2, 3])) {
            scaledDotProductAttention($0[0], $0[1], $0[2], mask: $0[3])
        }
        add("scaledDotProductAttention closed row", q, k, v, .integers([0, 0, 0, 1, 0, 1], [2, 3])) {
            scaledDotProductAttention($0[0], $0[1], $0[2], mask: $0[3] .== 1)
        }
        add("scaledDotProductAttention strided", .wave([1, 2, 2, 3], .transposed), .wave([1, 3, 2, 3], .sliced), v) {
            scaledDotProductAttention($0[0], $0[1], $0[2])
        }
        for causal in [false, true] {
            add(
                "scaledDotProductAttention large" + (causal ? " causal" : ""), .wave([2, 17, 3, 16]),
                .wave([2, 17, 3, 16]),
                .wave([2, 17, 3, 16]), isLarge: true
            ) { scaledDotProductAttention($0[0], $0[1], $0[2], causal: causal) }
        }
    }

    mutating func addRecurrence() {
        for cell in RecurrentCell.allCases {
            for reversed in [false, true] {
                let name = "recurrence \(cell)" + (reversed ? " reversed" : "")
                let x = OpInput.wave([3, 2, 2 * cell.gates], .sliced)
                let w = OpInput.wave([2 * cell.gates, 2], .transposed), b = OpInput.wave([2 * cell.gates])
                let state = OpInput.wave([2, 2])
                let run: ([Tensor]) -> [Tensor] = {
                    let (output, memory) = recurrence(
                        cell, $0[0], weight: $0[1], bias: $0[2], initial: Array($0[3...]), reversed: reversed)
                    return [output] + (memory.map { [$0] } ?? [])
                }
                if cell == .lstm {
                    addSeveral(name, x, w, b, state, state) { run($0) }
                } else {
                    addSeveral(name, x, w, b, state) { run($0) }
                }
            }
        }
    }

    mutating func addRouting() {
        for rounds in [1, 3] {
            add("dynamicRouting of \(rounds)", .wave([2, 5, 3, 2])) { dynamicRouting($0[0], rounds: rounds) }
        }
        add("dynamicRouting transposed", .wave([2, 3, 2, 4], .transposed)) { dynamicRouting($0[0], rounds: 2) }
        // Votes as a product for each input makes them.
        add("dynamicRouting by input", .wave([20, 3, 10])) {
            dynamicRouting($0[0].reshaped([20, 3, 2, 5]).permuted([1, 0, 2, 3]))
        }
        add("dynamicRouting large", .wave([5, 40, 10, 16]), isLarge: true) { dynamicRouting($0[0]) }
    }

    mutating func addLosses() {
        let (logits, labels) = (OpInput.wave([4, 3], amplitude: 3), OpInput.integers([2, 0, 1, 2]))
        let weights = OpInput.wave([4], amplitude: 0.5, shift: 1)
        for (name, reduction) in [("", .mean), (" sum", .sum), (" none", .none)] as [(String, LossReduction)] {
            add("crossEntropy" + name, logits, labels) { crossEntropy($0[0], $0[1], reduction: reduction) }
            add("crossEntropy weights" + name, logits, labels, weights) {
                crossEntropy($0[0], $0[1], weights: $0[2], reduction: reduction)
            }
            add("crossEntropy smoothing" + name, logits, .integers([2, -100, 1, -100])) {
                crossEntropy($0[0], $0[1], labelSmoothing: 0.1, reduction: reduction)
            }
            let (x, y) = (OpInput.wave([3, 4], amplitude: 2), OpInput.wave([3, 4], amplitude: 2))
            add("meanSquaredError" + name, x, y) { meanSquaredError($0[0], $0[1], reduction: reduction) }
            add("meanAbsoluteError" + name, x, y) { meanAbsoluteError($0[0], $0[1], reduction: reduction) }
            add("smoothL1" + name, x, y) { smoothL1($0[0], $0[1], beta: 0.7, reduction: reduction) }
            add("huber" + name, x, y) { huber($0[0], $0[1], delta: 0.7, reduction: reduction) }
            add("hinge" + name, x, y) { hinge($0[0], $0[1].sign(), reduction: reduction) }
            add("binaryCrossEntropyWithLogits" + name, x, y) {
                binaryCrossEntropyWithLogits($0[0], $0[1].sigmoid(), reduction: reduction)
            }
        }
        add("crossEntropy ignored", logits, .integers([2, 7, 1, 7])) { crossEntropy($0[0], $0[1], ignoreIndex: 7) }
        add("crossEntropy sequence", .wave([2, 3, 4]), .integers([2, 0, 1, 2, 3, 3], [2, 3])) {
            crossEntropy($0[0], $0[1])
        }
        add("crossEntropy strided", .wave([4, 3], .transposed), labels) { crossEntropy($0[0], $0[1]) }
        add(
            "crossEntropy far", .values([1000, 0, -1000, 3, 2, 1], [2, 3]), .integers([1, 0]), order: 1, tolerance: 1e-4
        ) {
            crossEntropy($0[0], $0[1])
        }
        add("crossEntropy empty", .wave([0, 3]), .integers([])) { crossEntropy($0[0], $0[1], reduction: .sum) }
        add("crossEntropy soft", logits, .wave([4, 3])) { crossEntropy($0[0], soft: $0[1].softmax()) }
        add("crossEntropy soft smoothing", logits, .wave([4, 3]), weights) {
            crossEntropy($0[0], soft: $0[1].softmax(), weights: $0[2], labelSmoothing: 0.2, reduction: .sum)
        }
        add("crossEntropy large", .wave([129, 67], amplitude: 3), .indices([129], below: 67), isLarge: true) {
            crossEntropy($0[0], $0[1], labelSmoothing: 0.1)
        }
        add(
            "binaryCrossEntropyWithLogits weights", logits, .wave([4, 3]), .wave([3], shift: 2),
            .wave([4, 1], shift: 2)
        ) {
            binaryCrossEntropyWithLogits($0[0], $0[1].sigmoid(), positiveWeight: $0[2], weights: $0[3])
        }
        add("binaryCrossEntropyWithLogits far", .values([200, -200, 200]), .values([1, 1, 0]), order: 0) {
            binaryCrossEntropyWithLogits($0[0], $0[1])
        }
        for (name, reduction) in [
            ("", .mean), (" sum", .sum), (" none", .none), (" batch mean", .batchMean),
        ] as [(String, LossReduction)] {
            add("klDivergence" + name, .wave([4, 3]), .wave([4, 3])) {
                klDivergence($0[0].logSoftmax(), $0[1].softmax(), reduction: reduction)
            }
            add("klDivergence logarithms" + name, .wave([4, 3]), .wave([4, 3])) {
                klDivergence($0[0].logSoftmax(), $0[1].logSoftmax(), logTarget: true, reduction: reduction)
            }
        }
        add("klDivergence of 0", .wave([1, 3]), .values([0, 0.4, 0.6], [1, 3]), order: 0) {
            klDivergence($0[0].logSoftmax(), $0[1].detached())
        }
        let same = OpInput.values([1, -2, 3])
        add("meanAbsoluteError at 0", same, same, order: 0) { meanAbsoluteError($0[0], $0[1]) }
        add("huber at 0", same, same, order: 0) { huber($0[0], $0[1]) }
        add("smoothL1 absolute", .wave([5]), .wave([5])) { smoothL1($0[0], $0[1], beta: 0) }
    }

    mutating func addDistances() {
        add("l2Normalized", .wave([3, 4])) { $0[0].l2Normalized() }
        add("l2Normalized first axis", .wave([3, 4], .transposed)) { $0[0].l2Normalized(axis: 0) }
        add("l2Normalized at 0", .values([0, 0, 3, 4], [2, 2]), order: 0) { $0[0].l2Normalized(epsilon: 1e-3) }
        add("l2Normalized large", .wave([65, 131]), isLarge: true) { $0[0].l2Normalized() }
        add("cosineSimilarity", .wave([3, 4]), .wave([3, 4])) { cosineSimilarity($0[0], $0[1]) }
        add("cosineSimilarity broadcast", .wave([3, 1, 4]), .wave([2, 4])) { cosineSimilarity($0[0], $0[1]) }
        add("cosineSimilarity first axis", .wave([3, 4], .transposed), .wave([3, 4])) {
            cosineSimilarity($0[0], $0[1], axis: 0)
        }
        // Differences of squares: float32 loses digits of distances that are small beside the spread of the points.
        for squared in [false, true] {
            let name = "pairwiseDistances" + (squared ? " squared" : "")
            add(name, .wave([3, 4]), .wave([2, 4])) {
                pairwiseDistances($0[0], $0[1], squared: squared)
            }
            add(name + " batched", .wave([2, 3, 2], .transposed), .wave([2, 2])) {
                pairwiseDistances($0[0], $0[1], squared: squared)
            }
            add(name + " empty", .wave([0, 4]), .wave([2, 4])) { pairwiseDistances($0[0], $0[1], squared: squared) }
            add(name + " large", .wave([33, 17]), .wave([29, 17]), tolerance: 1e-4, isLarge: true) {
                pairwiseDistances($0[0], $0[1], squared: squared)
            }
        }
    }
}
