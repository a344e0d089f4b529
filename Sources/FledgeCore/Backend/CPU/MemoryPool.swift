import Glibc
enum MemoryPool {
  static func allocate(_ n: Int) -> UnsafeMutableRawPointer { var p: UnsafeMutableRawPointer?; posix_memalign(&p, 64, max(n, 64)); return p! }
  static func release(_ p: UnsafeMutableRawPointer, _ n: Int) { free(p) }
}
