#pragma once
#include <stddef.h>
#include <stdint.h>

// Inflate, deflate and CRC-32 of zlib, with a limit on the output and no state between calls.

enum fledge_zlib_status {
    FLEDGE_ZLIB_OK = 0,
    FLEDGE_ZLIB_DAMAGED = 1,    // not such a stream, or its checksum is wrong
    FLEDGE_ZLIB_TRUNCATED = 2,  // the input ends before the stream does
    FLEDGE_ZLIB_TOO_LARGE = 3,  // more than `limit` bytes would come out
    FLEDGE_ZLIB_NO_MEMORY = 4
};

enum fledge_zlib_format { FLEDGE_ZLIB_RAW = 0, FLEDGE_ZLIB_ZLIB = 1, FLEDGE_ZLIB_GZIP = 2 };

// Inflates a whole stream (for gzip: all members that follow one another). On FLEDGE_ZLIB_OK `*output` holds
// `*length` bytes; give it back with fledge_zlib_free. At most `limit` bytes are ever written; memory grows by
// doubling. Raw and zlib streams may be followed by other bytes, which are ignored.
int fledge_inflate(const uint8_t *input, size_t input_length, int format, size_t limit, uint8_t **output,
                   size_t *length);

// Deflates at `level` 0..9. On FLEDGE_ZLIB_OK `*output` holds `*length` bytes; give it back with fledge_zlib_free.
int fledge_deflate(const uint8_t *input, size_t input_length, int format, int level, uint8_t **output,
                   size_t *length);

void fledge_zlib_free(uint8_t *bytes);

// CRC-32 as zip, gzip and PNG use it.
uint32_t fledge_crc32(const uint8_t *bytes, size_t length);
