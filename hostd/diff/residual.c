/* SPDX-License-Identifier: MIT */
#include "diff/residual.h"

#include "base/archive.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/json.h"
#include "diff/held-packages.h"
#include "diff/playbook-left-out.h"

#include <string.h>
#include <unistd.h>

#define LEFT_OUT_FILE  "left-out.json"
#define LEFT_OUT_MAX   (32u << 20)
#define NAME_SIZE_MAX  256
#define HOSTS_SIZE_MAX (1u << 20)
/* Of each list that is written. */
#define LIST_MAX (160u << 10)

typedef struct List {
        GString *text; /* elements of an array */
        uint64_t n;
} List;

typedef struct Residual {
        const PlaybookDocument *document;
        const PlaybookSource *source;
        Json *left_out;    /* the archive's root */
        GHashTable *named; /* "what\nname", "what\nname\nrule", "rule\nWORD" → its element */
        List residual, named_before;
        uint64_t noise;
} Residual;

/* -- what was said in advance ------------------------------------------------------------------ */

static int read_member(Archive *archive, const ArchiveEntry *entry, char **ret, Fault *f)
{
        g_autofree char *text = NULL;
        size_t got = 0;

        if (entry->size > LEFT_OUT_MAX)
                return fault_set(f, FAULT_LIMITS_EXCEEDED, "%s of the archive is too large",
                                 LEFT_OUT_FILE);
        text = g_malloc(entry->size + 1);
        while (got < entry->size) {
                ssize_t n = archive_read(archive, text + got, entry->size - got, f);

                if (n <= 0)
                        return n < 0 ? (int) n
                                     : fault_set(f, FAULT_IO, "the archive ends too early");
                got += (size_t) n;
        }
        text[got] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

static int read_left_out(int fd, Json **ret, Fault *f)
{
        g_autoptr(Archive) archive = archive_new(fd);
        g_autofree char *text = NULL;
        const ArchiveEntry *entry;
        int r;

        while (!text && (r = archive_next(archive, &entry, f)) != 0) {
                if (r == 1 && entry->kind == ENTRY_FILE && g_str_equal(entry->name, LEFT_OUT_FILE))
                        r = read_member(archive, entry, &text, f);
                if (r < 0)
                        return r;
        }
        if (!text)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "the archive has no %s", LEFT_OUT_FILE);
        return json_parse(text, strlen(text), 8, ret, f);
}

static void name_one(Residual *q, Json *item)
{
        const char *what, *name, *rule;

        if (!json_find_string(item, "what", &what))
                return;
        bool is_named =
                json_find_string(item, "path_b64", &name) || json_find_string(item, "name", &name);
        bool has_rule = json_find_string(item, "rule", &rule);
        if (is_named)
                (void) g_hash_table_insert(q->named, g_strdup_printf("%s\n%s", what, name), item);
        if (is_named && has_rule)
                (void) g_hash_table_insert(q->named,
                                           g_strdup_printf("%s\n%s\n%s", what, name, rule), item);
        if (has_rule)
                (void) g_hash_table_insert(q->named, g_strdup_printf("rule\n%s", rule), item);
}

static int load_named(Residual *q, int fd, Fault *f)
{
        Json *list;
        int r = read_left_out(fd, &q->left_out, f);

        if (r < 0)
                return r;
        if (!json_find_array(q->left_out, "left_out", &list))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s of the archive has no list",
                                 LEFT_OUT_FILE);
        for (size_t i = 0; i < json_object_array_length(list); i++)
                name_one(q, json_object_array_get_idx(list, i));
        return 0;
}

static Json *find_named(const Residual *q, const char *what, const char *name)
{
        g_autofree char *key = g_strdup_printf("%s\n%s", what, name);

        return g_hash_table_lookup(q->named, key);
}

/* -- writing ----------------------------------------------------------------------------------- */

static void add_string(Json *object, const char *key, const char *text)
{
        (void) json_object_object_add(object, key, json_object_new_string(text));
}

/* Takes the item. */
static void add_item(List *list, Json *item)
{
        const char *text = json_object_to_json_string_ext(
                item, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        list->n++;
        if (list->text->len + strlen(text) < LIST_MAX)
                g_string_append_printf(list->text, "%s%s", list->text->len > 0 ? ",\n" : "", text);
        (void) json_object_put(item);
}

/* `rule` is NULL where it was not said in advance. */
static void add(Residual *q, Json *item, const char *rule, const char *reason)
{
        if (rule) {
                add_string(item, "rule", rule);
                add_string(item, "reason", reason ? reason : "");
        }
        add_item(rule ? &q->named_before : &q->residual, item);
}

static void add_as_named(Residual *q, Json *item, Json *named)
{
        const char *rule = NULL, *reason = NULL;

        if (named) {
                (void) json_find_string(named, "reason", &reason);
                if (!json_find_string(named, "rule", &rule))
                        rule = "?";
        }
        add(q, item, rule, reason);
}

/* -- files ------------------------------------------------------------------------------------- */

static bool is_time_alone(const FileChange *change)
{
        const FileSide *old = &change->old, *new = &change->new;

        return change->change == CHANGE_METADATA && old->mode == new->mode &&
               old->uid == new->uid && old->gid == new->gid && !old->xattrs && !new->xattrs;
}

/* What Ansible itself has left behind in a fresh sandbox. */
static bool is_of_replay(const FileChange *change)
{
        return change->change == CHANGE_ADDED &&
               (g_str_equal(change->path, "/root/.ansible") ||
                g_str_has_prefix(change->path, "/root/.ansible/"));
}

static Json *file_item(const FileChange *change)
{
        g_autofree char *printable = escape_print(change->path, strlen(change->path));
        g_autofree char *exact =
                g_base64_encode((const guchar *) change->path, strlen(change->path));
        Json *item = json_object_new_object();

        add_string(item, "what", "file");
        add_string(item, "path", printable);
        add_string(item, "path_b64", exact);
        add_string(item, "change", change_kind_to_string(change->change));
        return item;
}

/* A rule that the archive had to apply to other files covers this one, too; what belongs to one
 * machine is another one's here in any case. */
static bool is_covered(const Residual *q, const FileChange *change, const char **ret_rule,
                       const char **ret_reason)
{
        return left_out_rule(change, ret_rule, ret_reason) &&
               (g_str_equal(*ret_rule, "identity") || g_str_equal(*ret_rule, "network-state") ||
                find_named(q, "rule", *ret_rule));
}

static bool is_in_word(char c)
{
        return g_ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
}

/* With a word that no host is called in the place of that name; NULL where either cannot be read.
 */
static char *read_hosts(const Residual *q, bool of_new)
{
        const PlaybookSource *source = q->source;
        g_autofree char *name = NULL, *hosts = NULL;
        GString *text;
        size_t size;

        if (source->read(source->data, of_new, "/etc/hostname", NAME_SIZE_MAX, &name, &size, NULL) <
                    0 ||
            source->read(source->data, of_new, "/etc/hosts", HOSTS_SIZE_MAX, &hosts, &size, NULL) <
                    0 ||
            strlen(hosts) != size || !*g_strstrip(name))
                return NULL;
        text = g_string_new(NULL);
        for (const char *at = g_strchomp(hosts); *at;) {
                size_t n = 0;
                while (is_in_word(at[n]))
                        n++;
                if (n > 0 && n == strlen(name) && strncmp(at, name, n) == 0)
                        g_string_append_c(text, '*');
                else
                        g_string_append_len(text, at, (gssize) MAX(n, 1));
                at += MAX(n, 1);
        }
        return g_string_free(text, FALSE);
}

static bool is_renamed_alone(const Residual *q, const FileChange *change)
{
        if (!g_str_equal(change->path, "/etc/hosts") || change->change != CHANGE_MODIFIED ||
            change->filesystem != 0 || change->old.mode != change->new.mode ||
            change->old.uid != change->new.uid || change->old.gid != change->new.gid)
                return false;
        g_autofree char *old = read_hosts(q, false), *new = read_hosts(q, true);
        return old && new &&strcmp(old, new) == 0;
}

/* What was said of attributes goes for them alone. */
static bool covers(Json *named, const FileChange *change)
{
        const char *rule = "";

        return named &&
               (!json_find_string(named, "rule", &rule) ||
                !g_str_equal(rule, "extended-attributes") ||
                (change->change == CHANGE_METADATA && change->old.mode == change->new.mode &&
                 change->old.uid == change->new.uid && change->old.gid == change->new.gid));
}

static void take_file(Residual *q, const FileChange *change)
{
        g_autofree char *exact =
                g_base64_encode((const guchar *) change->path, strlen(change->path));
        Json *named = find_named(q, "file", exact);
        const char *rule = NULL, *reason = NULL;

        if (is_time_alone(change) || change->package != NO_INDEX)
                return;
        if (change->noise != NO_INDEX || is_of_replay(change))
                q->noise++;
        else if (covers(named, change))
                add_as_named(q, file_item(change), named);
        else if (is_covered(q, change, &rule, &reason))
                add(q, file_item(change), rule, reason);
        else if (is_renamed_alone(q, change))
                add(q, file_item(change), "identity", "the name of one machine");
        else
                add(q, file_item(change), NULL, NULL);
}

/* -- the rest ---------------------------------------------------------------------------------- */

/* What was said of one field of a user goes for that alone. */
static bool is_as_named(const Residual *q, Json *element, const char *what, const char *name)
{
        static const struct {
                const char *field, *rule;
        } fields[] = {{"uid", "accounts"},
                      {"gid", "accounts"},
                      {"comment", "comment"},
                      {"home", "accounts"},
                      {"shell", "accounts"},
                      {"password_days_min", "password-days"},
                      {"password_days_max", "password-days"},
                      {"password_days_warn", "password-days"},
                      {"password_days_inactive", "password-days"},
                      {"expires_day", "password-days"},
                      {"password_must_change", "password-days"}};
        g_autofree char *whole = g_strconcat(name, "\naccounts", NULL);
        Json *old, *new;

        if (!find_named(q, what, name))
                return false;
        if (!g_str_equal(what, "user"))
                return true;
        if (!json_find_object(element, "old", &old) || !json_find_object(element, "new", &new))
                return find_named(q, what, whole) != NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
                g_autofree char *key = g_strdup_printf("%s\n%s", name, fields[i].rule);
                if (!json_object_equal(json_object_object_get(old, fields[i].field),
                                       json_object_object_get(new, fields[i].field)) &&
                    !find_named(q, what, key))
                        return false;
        }
        return true;
}

static void take_section(Residual *q, Json *section, const char *what)
{
        for (size_t i = 0; i < json_object_array_length(section); i++) {
                Json *element = json_object_array_get_idx(section, i);
                const char *name = "?", *change = "changed";
                Json *item = json_object_new_object();

                (void) json_find_string(element, "name", &name);
                (void) json_find_string(element, "change", &change);
                add_string(item, "what", what);
                add_string(item, "name", name);
                add_string(item, "change", change);
                add_as_named(q, item,
                             is_as_named(q, element, what, name) ? find_named(q, what, name)
                                                                 : NULL);
        }
}

static void take_places(Residual *q, Json *section, const char *what)
{
        for (size_t i = 0; i < json_object_array_length(section); i++) {
                Json *element = json_object_array_get_idx(section, i);
                const char *name = "?", *reason = "";
                Json *item = json_object_new_object();

                (void) (json_find_string(element, "path", &name) ||
                        json_find_string(element, "disk", &name));
                (void) json_find_string(element, "reason", &reason);
                g_autofree char *text = g_strdup_printf("%s: %s", name, reason);
                add_string(item, "what", what);
                add_string(item, "name", text);
                add(q, item, NULL, NULL);
        }
}

static void take_held(Residual *q, GHashTable *a, GHashTable *b, const char *change)
{
        g_autoptr(GPtrArray) names = held_packages_added(a, b);

        for (unsigned i = 0; i < names->len; i++) {
                Json *item = json_object_new_object();
                add_string(item, "what", "package");
                add_string(item, "name", names->pdata[i]);
                add_string(item, "change", change);
                add_as_named(q, item, find_named(q, "package", names->pdata[i]));
        }
}

static void take_holds(Residual *q)
{
        g_autoptr(GHashTable) old = held_packages_read(q->source, false),
                              new = held_packages_read(q->source, true);

        take_held(q, old, new, "held");
        take_held(q, new, old, "not held");
}

static void take_all(Residual *q)
{
        const PlaybookDocument *document = q->document;
        Json *disks;

        for (guint i = 0; i < document->changes->len; i++)
                take_file(q, document->changes->pdata[i]);
        take_section(q, document->packages, "package");
        take_holds(q);
        take_section(q, document->services, "service");
        take_section(q, document->users, "user");
        take_section(q, document->groups, "group");
        if (json_find_array(document->root, "disks", &disks))
                take_places(q, disks, "disk");
        take_places(q, document->not_read, "not-read");
}

static const char *verdict_of(const Residual *q)
{
        if (q->residual.n > 0)
                return "residual";
        return q->named_before.n > 0 ? "exact-but-left-out" : "exact";
}

static int write_result(const Residual *q, Output *output, Fault *f)
{
        g_autoptr(Json) head = json_object_new_object();
        g_autoptr(GString) text = g_string_new(NULL);

        (void) json_object_object_add(head, "format", json_object_new_int(1));
        add_string(head, "from", q->document->from);
        add_string(head, "to", q->document->to);
        add_string(head, "verdict", verdict_of(q));
        g_string_append(text, json_object_to_json_string_ext(head, JSON_C_TO_STRING_PLAIN));
        g_string_truncate(text, text->len - 1);
        g_string_append_printf(text,
                               ",\n\"residual_count\":%" G_GUINT64_FORMAT ",\"residual\":[%s]"
                               ",\n\"left_out_count\":%" G_GUINT64_FORMAT ",\"left_out\":[%s]"
                               ",\n\"noise_count\":%" G_GUINT64_FORMAT "}\n",
                               q->residual.n, q->residual.text->str, q->named_before.n,
                               q->named_before.text->str, q->noise);
        int r = output_write(output, text->str, text->len, f);
        return r < 0 ? r : output_end(output, f);
}

int residual_write(const char *document, size_t size, const PlaybookSource *source, int archive_fd,
                   Output *output, Fault *f)
{
        g_autoptr(PlaybookDocument) parsed = NULL;
        Residual q = {0};

        int r = playbook_document_parse(document, size, &parsed, f);
        if (r < 0)
                return r;
        q = (Residual){.document = parsed,
                       .source = source,
                       .named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                       .residual = {g_string_new(NULL), 0},
                       .named_before = {g_string_new(NULL), 0}};
        r = archive_fd < 0 ? 0 : load_named(&q, archive_fd, f);
        if (r == 0) {
                take_all(&q);
                r = write_result(&q, output, f);
        }
        g_hash_table_unref(q.named);
        (void) g_string_free(q.residual.text, TRUE);
        (void) g_string_free(q.named_before.text, TRUE);
        (void) json_object_put(q.left_out);
        return r;
}
