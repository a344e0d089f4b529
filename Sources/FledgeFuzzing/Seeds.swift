import FledgeCore
import FledgeData
import FledgeTrain
import Foundation

/// Sound inputs of each format, small and varied.
public enum Seeds {
    @Sendable static func safetensors() throws -> [[UInt8]] {
        func file(_ header: String, _ data: [UInt8]) -> [UInt8] {
            let text = Array(header.utf8)
            return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + data
        }
        let zeros = [UInt8](repeating: 0, count: 64)
        return [
            file("{}", []),
            file(#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#, Array(zeros.prefix(16))),
            file(
                #"{"__metadata__":{"k":"vä\n"},"b":{"dtype":"BOOL","shape":[3],"data_offsets":[8,11]},"#
                    + #""a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}  "#, Array(zeros.prefix(11))),
            file(
                #"{"h":{"dtype":"F16","shape":[0,9],"data_offsets":[0,0]},"i":{"dtype":"I64","shape":[1,1,2],"#
                    + #""data_offsets":[0,16]},"u":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}"#,
                Array(zeros.prefix(24))),
        ]
    }

    @Sendable static func index() -> [[UInt8]] {
        [
            #"{"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors"}}"#,
            #"{"metadata":{"n":1e3},"weight_map":{}}"#,
            #"[1,-2.5,"\u00e4\ud83d\ude00",null,true,false,{"a":[[]]}]"#,
        ].map { Array($0.utf8) }
    }

    @Sendable static func npy() -> [[UInt8]] {
        var big = NpyArray([Float(1), 2, 3, 4, 5, 6], shape: [2, 3])
        big.fortranOrder = true
        return [
            NpyArray([Float(1), 2], shape: [2]), big, NpyArray([Int64(3)], shape: []), NpyArray(["ab", "ä"]),
            NpyArray([UInt8(1), 2, 3, 4], shape: [1, 2, 2, 1]), NpyArray([Double](), shape: [0, 3]),
            NpyArray(dtype: ">i2", shape: [2], data: [0, 1, 2, 3]), NpyArray(dtype: "<f2", shape: [1], data: [0, 60]),
            NpyArray(dtype: "|b1", shape: [2], data: [0, 1]), NpyArray(dtype: "|S3", shape: [1], data: [97, 98, 0]),
        ].map { $0.npyBytes() }
    }

    @Sendable static func npz() throws -> [[UInt8]] {
        let arrays = [
            (name: "x", array: NpyArray([Float(1), 2, 3, 4], shape: [2, 2])),
            (name: "y", array: NpyArray([Int64(0), 1], shape: [2])),
        ]
        return [
            try Npz.bytes(arrays), try Npz.bytes(arrays, compressed: false), try Npz.bytes([arrays[0]]),
            [0x50, 0x4B, 5, 6] + [UInt8](repeating: 0, count: 18),
        ]
    }

    @Sendable static func gzip() throws -> [[UInt8]] {
        let text = [UInt8]("some text, some text, some more text".utf8)
        let packed = try Zlib.deflate(text, format: .gzip)
        return [packed, packed + packed, try Zlib.deflate(text, format: .gzip, level: 0)]
    }

    @Sendable static func idx() -> [[UInt8]] {
        let images: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3] + (0..<12)
        let colour: [UInt8] = [0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3] + (0..<12)
        return [images, colour, (try? Zlib.deflate(images, format: .gzip)) ?? []]
    }

    @Sendable static func cifar() -> [[UInt8]] {
        func record(_ label: UInt8) -> [UInt8] { [label] + (0..<3072).map { UInt8($0 & 255) } }
        return [record(0) + record(1), record(9)]
    }

    @Sendable static func votes() -> [[UInt8]] {
        ["id,one,two\nb,x,\na,-1,y\n", "one;two\nx;x\n;\"y\"\n"].map { Array($0.utf8) }
    }

    @Sendable static func tags() -> [[UInt8]] {
        ["id,tags\na,#x y\nb,y\n", "file;tags\nb;\"#Z;y\"\n"].map { Array($0.utf8) }
    }

    @Sendable static func labels() -> [[UInt8]] {
        ["id,label\na,x\nb,y\n", "label;file\n\"x;\"\"y\";a.png\n;b.png\n"].map { Array($0.utf8) }
    }

    @Sendable static func csv() -> [[UInt8]] {
        [
            "a,b,label\n1,2,x\n3,4,y\n", "1,2,0\n3,4,1\n", "a;b;class\r\n1;2;\"x;\"\"y\"\r\n3;4;z\r\n",
            "id\ta\ttype\nn1\t1e3\tu\nn2\t-.5\tv\n", "\u{FEFF}f,label\n\"1\n\",x\n2,y",
            "file,label\na.jpg,x\nb.png,y\n",
            "a,b,label\n1,,x\n3,nan,y\n5\n", "name,a,label\nq,1,x\nr,2,y\ns,3,x\n",
        ].map { Array($0.utf8) }
    }

    private static func picture(_ channels: Int) -> ImageBuffer {
        ImageBuffer(
            width: 19, height: 17, channels: channels,
            pixels: (0..<(19 * 17 * channels)).map { UInt8($0 * $0 % 251) })
    }

    @Sendable static func jpeg() throws -> [[UInt8]] {
        [
            try ImageCodec.jpeg(picture(3), quality: 60), try ImageCodec.jpeg(picture(1), quality: 30),
            try ImageCodec.jpeg(picture(3), quality: 95), progressive,
        ]
    }

    @Sendable static func png() throws -> [[UInt8]] {
        [try ImageCodec.png(picture(3)), try ImageCodec.png(picture(1)), try ImageCodec.png(picture(4))]
    }

    @Sendable static func metrics() -> [[UInt8]] {
        let texts: [String] = [
            #"{"loss":2.5,"stage":"train","step":1}"#, #"{"loss":null,"stage":"train","step":2}"#,
            "{\"accuracy\":0.5,\"step\":3.0}\n\n{\"cut\":", #"{"step":1,"nested":{"a":[1]},"step2":-1e-3}"#,
        ]
        return texts.map { Array($0.utf8) } + [Array(texts.joined(separator: "\n").utf8)]
    }

    @Sendable static func manifest() -> [[UInt8]] {
        let digest = String(repeating: "0a", count: 32)
        return [["state.json": digest, "state.safetensors": digest], [:]].map {
            Array(CheckpointManifest(digests: $0).text.utf8)
        }
    }

    @Sendable static func settings() throws -> [[UInt8]] {
        [
            Array(try YAMLText.write(TrainingSettings()).utf8), Array("steps: 5\nlearningRate: 1e-3\n".utf8),
            Array("# nothing\n---\nsteps: \"5\"\noptimizer: [a, 'b', {c: d}]\n".utf8),
            Array("a: &x {b: 1}\nc: |\n  text\n  more\nd: >-\n  e\n".utf8),
        ]
    }

    /// A progressive JPEG of 16 x 16 pixels; our own encoder writes none.
    public static let progressive: [UInt8] = Array(
        Data(
            base64Encoded: """
                /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7\
                gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8\
                fHx8fHx8fHz/wgARCAAQABADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABAMF/8QAFQEBAQAAAAAAAAAAAAAAAAAAAQP/\
                2gAMAwEAAhADEAAAAc9N1Rf/xAAWEAEBAQAAAAAAAAAAAAAAAAACAAH/2gAIAQEAAQUCwWCIiL//xAAVEQEBAAAAAAAAAAAAAAAA\
                AAADAP/aAAgBAwEBPwEWv//EABYRAQEBAAAAAAAAAAAAAAAAAAEAEf/aAAgBAgEBPwEdv//EABQQAQAAAAAAAAAAAAAAAAAAACD/\
                2gAIAQEABj8CH//EABQQAQAAAAAAAAAAAAAAAAAAACD/2gAIAQEAAT8hFB//2gAMAwEAAgADAAAAEKP/xAAVEQEBAAAAAAAAAAAA\
                AAAAAAAAEf/aAAgBAwEBPxCD/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAgEBPxAf/8QAFxABAAMAAAAAAAAAAAAAAAAAACEx\
                Yf/aAAgBAQABPxDJmohTD//Z
                """) ?? Data())
}
