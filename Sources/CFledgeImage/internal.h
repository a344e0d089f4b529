#pragma once
#include "fledge_image.h"

int fledge_jpeg_probe(const uint8_t *bytes, size_t length, uint64_t pixel_limit, int32_t shortest_side,
                      fledge_image_info *info, char *message);
int fledge_jpeg_decode(const uint8_t *bytes, size_t length, const fledge_image_info *info, int32_t channels,
                       uint8_t *pixels, char *message);
int fledge_png_probe(const uint8_t *bytes, size_t length, uint64_t pixel_limit, fledge_image_info *info,
                     char *message);
int fledge_png_decode(const uint8_t *bytes, size_t length, const fledge_image_info *info, int32_t channels,
                      uint8_t *pixels, char *message);

// Copies `text` into a message buffer and returns `status`.
int fledge_image_fail(int status, char *message, const char *text);

// Refuses an image of more pixels than the limit, with the numbers in the message.
int fledge_image_check_size(int64_t width, int64_t height, uint64_t pixel_limit, char *message);

// ITU-R BT.601 luma in 16-bit fixed point, rounded.
static inline uint8_t fledge_luma(uint8_t r, uint8_t g, uint8_t b) {
    return (uint8_t)((19595u * r + 38470u * g + 7471u * b + 0x8000u) >> 16);
}
