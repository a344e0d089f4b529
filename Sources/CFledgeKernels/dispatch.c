// Chooses the instruction set once, when the program starts, and forwards the public functions to it.
#include "kernel_table.h"

#include <stdlib.h>
#include <string.h>

enum { ISA_BASE, ISA_AVX2, ISA_AVX512 };
static const char *const isa_names[] = {"base", "avx2", "avx512"};

static int active_isa = ISA_BASE;
static const struct kernel_table *active = &fk_kernels_base;

static int best_isa(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))
        return ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ISA_AVX2;
#endif
    return ISA_BASE;
}

int fledge_set_isa(int isa) {
    int best = best_isa();
    active_isa = isa < ISA_BASE ? ISA_BASE : isa > best ? best : isa;
#if defined(__x86_64__)
    static const struct kernel_table *const tables[] = {&fk_kernels_base, &fk_kernels_avx2, &fk_kernels_avx512};
    active = tables[active_isa];
#endif
    return active_isa;
}

const char *fledge_isa_name(void) { return isa_names[active_isa]; }

__attribute__((constructor)) static void choose_isa(void) {
    int wanted = ISA_AVX512;
    const char *name = getenv("FLEDGE_ISA");
    for (int isa = ISA_BASE; name && isa <= ISA_AVX512; isa++)
        if (!strcmp(name, isa_names[isa])) wanted = isa;
    fledge_set_isa(wanted);
}

#define FK_FORWARD(RESULT, NAME, PARAMETERS, ARGUMENTS) \
    RESULT fk_##NAME PARAMETERS { return active->NAME ARGUMENTS; }
FK_KERNELS(FK_FORWARD)
