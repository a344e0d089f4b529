/// Rows of text in columns, for people.
struct TextTable {
    let header: [String]
    var rows: [[String]] = []

    init(_ header: String...) { self.header = header }

    init(header: [String], rows: [[String]]) {
        self.header = header
        self.rows = rows
    }

    /// Numbers stand right; everything else left.
    var text: String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let isNumber = header.indices.map { column in
            rows.allSatisfy { Double($0[column].filter { $0 != "%" && $0 != " " }) != nil || $0[column] == "-" }
        }
        return all.map { row in
            let cells = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return isNumber[column] ? space + row[column] : row[column] + space
            }
            return cells.joined(separator: "  ").trimmingEnd
        }.joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        var text = self
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }
}
