/* SPDX-License-Identifier: MIT */
#include "run/recap.h"

#include "base/cleanup.h"
#include "base/file.h"

#define BYTES_MAX (4 << 20)
#define DEPTH_MAX 4

static const char *const words[] = {"ok",      "changed", "unreachable", "failed",
                                    "skipped", "rescued", "ignored"};

void recap_done(Recap *recap)
{
        json_object_put(recap->hosts);
        json_object_put(recap->changes);
        *recap = (Recap){0};
}

static int check_host(Json *host, bool *ret_failed, Fault *f)
{
        uint64_t n, unreachable = 0, failed = 0;

        if (!json_object_is_type(host, json_type_object) ||
            json_object_object_length(host) != (int) G_N_ELEMENTS(words))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "a host in Ansible's recap is none");
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (!json_find_uint(host, words[i], &n))
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "a host in Ansible's recap has no '%s'", words[i]);
        (void) json_find_uint(host, "unreachable", &unreachable);
        (void) json_find_uint(host, "failed", &failed);
        *ret_failed = unreachable > 0 || failed > 0;
        return 0;
}

static int check_changes(Json *changes, Fault *f)
{
        if (json_object_object_length(changes) > RECAP_CHANGES_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "Ansible's recap has too many changes");
        json_object_object_foreach(changes, name, number)
        {
                (void) name;
                if (!json_object_is_type(number, json_type_int) ||
                    json_object_get_int64(number) <= 0)
                        return fault_set(f, FAULT_INVALID_ARGUMENT,
                                         "a change in Ansible's recap has no number");
        }
        return 0;
}

static int check_hosts(Json *hosts, unsigned *ret_failed, Fault *f)
{
        unsigned n_failed = 0;

        if (json_object_object_length(hosts) > RECAP_HOSTS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "Ansible's recap has too many hosts");
        json_object_object_foreach(hosts, name, host)
        {
                bool has_failed;
                int r = check_host(host, &has_failed, f);

                (void) name;
                if (r < 0)
                        return r;
                n_failed += has_failed;
        }
        *ret_failed = n_failed;
        return 0;
}

int recap_load(const char *path, Recap *ret, Fault *f)
{
        g_autofree char *text = NULL;
        g_autoptr(Json) recap = NULL;
        Json *hosts, *changes;
        unsigned n_failed = 0;
        size_t size;
        Fault why = {0};

        int r = file_read(path, BYTES_MAX, &text, &size, &why);
        if (r < 0 && why.code == FAULT_NOT_FOUND) {
                *ret = (Recap){.hosts = json_object_new_object(),
                               .changes = json_object_new_object()};
                return 0;
        }
        if (r == 0)
                r = json_parse(text, size, DEPTH_MAX, &recap, &why);
        if (r < 0)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "Ansible's recap: %s", why.message);
        if (!json_find_object(recap, "hosts", &hosts) ||
            !json_find_object(recap, "changes", &changes))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "Ansible's recap is none");
        r = check_hosts(hosts, &n_failed, f);
        if (r == 0)
                r = check_changes(changes, f);
        if (r < 0)
                return r;
        *ret = (Recap){json_object_get(hosts), json_object_get(changes),
                       (unsigned) json_object_object_length(hosts), n_failed};
        return 0;
}

char *recap_format(const Recap *recap, int rc, bool is_check)
{
        g_autoptr(Json) document = json_object_new_object();

        json_object_object_add(document, "rc", json_object_new_int(rc));
        json_object_object_add(document, "check", json_object_new_boolean(is_check));
        json_object_object_add(document, "hosts", json_object_get(recap->hosts));
        if (is_check)
                json_object_object_add(document, "changes", json_object_get(recap->changes));
        return g_strconcat(
                json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE),
                "\n", NULL);
}
