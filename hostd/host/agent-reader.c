/* SPDX-License-Identifier: MIT */
#include "host/agent-reader.h"

#include "host/agent.h"

#include <stdint.h>
#include <string.h>

#define DELIMITER 0xFF
/* An empty object costs json-c some 700 bytes: what 256 KiB of "{}," would take is out of
 * proportion. */
#define CONTAINERS_MAX 4096
/* A line buffer larger than this is given back after the reply. */
#define LINE_KEPT 4096

static const char *const diverted_keys[] = {"out-data", "err-data", "buf-b64"};

#define NO_KEY G_N_ELEMENTS(diverted_keys)

/* Four characters make three bytes. */
typedef struct Base64 {
        uint32_t bits;
        unsigned n_chars;
        unsigned n_padding;
} Base64;

struct AgentReader {
        AgentReaderHandlers handlers;
        void *userdata;

        bool is_seeking;
        bool is_skipping; /* seeking, and no 0xFF since the last failure */
        bool is_delimited;
        size_t n_bytes; /* of this reply; while seeking, of the whole search */

        GString *line; /* what is kept of the reply */
        unsigned depth;
        unsigned n_containers;
        uint32_t objects; /* bit N: the container at depth N is an object */
        bool in_string;
        bool is_escaped;
        bool expects_key;
        bool is_key;
        size_t key_start;
        size_t next_key;    /* the member whose value comes next, or NO_KEY */
        size_t diverting;   /* the member whose string is being decoded, or NO_KEY */
        unsigned keys_seen; /* bit per diverted key */
        Base64 base64;
};

static void begin_line(AgentReader *r)
{
        if (r->line->allocated_len > LINE_KEPT) {
                g_string_free(r->line, TRUE);
                r->line = g_string_new(NULL);
        }
        g_string_truncate(r->line, 0);
        if (!r->is_seeking)
                r->n_bytes = 0;
        r->is_delimited = false;
        r->depth = 0;
        r->n_containers = 0;
        r->objects = 0;
        r->in_string = false;
        r->is_escaped = false;
        r->expects_key = false;
        r->is_key = false;
        r->next_key = NO_KEY;
        r->diverting = NO_KEY;
        r->keys_seen = 0;
}

static int misbehaved(Fault *f, const char *what)
{
        return fault_set(f, FAULT_AGENT_MISBEHAVED, "the guest agent %s", what);
}

/* -- diverted strings ----------------------------------------------------------------------- */

static int base64_value(unsigned char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Takes one character; returns the bytes that it completed, at most 3, or a negative value. */
static int base64_step(Base64 *b, unsigned char c, unsigned char *out)
{
        int value = base64_value(c);

        if (c == '=' && b->n_chars >= 2) {
                b->n_padding++;
                value = 0;
        } else if (value < 0 || b->n_padding > 0) {
                return -1;
        }
        b->bits = b->bits << 6 | (uint32_t) value;
        if (++b->n_chars < 4)
                return 0;
        out[0] = (unsigned char) (b->bits >> 16);
        out[1] = (unsigned char) (b->bits >> 8);
        out[2] = (unsigned char) b->bits;
        b->bits = 0;
        b->n_chars = 0;
        return 3 - (int) b->n_padding;
}

static void hand_over(AgentReader *r, const void *bytes, size_t size)
{
        if (size > 0 && !r->is_seeking)
                r->handlers.diverted(diverted_keys[r->diverting], bytes, size, r->userdata);
}

static int end_diverted(AgentReader *r, Fault *f)
{
        if (r->base64.n_chars != 0)
                return misbehaved(f, "sent incomplete base64");
        g_string_append_c(r->line, '"');
        r->in_string = false;
        r->diverting = NO_KEY;
        return 0;
}

/* Consumes what belongs to the string and returns how much that was. */
static ssize_t feed_diverted(AgentReader *r, const unsigned char *bytes, size_t size, Fault *f)
{
        unsigned char out[3 * 1024];
        size_t n_out = 0, i;

        for (i = 0; i < size && bytes[i] != '"'; i++) {
                /* The only escape that has a place in base64 is "\/". */
                if (bytes[i] == '\\' && !r->is_escaped) {
                        r->is_escaped = true;
                        continue;
                }
                int n = -1;
                if (!r->is_escaped || bytes[i] == '/')
                        n = base64_step(&r->base64, bytes[i], out + n_out);
                if (n < 0)
                        return misbehaved(f, "sent bytes that are not base64");
                r->is_escaped = false;
                n_out += (size_t) n;
                if (n_out + 3 > sizeof out) {
                        hand_over(r, out, n_out);
                        n_out = 0;
                }
        }
        hand_over(r, out, n_out);
        if (i < size && r->is_escaped)
                return misbehaved(f, "sent bytes that are not base64");
        if (i < size) {
                int err = end_diverted(r, f);
                if (err < 0)
                        return err;
                i++;
        }
        return (ssize_t) i;
}

/* -- the rest of a reply -------------------------------------------------------------------- */

static bool in_object(const AgentReader *r)
{
        return r->depth > 0 && r->objects >> r->depth & 1;
}

static size_t find_diverted_key(const char *name)
{
        size_t key = 0;

        while (key < NO_KEY && !g_str_equal(diverted_keys[key], name))
                key++;
        return key;
}

static int begin_string(AgentReader *r, Fault *f)
{
        r->in_string = true;
        r->is_key = in_object(r) && r->expects_key;
        r->key_start = r->line->len + 1;
        if (r->is_key || r->next_key == NO_KEY)
                return 0;
        if (r->keys_seen & 1U << r->next_key)
                return misbehaved(f, "sent the same output twice in one reply");
        r->keys_seen |= 1U << r->next_key;
        r->diverting = r->next_key;
        r->next_key = NO_KEY;
        r->base64 = (Base64){0};
        return 0;
}

/* Only members of the object that is the reply's "return" are diverted: those two levels down. */
static void end_string(AgentReader *r)
{
        r->in_string = false;
        if (r->is_key && r->depth == 2)
                r->next_key = find_diverted_key(r->line->str + r->key_start);
        else if (r->is_key)
                r->next_key = NO_KEY;
        r->is_key = false;
}

static int feed_string(AgentReader *r, unsigned char c, Fault *f)
{
        if (c < 0x20)
                return misbehaved(f, "sent a control character in a string");
        if (r->is_escaped)
                r->is_escaped = false;
        else if (c == '\\')
                r->is_escaped = true;
        else if (c == '"')
                end_string(r);
        return 0;
}

static int open_container(AgentReader *r, bool is_object, Fault *f)
{
        if (r->depth == AGENT_DEPTH_MAX)
                return misbehaved(f, "sent JSON that is nested too deep");
        if (++r->n_containers > CONTAINERS_MAX)
                return misbehaved(f, "sent JSON with too many parts");
        r->depth++;
        r->objects = (r->objects & ~(UINT32_C(1) << r->depth)) | (uint32_t) is_object << r->depth;
        r->expects_key = is_object;
        r->next_key = NO_KEY;
        return 0;
}

/* Keeps track of where in the JSON text we are, no more: json-c decides whether it is valid. */
static int feed_structure(AgentReader *r, unsigned char c, Fault *f)
{
        switch (c) {
        case '"':
                return begin_string(r, f);
        case '{':
                return open_container(r, true, f);
        case '[':
                return open_container(r, false, f);
        case '}':
        case ']':
                if (r->depth == 0)
                        return misbehaved(f, "sent what is not JSON");
                r->depth--;
                r->expects_key = false;
                r->next_key = NO_KEY;
                return 0;
        case ',':
                r->expects_key = in_object(r);
                r->next_key = NO_KEY;
                return 0;
        case ':':
                r->expects_key = false;
                return 0;
        default:
                if (c < 0x20 && c != '\t' && c != '\r')
                        return misbehaved(f, "sent binary data");
                return 0;
        }
}

static int feed_kept(AgentReader *r, unsigned char c, Fault *f)
{
        int err;

        if (r->line->len >= AGENT_LINE_MAX)
                return misbehaved(f, "sent a reply that is too long");
        err = r->in_string ? feed_string(r, c, f) : feed_structure(r, c, f);
        if (err < 0)
                return err;
        g_string_append_c(r->line, (char) c);
        return 0;
}

/* -- lines ---------------------------------------------------------------------------------- */

static int parse_line(AgentReader *r, Json **ret, Fault *f)
{
        g_autoptr(Json) reply = NULL;

        if (!g_utf8_validate_len(r->line->str, r->line->len, NULL))
                return misbehaved(f, "sent text that is not UTF-8");
        if (json_parse(r->line->str, r->line->len, AGENT_DEPTH_MAX + 1, &reply, NULL) < 0 ||
            !json_object_is_type(reply, json_type_object))
                return misbehaved(f, "sent what is not a JSON object");
        *ret = g_steal_pointer(&reply);
        return 0;
}

static int end_line(AgentReader *r, Fault *f)
{
        g_autoptr(Json) reply = NULL;
        bool is_delimited = r->is_delimited, is_blank = r->line->len == 0;
        int err = is_blank ? 0 : parse_line(r, &reply, f);

        r->is_skipping = r->is_seeking;
        begin_line(r);
        if (err < 0 || is_blank)
                return err;
        return r->handlers.reply(reply, is_delimited, r->userdata, f);
}

/* Returns how many of the bytes were used, at least one. */
static ssize_t feed_some(AgentReader *r, const unsigned char *bytes, size_t size, Fault *f)
{
        int err;

        if (r->diverting != NO_KEY && *bytes != DELIMITER)
                return feed_diverted(r, bytes, size, f);
        if (*bytes == DELIMITER) {
                if (!r->is_seeking && r->line->len > 0)
                        return misbehaved(f, "broke off in the middle of a reply");
                begin_line(r);
                r->is_skipping = false;
                r->is_delimited = true;
                return 1;
        }
        if (r->is_skipping) {
                const unsigned char *delimiter = memchr(bytes, DELIMITER, size);
                return delimiter ? delimiter - bytes : (ssize_t) size;
        }
        if (*bytes == '\n' && !r->in_string)
                err = end_line(r, f);
        else
                err = feed_kept(r, *bytes, f);
        return err < 0 ? err : 1;
}

/* A failure that is no reason to stop: the search goes on at the next 0xFF. */
static bool can_go_on(AgentReader *r, int err)
{
        if (!r->is_seeking || err != fault_to_errno(FAULT_AGENT_MISBEHAVED))
                return false;
        begin_line(r);
        r->is_skipping = true;
        return true;
}

AgentReader *agent_reader_new(const AgentReaderHandlers *handlers, void *userdata)
{
        AgentReader *r = g_new0(AgentReader, 1);

        r->handlers = *handlers;
        r->userdata = userdata;
        r->line = g_string_new(NULL);
        agent_reader_seek(r);
        return r;
}

AgentReader *agent_reader_free(AgentReader *r)
{
        if (!r)
                return NULL;
        g_string_free(r->line, TRUE);
        g_free(r);
        return NULL;
}

void agent_reader_seek(AgentReader *r)
{
        r->is_seeking = true;
        r->is_skipping = true;
        r->n_bytes = 0;
        begin_line(r);
}

void agent_reader_settle(AgentReader *r)
{
        r->is_seeking = false;
        r->is_skipping = false;
        r->n_bytes = 0;
}

int agent_reader_feed(AgentReader *r, const void *bytes, size_t size, Fault *f)
{
        const unsigned char *next = bytes, *end = next + size;

        while (next < end) {
                Fault reason = {0};
                ssize_t used = feed_some(r, next, (size_t) (end - next), &reason);

                if (used < 0 && !can_go_on(r, (int) used)) {
                        if (f)
                                *f = reason;
                        return (int) used;
                }
                used = MAX(used, 1);
                next += used;
                r->n_bytes += (size_t) used;
                if (r->n_bytes > AGENT_REPLY_MAX)
                        return misbehaved(f, r->is_seeking
                                                     ? "sends bytes, but never what it is asked for"
                                                     : "sent a reply that is too large");
        }
        return 0;
}
