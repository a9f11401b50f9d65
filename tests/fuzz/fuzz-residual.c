/* SPDX-License-Identifier: MIT */

/* A diff document and, behind a NUL, a left-out.json that somebody else wrote become a residual, or
 * a fault: JSON within its bounds, in ASCII or UTF-8, whose verdict is what its counts say. */

#include "base/cleanup.h"
#include "base/json.h"
#include "diff/pax.h"
#include "diff/residual.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_archive(int fd, const uint8_t *text, size_t size)
{
        const Attributes attributes = {.kind = KIND_FILE, .mode = 0644, .size = size};
        const PaxMember member = {
                .name = "left-out.json", .name_size = 13, .attributes = &attributes};
        g_autoptr(Output) output = output_new(fd, UINT64_MAX);

        g_assert(pax_write_header(output, &member, NULL) == 0);
        g_assert(output_write(output, text, size, NULL) == 0);
        g_assert(pax_write_padding(output, NULL) == 0 && pax_write_end(output, NULL) == 0);
        g_assert(output_end(output, NULL) == 0 && lseek(fd, 0, SEEK_SET) == 0);
}

/* Of the guest: nothing, or the same on both sides but for the name. */
static int read_hosts(void *data, bool of_new, const char *path, size_t max, char **ret,
                      size_t *ret_size, Fault *f)
{
        (void) data;
        (void) max;
        if (!strchr(path, 'h'))
                return fault_set(f, FAULT_NOT_FOUND, "there is no '%s'", path);
        *ret = g_strdup(strstr(path, "hostname") ? of_new ? "one\n" : "two\n" : "127.0.1.1 one");
        *ret_size = strlen(*ret);
        return 0;
}

static void check(int fd)
{
        off_t size = lseek(fd, 0, SEEK_END);
        g_autofree char *text = g_malloc0((size_t) size + 1);
        g_autoptr(Json) result = NULL;
        uint64_t residual, left_out;
        const char *verdict;

        g_assert(size > 0 && size <= RESIDUAL_MAX);
        g_assert(pread(fd, text, (size_t) size, 0) == size);
        g_assert(json_parse(text, (size_t) size, 4, &result, NULL) == 0);
        g_assert(json_find_string(result, "verdict", &verdict) &&
                 json_find_uint(result, "residual_count", &residual) &&
                 json_find_uint(result, "left_out_count", &left_out));
        g_assert(g_str_equal(verdict, residual   ? "residual"
                                      : left_out ? "exact-but-left-out"
                                                 : "exact"));
        g_assert(g_utf8_validate(text, size, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *nul = memchr(data, '\0', size);
        size_t n = nul ? (size_t) (nul - data) : size;
        autofd archive = memfd_create("archive", MFD_CLOEXEC);
        autofd written = memfd_create("residual", MFD_CLOEXEC);
        g_autofree char *document = g_strndup((const char *) data, n);
        Fault fault = {0};

        write_archive(archive, nul ? nul + 1 : data, nul ? size - n - 1 : 0);
        g_autoptr(Output) output = output_new(written, RESIDUAL_MAX);
        const PlaybookSource source = {.read = read_hosts};
        int r = residual_write(document, n, &source, archive, output, &fault);
        g_assert(r == 0 || (r < 0 && fault.message[0]));
        if (r == 0)
                check(written);
        return 0;
}
