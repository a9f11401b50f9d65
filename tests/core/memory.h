/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests of warm templates, pools, branches and pauses have in common. */

#include "tests/core/world.h"

/* Of the caller's sandbox. */
static inline const char *id_of(const char *sandbox)
{
        return get_sandbox(sandbox)->row->id.text;
}

static inline const SandboxRow *row_of(const char *sandbox)
{
        return get_sandbox(sandbox)->row;
}

static inline const FakeIdentity *identity_of(const char *sandbox)
{
        return fake_host_identity(id_of(sandbox));
}

/* One case: that is what the guest has in its RAM. */
static inline void is_memory(const char *sandbox, const char *expected, const char *sentence)
{
        g_autofree char *text = fake_host_memory(id_of(sandbox));

        tap_is_str(text, expected, "%s", sentence);
}

static inline bool has_file(const Sandbox *s, const char *name)
{
        g_autofree char *path = sandbox_file(s->manager, s->row->id.text, name);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Whether the file of the one is that of the other. */
static inline bool is_same_file(const Sandbox *a, const Sandbox *b, const char *name)
{
        g_autofree char *left = sandbox_file(a->manager, a->row->id.text, name);
        g_autofree char *right = sandbox_file(b->manager, b->row->id.text, name);
        struct stat x, y;

        return stat(left, &x) == 0 && stat(right, &y) == 0 && x.st_ino == y.st_ino;
}

/* What cannot be loaded any more. */
static inline void damage_file(const Sandbox *s, const char *name)
{
        g_autofree char *path = sandbox_file(s->manager, s->row->id.text, name);
        autofd fd = open(path, O_WRONLY | O_CLOEXEC);

        need(fd < 0 ? -errno : pwrite(fd, "bad", 3, 0) == 3 ? 0 : -EIO, path);
}

/* -- disks ------------------------------------------------------------------------------------ */

/* What the guest of the sandbox writes to its disk. */
static inline void write_text(const char *sandbox, const char *text)
{
        g_autofree char *path = fake_host_disk(id_of(sandbox), 0);
        autofd fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

        need(fd < 0 ? -errno : write_all(fd, text, strlen(text)), "write");
}

/* What it finds there. */
static inline bool can_read(const char *sandbox, const char *text)
{
        g_autofree char *at = fake_host_disk(id_of(sandbox), 0);

        while (at) {
                g_autofree char *content = NULL;
                char *below = fake_host_backing(at);

                need(g_file_get_contents(at, &content, NULL, NULL) ? 0 : -EIO, at);
                g_free(at);
                at = below;
                if (strstr(content, text))
                        return true;
        }
        return false;
}

/* -- what fluid keeps for itself -------------------------------------------------------------- */

/* The oldest that is kept for that, or NULL. */
static inline Sandbox *find_hidden(const char *purpose)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_SANDBOX);

        for (guint i = 0; i < list->len; i++)
                if (g_str_equal(((Sandbox *) list->pdata[i])->row->purpose, purpose))
                        return list->pdata[i];
        return NULL;
}

static inline unsigned count_hidden(const char *purpose)
{
        g_autoptr(GPtrArray) list = manager_list(fixture.manager, OBJECT_SANDBOX);
        unsigned n = 0;

        for (guint i = 0; i < list->len; i++)
                n += g_str_equal(((Sandbox *) list->pdata[i])->row->purpose, purpose);
        return n;
}

static inline TemplateWarmth warmth_of(const char *template)
{
        return template_warmth(get_template(template));
}

static inline bool is_pool_ready(void *n)
{
        return warmth_of("base").pool_ready == GPOINTER_TO_UINT(n) &&
               count_hidden(PURPOSE_POOL) == GPOINTER_TO_UINT(n);
}

/* Whether the pool of "base" comes to have so many, and no more. */
static inline bool until_pool(unsigned n)
{
        bool is_reached = until(is_pool_ready, GUINT_TO_POINTER(n));

        settle();
        return is_reached && is_pool_ready(GUINT_TO_POINTER(n));
}

static inline bool is_warm(void *template)
{
        return warmth_of(template).is_warm && !*warmth_of(template).phase;
}

static inline bool until_warm(const char *template)
{
        bool is_reached = until(is_warm, (void *) template);

        settle();
        return is_reached;
}

/* With a template "base" that is warm, of a guest that has WARM in its memory. */
#define WARM "services that have started"

static inline bool has_builder(G_GNUC_UNUSED void *userdata)
{
        const Sandbox *builder = find_hidden(PURPOSE_WARM);

        return builder && fake_host_domain(builder->row->id.text) == DOMAIN_RUNNING;
}

static inline void prepare_warm(void)
{
        Outcome o = {0};
        Template *t;

        if (!get_template("base"))
                need(import_image("base", IMAGE), "import");
        t = get_template("base");
        need(template_warm(t, &fixture.caller, 0, 0, fresh_fault()), "warm");
        need(template_wait_warm(t, PATIENCE_USEC, on_outcome, &o, &fixture.fault), "wait");
        need(until(has_builder, NULL) ? 0 : -ETIME, "builder");
        fake_host_set_memory(find_hidden(PURPOSE_WARM)->row->id.text, WARM);
        need(finish(0, &o), "warm");
}
