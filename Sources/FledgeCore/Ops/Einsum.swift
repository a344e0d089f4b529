/// Sums of products by Einstein's convention, as NumPy and PyTorch write them: each operand's axes are named by
/// letters, axes of one name run together, and names that are absent from the result are summed over.
///
///     einsum("ik,kj->ij", a, b)          // matrix product
///     einsum("bhqd,bhkd->bhqk", q, k)    // attention scores
///     einsum("ii->", a)                  // trace
///     einsum("...ij->...ji", a)          // transpose, whatever comes before
///
/// `...` stands for the axes that are not named; those of several operands broadcast, aligned at the right. Without
/// `->` the result has the names that occur once, in alphabetical order, after the axes of `...`. Operands are combined
/// from left to right, each pair by one matrix product, so that order them well when there are three or more.
/// Stops on equations and shapes that do not make sense.
public func einsum(_ equation: String, _ operands: Tensor...) -> Tensor { einsum(equation, operands) }

/// `einsum` of a list of operands.
public func einsum(_ equation: String, _ operands: [Tensor]) -> Tensor {
    let plan = EinsumEquation(equation, shapes: operands.map(\.shape))
    var factors = zip(operands, plan.inputs).map { operand, labels in
        NamedAxes(operand, labels).broadcast(plan.lengths).withoutRepeats()
    }
    var product = factors.removeFirst()
    while !factors.isEmpty {
        let next = factors.removeFirst()
        product = product.contracted(with: next, keeping: Set(plan.output + factors.flatMap(\.labels)))
    }
    return product.arranged(plan.output)
}

/// What an equation says about given shapes.
private struct EinsumEquation {
    /// The name of an axis: a letter, or the place from the right among the axes of `...`.
    typealias Label = EinsumLabel
    var inputs: [[Label]] = []
    var output: [Label] = []
    var lengths: [Label: Int] = [:]

    init(_ equation: String, shapes: [[Int]]) {
        func wrong(_ reason: String) -> Never { stop("einsum: \"\(equation)\" for shapes \(shapes): \(reason)") }
        let text = equation.filter { $0 != " " }
        var left = text[...]
        var right: Substring?
        if let arrow = text.firstRange(of: "->") {
            left = text[..<arrow.lowerBound]
            right = text[arrow.upperBound...]
        }
        let terms = left.split(separator: ",", omittingEmptySubsequences: false)
        if terms.count != shapes.count { wrong("\(terms.count) operands are named, \(shapes.count) are given") }

        var hidden = 0
        for (term, shape) in zip(terms, shapes) {
            let named = term.filter { $0 != "." }.count
            if named > shape.count || (named < shape.count && !term.contains("...")) {
                wrong("\"\(term)\" names \(named) axes of shape \(shape)")
            }
            hidden = max(hidden, shape.count - named)
            let labels = Self.labels(term, hidden: shape.count - named, wrong)
            for (label, length) in zip(labels, shape) {
                let known = lengths[label] ?? length
                if case .hidden = label, known == 1 || length == 1 {
                    // Only axes of `...` stretch.
                    lengths[label] = known == 1 ? length : known
                } else if known != length {
                    wrong("axis \(label) is \(known) long in one place and \(length) in another")
                } else {
                    lengths[label] = length
                }
            }
            inputs.append(labels)
        }
        if let right {
            output = Self.labels(right, hidden: hidden, wrong)
            if Set(output).count != output.count { wrong("the result names an axis twice") }
            for label in output where lengths[label] == nil { wrong("axis \(label) of the result is in no operand") }
        } else {
            let all = inputs.flatMap { $0 }
            let once = lengths.keys.filter { label in all.count { $0 == label } == 1 }
            output = (0..<hidden).reversed().map { .hidden($0) }
            output += once.compactMap { if case .letter(let letter) = $0 { letter } else { nil } }.sorted().map {
                .letter($0)
            }
        }
    }

    private static func labels(_ term: Substring, hidden: Int, _ wrong: (String) -> Never) -> [Label] {
        var labels: [Label] = []
        var rest = term
        var hasEllipsis = false
        while let character = rest.popFirst() {
            if character == "." {
                if !rest.hasPrefix("..") || hasEllipsis {
                    wrong("\"\(term)\" has a point that is not part of one \"...\"")
                }
                rest.removeFirst(2)
                hasEllipsis = true
                labels += (0..<hidden).reversed().map { .hidden($0) }
            } else if character.isASCII, character.isLetter {
                labels.append(.letter(character))
            } else {
                wrong("'\(character)' is no letter")
            }
        }
        return labels
    }
}

private enum EinsumLabel: Hashable, CustomStringConvertible {
    case letter(Character)
    case hidden(Int)

    var description: String {
        switch self {
        case .letter(let letter): "'\(letter)'"
        case .hidden(let place): "\(place + 1) from the right of \"...\""
        }
    }
}

/// A tensor whose axes have names.
private struct NamedAxes {
    let tensor: Tensor
    let labels: [EinsumLabel]

    init(_ tensor: Tensor, _ labels: [EinsumLabel]) {
        self.tensor = tensor
        self.labels = labels
    }

    func broadcast(_ lengths: [EinsumLabel: Int]) -> NamedAxes {
        NamedAxes(tensor.expanded(to: labels.map { lengths[$0]! }), labels)
    }

    /// Axes that share a name become one, their diagonal.
    func withoutRepeats() -> NamedAxes {
        for (i, label) in labels.enumerated() {
            guard let j = labels[(i + 1)...].firstIndex(of: label) else { continue }
            let others = labels.indices.filter { $0 != i && $0 != j }.map { labels[$0] }
            return NamedAxes(tensor.diagonal(axes: (i, j)), others + [label]).withoutRepeats()
        }
        return self
    }

    /// Sums over the axes that are not in `kept`.
    func summed(keeping kept: Set<EinsumLabel>) -> NamedAxes {
        let gone = labels.indices.filter { !kept.contains(labels[$0]) }
        if gone.isEmpty { return self }
        return NamedAxes(tensor.sum(axes: gone), labels.filter { kept.contains($0) })
    }

    /// The sum of products with another tensor over all common axes that are not in `kept`.
    func contracted(with other: NamedAxes, keeping kept: Set<EinsumLabel>) -> NamedAxes {
        let a = summed(keeping: kept.union(other.labels))
        let b = other.summed(keeping: kept.union(labels))
        let common = Set(a.labels).intersection(b.labels)
        let batch = a.labels.filter { common.contains($0) && kept.contains($0) }
        let inner = a.labels.filter { common.contains($0) && !kept.contains($0) }
        let rows = a.labels.filter { !common.contains($0) }
        let columns = b.labels.filter { !common.contains($0) }
        let shape = (batch + rows).map(a.length) + columns.map(b.length)
        let (m, k, n) = (
            rows.map(a.length).elementCount, inner.map(a.length).elementCount, columns.map(b.length).elementCount
        )
        let lead = batch.map(a.length)
        let x = a.arranged(batch + rows + inner).reshaped(lead + [m, k])
        let y = b.arranged(batch + inner + columns).reshaped(lead + [k, n])
        // Without a sum the product needs no matrices, and works for integers too.
        let product = inner.isEmpty ? x * y : x.matmul(y)
        return NamedAxes(product.reshaped(shape), batch + rows + columns)
    }

    /// The tensor with its axes in the given order; others are summed over.
    func arranged(_ order: [EinsumLabel]) -> Tensor {
        let kept = summed(keeping: Set(order))
        return kept.tensor.permuted(order.map { kept.labels.firstIndex(of: $0)! })
    }

    private func length(_ label: EinsumLabel) -> Int { tensor.shape[labels.firstIndex(of: label)!] }
}
