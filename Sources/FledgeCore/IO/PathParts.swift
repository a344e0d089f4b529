extension String {
    /// What follows the last slash of a path; slashes at its end do not count. By bytes: Foundation's own stops the
    /// process for some names that a damaged table may hold.
    package var lastPathComponent: String {
        let trimmed = withoutTrailingSlashes
        guard let slash = trimmed.utf8.lastIndex(of: UInt8(ascii: "/")), trimmed.utf8.count > 1 else {
            return String(trimmed)
        }
        return String(trimmed[trimmed.utf8.index(after: slash)...])
    }

    /// The folder of a path: empty for a bare name, "/" for what lies at the root.
    package var deletingLastPathComponent: String {
        let trimmed = withoutTrailingSlashes
        guard let slash = trimmed.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        let folder = trimmed[..<slash]
        return folder.isEmpty ? "/" : String(folder)
    }

    /// What follows the last dot of the last component, without the dot; empty for ".hidden" and "name".
    package var pathExtension: String {
        let name = lastPathComponent
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex else { return "" }
        return String(name[name.utf8.index(after: dot)...])
    }

    private var withoutTrailingSlashes: Substring {
        var path = self[...]
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") {
            path = path[..<path.utf8.index(before: path.endIndex)]
        }
        return path
    }
}
