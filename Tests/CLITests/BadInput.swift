import Fledge
import FledgeTesting
import Foundation

/// One kind of bad input: what is given, and how the command must end.
struct BadInput {
    let name: String
    /// The exit status.
    let status: Int32
    /// Words that must stand in the message.
    let says: [String]
    /// Makes the input in an empty folder, and gives the arguments.
    let arguments: (TemporaryFolder) throws -> [String]

    init(_ name: String, _ status: Int32, says: String..., arguments: @escaping (TemporaryFolder) throws -> [String]) {
        self.name = name
        self.status = status
        self.says = says
        self.arguments = arguments
    }

    /// `fledge learn` on data that `make` writes.
    private static func learning(
        _ name: String, _ says: String..., make: @escaping (TemporaryFolder) throws -> Void
    ) -> BadInput {
        BadInput(name, 3, says: says) { folder in
            try make(folder)
            return ["learn", folder.path, "--labels-per-class", "1", "--out", folder.path + "/run"]
        }
    }

    /// `fledge data inspect` on a file that `make` writes.
    private static func inspecting(
        _ name: String, _ says: String..., file: String, _ bytes: @autoclosure @escaping () throws -> [UInt8]
    ) -> BadInput {
        BadInput(name, 3, says: says) { folder in
            try folder.write(file, try bytes())
            return ["data", "inspect", folder.path + "/" + file]
        }
    }

    private static func table(_ name: String, _ says: String..., text: String, options: [String] = []) -> BadInput {
        BadInput(name, 3, says: says) { folder in
            try folder.write("t.csv", text)
            return ["data", "inspect", folder.path + "/t.csv"] + options
        }
    }

    /// `fledge train` on sound data with wrong settings or options, given as they are typed.
    private static func training(
        _ name: String, _ status: Int32 = 2, says: String..., method: String = "supervised", given options: String
    ) -> BadInput {
        BadInput(name, status, says: says) { folder in
            ["train", method, "--data", try Samples.shared.get().images, "--out", folder.path + "/run"]
                + options.split(separator: " ").map(String.init)
        }
    }

    private init(
        _ name: String, _ status: Int32, says: [String], arguments: @escaping (TemporaryFolder) throws -> [String]
    ) {
        self.name = name
        self.status = status
        self.says = says
        self.arguments = arguments
    }

    static var data: [BadInput] {
        [
            learning("empty folder", "holds no samples") { _ in },
            BadInput("missing path", 3, says: "no such file or folder", "Check the path") { folder in
                ["learn", folder.path + "/nothing", "--labels-per-class", "1"]
            },
            learning("one class", "one class only ('a')") { folder in
                for i in 0..<3 { try folder.write("train/a/\(i).png", Samples.png(i)) }
            },
            learning("no labels", "has no labels", "class folders or a label column") { folder in
                for i in 0..<3 { try folder.write("\(i).png", Samples.png(i)) }
            },
            learning("no test split", "has no test split", "--hold-out 0.2") { folder in
                for i in 0..<3 { for name in ["a", "b"] { try folder.write("\(name)/\(i).png", Samples.png(i)) } }
            },
            BadInput("too few labels", 3, says: "class 'b' has 2 labelled samples", "Ask for fewer") { folder in
                for name in ["train/a/1", "train/a/2", "train/a/3", "train/b/1", "train/b/2", "test/a/1"] {
                    try folder.write(name + ".png", Samples.png())
                }
                return ["learn", folder.path, "--labels-per-class", "3", "--out", folder.path + "/run"]
            },
            learning("truncated JPEG", "x.jpg cannot be decoded", "replace it or take it out") { folder in
                let picture = ImageBuffer(
                    width: 64, height: 64, channels: 3, pixels: (0..<12288).map { UInt8($0 * $0 % 251) })
                let jpeg = try ImageCodec.jpeg(picture)
                for i in 0..<3 {
                    for name in ["a", "b"] { try folder.write("train/\(name)/\(i).png", Samples.png(i)) }
                }
                try folder.write("train/b/x.jpg", Array(jpeg.prefix(jpeg.count / 2)))
            },
            learning("many damaged pictures", "2 of 6 samples are damaged", "--maximum-damaged", "train/b/x.png") {
                folder in
                for i in 0..<2 {
                    for name in ["a", "b"] { try folder.write("train/\(name)/\(i).png", Samples.png(i)) }
                }
                try folder.write("train/b/x.png", [])
                try folder.write("train/b/y.png", Array(Samples.png().prefix(40)))
            },
            learning("not an image", "x.png cannot be decoded") { folder in
                for name in ["a", "b"] { try folder.write("train/\(name)/1.png", Samples.png()) }
                try folder.write("train/b/x.png", "this is text")
            },
            learning("wrong IDX magic", "should begin with") { folder in
                try folder.write("train-images-idx3-ubyte", [1, 2, 3, 4] + [UInt8](repeating: 0, count: 100))
                try folder.write("train-labels-idx1-ubyte", Samples.idx([2], [0, 1]))
            },
            learning("IDX ends too early", "is cut short") { folder in
                try folder.write("train-images-idx3-ubyte", Samples.idx([4, 8, 8], [UInt8](repeating: 0, count: 100)))
                try folder.write("train-labels-idx1-ubyte", Samples.idx([4], [0, 1, 0, 1]))
            },
            learning("pictures and labels differ in number", "does not fit together") { folder in
                try folder.write("train-images-idx3-ubyte", Samples.idx([4, 8, 8], Samples.halves(4)))
                try folder.write("train-labels-idx1-ubyte", Samples.idx([3], [0, 1, 0]))
            },
            learning("label out of range", "sample 1 has label 7") { folder in
                for (split, labels) in [("train", [UInt8]([0, 1])), ("t10k", [1, 7])] {
                    try folder.write("\(split)-images-idx3-ubyte", Samples.idx([2, 8, 8], Samples.halves(2)))
                    try folder.write("\(split)-labels-idx1-ubyte", Samples.idx([2], labels))
                }
            },
            learning("CIFAR record cut", "is cut short", "records of 3073") { folder in
                try folder.write("data_batch_1.bin", [UInt8](repeating: 0, count: 3072))
            },
            table("NaN in a table", "row 3, column 'b'", "not a finite number", text: "a,b,label\n1,2,x\n3,nan,y\n"),
            table("empty cell", "row 2, column 'a'", "the cell is empty", text: "a,b,label\n,2,x\n3,4,y\n"),
            table(
                "text in a column of numbers", "column 'b' holds text", "--drop-column",
                text: "a,b,label\n1,red,x\n2,blue,y\n"),
            table("ragged row", "row 3 has 2 cells", text: "a,b,label\n1,2,x\n3,4\n"),
            table("empty table", "t.csv", text: ""),
            table(
                "no such label column", "no column 'z'", "'a', 'b'", text: "a,b\n1,x\n2,y\n",
                options: ["--label-column", "z"]),
            inspecting(
                "npz without known arrays", "no column", "foo", file: "d.npz",
                try Npz.bytes([("foo", NpyArray([1, 2] as [Float], shape: [2]))])),
            inspecting(
                "npy with pickled objects", "never loaded", file: "d.npy",
                header("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }")),
            inspecting(
                "truncated npy", "d.npy", file: "d.npy",
                Array(NpyArray([Float](repeating: 1, count: 64), shape: [32, 2]).npyBytes().dropLast(9))),
            inspecting("unknown form", "no form that is known", file: "d.xyz", Array("hello".utf8)),
            BadInput("pictures for a table's network", 3, says: "rows of 3 numbers", "trained on") { folder in
                let samples = try Samples.shared.get()
                let run = folder.path + "/run"
                let made = try CommandLineTool.run(
                    "train", "supervised", "--data", samples.table, "--out", run, "--set", "training.steps=1")
                guard made.status == 0 else { return [made.error] }
                return ["predict", run, "--data", samples.images]
            },
        ]
    }

    static var usage: [BadInput] {
        [
            BadInput("no labels asked for", 2, says: "must be 1 or more") { _ in
                ["learn", "digits", "--labels-per-class", "0"]
            },
            BadInput("a negative number of labels", 2, says: "labels-per-class") { _ in
                ["learn", "digits", "--labels-per-class=-3"]
            },
            BadInput("a number of labels that is none", 2, says: "'many'") { _ in
                ["learn", "digits", "--labels-per-class", "many"]
            },
            BadInput("a missing option", 2, says: "--data") { _ in ["train", "fixmatch"] },
            BadInput("unknown option", 2, says: "Did you mean '--seed'?") { _ in
                ["learn", "digits", "--labels-per-class", "1", "--sede", "3"]
            },
            BadInput("a simulation of a method without classes", 2, says: "cannot be asked for classes") { folder in
                ["active", "digits", "--method", "simclr", "--out", folder.path + "/run"]
            },
            BadInput("more labels to start from than there are", 2, says: "give a lower --start") { folder in
                [
                    "active", try Samples.shared.get().images, "--start", "5000", "--until", "6000", "--out",
                    folder.path + "/run",
                ]
            },
            BadInput("unknown command", 2, says: "did you mean 'learn'?") { _ in ["lern", "digits"] },
            training(
                "unknown method", says: "no method \"fixmach\"", "did you mean fixmatch", method: "fixmach", given: ""),
            training("unknown network", says: "no network 'resnet19'", "'resnet18'", given: "--model resnet19"),
            training("unknown setting", says: "no setting 'batchsize'", "'batchSize'", given: "--set batchsize=3"),
            training("setting of the wrong type", says: "a whole number", given: "--set batchSize=lots"),
            training("setting without a value", says: "name=value", given: "--set batchSize"),
            training("batch of nothing", says: "'batchSize' cannot be '0'", "at least 2", given: "--set batchSize=0"),
            training(
                "negative learning rate", says: "learningRate", "at least 0", given: "--set training.learningRate=-1"),
            training(
                "probability above 1", says: "threshold", "at most 1", method: "fixmatch", given: "--set threshold=1.5"),
            training("nothing to accumulate", says: "accumulation", given: "--set training.accumulation=0"),
            training("negative workers", says: "--workers must be", given: "--workers=-1"),
            training("picture of no pixels", says: "--image-size must be", given: "--image-size 0"),
            training("negative seed", says: "--seed must be 0 or more", given: "--seed=-1"),
            training("share above 1", says: "--hold-out must be between 0 and 1", given: "--hold-out 1.5"),
            training("unknown choice", says: "one of sgd, adam", given: "--set training.optimizer=newton"),
            BadInput("settings that are no YAML", 2, says: "settings.yaml", "line") { folder in
                try folder.write("settings.yaml", "settings:\n  batchSize: [1\n")
                return ["train", "supervised", "--data", "digits", "--settings", folder.path + "/settings.yaml"]
            },
            BadInput("no such file of settings", 2, says: "no such file") { folder in
                ["train", "supervised", "--data", "digits", "--settings", folder.path + "/nothing.yaml"]
            },
            BadInput("run folder in use", 2, says: "is not empty", "--overwrite") { folder in
                try folder.write("run/notes.txt", "mine")
                return [
                    "train", "supervised", "--data", try Samples.shared.get().images, "--out", folder.path + "/run",
                ]
            },
            BadInput("run folder below a file", 2, says: "a part of the path is a file") { folder in
                try folder.write("file", "text")
                return [
                    "train", "supervised", "--data", try Samples.shared.get().images, "--out",
                    folder.path + "/file/run",
                ]
            },
            BadInput("run folder where nothing can be made", 2, says: "cannot make the folder", "/proc/run") { _ in
                ["train", "supervised", "--data", try Samples.shared.get().images, "--out", "/proc/run"]
            },
            BadInput("not the folder of a run", 2, says: "not the folder of a run", "run.yaml") { folder in
                ["evaluate", folder.path, "--data", "digits"]
            },
            BadInput("rotation of a table", 2, says: "views are made of pictures") { folder in
                ["train", "rotation", "--data", try Samples.shared.get().table, "--out", folder.path + "/run"]
            },
            BadInput("no positive class", 2, says: "which class is the positive one", "positive=NAME") { folder in
                ["train", "nnpu", "--data", try Samples.shared.get().images, "--out", folder.path + "/run"]
            },
            BadInput("no tags", 2, says: "no tags to learn from") { folder in
                ["train", "hashtags", "--data", "digits", "--out", folder.path + "/run"]
            },
            BadInput("no votes", 2, says: "no votes to learn from") { folder in
                ["train", "label-model", "--data", try Samples.shared.get().images, "--out", folder.path + "/run"]
            },
            BadInput("classes of a run that has none", 2, says: "learned no classes", "fledge train") { _ in
                let samples = try Samples.shared.get()
                return ["predict", samples.features, "--data", samples.images]
            },
            BadInput("accuracy of a run that has no classes", 2, says: "--probe linear") { _ in
                let samples = try Samples.shared.get()
                return ["evaluate", samples.features, "--data", samples.images]
            },
            BadInput("other classes", 2, says: "the classes differ") { _ in
                ["evaluate", try Samples.shared.get().run, "--data", "digits"]
            },
        ]
    }

    static var weights: [BadInput] {
        [
            model("a model that is no safetensors file", says: ["model.safetensors"]) { _, path in
                try AtomicFile.write(Array("these are no weights at all".utf8), to: path)
            },
            model("a model cut short", says: ["model.safetensors"]) { bytes, path in
                try AtomicFile.write(Array(bytes.dropLast(100)), to: path)
            },
            model("a model with a damaged header", says: ["model.safetensors"]) { bytes, path in
                var bytes = bytes
                bytes[8] = 0
                try AtomicFile.write(bytes, to: path)
            },
            model("weights of another program", says: ["no description of a network"]) { _, path in
                try Safetensors.save(["a": Tensor([1.0, 2.0])], to: path)
            },
            BadInput(
                "weights that do not fit", 4,
                says:
                    "missing: conv.1.weight", "unexpected: extra", "misshapen: conv.0.weight"
            ) { folder in
                var random = RandomSource(seed: 0)
                var state = try Models.make("small-conv", inputShape: [8, 8, 3], random: &random).state()
                state["conv.1.weight"] = nil
                state["extra"] = Tensor([1.0])
                state["conv.0.weight"] = Tensor.zeros([1, 2, 3])
                let file = folder.path + "/weights.safetensors"
                try Safetensors.save(state, to: file)
                return [
                    "embed", "--model", "small-conv", "--weights", file, "--data", try Samples.shared.get().images,
                    "--out",
                    folder.path + "/e.npz",
                ]
            },
            BadInput("a run of another network", 4, says: "the weights do not fit the network", "missing: ") { folder in
                let samples = try Samples.shared.get()
                return [
                    "train", "supervised", "--data", samples.images, "--model", "mlp", "--weights", samples.run,
                    "--out",
                    folder.path + "/run",
                ]
            },
            training(
                "learning rate far too large", 5, says: "is not a finite number", "smaller learning rate",
                given: "--set training.learningRate=1e30 --set training.steps=20 --set training.optimizer=sgd"),
        ]
    }

    /// `fledge predict` with a model file that is made of the bytes of a sound one.
    private static func model(
        _ name: String, says: [String], _ make: @escaping ([UInt8], String) throws -> Void
    ) -> BadInput {
        BadInput(name, 4, says: says) { folder in
            let samples = try Samples.shared.get()
            let path = folder.path + "/model.safetensors"
            try make(try FileBytes.read(samples.run + "/model.safetensors"), path)
            return ["predict", path, "--data", samples.images]
        }
    }

    /// An npy file of version 1.0 with this header and no data.
    private static func header(_ text: String) -> [UInt8] {
        let padded = text + String(repeating: " ", count: (64 - (11 + text.utf8.count) % 64) % 64) + "\n"
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(padded.utf8.count), 0] + Array(padded.utf8)
            + [UInt8](repeating: 0, count: 16)
    }
}
