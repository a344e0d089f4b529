// The kernels for AVX2 and FMA.
#include "kernels.h"

#if defined(__x86_64__)
#define VL 8
#define FK_TABLE fk_kernels_avx2
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop
#endif
