#include "internal.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

// What libpng's callbacks see: where to read, where to write, and where to leave the message.
typedef struct {
    const uint8_t *bytes;
    size_t length, position;
    uint8_t *output;
    size_t output_length, output_capacity;
    char *message;
    jmp_buf escape;
} png_context;

static void on_error(png_structp png, png_const_charp text) {
    png_context *context = png_get_error_ptr(png);
    fledge_image_fail(FLEDGE_IMAGE_DAMAGED, context->message, text);
    longjmp(context->escape, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep destination, size_t count) {
    png_context *context = png_get_io_ptr(png);
    if (count > context->length - context->position) png_error(png, "the file ends too early");
    memcpy(destination, context->bytes + context->position, count);
    context->position += count;
}

static void on_write(png_structp png, png_bytep source, size_t count) {
    png_context *context = png_get_io_ptr(png);
    if (count > context->output_capacity - context->output_length) {
        size_t wanted = (context->output_length + count) * 2;
        uint8_t *grown = realloc(context->output, wanted);
        if (!grown) png_error(png, "no memory for the PNG file");
        context->output = grown;
        context->output_capacity = wanted;
    }
    memcpy(context->output + context->output_length, source, count);
    context->output_length += count;
}

static void on_flush(png_structp png) { (void)png; }

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// The header chunk is always first and of fixed layout, so that no library call is needed before the size check.
int fledge_png_probe(const uint8_t *bytes, size_t length, uint64_t pixel_limit, fledge_image_info *info,
                     char *message) {
    if (length < 33) return fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, "the file ends inside the PNG header");
    if (big_endian(bytes + 8) != 13 || memcmp(bytes + 12, "IHDR", 4) != 0)
        return fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, "the PNG header chunk is missing");
    uint32_t width = big_endian(bytes + 16), height = big_endian(bytes + 20);
    int status = fledge_image_check_size(width, height, pixel_limit, message);
    if (status != FLEDGE_IMAGE_OK) return status;
    int depth = bytes[24], color_type = bytes[25];
    // Deflate shrinks at most 1032 to 1, so a short file with a huge header is known to be cut or forged.
    int samples = color_type == PNG_COLOR_TYPE_RGB ? 3 : color_type == PNG_COLOR_TYPE_RGBA ? 4 : 1;
    uint64_t row = ((uint64_t)width * (uint64_t)depth * (uint64_t)samples + 7) / 8 + 1;
    if (row * height / 1032 > length)
        return fledge_image_fail(FLEDGE_IMAGE_DAMAGED, message, "the file is too short for the size in its header");
    info->format = FLEDGE_IMAGE_PNG;
    info->file_width = info->width = (int32_t)width;
    info->file_height = info->height = (int32_t)height;
    info->channels = color_type == PNG_COLOR_TYPE_GRAY || color_type == PNG_COLOR_TYPE_GRAY_ALPHA ? 1 : 3;
    return FLEDGE_IMAGE_OK;
}

static uint8_t over_white(uint8_t value, uint8_t alpha) {
    return (uint8_t)((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

// One decoded row of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels to the wanted 1 or 3.
static void convert_row(const uint8_t *row, int32_t width, int from, int to, uint8_t *out) {
    for (int32_t x = 0; x < width; x++, row += from, out += to) {
        uint8_t r = row[0], g = from >= 3 ? row[1] : r, b = from >= 3 ? row[2] : r;
        if (from == 2 || from == 4) {
            uint8_t alpha = row[from - 1];
            r = over_white(r, alpha);
            g = over_white(g, alpha);
            b = over_white(b, alpha);
        }
        if (to == 1) {
            out[0] = from <= 2 ? r : fledge_luma(r, g, b);
        } else {
            out[0] = r;
            out[1] = g;
            out[2] = b;
        }
    }
}

int fledge_png_decode(const uint8_t *bytes, size_t length, const fledge_image_info *info, int32_t channels,
                      uint8_t *pixels, char *message) {
    png_context context = {.bytes = bytes, .length = length, .message = message};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &context, on_error, on_warning);
    if (!png) return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the PNG decoder");
    png_infop header = png_create_info_struct(png);
    // Volatile: both are set after setjmp and read after longjmp.
    uint8_t *volatile image = NULL;
    uint8_t **volatile rows = NULL;
    volatile int status = FLEDGE_IMAGE_OK;
    if (!header) {
        png_destroy_read_struct(&png, NULL, NULL);
        return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the PNG decoder");
    }
    if (setjmp(context.escape)) {
        status = FLEDGE_IMAGE_DAMAGED;
    } else {
        png_set_read_fn(png, &context, on_read);
        png_set_user_limits(png, (png_uint_32)info->width, (png_uint_32)info->height);
        // A wrong checksum is damage wherever it is; by default a bad chunk beside the pixels would be passed over.
        png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
        // Only what makes the pixels is looked at: no profiles, no texts that expand to megabytes.
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
        png_set_chunk_malloc_max(png, 8u << 20);
        png_read_info(png, header);
        png_set_expand(png);    // palettes to RGB, 1/2/4-bit grey to 8 bit, tRNS to alpha
        png_set_scale_16(png);
        png_set_interlace_handling(png);
        png_read_update_info(png, header);
        int from = png_get_channels(png, header);
        size_t row_bytes = png_get_rowbytes(png, header);
        if (row_bytes != (size_t)info->width * (size_t)from) png_error(png, "unexpected row length");
        int direct = from == channels;
        rows = malloc(sizeof(uint8_t *) * (size_t)info->height);
        if (!direct) image = malloc(row_bytes * (size_t)info->height);
        if (!rows || (!direct && !image)) {
            status = fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the pixels");
        } else {
            for (int32_t y = 0; y < info->height; y++)
                rows[y] = (direct ? pixels : image) + row_bytes * (size_t)y;
            png_read_image(png, rows);
            png_read_end(png, NULL);
            if (!direct)
                for (int32_t y = 0; y < info->height; y++)
                    convert_row(rows[y], info->width, from, channels,
                                pixels + (size_t)info->width * (size_t)channels * (size_t)y);
        }
    }
    png_destroy_read_struct(&png, &header, NULL);
    free(image);
    free((void *)rows);
    return status;
}

int fledge_image_encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, uint8_t **output,
                            size_t *output_length, char message[FLEDGE_IMAGE_MESSAGE]) {
    *output = NULL;
    *output_length = 0;
    message[0] = 0;
    if (width <= 0 || height <= 0 || (channels != 1 && channels != 3 && channels != 4))
        return fledge_image_fail(FLEDGE_IMAGE_ARGUMENT, message, "PNG needs 1, 3 or 4 channels and positive sides");
    png_context context = {.message = message};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &context, on_error, on_warning);
    if (!png) return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the PNG encoder");
    png_infop header = png_create_info_struct(png);
    volatile int status = FLEDGE_IMAGE_OK;
    if (!header) {
        png_destroy_write_struct(&png, NULL);
        return fledge_image_fail(FLEDGE_IMAGE_NO_MEMORY, message, "no memory for the PNG encoder");
    }
    if (setjmp(context.escape)) {
        status = FLEDGE_IMAGE_NO_MEMORY;
    } else {
        png_set_write_fn(png, &context, on_write, on_flush);
        int type = channels == 1 ? PNG_COLOR_TYPE_GRAY : channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGBA;
        png_set_IHDR(png, header, (png_uint_32)width, (png_uint_32)height, 8, type, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, header);
        for (int32_t y = 0; y < height; y++)
            png_write_row(png, pixels + (size_t)y * (size_t)width * (size_t)channels);
        png_write_end(png, NULL);
    }
    png_destroy_write_struct(&png, &header);
    if (status != FLEDGE_IMAGE_OK) {
        free(context.output);
        return status;
    }
    *output = context.output;
    *output_length = context.output_length;
    return FLEDGE_IMAGE_OK;
}
