#include "fledge_zlib.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static int window_bits(int format) {
    switch (format) {
    case FLEDGE_ZLIB_RAW: return -15;
    case FLEDGE_ZLIB_GZIP: return 15 + 16;
    default: return 15;
    }
}

// zlib counts in 32 bits: longer buffers are handed over piece by piece.
static uInt piece(size_t length) { return length > (size_t)INT_MAX ? (uInt)INT_MAX : (uInt)length; }

int fledge_inflate(const uint8_t *input, size_t input_length, int format, size_t limit, uint8_t **output,
                   size_t *length) {
    *output = NULL;
    *length = 0;
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    if (inflateInit2(&stream, window_bits(format)) != Z_OK) return FLEDGE_ZLIB_NO_MEMORY;

    // One byte above the limit tells a stream that fits exactly from one that does not.
    size_t ceiling = limit < SIZE_MAX ? limit + 1 : limit;
    size_t capacity = input_length < 1024 ? 4096 : input_length * 4;
    if (capacity > ceiling) capacity = ceiling;
    uint8_t *bytes = malloc(capacity);
    if (!bytes) {
        inflateEnd(&stream);
        return FLEDGE_ZLIB_NO_MEMORY;
    }

    size_t consumed = 0, produced = 0;
    int status = FLEDGE_ZLIB_OK;
    for (;;) {
        if (produced > limit) {
            status = FLEDGE_ZLIB_TOO_LARGE;
            break;
        }
        if (produced == capacity) {
            size_t wanted = capacity > ceiling / 2 ? ceiling : capacity * 2;
            uint8_t *grown = realloc(bytes, wanted);
            if (!grown) {
                status = FLEDGE_ZLIB_NO_MEMORY;
                break;
            }
            bytes = grown;
            capacity = wanted;
        }
        uInt available_in = piece(input_length - consumed), available_out = piece(capacity - produced);
        stream.next_in = (Bytef *)(input + consumed);
        stream.avail_in = available_in;
        stream.next_out = bytes + produced;
        stream.avail_out = available_out;
        int code = inflate(&stream, Z_NO_FLUSH);
        consumed += available_in - stream.avail_in;
        produced += available_out - stream.avail_out;
        if (code == Z_STREAM_END) {
            if (produced > limit) {
                status = FLEDGE_ZLIB_TOO_LARGE;
                break;
            }
            int another = format == FLEDGE_ZLIB_GZIP && input_length - consumed >= 2 && input[consumed] == 0x1f &&
                          input[consumed + 1] == 0x8b;
            if (!another) break;
            inflateReset(&stream);
        } else if (code == Z_BUF_ERROR || (code == Z_OK && consumed == input_length && stream.avail_out > 0)) {
            if (consumed == input_length) {
                status = FLEDGE_ZLIB_TRUNCATED;
                break;
            }
        } else if (code == Z_MEM_ERROR) {
            status = FLEDGE_ZLIB_NO_MEMORY;
            break;
        } else if (code != Z_OK) {
            status = FLEDGE_ZLIB_DAMAGED;
            break;
        }
    }
    inflateEnd(&stream);
    if (status != FLEDGE_ZLIB_OK) {
        free(bytes);
        return status;
    }
    *output = bytes;
    *length = produced;
    return FLEDGE_ZLIB_OK;
}

int fledge_deflate(const uint8_t *input, size_t input_length, int format, int level, uint8_t **output,
                   size_t *length) {
    *output = NULL;
    *length = 0;
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    if (deflateInit2(&stream, level, Z_DEFLATED, window_bits(format), 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return FLEDGE_ZLIB_NO_MEMORY;
    size_t capacity = deflateBound(&stream, input_length) + 64;
    uint8_t *bytes = malloc(capacity);
    if (!bytes) {
        deflateEnd(&stream);
        return FLEDGE_ZLIB_NO_MEMORY;
    }
    size_t consumed = 0, produced = 0;
    int code;
    do {
        uInt available_in = piece(input_length - consumed), available_out = piece(capacity - produced);
        stream.next_in = (Bytef *)(input + consumed);
        stream.avail_in = available_in;
        stream.next_out = bytes + produced;
        stream.avail_out = available_out;
        int last = consumed + available_in == input_length;
        code = deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
        consumed += available_in - stream.avail_in;
        produced += available_out - stream.avail_out;
    } while (code == Z_OK || (code == Z_BUF_ERROR && produced < capacity));
    deflateEnd(&stream);
    if (code != Z_STREAM_END) {
        free(bytes);
        return FLEDGE_ZLIB_NO_MEMORY;
    }
    *output = bytes;
    *length = produced;
    return FLEDGE_ZLIB_OK;
}

void fledge_zlib_free(uint8_t *bytes) { free(bytes); }

uint32_t fledge_crc32(const uint8_t *bytes, size_t length) {
    uLong crc = crc32(0, Z_NULL, 0);
    while (length > 0) {
        uInt part = piece(length);
        crc = crc32(crc, bytes, part);
        bytes += part;
        length -= part;
    }
    return (uint32_t)crc;
}
