/* SPDX-License-Identifier: MIT */
#include "host/guest-identity.h"

#include "base/quantity.h"

#include <string.h>

#define HOSTNAME_MAX_LENGTH 63

typedef struct HostnameTask {
        GuestTask task;
        Agent *agent;
        AgentCall *call;
        GuestDone done;
        void *userdata;

        char *paths[2]; /* in which it is written */
        char *hostname;
        size_t at; /* in paths */
        bool is_open;
        uint64_t handle;
} HostnameTask;

static void hostname_free(HostnameTask *t)
{
        for (size_t i = 0; i < G_N_ELEMENTS(t->paths); i++)
                g_free(t->paths[i]);
        g_free(t->hostname);
        g_free(t);
}

static void hostname_end(HostnameTask *t, int r, const Fault *f)
{
        GuestDone done = t->done;
        void *userdata = t->userdata;

        hostname_free(t);
        done(r, f, userdata);
}

static Json *handle_arguments(const HostnameTask *t)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "handle", json_object_new_uint64(t->handle));
        return arguments;
}

static void cancel_hostname(GuestTask *task)
{
        HostnameTask *t = (HostnameTask *) task;

        (void) agent_call_cancel(t->call);
        if (t->is_open)
                guest_call_detached(t->agent, "guest-file-close", handle_arguments(t));
        hostname_free(t);
}

int guest_check_hostname(const char *hostname, Fault *f)
{
        size_t size = strlen(hostname);
        bool is_valid = size >= 1 && size <= HOSTNAME_MAX_LENGTH && g_ascii_isalnum(hostname[0]) &&
                        strspn(hostname, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-") == size;

        if (!is_valid)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%s' is not a hostname: 1 to %d of A-Z a-z 0-9 . -, the first a "
                                 "letter or a digit",
                                 hostname, HOSTNAME_MAX_LENGTH);
        return 0;
}

static void write_hostname(HostnameTask *t);

static void on_closed(Json *reply, int r, const Fault *f, void *userdata)
{
        HostnameTask *t = userdata;

        (void) reply;
        t->call = NULL;
        t->is_open = false;
        if (r >= 0 && ++t->at < G_N_ELEMENTS(t->paths))
                write_hostname(t);
        else
                hostname_end(t, r, f);
}

static void hostname_failed(HostnameTask *t, int r, const Fault *f)
{
        if (t->is_open && f->code != FAULT_CANCELLED)
                guest_call_detached(t->agent, "guest-file-close", handle_arguments(t));
        hostname_end(t, r, f);
}

/* What the kernel says to a new name is told with the close: the agent buffers. */
static void on_written(Json *reply, int r, const Fault *f, void *userdata)
{
        HostnameTask *t = userdata;
        uint64_t count = 0, size = strlen(t->hostname);
        Fault why = {0};

        t->call = NULL;
        if (r >= 0) {
                r = guest_find_number(reply, "count", size, &count, &why);
                if (r >= 0 && count < size)
                        r = fault_set(&why, FAULT_AGENT_REFUSED,
                                      "'%s' cannot be written in the sandbox", t->paths[t->at]);
                f = &why;
        }
        if (r < 0)
                hostname_failed(t, r, f);
        else
                t->call = agent_call(t->agent, "guest-file-close", handle_arguments(t),
                                     GUEST_CALL_USEC, NULL, on_closed, t);
}

static void on_opened(Json *reply, int r, const Fault *f, void *userdata)
{
        HostnameTask *t = userdata;
        g_autofree char *text = NULL;
        Fault why = {0};
        Json *arguments;

        t->call = NULL;
        if (r >= 0 &&
            (!json_object_is_type(reply, json_type_int) || json_object_get_int64(reply) < 0)) {
                r = fault_set(&why, FAULT_AGENT_MISBEHAVED, "the guest agent sent no file handle");
                f = &why;
        }
        if (r < 0) {
                hostname_failed(t, r, f);
                return;
        }
        t->handle = json_object_get_uint64(reply);
        t->is_open = true;
        text = g_base64_encode((const guchar *) t->hostname, strlen(t->hostname));
        arguments = handle_arguments(t);
        json_object_object_add(arguments, "buf-b64", json_object_new_string(text));
        t->call = agent_call(t->agent, "guest-file-write", arguments, GUEST_CALL_USEC, NULL,
                             on_written, t);
}

static void write_hostname(HostnameTask *t)
{
        Json *arguments = json_object_new_object();

        json_object_object_add(arguments, "path", json_object_new_string(t->paths[t->at]));
        json_object_object_add(arguments, "mode", json_object_new_string("w"));
        t->call = agent_call(t->agent, "guest-file-open", arguments, GUEST_CALL_USEC, NULL,
                             on_opened, t);
}

int guest_set_hostname_below(sd_event *event, Agent *agent, const char *root, const char *hostname,
                             GuestDone done, void *userdata, GuestTask **ret, Fault *f)
{
        HostnameTask *t;
        int err = guest_check_hostname(hostname, f);

        (void) event;
        if (err < 0)
                return err;
        t = g_new0(HostnameTask, 1);
        t->task.cancel = cancel_hostname;
        t->agent = agent;
        t->done = done;
        t->userdata = userdata;
        t->paths[0] = g_strconcat(root, "/proc/sys/kernel/hostname", NULL);
        t->paths[1] = g_strconcat(root, "/etc/hostname", NULL);
        t->hostname = g_strconcat(hostname, "\n", NULL);
        write_hostname(t);
        *ret = &t->task;
        return 0;
}

int guest_set_hostname(sd_event *event, Agent *agent, const char *hostname, GuestDone done,
                       void *userdata, GuestTask **ret, Fault *f)
{
        return guest_set_hostname_below(event, agent, "", hostname, done, userdata, ret, f);
}

static bool ends_in_alnum(const GString *text)
{
        return text->len > 0 && g_ascii_isalnum(text->str[text->len - 1]);
}

static void trim_end(GString *text)
{
        while (text->len > 0 && !ends_in_alnum(text))
                g_string_truncate(text, text->len - 1);
}

/* A label of a hostname neither begins nor ends with a hyphen, nor is it empty. */
char *guest_hostname_from_name(const char *name)
{
        g_autoptr(GString) hostname = g_string_new(NULL);

        for (; *name && hostname->len < HOSTNAME_MAX_LENGTH; name++) {
                if (*name == '.')
                        trim_end(hostname);
                if (g_ascii_isalnum(*name))
                        g_string_append_c(hostname, *name);
                else if (*name == '.' && hostname->len > 0)
                        g_string_append_c(hostname, '.');
                else if (hostname->len > 0 && !g_str_has_suffix(hostname->str, "."))
                        g_string_append_c(hostname, '-');
        }
        trim_end(hostname);
        return g_strdup(hostname->len > 0 ? hostname->str : "sandbox");
}
