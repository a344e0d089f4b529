#include "fledge_kernels.h"
