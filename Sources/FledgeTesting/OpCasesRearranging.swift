import FledgeCore

// Reshaping, slicing, joining, indexing.

extension OpTable {
    mutating func addRearranging() {
        add("reshaped", .wave([3, 4])) { $0[0].reshaped([2, -1]) }
        add("reshaped transposed", .wave([2, 3, 4], .transposed)) { $0[0].reshaped([6, 4]) }
        add("reshaped splits an axis", .wave([4, 6], .transposed)) { $0[0].reshaped([2, 2, 6]) }
        add("reshaped sliced", .wave([2, 4], .sliced)) { $0[0].reshaped([8]) }
        add("reshaped broadcast", .wave([3, 4], .broadcast)) { $0[0].reshaped([2, 6]) }
        add("reshaped ones", .wave([1, 3, 1, 2], .transposed)) { $0[0].reshaped([3, 1, 2, 1]) }
        add("reshaped empty", .wave([0, 3])) { $0[0].reshaped([3, 0, 2]) }
        add("flattened", .wave([2, 3, 2])) { $0[0].flattened(1...2) }
        add("flattened transposed", .wave([2, 3, 2], .transposed)) { $0[0].flattened(0...1) }
        add("squeezed", .wave([3, 1, 2])) { $0[0].squeezed(axis: 1) }
        add("unsqueezed", .wave([3, 2], .transposed)) { $0[0].unsqueezed(axis: -1) }
        add("permuted", .wave([2, 3, 4])) { $0[0].permuted([2, 0, 1]) }
        add("permuted sliced", .wave([2, 3, 2], .sliced)) { $0[0].permuted([-1, 0, 1]) * 2 }
        add("transposed", .wave([2, 3, 4])) { $0[0].transposed() }
        add("transposed outer", .wave([2, 3, 4])) { $0[0].transposed(0, 1).exp() }
        add("movedAxis", .wave([2, 3, 4])) { $0[0].movedAxis(from: 0, to: -1) }
        add("expanded", .wave([3, 1])) { $0[0].expanded(to: [2, 3, 4]) }
        add("contiguous", .wave([3, 4], .transposed)) { $0[0].contiguous() }
        add("contiguous large", .wave([3, 257, 65], .transposed), isLarge: true) { $0[0].contiguous() }
        add("contiguous large sliced", .wave([129, 33], .sliced), isLarge: true) { $0[0].contiguous() }
        add("copied", .wave([3, 4], .sliced)) { $0[0].copied() }
        add("copied large permuted", .wave([17, 33, 9]), isLarge: true) { $0[0].permuted([2, 0, 1]).copied() }
        add("flipped", .wave([2, 3, 2])) { $0[0].flipped(axes: [0, -1]) }
        add("rolled", .wave([2, 5])) { $0[0].rolled(by: 2, axis: 1) }
        add("rolled back", .wave([5, 2], .transposed)) { $0[0].rolled(by: -7, axis: 0) }
        for quarters in -1...4 {
            add("rotated90 \(quarters)", .wave([2, 3, 4, 2])) { $0[0].rotated90(quarters) }
        }
        add("tiled", .wave([2, 3])) { $0[0].tiled([2, 1, 3]) }
        add("tiled none", .wave([2, 3])) { $0[0].tiled([0, 2]) }
        add("repeated", .wave([2, 3])) { $0[0].repeated(3, axis: 1) }
        for diagonal in [-1, 0, 2] {
            add("upperTriangle \(diagonal)", .wave([2, 3, 4])) { $0[0].upperTriangle(diagonal: diagonal) }
            add("lowerTriangle \(diagonal)", .wave([4, 3], .transposed)) { $0[0].lowerTriangle(diagonal: diagonal) }
        }
        add("subscript", .wave([3, 4])) { $0[0][1, 1..<3] }
        add("subscript negative", .wave([3, 4, 2])) { $0[0][TensorIndex.ellipsis, -1] }
        add("subscript steps", .wave([5, 4])) { $0[0][TensorIndex.range(1, nil, step: 2), ...2] }
        add("subscript new axis", .wave([3, 4], .transposed)) { $0[0][1..., TensorIndex.newAxis, 2] }
        add("subscript empty", .wave([3, 4])) { $0[0][2..<2] }
        add("padded", .wave([2, 3])) { $0[0].padded([(1, 0), (2, 1)]) }
        add("padded value", .wave([2, 3], .transposed)) { $0[0].padded([(0, 1), (1, 2)], value: -1.5) }
        add("reflectPadded", .wave([2, 4])) { $0[0].reflectPadded(axis: 1, before: 2, after: 3) }
        add("replicatePadded", .wave([2, 3])) { $0[0].replicatePadded(axis: 0, before: 1, after: 2) }
        addSeveral("split", .wave([2, 6])) { $0[0].split(3, axis: 1) }
        addSeveral("split sizes", .wave([2, 6], .transposed)) { $0[0].split(sizes: [1, 0, 5], axis: 1) }
        addSeveral("chunked", .wave([7, 2])) { $0[0].chunked(3, axis: 0) }
        add("narrowed", .wave([3, 5])) { $0[0].narrowed(axis: 1, start: 1, length: 3) }
        add("concatenate", .wave([2, 3]), .wave([2, 1]), .wave([2, 0])) { concatenate($0, axis: 1) }
        add("concatenate strided", .wave([3, 2], .transposed), .wave([1, 2], .sliced)) { concatenate($0) }
        add("concatenate large", .wave([129, 17]), .wave([129, 33]), isLarge: true) { concatenate($0, axis: 1) }
        add("stack", .wave([2, 3]), .wave([2, 3], .transposed)) { stack($0, axis: 1) }
        add("stack last", .wave([3]), .wave([3])) { stack($0, axis: -1) }
    }

    mutating func addIndexing() {
        add("indexSelect", .wave([4, 3]), .integers([2, 0, 2, 3, 3])) { $0[0].indexSelect(axis: 0, $0[1]) }
        add("indexSelect last axis", .wave([2, 4], .transposed), .integers([3, 1, 1])) {
            $0[0].indexSelect(axis: 1, $0[1])
        }
        add("indexSelect list", .wave([2, 4])) { $0[0].indexSelect(axis: 1, [3, 0]) }
        add("indexSelect none", .wave([4, 3]), .integers([])) { $0[0].indexSelect(axis: 0, $0[1]) }
        add("indexSelect large", .wave([129, 33]), .indices([257], below: 129), isLarge: true) {
            $0[0].indexSelect(axis: 0, $0[1])
        }
        add("indexSelect large inner", .wave([33, 129]), .indices([257], below: 129), isLarge: true) {
            $0[0].indexSelect(axis: 1, $0[1])
        }
        add("indexAdd", .wave([5, 2]), .integers([2, 0, 2, 3, 3])) { $0[0].indexAdd(axis: 0, $0[1], count: 6) }
        add("indexAdd last axis", .wave([2, 3], .sliced), .integers([1, 0, 1])) {
            $0[0].indexAdd(axis: 1, $0[1], count: 2)
        }
        add("indexAdd large", .wave([257, 33]), .indices([257], below: 129), isLarge: true) {
            $0[0].indexAdd(axis: 0, $0[1], count: 129)
        }
        add("gather", .wave([3, 4]), .integers([0, 3, 1, 1, 2, 0], [3, 2])) { $0[0].gather(axis: 1, $0[1]) }
        add("gather first axis", .wave([3, 2], .transposed), .integers([0, 2, 1, 1], [2, 2])) {
            $0[0].gather(axis: 0, $0[1])
        }
        add("gather large", .wave([67, 257]), .indices([67, 33], below: 257), isLarge: true) {
            $0[0].gather(axis: 1, $0[1])
        }
        add("scatterAdd", .wave([3, 2]), .integers([0, 3, 1, 1, 2, 0], [3, 2])) {
            $0[0].scatterAdd(axis: 1, $0[1], into: [3, 4])
        }
        add("scatterAdd first axis", .wave([2, 2], .sliced), .integers([0, 2, 0, 1], [2, 2])) {
            $0[0].scatterAdd(axis: 0, $0[1], into: [3, 2])
        }
        add("scatterAdd large", .wave([67, 257]), .indices([67, 257], below: 33), isLarge: true) {
            $0[0].scatterAdd(axis: 1, $0[1], into: [67, 33])
        }
        add("embedding", .wave([5, 3]), .integers([4, 0, 0, 2, 4, 1], [2, 3])) { $0[0].embedding($0[1]) }
        add("embedding none", .wave([5, 3]), .integers([], [0, 2])) { $0[0].embedding($0[1]) }
        add("oneHot", .integers([2, 0, 1, 3], [2, 2]), order: 0) { $0[0].oneHot(classes: 4) }
        let row = OpInput.values([3, -1, 2, 2, 5, -1, 0, 2], [2, 4])
        for descending in [false, true] {
            let name = descending ? " descending" : ""
            add("argsort" + name, row, order: 0) { $0[0].argsort(descending: descending) }
            add("argsort first axis" + name, .wave([5, 3]), order: 0) { $0[0].argsort(axis: 0, descending: descending) }
            add("argsort large" + name, .wave([7, 513]), isLarge: true) { $0[0].argsort(descending: descending) }
            addSeveral("sorted" + name, .wave([3, 5])) { x in
                let (values, indices) = x[0].sorted(descending: descending)
                return [values, indices]
            }
            addSeveral("topK" + (descending ? " smallest" : ""), .wave([5, 3], .transposed)) { x in
                let (values, indices) = x[0].topK(2, axis: 0, largest: !descending)
                return [values, indices]
            }
        }
        add("argsort not a number", .values([2, .nan, 1, .infinity]), order: 0) { $0[0].argsort() }
        addSeveral("unique", row, order: 0) { x in
            let (values, inverse, counts) = x[0].unique()
            return [values, inverse, counts]
        }
        addSeveral("unique integers", .integers([5, -2, 5, 1, 1, 5]), order: 0) { x in
            let (values, inverse, counts) = x[0].unique()
            return [values, inverse, counts]
        }
        addSeveral("unique not a number", .values([2, .nan, 1, .nan, 2]), order: 0) { x in
            let (values, inverse, counts) = x[0].unique()
            return [values, inverse, counts]
        }
        addSeveral("unique empty", .wave([0]), order: 0) { x in
            let (values, inverse, counts) = x[0].unique()
            return [values, inverse, counts]
        }
    }
}
