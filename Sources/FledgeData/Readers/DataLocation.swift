import FledgeCore
import Foundation

/// A path with what lies directly in it.
struct DataLocation {
    let path: String
    let isFolder: Bool
    /// Names of the plain files in the folder, sorted; hidden files are left out.
    let files: [String]
    /// Names of the folders in the folder, sorted; hidden ones are left out.
    let folders: [String]

    init(_ path: String) throws {
        var folder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &folder) else {
            throw DataError.unreadable(path: path, reason: "no such file or folder")
        }
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        isFolder = folder.boolValue
        (files, folders) = folder.boolValue ? try Self.list(path) : ([], [])
    }

    /// The name without its folder, in lower case.
    var name: String { path.lastPathComponent.lowercased() }

    func child(_ name: String) -> String { path + "/" + name }

    /// What is there, for messages.
    var summary: String {
        guard isFolder else { return "a file named \(path.lastPathComponent)" }
        let kinds = Dictionary(grouping: files) { $0.pathExtension.lowercased() }
            .map { "\($0.value.count) \($0.key.isEmpty ? "without extension" : "." + $0.key)" }.sorted()
        return "a folder with \(folders.count) folders and \(files.count) files"
            + (kinds.isEmpty ? "" : " (\(kinds.joined(separator: ", ")))")
    }

    /// Whether there is no plain file in the folder and in the folders directly in it.
    func holdsNoFile() throws -> Bool {
        guard files.isEmpty else { return false }
        return try folders.allSatisfy { name in
            let below = try Self.list(child(name))
            return below.files.isEmpty && below.folders.isEmpty
        }
    }

    /// The names of plain files and of folders in a folder, both sorted; symbolic links are followed. A
    /// link that leads nowhere counts as a file, so that whoever reads it says so.
    static func list(_ path: String) throws -> (files: [String], folders: [String]) {
        guard let stream = opendir(path) else {
            throw DataError.unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        defer { closedir(stream) }
        var files: [String] = []
        var folders: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix(".") { continue }
            var kind = Int32(entry.pointee.d_type)
            if kind != Int32(DT_DIR), kind != Int32(DT_REG) {
                var status = stat()
                let isFolder = stat(path + "/" + name, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
                kind = isFolder ? Int32(DT_DIR) : Int32(DT_REG)
            }
            if kind == Int32(DT_DIR) { folders.append(name) } else { files.append(name) }
        }
        return (files.sorted(), folders.sorted())
    }

    /// What a file or folder is, whatever it is called.
    struct Identity: Equatable {
        private let device: UInt
        private let number: UInt

        /// nil for a path that leads nowhere.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt(status.st_dev)
            number = UInt(status.st_ino)
        }
    }

    /// Image files below a folder, as sorted paths relative to `root`, and how many other files were passed over. A
    /// link back to a folder above is one of these.
    static func images(
        in folder: String, root: String, above known: [Identity]? = nil
    ) throws -> (paths: [String], others: Int) {
        let above = known ?? ancestors(of: folder, upTo: root)
        guard let identity = Identity(folder), !above.contains(identity) else { return ([], 1) }
        let (files, folders) = try list(folder)
        var paths = files.filter(isImage).map { relative(folder + "/" + $0, to: root) }
        var others = files.count - paths.count
        for name in folders {
            let below = try images(in: folder + "/" + name, root: root, above: above + [identity])
            paths += below.paths
            others += below.others
        }
        return (paths.sorted(), others)
    }

    /// The folders above `folder`, up to `root`.
    private static func ancestors(of folder: String, upTo root: String) -> [Identity] {
        var path = folder
        var found: [Identity] = []
        while path.count > root.count {
            path = path.deletingLastPathComponent
            if let identity = Identity(path) { found.append(identity) }
        }
        return found
    }

    /// Whether a file name has the extension of an image format that can be decoded.
    static func isImage(_ name: String) -> Bool {
        ["jpg", "jpeg", "png"].contains(name.pathExtension.lowercased())
    }

    private static func relative(_ path: String, to root: String) -> String { String(path.dropFirst(root.count + 1)) }

    /// Which split a file or folder name stands for.
    static func split(ofName name: String) -> Split? {
        let lower = name.lowercased()
        if lower.contains("test") || lower.contains("t10k") { return .test }
        if lower.contains("train") { return .train }
        if lower.contains("val") { return .validation }
        return nil
    }

    enum Split { case train, test, validation }

    /// A whole file, inflated where it is gzipped. Throws `DataError`.
    static func bytes(of path: String, options: DataOptions) throws -> [UInt8] {
        let raw: [UInt8]
        do {
            raw = try FileBytes.read(path, limit: options.fileLimit)
        } catch let error as FileError {
            throw DataError.unreadable(path: path, reason: error.reason)
        }
        guard Zlib.isGzip(raw) else { return raw }
        do {
            return try Zlib.inflate(
                raw, format: .gzip, limit: Zlib.expansionLimit(packed: raw.count, limit: options.fileLimit))
        } catch ZlibError.truncated {
            throw DataError.truncated(path: path, reason: "the gzip data ends too early")
        } catch ZlibError.tooLarge(let limit) {
            throw DataError.tooLarge(path: path, reason: "it expands to more than \(limit) bytes")
        } catch let error as ZlibError {
            throw DataError.malformed(path: path, reason: error.description)
        }
    }
}

extension String {
    /// The name without ".gz".
    var withoutGzip: String { hasSuffix(".gz") ? String(dropLast(3)) : self }
}
