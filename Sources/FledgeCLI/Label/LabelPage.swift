import Fledge
import FledgeServe
import FledgeTrack
import Foundation

/// The page of `fledge label --browser`: which address gives what. Samples are asked for by their number and never by a
/// path; what is answered is on the disk before it is confirmed.
///
/// | | |
/// |---|---|
/// | `GET /` | the page, with `label.js`, `label.css` and `icon` beside it |
/// | `GET /state` | `LabelSession.View` as JSON |
/// | `GET /picture/N`, `GET /thumbnail/N` | sample N as PNG |
/// | `POST /answers` | `{"id", "sample", "label"}`, `{"id", "sample", "skip": true}` or `{"id", "undo": true}` |
/// | `POST /classes` | `{"name"}` |
///
/// Both POSTs give the state after them.
struct LabelPage: Sendable {
    let session: LabelSession

    func respond(to request: PageRequest, token: String) -> PageResponse {
        do {
            switch (request.method, request.path) {
            case (.get, "/"):
                return PageResponse(.html, page(token: token))
            case (.get, "/label.css"): return PageResponse(.css, PackageResources.label_css)
            case (.get, "/label.js"): return PageResponse(.javascript, PackageResources.label_js)
            case (.get, "/icon"): return PageResponse(.png, try ImageCodec.png(Self.icon))
            case (.get, "/state"): return try state()
            case (.get, let path) where path.hasPrefix("/picture/"):
                return try picture(path.dropFirst("/picture/".count), side: 640)
            case (.get, let path) where path.hasPrefix("/thumbnail/"):
                return try picture(path.dropFirst("/thumbnail/".count), side: 112)
            case (.post, "/answers"):
                let body = try StrictJSON.parse(request.body)
                guard let id = body["id"]?.text, let action = Self.action(body) else { return Self.notUnderstood }
                try session.answer(action, id: id)
                return try state()
            case (.post, "/classes"):
                guard let name = try StrictJSON.parse(request.body)["name"]?.text else { return Self.notUnderstood }
                try session.addClass(name)
                return try state()
            default: return .notFound
            }
        } catch is StrictJSON.Failure {
            return Self.notUnderstood
        } catch let error as LabelError {
            if case .unwritable = error { return PageResponse(.text, error.description, status: 507) }
            return PageResponse(.text, error.description, status: 409)
        } catch {
            return PageResponse(.text, CommandFailure(error).message, status: 500)
        }
    }

    /// A square of the page's colour.
    private static let icon = ImageBuffer(width: 1, height: 1, channels: 3, pixels: [0x1F, 0x6F, 0x5C])
    private static let notUnderstood = PageResponse(.text, "this request cannot be understood\n", status: 400)

    private static func action(_ body: StrictJSON) -> LabelBook.Action? {
        if body["undo"] == .bool(true) { return .undo }
        guard let sample = body["sample"]?.count else { return nil }
        if body["skip"] == .bool(true) { return .skip(sample: sample) }
        return body["label"]?.text.map { .label(sample: sample, className: $0) }
    }

    private func state() throws -> PageResponse {
        PageResponse(.json, try CanonicalJSON(try session.view(), pretty: false).text)
    }

    private func picture(_ number: Substring, side: Int) throws -> PageResponse {
        guard number.utf8.count <= 12, let sample = Int(number), String(sample) == number,
            session.samples.labels.indices.contains(sample),
            let image = try SamplePicture.of(sample, in: session.samples, side: side)
        else { return .notFound }
        return PageResponse(.png, try ImageCodec.png(image))
    }

    /// The token is hexadecimal digits; nothing else in the page is filled in here. Names come as JSON, and the script
    /// sets them as text.
    private func page(token: String) -> String {
        String(decoding: PackageResources.label_html, as: UTF8.self).replacingOccurrences(of: "{{token}}", with: token)
    }
}
