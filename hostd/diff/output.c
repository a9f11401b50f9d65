/* SPDX-License-Identifier: MIT */
#include "diff/output.h"

#include "base/file.h"
#include "base/quantity.h"

#define BUFFER_SIZE 65536

struct Output {
        int fd;
        uint64_t size_max, size;
        GByteArray *buffer;
};

Output *output_new(int fd, uint64_t size_max)
{
        Output *output = g_new0(Output, 1);

        output->fd = fd;
        output->size_max = size_max;
        output->buffer = g_byte_array_sized_new(2 * BUFFER_SIZE);
        return output;
}

Output *output_free(Output *output)
{
        if (output)
                g_byte_array_unref(output->buffer);
        g_free(output);
        return NULL;
}

int output_reserve(const Output *output, uint64_t size, Fault *f)
{
        if (size <= output->size_max - output->size)
                return 0;
        g_autofree char *limit = size_format(output->size_max);
        return fault_set(f, FAULT_LIMITS_EXCEEDED, "the result is larger than %s", limit);
}

uint64_t output_size(const Output *output)
{
        return output->size;
}

int output_end(Output *output, Fault *f)
{
        int r = write_all(output->fd, output->buffer->data, output->buffer->len);

        g_byte_array_set_size(output->buffer, 0);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot write the result") : 0;
}

int output_write(Output *output, const void *bytes, size_t size, Fault *f)
{
        int r = output_reserve(output, size, f);

        if (r < 0)
                return r;
        output->size += size;
        for (const guint8 *p = bytes; size > 0;) {
                size_t n = MIN(size, BUFFER_SIZE);

                g_byte_array_append(output->buffer, p, (guint) n);
                p += n;
                size -= n;
                if (output->buffer->len >= BUFFER_SIZE)
                        r = output_end(output, f);
                if (r < 0)
                        return r;
        }
        return 0;
}
