import FledgeCore

/// What a module holds, found by reading its properties through `Mirror`. Nothing is cached or written: boxes are
/// changed by reference, so a walk is never stale. About 4 us per parameter.
struct ModuleWalk {
    private(set) var parameters: [Named<Parameter>] = []
    private(set) var buffers: [Named<Buffer>] = []
    private(set) var modules: [Named<any Module>] = []
    private var seen: Set<ObjectIdentifier> = []
    private let root: any Module

    init(_ module: any Module) {
        root = module
        visit(module, "")
        var names: Set<String> = []
        for name in parameters.map(\.name) + buffers.map(\.name) {
            require(names.insert(name).inserted, "\(type(of: module)) holds two tensors under the name \(name)")
        }
    }

    private mutating func visit(_ module: any Module, _ path: String) {
        guard seen.insert(ObjectIdentifier(module)).inserted else { return }
        modules.append(Named(path, module))
        var mirrors = [Mirror(reflecting: module)]
        while let parent = mirrors[mirrors.count - 1].superclassMirror { mirrors.append(parent) }
        for mirror in mirrors.reversed() {
            for (label, value) in mirror.children {
                let name = Self.snakeCase(label ?? "")
                let style = Mirror(reflecting: value).displayStyle
                let isAnonymous = module is any ModuleContainer && (style == .collection || style == .dictionary)
                visit(value, isAnonymous ? path : Self.join(path, name))
            }
        }
    }

    private mutating func visit(_ value: Any, _ path: String) {
        if Self.isPlain(value) { return }
        switch Self.object(value) {
        case let parameter as Parameter:
            if seen.insert(ObjectIdentifier(parameter)).inserted { parameters.append(Named(path, parameter)) }
            return
        case let buffer as Buffer:
            if seen.insert(ObjectIdentifier(buffer)).inserted { buffers.append(Named(path, buffer)) }
            return
        case let module as any Module: return visit(module, path)
        default: break
        }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional:
            if let some = mirror.children.first { visit(some.value, path) }
        case .collection:
            for (index, child) in mirror.children.enumerated() {
                // The elements of a list of settings are alike; it may be long.
                if index == 0, Self.isPlain(child.value) { return }
                visit(child.value, Self.join(path, String(index)))
            }
        case .dictionary:
            guard let entries = value as? [String: Any] else { return refuseHiding(in: value, path) }
            for (key, item) in entries.sorted(by: { $0.key < $1.key }) { visit(item, Self.join(path, key)) }
        default:
            refuseHiding(in: value, path)
        }
    }

    /// Stops when a parameter, buffer or module is inside something that gives it no name on disk.
    private func refuseHiding(in container: Any, _ path: String) {
        var visited: Set<ObjectIdentifier> = []
        require(
            !Self.holdsState(container, &visited),
            """
            \(path) of \(type(of: root)) holds parameters or modules inside a \(type(of: container)), where they have \
            no name; use properties, arrays, optionals, dictionaries with text keys, or a Module
            """)
    }

    /// Whether a parameter, buffer or module can be reached through the properties and elements of `value`.
    static func holdsState(_ value: Any, _ visited: inout Set<ObjectIdentifier>) -> Bool {
        if isPlain(value) { return false }
        if let object = object(value) {
            if object is Parameter || object is Buffer || object is any Module { return true }
            guard visited.insert(ObjectIdentifier(object)).inserted else { return false }
        }
        let mirror = Mirror(reflecting: value)
        let isList = mirror.displayStyle == .collection || mirror.displayStyle == .set
        for (index, child) in mirror.children.enumerated() {
            if index == 0, isList, isPlain(child.value) { return false }
            if holdsState(child.value, &visited) { return true }
        }
        return false
    }

    /// Values that cannot hold state, told apart early: settings are most of what a walk meets, and the numbers of data
    /// may be many.
    private static func isPlain(_ value: Any) -> Bool {
        if let object = object(value) { return object is Tensor }
        return value is any Numeric || value is Bool || value is String
    }

    /// An instance of a class, nil for all else. Asked before any cast to a class: such a cast of an array first boxes each
    /// of its elements for an `NSArray`, and a data set has many.
    private static func object(_ value: Any) -> AnyObject? {
        type(of: value) is AnyClass ? value as AnyObject : nil
    }

    private static func join(_ path: String, _ name: String) -> String {
        path.isEmpty ? name : name.isEmpty ? path : path + "." + name
    }

    /// `runningMean` as `running_mean`; the prefix of lazy properties is removed.
    static func snakeCase(_ label: String) -> String {
        let lazyPrefix = "$__lazy_storage_$_"
        var result = ""
        for character in label.hasPrefix(lazyPrefix) ? label.dropFirst(lazyPrefix.count) : label[...] {
            if character.isUppercase {
                if !result.isEmpty { result.append("_") }
                result += character.lowercased()
            } else {
                result.append(character)
            }
        }
        return result
    }

    /// One line for each module: path, type, its own parameters' shapes, and how many numbers are in it and below.
    var description: String {
        var lines: [String] = []
        for module in modules {
            let path = module.name.split(separator: ".")
            let prefix = module.name.isEmpty ? "" : module.name + "."
            let below = parameters.filter { $0.name.hasPrefix(prefix) }
            let own = below.compactMap { parameter -> String? in
                let name = parameter.name.dropFirst(prefix.count)
                return name.contains(".") ? nil : "\(name) \(parameter.item.shape)"
            }
            var line = String(repeating: "  ", count: path.count)
            if let name = path.last { line += name + ": " }
            line += "\(type(of: module.item))"
            if !own.isEmpty { line += " (" + own.joined(separator: ", ") + ")" }
            let total = below.reduce(0) { $0 + $1.item.count }
            if total > 0 { line += "  \(grouped(total))" }
            lines.append(line)
        }
        let total = parameters.reduce(0) { $0 + $1.item.count }
        let trained = parameters.reduce(0) { $0 + ($1.item.isTrainable ? $1.item.count : 0) }
        lines.append("\(grouped(total)) parameters" + (trained == total ? "" : ", \(grouped(trained)) trained"))
        return lines.joined(separator: "\n")
    }
}

/// A whole number with commas between groups of three digits.
private func grouped(_ number: Int) -> String {
    var digits = String(number)
    var tail = ""
    while digits.count > 3 {
        tail = "," + digits.suffix(3) + tail
        digits.removeLast(3)
    }
    return digits + tail
}
