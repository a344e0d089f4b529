import Foundation

/// One folder of images per class, with or without folders train/, test/ and val/ around them. A folder unlabelled/
/// beside the classes or the splits holds training images without labels.
enum ClassFolderReader {
    private static let unlabelled: Set<String> = ["unlabelled", "unlabeled"]
    /// Folder names of segmentation and detection sets, which look like classes and are none.
    private static let notClasses: Set<String> = ["images", "masks", "labels", "annotations"]

    static func open(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        let layout = Layout(location.folders)
        var notes: [String] = []
        let trainRoot = layout.train ?? ""
        guard let train = try entries(location, below: trainRoot, notes: &notes) else { return nil }
        var samples = train.entries
        if layout.train != nil {
            for name in layout.left where unlabelled.contains(name.lowercased()) {
                let images = try DataLocation.images(in: location.child(name), root: location.path)
                samples += images.paths.map { ImageFiles.Entry(id: $0, label: nil) }
            }
            let ignored = layout.left.filter { !unlabelled.contains($0.lowercased()) }
            if !ignored.isEmpty {
                notes.append("left out, as beside \(trainRoot)/: \(ignored.map { $0 + "/" }.joined(separator: ", "))")
            }
        }
        var splits = [samples]
        for name in [layout.test, layout.validation] {
            guard let name else {
                splits.append([])
                continue
            }
            var found = try entries(location, below: name, notes: &notes)?.entries
            if found == nil {
                found = try DataLocation.images(in: location.child(name), root: location.path).paths
                    .map { ImageFiles.Entry(id: $0, label: nil) }
                if found?.isEmpty == false { notes.append("\(name)/ has no class folders: its samples are unlabelled") }
            }
            splits.append(found ?? [])
        }
        let names = ClassIndex.sorted(train.classes)
        let files = try ImageFiles.open(splits, root: location.path, classNames: names, options: options)
        var data = OpenedData(
            source: location.path, format: .classFolders,
            reason: "class folders: \(trainRoot.isEmpty ? "it" : trainRoot + "/") has \(names.count) folders of images",
            notes: notes, train: files.datasets[0], damaged: files.damaged)
        data.test = splits[1].isEmpty ? nil : files.datasets[1]
        data.validation = splits[2].isEmpty ? nil : files.datasets[2]
        if data.test == nil, let validation = data.validation {
            data.test = validation
            data.validation = nil
            data.notes.append("no test/: \(layout.validation ?? "val")/ serves as the test split")
        }
        return data
    }

    /// Which of the folders are splits.
    private struct Layout {
        var train, test, validation: String?
        var left: [String] = []

        init(_ folders: [String]) {
            for name in folders {
                switch name.lowercased() {
                case "train", "training": train = name
                case "test", "testing": test = name
                case "val", "valid", "validation", "dev": validation = name
                default: left.append(name)
                }
            }
            // Without train/ the others are classes of their own, as "test" may be.
            if train == nil {
                test = nil
                validation = nil
                left = folders
            }
        }
    }

    /// The images of the class folders below `name`, or nil where there are none.
    private static func entries(
        _ location: DataLocation, below name: String, notes: inout [String]
    ) throws -> (entries: [ImageFiles.Entry], classes: [String])? {
        let folder = name.isEmpty ? location.path : location.child(name)
        let (files, folders) = try DataLocation.list(folder)
        var entries: [ImageFiles.Entry] = []
        var classes: [String] = []
        var empty: [String] = []
        var others = 0
        for className in folders {
            let images = try DataLocation.images(in: folder + "/" + className, root: location.path)
            others += images.others
            if images.paths.isEmpty {
                empty.append(className)
                continue
            }
            let label: String? = unlabelled.contains(className.lowercased()) ? nil : className
            if let label { classes.append(label) }
            entries += images.paths.map { ImageFiles.Entry(id: $0, label: label) }
        }
        guard !classes.isEmpty else { return nil }
        if Set(classes.map { $0.lowercased() }).isSubset(of: notClasses) { return nil }
        if !empty.isEmpty {
            notes.append("folders without images: \(empty.prefix(8).joined(separator: ", "))")
        }
        let loose = files.filter(DataLocation.isImage).count
        if loose > 0 { notes.append("\(loose) images beside the class folders were left out") }
        if others > 0 { notes.append("\(others) other files in the class folders were left out") }
        return (entries, classes)
    }
}

/// Images without labels: in the folder itself, or in its only folder of images.
enum ImageFolderReader {
    static func open(_ location: DataLocation, _ options: DataOptions) throws -> OpenedData? {
        var folder = ""
        if !location.files.contains(where: DataLocation.isImage) {
            guard location.folders.contains("images"), !location.folders.contains("masks") else { return nil }
            folder = "images"
        }
        let place = folder.isEmpty ? location.path : location.child(folder)
        let names = try DataLocation.list(place).files.filter(DataLocation.isImage)
        guard !names.isEmpty else { return nil }
        let entries = names.map { ImageFiles.Entry(id: folder.isEmpty ? $0 : folder + "/" + $0, label: nil) }
        let files = try ImageFiles.open([entries], root: location.path, classNames: [], options: options)
        return OpenedData(
            source: location.path, format: .imageFolder,
            reason: "a folder of images: \(names.count) JPEG or PNG files, no class folders and no table of labels",
            train: files.datasets[0], damaged: files.damaged)
    }
}
