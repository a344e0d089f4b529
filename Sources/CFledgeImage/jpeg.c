#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

// Every decoder warning counts as damage (a file that ends early is only a warning to libjpeg), and a progressive file
// with an unreasonable number of scans is refused.
enum { DECODE_FLAGS = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS };

static int eighth(int32_t side, int n) { return (int)(((int64_t)side * n + 7) / 8); }

// A scan passes over the whole picture whatever its length in the file; ordinary progressive files have about ten.
enum { SCAN_LIMIT = 100 };

// Start-of-scan markers. Inside a scan 0xff is always followed by something else, so that at most an embedded preview
// counts too much.
static int count_scans(const uint8_t *bytes, size_t length) {
    int scans = 0;
    const uint8_t *end = bytes + length, *p = bytes;
    while ((size_t)(end - p) >= 2 && (p = memchr(p, 0xff, (size_t)(end - p) - 1))) {
        scans += p[1] == 0xda;
        p++;
    }
    return scans;
}

int fledge_jpeg_probe(const uint8_t *bytes, size_t length, uint64_t pixel_limit, int32_t shortest_side,
                      fledge_image_info *info, char *message) {
    tjhandle handle = tjInitDecompress();
    if (!handle) return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the JPEG decoder");
    int width = 0, height = 0, subsampling = 0, colorspace = 0;
    int failed = tjDecompressHeader3(handle, bytes, length, &width, &height, &subsampling, &colorspace);
    if (failed && (width <= 0 || height <= 0)) {
        int status = fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, tjGetErrorStr2(handle));
        tjDestroy(handle);
        return status;
    }
    tjDestroy(handle);
    int status = fledge_image_check_size(width, height, pixel_limit, message);
    if (status != FLEDGE_IMAGE_OK) return status;
    // A block of 64 pixels takes a bit at least, so a short file with a huge header is known to be cut or forged.
    if ((uint64_t)width * (uint64_t)height / 512 > length)
        return fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, "the file is too short for the size in its header");
    if (count_scans(bytes, length) > SCAN_LIMIT)
        return fledge_image_fail(FLEDGE_IMAGE_TOO_LARGE, message, "more than 100 progressive scans");

    info->format = FLEDGE_IMAGE_JPEG;
    info->file_width = width;
    info->file_height = height;
    info->channels = colorspace == TJCS_GRAY ? 1 : 3;
    int scale = 8;
    int32_t shorter = width < height ? width : height;
    if (shortest_side > 0)
        while (scale > 1 && eighth(shorter, scale - 1) >= shortest_side) scale--;
    info->width = eighth(width, scale);
    info->height = eighth(height, scale);
    return FLEDGE_IMAGE_OK;
}

// Ink to light. Files of this kind come from Adobe programs, which store the inks inverted.
static void cmyk_to_pixels(const uint8_t *cmyk, size_t count, int32_t channels, uint8_t *pixels) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = cmyk + 4 * i;
        uint8_t r = (uint8_t)(p[0] * p[3] / 255), g = (uint8_t)(p[1] * p[3] / 255), b = (uint8_t)(p[2] * p[3] / 255);
        if (channels == 1) {
            pixels[i] = fledge_luma(r, g, b);
        } else {
            pixels[3 * i] = r;
            pixels[3 * i + 1] = g;
            pixels[3 * i + 2] = b;
        }
    }
}

int fledge_jpeg_decode(const uint8_t *bytes, size_t length, const fledge_image_info *info, int32_t channels,
                       uint8_t *pixels, char *message) {
    tjhandle handle = tjInitDecompress();
    if (!handle) return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the JPEG decoder");
    int width = 0, height = 0, subsampling = 0, colorspace = 0;
    int status = FLEDGE_IMAGE_OK;
    if (tjDecompressHeader3(handle, bytes, length, &width, &height, &subsampling, &colorspace) != 0 ||
        width != info->file_width || height != info->file_height) {
        status = fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, tjGetErrorStr2(handle));
    } else if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK) {
        size_t count = (size_t)info->width * (size_t)info->height;
        uint8_t *cmyk = malloc(count * 4);
        if (!cmyk) {
            status = fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the pixels");
        } else if (tjDecompress2(handle, bytes, length, cmyk, info->width, 0, info->height, TJPF_CMYK,
                                 DECODE_FLAGS) != 0) {
            status = fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, tjGetErrorStr2(handle));
        } else {
            cmyk_to_pixels(cmyk, count, channels, pixels);
        }
        free(cmyk);
    } else if (tjDecompress2(handle, bytes, length, pixels, info->width, 0, info->height,
                             channels == 1 ? TJPF_GRAY : TJPF_RGB, DECODE_FLAGS) != 0) {
        const char *text = tjGetErrorStr2(handle);
        int kind = strstr(text, "scans") ? FLEDGE_IMAGE_TOO_LARGE : FLEDGE_IMAGE_DAMAGED;
        status = fledge_image_fail(kind, message, text);
    }
    tjDestroy(handle);
    return status;
}

int fledge_image_encode_jpeg(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, int32_t quality,
                             uint8_t **output, size_t *output_length, char message[FLEDGE_IMAGE_MESSAGE]) {
    *output = NULL;
    *output_length = 0;
    message[0] = 0;
    if (width <= 0 || height <= 0 || width > 65500 || height > 65500 || (channels != 1 && channels != 3) ||
        quality < 1 || quality > 100)
        return fledge_image_fail(FLEDGE_IMAGE_ARGUMENT, message,
                                 "JPEG needs 1 or 3 channels, sides of 1..65500 and quality 1..100");
    tjhandle handle = tjInitCompress();
    if (!handle) return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the JPEG encoder");
    unsigned char *buffer = NULL;
    unsigned long length = 0;
    int status = FLEDGE_IMAGE_OK;
    if (tjCompress2(handle, pixels, width, 0, height, channels == 1 ? TJPF_GRAY : TJPF_RGB, &buffer, &length,
                    channels == 1 ? TJSAMP_GRAY : TJSAMP_420, quality, TJFLAG_ACCURATEDCT) != 0) {
        status = fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, tjGetErrorStr2(handle));
    } else if ((*output = malloc(length))) {
        // The library's own buffer must go back to the library; the caller frees with fledge_image_free.
        memcpy(*output, buffer, length);
        *output_length = length;
    } else {
        status = fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the JPEG file");
    }
    tjFree(buffer);
    tjDestroy(handle);
    return status;
}
