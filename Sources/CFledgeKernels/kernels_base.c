// The kernels for the instruction set that every target has: SSE2, NEON or whatever four floats lower to.
#include "kernels.h"

#define VL 4
#define FK_TABLE fk_kernels_base
#include "kernels.inc"
