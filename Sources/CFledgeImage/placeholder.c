#include "fledge_image.h"
