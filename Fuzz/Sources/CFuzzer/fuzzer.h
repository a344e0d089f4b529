#pragma once
#include <stddef.h>
#include <stdint.h>

// libFuzzer's own entry for programs that have a main function (https://llvm.org/docs/LibFuzzer.html).
int LLVMFuzzerRunDriver(int *argument_count, char ***arguments, int (*test)(const uint8_t *bytes, size_t count));
