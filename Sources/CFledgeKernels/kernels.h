// What the kernels need before the target of their instruction set is set: system headers, and the parts that are
// compiled once.
#pragma once
#include "broadcast.h"
#include "kernel_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
