#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fledge_image_fail(int status, char *message, const char *text) {
    snprintf(message, FLEDGE_IMAGE_MESSAGE, "%s", text);
    return status;
}

int fledge_image_check_size(int64_t width, int64_t height, uint64_t pixel_limit, char *message) {
    if (width <= 0 || height <= 0) return fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, "the image has no pixels");
    if ((uint64_t)width * (uint64_t)height > pixel_limit) {
        snprintf(message, FLEDGE_IMAGE_MESSAGE, "%lld x %lld pixels; the limit is %llu pixels", (long long)width,
                 (long long)height, (unsigned long long)pixel_limit);
        return FLEDGE_IMAGE_TOO_LARGE;
    }
    return FLEDGE_IMAGE_OK;
}

static int is_jpeg(const uint8_t *bytes, size_t length) {
    return length >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

static int is_png(const uint8_t *bytes, size_t length) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    return length >= 8 && memcmp(bytes, signature, 8) == 0;
}

int fledge_image_probe(const uint8_t *bytes, size_t length, uint64_t pixel_limit, int32_t shortest_side,
                       fledge_image_info *info, char message[FLEDGE_IMAGE_MESSAGE]) {
    memset(info, 0, sizeof *info);
    message[0] = 0;
    if (length == 0) return fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, "the file is empty");
    if (is_jpeg(bytes, length)) return fledge_jpeg_probe(bytes, length, pixel_limit, shortest_side, info, message);
    if (is_png(bytes, length)) return fledge_png_probe(bytes, length, pixel_limit, info, message);
    return fledge_image_fail(FLEDGE_IMAGE_UNKNOWN, message, "the first bytes are neither those of JPEG nor of PNG");
}

int fledge_image_decode(const uint8_t *bytes, size_t length, const fledge_image_info *info, int32_t channels,
                        uint8_t *pixels, size_t capacity, char message[FLEDGE_IMAGE_MESSAGE]) {
    message[0] = 0;
    if (channels != 1 && channels != 3)
        return fledge_image_fail(FLEDGE_IMAGE_ARGUMENT, message, "channels must be 1 or 3");
    if (capacity < (size_t)info->width * (size_t)info->height * (size_t)channels)
        return fledge_image_fail(FLEDGE_IMAGE_ARGUMENT, message, "the output buffer is too small");
    if (info->format == FLEDGE_IMAGE_JPEG) return fledge_jpeg_decode(bytes, length, info, channels, pixels, message);
    if (info->format == FLEDGE_IMAGE_PNG) return fledge_png_decode(bytes, length, info, channels, pixels, message);
    return fledge_image_fail(FLEDGE_IMAGE_ARGUMENT, message, "unknown image format");
}

void fledge_image_free(uint8_t *bytes) { free(bytes); }
