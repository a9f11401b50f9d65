/* SPDX-License-Identifier: MIT */
#include "diff/view.h"

#include "base/cleanup.h"

#include <string.h>

/* Read-ahead and cache: inode tables and directories are read in small steps, near each other.
 * Larger reads are not cached. */
#define CHUNK_AHEAD  16384
#define CHUNK_SINGLE 4096
#define CACHE_SLOTS  256

typedef struct Redirect {
        uint64_t block;
        uint64_t source;
        uint32_t first_word;
} Redirect;

typedef struct Slot {
        uint64_t chunk_plus_1; /* 0: empty */
        uint8_t *bytes;
} Slot;

struct View {
        const Volume *volume;
        uint64_t length;
        uint32_t block_size;
        GHashTable *redirects; /* block → Redirect; NULL while there are none */
        uint32_t chunk_size;
        Slot slots[CACHE_SLOTS];
        Fault fault;
};

View *view_new(const Volume *volume)
{
        View *view = g_new0(View, 1);

        view->volume = volume;
        view->length = volume_size(volume);
        view->chunk_size = CHUNK_AHEAD;
        return view;
}

static void drop_cache(View *view)
{
        for (unsigned i = 0; i < CACHE_SLOTS; i++) {
                g_free(view->slots[i].bytes);
                view->slots[i] = (Slot){0};
        }
}

View *view_free(View *view)
{
        if (!view)
                return NULL;
        drop_cache(view);
        if (view->redirects)
                g_hash_table_unref(view->redirects);
        g_free(view);
        return NULL;
}

uint64_t view_length(const View *view)
{
        return view->length;
}

void view_set_read_ahead(View *view, bool reads_ahead)
{
        drop_cache(view);
        view->chunk_size = reads_ahead ? CHUNK_AHEAD : CHUNK_SINGLE;
}

Fault *view_fault(View *view)
{
        return &view->fault;
}

static int load_chunk(View *view, uint64_t chunk, const uint8_t **ret, Fault *f)
{
        Slot *slot = &view->slots[chunk % CACHE_SLOTS];
        uint64_t offset = chunk * view->chunk_size;
        size_t size = (size_t) MIN(view->chunk_size, view->length - offset);

        if (slot->chunk_plus_1 != chunk + 1) {
                slot->chunk_plus_1 = 0;
                if (!slot->bytes)
                        slot->bytes = g_malloc(view->chunk_size);
                int r = volume_read(view->volume, offset, slot->bytes, size, f);
                if (r < 0)
                        return r;
                slot->chunk_plus_1 = chunk + 1;
        }
        *ret = slot->bytes;
        return 0;
}

/* As if there were no redirects. */
static int read_plain(View *view, uint64_t offset, void *buffer, size_t size, Fault *f)
{
        char *p = buffer;

        if (size >= CHUNK_AHEAD)
                return volume_read(view->volume, offset, buffer, size, f);
        while (size > 0) {
                size_t in_chunk = (size_t) (offset % view->chunk_size);
                size_t n = MIN(size, view->chunk_size - in_chunk);
                const uint8_t *bytes = NULL;

                int r = load_chunk(view, offset / view->chunk_size, &bytes, f);
                if (r < 0)
                        return r;
                memcpy(p, bytes + in_chunk, n);
                p += n;
                offset += n;
                size -= n;
        }
        return 0;
}

static int read_redirected(View *view, const Redirect *redirect, size_t in_block, void *buffer,
                           size_t size, Fault *f)
{
        int r = read_plain(view, redirect->source * view->block_size + in_block, buffer, size, f);
        uint8_t word[sizeof(redirect->first_word)];

        if (r < 0 || redirect->first_word == 0 || in_block >= sizeof(word))
                return r;
        memcpy(word, &redirect->first_word, sizeof(word));
        memcpy(buffer, word + in_block, MIN(size, sizeof(word) - in_block));
        return 0;
}

int view_read(View *view, uint64_t offset, void *buffer, size_t size, Fault *f)
{
        char *p = buffer;

        if (offset > view->length || size > view->length - offset)
                return fault_set(f, FAULT_DIFF_FAILED,
                                 "the file system refers to what lies beyond its end");
        if (!view->redirects)
                return read_plain(view, offset, buffer, size, f);
        while (size > 0) {
                uint64_t block = offset / view->block_size;
                size_t in_block = (size_t) (offset % view->block_size);
                size_t n = MIN(size, view->block_size - in_block);
                const Redirect *redirect = g_hash_table_lookup(view->redirects, &block);

                int r = redirect ? read_redirected(view, redirect, in_block, p, n, f)
                                 : read_plain(view, offset, p, n, f);
                if (r < 0)
                        return r;
                p += n;
                offset += n;
                size -= n;
        }
        return 0;
}

static bool is_redirected(const View *view, uint64_t offset, uint64_t size)
{
        if (!view->redirects)
                return false;
        for (uint64_t block = offset / view->block_size; block * view->block_size < offset + size;
             block++)
                if (g_hash_table_contains(view->redirects, &block))
                        return true;
        return false;
}

bool view_is_hole(View *view, uint64_t offset, uint64_t size)
{
        return size > 0 && offset <= view->length && size <= view->length - offset &&
               volume_is_hole(view->volume, offset, size) && !is_redirected(view, offset, size);
}

bool view_redirect(View *view, uint32_t block_size, uint64_t block, uint64_t source,
                   uint32_t first_word)
{
        uint64_t n_blocks = view->length / block_size;

        if (block >= n_blocks || source >= n_blocks)
                return false;
        if (!view->redirects)
                view->redirects = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        g_assert(view->block_size == 0 || view->block_size == block_size);
        view->block_size = block_size;

        Redirect *redirect = g_new(Redirect, 1);
        *redirect = (Redirect){block, source, first_word};
        (void) g_hash_table_replace(view->redirects, &redirect->block, redirect);
        return true;
}

void view_foreach_redirect(const View *view,
                           void (*mark)(void *data, uint64_t offset, uint64_t length), void *data)
{
        GHashTableIter iter;
        gpointer value;

        if (!view->redirects)
                return;
        g_hash_table_iter_init(&iter, view->redirects);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Redirect *redirect = value;

                mark(data, redirect->block * view->block_size, view->block_size);
        }
}
