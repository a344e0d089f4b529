enum CPUBackend { static let shared = ReferenceBackend.shared }
