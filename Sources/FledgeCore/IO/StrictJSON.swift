/// JSON (RFC 8259) from a source that is not trusted: one value and nothing after it but space, valid UTF-8, no key
/// twice, nesting limited, numbers kept as their digits.
package enum StrictJSON: Equatable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([StrictJSON])
    /// In the order of the text.
    case object([Member])

    package struct Member: Equatable {
        package let key: String
        package let value: StrictJSON
    }

    package struct Failure: Error, Equatable {
        /// Where in the text, in bytes.
        package let offset: Int
        package let reason: String
        /// The key that occurs twice, where that is the reason.
        package var duplicateKey: String?
    }

    static let depthLimit = 32

    package static func parse(_ bytes: [UInt8]) throws(Failure) -> StrictJSON {
        var parser = Parser(bytes: bytes)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        if parser.position < bytes.count { throw parser.failure("text after the end of the value") }
        return value
    }

    package subscript(key: String) -> StrictJSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// A whole number that is not negative and fits; nil for anything else.
    package var count: Int? {
        guard case .number(let digits) = self, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return Int(digits)
    }

    /// The value of a finite number.
    package var double: Double? {
        guard case .number(let digits) = self, let value = Double(digits), value.isFinite else { return nil }
        return value
    }

    package var text: String? { if case .string(let text) = self { text } else { nil } }
    package var members: [Member]? { if case .object(let members) = self { members } else { nil } }
    package var elements: [StrictJSON]? { if case .array(let elements) = self { elements } else { nil } }

    /// `text` as a JSON string, with quotes.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private struct Parser {
        let bytes: [UInt8]
        var position = 0

        func failure(_ reason: String) -> Failure { Failure(offset: position, reason: reason) }

        var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func skipSpace() {
            while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
        }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            skipSpace()
            guard next == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func value(depth: Int) throws(Failure) -> StrictJSON {
            if depth > StrictJSON.depthLimit { throw failure("nested deeper than \(StrictJSON.depthLimit)") }
            skipSpace()
            switch next {
            case UInt8(ascii: "{"): return try object(depth)
            case UInt8(ascii: "["): return try array(depth)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"): return try word("true", .bool(true))
            case UInt8(ascii: "f"): return try word("false", .bool(false))
            case UInt8(ascii: "n"): return try word("null", .null)
            case nil: throw failure("the text ends where a value should be")
            default: return try number()
            }
        }

        mutating func object(_ depth: Int) throws(Failure) -> StrictJSON {
            position += 1
            var members: [Member] = []
            var keys: Set<String> = []
            if take("}") { return .object([]) }
            repeat {
                skipSpace()
                guard next == UInt8(ascii: "\"") else { throw failure("a key in quotes is missing") }
                let start = position
                let key = try string()
                guard keys.insert(key).inserted else {
                    throw Failure(
                        offset: start, reason: "the key \(StrictJSON.quoted(key)) occurs twice", duplicateKey: key)
                }
                guard take(":") else { throw failure("':' is missing after a key") }
                members.append(Member(key: key, value: try value(depth: depth + 1)))
            } while take(",")
            guard take("}") else { throw failure("',' or '}' is missing") }
            return .object(members)
        }

        mutating func array(_ depth: Int) throws(Failure) -> StrictJSON {
            position += 1
            var elements: [StrictJSON] = []
            if take("]") { return .array([]) }
            repeat { elements.append(try value(depth: depth + 1)) } while take(",")
            guard take("]") else { throw failure("',' or ']' is missing") }
            return .array(elements)
        }

        mutating func word(_ word: StaticString, _ value: StrictJSON) throws(Failure) -> StrictJSON {
            let end = position + word.utf8CodeUnitCount
            guard end <= bytes.count, "\(word)".utf8.elementsEqual(bytes[position..<end]) else {
                throw failure("this is no JSON value")
            }
            position = end
            return value
        }

        mutating func number() throws(Failure) -> StrictJSON {
            let start = position
            func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 >= 0x30 && $0 <= 0x39 } ?? false }
            if next == UInt8(ascii: "-") { position += 1 }
            guard isDigit(next) else { throw failure("this is no JSON value") }
            let leadingZero = next == 0x30
            position += 1
            if leadingZero, isDigit(next) { throw failure("a number begins with 0") }
            while isDigit(next) { position += 1 }
            if next == UInt8(ascii: ".") {
                position += 1
                guard isDigit(next) else { throw failure("a digit is missing after the point") }
                while isDigit(next) { position += 1 }
            }
            if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
                position += 1
                if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
                guard isDigit(next) else { throw failure("a digit is missing in the exponent") }
                while isDigit(next) { position += 1 }
            }
            return .number(String(decoding: bytes[start..<position], as: UTF8.self))
        }

        mutating func string() throws(Failure) -> String {
            position += 1
            var text: [UInt8] = []
            while let byte = next {
                position += 1
                switch byte {
                case UInt8(ascii: "\""):
                    guard let string = String(validating: text, as: UTF8.self) else {
                        throw failure("a string is not valid UTF-8")
                    }
                    return string
                case UInt8(ascii: "\\"): text += try escape()
                case 0..<0x20: throw failure("a control character in a string")
                default: text.append(byte)
                }
            }
            throw failure("a string does not end")
        }

        /// What follows a backslash, as UTF-8.
        mutating func escape() throws(Failure) -> [UInt8] {
            guard let byte = next else { throw failure("a string does not end") }
            position += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
            case UInt8(ascii: "b"): return [0x08]
            case UInt8(ascii: "f"): return [0x0C]
            case UInt8(ascii: "n"): return [0x0A]
            case UInt8(ascii: "r"): return [0x0D]
            case UInt8(ascii: "t"): return [0x09]
            case UInt8(ascii: "u"): break
            default: throw failure("an unknown escape in a string")
            }
            var code = try hexadecimal()
            if code >= 0xD800, code < 0xDC00 {
                // Characters beyond 16 bits come as a pair.
                guard next == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u")
                else { throw failure("half of a surrogate pair") }
                position += 2
                let low = try hexadecimal()
                guard low >= 0xDC00, low < 0xE000 else { throw failure("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair") }
            return Array(String(Character(scalar)).utf8)
        }

        mutating func hexadecimal() throws(Failure) -> UInt32 {
            guard position + 4 <= bytes.count else { throw failure("four hexadecimal digits are missing") }
            var code: UInt32 = 0
            for byte in bytes[position..<(position + 4)] {
                guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                    throw failure("four hexadecimal digits are missing")
                }
                code = code << 4 | UInt32(digit)
            }
            position += 4
            return code
        }
    }
}
