// The kernels for AVX-512 (F, BW, VL, DQ).
#include "kernels.h"

#if defined(__x86_64__)
#define VL 16
#define FK_TABLE fk_kernels_avx512
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#include "kernels.inc"
#pragma clang attribute pop
#endif
