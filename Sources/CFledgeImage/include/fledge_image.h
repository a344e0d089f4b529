#pragma once
#include <stddef.h>
#include <stdint.h>

// JPEG (libjpeg-turbo) and PNG (libpng) behind a few functions that return a status and a message. No error leaves a
// function by longjmp, and nothing is allocated before the size in the header is within the limit.

enum fledge_image_status {
    FLEDGE_IMAGE_OK = 0,
    FLEDGE_IMAGE_UNKNOWN = 1,    // neither JPEG nor PNG
    FLEDGE_IMAGE_DAMAGED = 2,    // truncated, or a broken stream
    FLEDGE_IMAGE_TOO_LARGE = 3,  // more pixels than the limit, or too many progressive scans
    FLEDGE_IMAGE_NO_MEMORY = 4,
    FLEDGE_IMAGE_ARGUMENT = 5,
    FLEDGE_IMAGE_UNSUPPORTED = 6
};

enum fledge_image_format { FLEDGE_IMAGE_JPEG = 1, FLEDGE_IMAGE_PNG = 2 };

typedef struct {
    int32_t format;                      // fledge_image_format
    int32_t file_width, file_height;     // as the header says
    int32_t width, height;               // after scaling while decoding; equal to the above for PNG
    int32_t channels;                    // 1 for a grey file, 3 for all others
} fledge_image_info;

enum { FLEDGE_IMAGE_MESSAGE = 256 };

// Reads the header. `pixel_limit` bounds file_width * file_height. With `shortest_side` > 0 a JPEG is decoded at the
// smallest eighth of its size whose shorter side is not below it (the DCT does the scaling); 0 decodes at full size.
int fledge_image_probe(const uint8_t *bytes, size_t length, uint64_t pixel_limit, int32_t shortest_side,
                       fledge_image_info *info, char message[FLEDGE_IMAGE_MESSAGE]);

// Decodes into `pixels`: info.height rows of info.width pixels of `channels` bytes (1 grey, 3 red green blue), where
// `info` comes from a probe of the same bytes. Sixteen-bit samples are scaled to eight. Transparent PNG pixels are laid
// over white. A JPEG with any decoder warning (cut short, corrupt data) is refused as damaged.
int fledge_image_decode(const uint8_t *bytes, size_t length, const fledge_image_info *info, int32_t channels,
                        uint8_t *pixels, size_t capacity, char message[FLEDGE_IMAGE_MESSAGE]);

// Encodes 8-bit pixels of 1 (grey), 3 (RGB) or, for PNG, 4 (RGBA) channels. On FLEDGE_IMAGE_OK `*output` holds
// `*output_length` bytes; give it back with fledge_image_free.
int fledge_image_encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, uint8_t **output,
                            size_t *output_length, char message[FLEDGE_IMAGE_MESSAGE]);
int fledge_image_encode_jpeg(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, int32_t quality,
                             uint8_t **output, size_t *output_length, char message[FLEDGE_IMAGE_MESSAGE]);

void fledge_image_free(uint8_t *bytes);
