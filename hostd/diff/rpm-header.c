/* SPDX-License-Identifier: MIT */
#include "diff/rpm-header.h"

#include "base/cleanup.h"
#include "diff/bytes.h"

#include <string.h>

#define INTRO_SIZE       8
#define ENTRY_SIZE       16
#define ENTRIES_MAX      65536
#define PATH_MAX_OF_LIST 4096

enum {
        TAG_NAME = 1000,
        TAG_VERSION = 1001,
        TAG_RELEASE = 1002,
        TAG_EPOCH = 1003,
        TAG_INSTALL_TIME = 1008,
        TAG_ARCHITECTURE = 1022,
        TAG_FILE_FLAGS = 1037,
        TAG_DIRECTORY_INDEXES = 1116,
        TAG_BASE_NAMES = 1117,
        TAG_DIRECTORY_NAMES = 1118,
};

enum { TYPE_INT32 = 4, TYPE_STRING = 6, TYPE_STRING_ARRAY = 8 };

enum { FLAG_CONFIGURATION = 1 };

/* A value: where it begins, and how many there are. */
typedef struct Value {
        Span bytes; /* to the end of the data */
        uint32_t count;
} Value;

bool rpm_header_parse(const uint8_t *bytes, size_t size, RpmHeader *ret)
{
        if (size < INTRO_SIZE)
                return false;
        uint64_t n = get_be32(bytes), data_size = get_be32(bytes + 4);
        if (n > ENTRIES_MAX || INTRO_SIZE + n * ENTRY_SIZE + data_size > size)
                return false;
        *ret = (RpmHeader){
                .index = bytes + INTRO_SIZE,
                .n = (unsigned) n,
                .data = bytes + INTRO_SIZE + n * ENTRY_SIZE,
                .size = (size_t) data_size,
        };
        return true;
}

static bool find(const RpmHeader *header, uint32_t tag, uint32_t type, Value *ret)
{
        for (unsigned i = 0; i < header->n; i++) {
                const uint8_t *entry = header->index + (size_t) i * ENTRY_SIZE;
                uint32_t offset = get_be32(entry + 8), count = get_be32(entry + 12);

                if (get_be32(entry) != tag || get_be32(entry + 4) != type)
                        continue;
                if (offset > header->size ||
                    (type == TYPE_INT32 && count > (header->size - offset) / 4))
                        return false;
                ret->bytes = (Span){(const char *) header->data + offset, header->size - offset};
                ret->count = count;
                return true;
        }
        return false;
}

/* The next string of an array; it ends with a NUL. */
static bool next_string(Value *value, Span *ret)
{
        if (value->count == 0 || value->bytes.size == 0 || !span_has(value->bytes, '\0'))
                return false;
        value->count--;
        return span_next_part(&value->bytes, '\0', ret);
}

static bool find_string(const RpmHeader *header, uint32_t tag, Span *ret)
{
        Value value;

        return find(header, tag, TYPE_STRING, &value) && value.count == 1 &&
               next_string(&value, ret);
}

static bool get_int(const Value *value, uint32_t i, uint32_t *ret)
{
        if (i >= value->count)
                return false;
        *ret = get_be32((const uint8_t *) value->bytes.bytes + (size_t) i * 4);
        return true;
}

static char *dup_short(Span text)
{
        return span_dup((Span){text.bytes, MIN(text.size, PACKAGE_NAME_SIZE_MAX)});
}

Package *rpm_header_to_package(const RpmHeader *header)
{
        Span name, version, release = {"", 0}, architecture = {"", 0};
        uint32_t number = 0;
        Value value;

        if (!find_string(header, TAG_NAME, &name) || !find_string(header, TAG_VERSION, &version))
                return NULL;
        (void) find_string(header, TAG_RELEASE, &release);
        (void) find_string(header, TAG_ARCHITECTURE, &architecture);
        g_autofree char *v = dup_short(version), *r = dup_short(release);
        Package *package = g_new0(Package, 1);
        package->name = dup_short(name);
        package->architecture = dup_short(architecture);
        package->state = STATE_INSTALLED;
        if (find(header, TAG_EPOCH, TYPE_INT32, &value) && get_int(&value, 0, &number))
                package->version = g_strdup_printf("%u:%s-%s", number, v, r);
        else
                package->version = g_strdup_printf("%s-%s", v, r);
        if (find(header, TAG_INSTALL_TIME, TYPE_INT32, &value) && get_int(&value, 0, &number))
                package->install_time = number;
        return package;
}

/* Names of directories; of Span. */
static GArray *read_directories(const RpmHeader *header)
{
        GArray *directories = g_array_new(FALSE, FALSE, sizeof(Span));
        Value value;
        Span name;

        if (find(header, TAG_DIRECTORY_NAMES, TYPE_STRING_ARRAY, &value))
                while (next_string(&value, &name))
                        g_array_append_val(directories, name);
        return directories;
}

void rpm_header_foreach_file(const RpmHeader *header, RpmEachFile each, void *data)
{
        g_autoptr(GArray) directories = read_directories(header);
        Value names, indexes, flags = {.count = 0};
        g_autoptr(GString) path = g_string_new(NULL);
        Span name;

        if (!find(header, TAG_BASE_NAMES, TYPE_STRING_ARRAY, &names) ||
            !find(header, TAG_DIRECTORY_INDEXES, TYPE_INT32, &indexes))
                return;
        (void) find(header, TAG_FILE_FLAGS, TYPE_INT32, &flags);
        for (uint32_t i = 0; next_string(&names, &name); i++) {
                uint32_t directory, flag = 0;

                if (!get_int(&indexes, i, &directory))
                        return;
                if (directory >= directories->len)
                        continue;
                Span in = g_array_index(directories, Span, directory);
                if (in.size + name.size > PATH_MAX_OF_LIST)
                        continue;
                g_string_truncate(path, 0);
                g_string_append_len(path, in.bytes, (gssize) in.size);
                g_string_append_len(path, name.bytes, (gssize) name.size);
                (void) get_int(&flags, i, &flag);
                each((Span){path->str, path->len}, flag & FLAG_CONFIGURATION, data);
        }
}
