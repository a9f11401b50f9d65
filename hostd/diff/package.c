/* SPDX-License-Identifier: MIT */
#include "diff/package.h"

#include "base/cleanup.h"
#include "diff/deb822.h"

#include <string.h>

static const char *const states[_STATE_MAX] = {
        [STATE_NOT_INSTALLED] = "not-installed",
        [STATE_CONFIG_FILES] = "config-files",
        [STATE_HALF_INSTALLED] = "half-installed",
        [STATE_UNPACKED] = "unpacked",
        [STATE_HALF_CONFIGURED] = "half-configured",
        [STATE_TRIGGERS_AWAITED] = "triggers-awaited",
        [STATE_TRIGGERS_PENDING] = "triggers-pending",
        [STATE_INSTALLED] = "installed",
};

const char *package_state_to_string(PackageState state)
{
        return states[state];
}

const char *package_manager_to_string(PackageManager manager)
{
        return manager == MANAGER_DPKG ? "dpkg" : "rpm";
}

bool package_is_present(const Package *package)
{
        return package && package->state > STATE_CONFIG_FILES;
}

Package *package_free(Package *package)
{
        if (!package)
                return NULL;
        g_free(package->name);
        g_free(package->architecture);
        g_free(package->version);
        g_free(package);
        return NULL;
}

static void free_package(void *data)
{
        (void) package_free(data);
}

GPtrArray *package_list_new(void)
{
        return g_ptr_array_new_with_free_func(free_package);
}

int package_compare(const Package *a, const Package *b)
{
        int order = strcmp(a->name, b->name);

        return order ? order : strcmp(a->architecture, b->architecture);
}

static int compare_pointers(gconstpointer a, gconstpointer b)
{
        return package_compare(*(Package *const *) a, *(Package *const *) b);
}

void package_list_sort(GPtrArray *packages)
{
        g_ptr_array_sort(packages, compare_pointers);
}

/* Names go into paths: Debian's own characters, and capitals. */
static bool is_name(Span name)
{
        if (name.size == 0 || name.size > PACKAGE_NAME_SIZE_MAX || !g_ascii_isalnum(name.bytes[0]))
                return false;
        for (size_t i = 0; i < name.size; i++)
                if (!g_ascii_isalnum(name.bytes[i]) && !strchr("+-._", name.bytes[i]))
                        return false;
        return !span_has(name, '\0');
}

/* "install ok installed" */
static bool parse_state(Span status, PackageState *ret)
{
        Span word = {"", 0}, next;

        while (span_next_word(&status, &next))
                word = next;
        for (PackageState i = 0; i < _STATE_MAX; i++)
                if (span_is(word, states[i])) {
                        *ret = i;
                        return true;
                }
        return false;
}

static bool is_field(Span name, const char *wanted)
{
        return name.size == strlen(wanted) &&
               g_ascii_strncasecmp(name.bytes, wanted, name.size) == 0;
}

static Package *parse_stanza(Span stanza, bool is_status_d)
{
        Span field, value, name = {"", 0}, architecture = {"", 0}, version = {"", 0};
        Span status = {"", 0}, multi_arch = {"", 0}, conffiles = {"", 0};
        PackageState state = is_status_d ? STATE_INSTALLED : STATE_NOT_INSTALLED;

        while (deb822_next_field(&stanza, &field, &value)) {
                if (is_field(field, "Package"))
                        name = value;
                else if (is_field(field, "Architecture"))
                        architecture = value;
                else if (is_field(field, "Version"))
                        version = value;
                else if (is_field(field, "Status"))
                        status = value;
                else if (is_field(field, "Multi-Arch"))
                        multi_arch = value;
                else if (is_field(field, "Conffiles"))
                        conffiles = value;
        }
        if (!is_name(name) || version.size > PACKAGE_VERSION_SIZE_MAX ||
            (architecture.size > 0 && !is_name(architecture)) ||
            (!is_status_d && !parse_state(status, &state)))
                return NULL;
        Package *package = g_new0(Package, 1);
        package->name = span_dup(name);
        package->architecture = span_dup(architecture);
        package->version = span_dup(version);
        package->state = state;
        package->multi_arch_same = span_is(multi_arch, "same");
        package->from_status_d = is_status_d;
        package->conffiles = conffiles;
        return package;
}

bool package_parse_status(Span text, bool is_status_d, GPtrArray *packages)
{
        Span stanza;

        while (deb822_next_stanza(&text, &stanza)) {
                Package *package = parse_stanza(stanza, is_status_d);

                if (!package)
                        continue;
                if (packages->len >= PACKAGES_MAX) {
                        (void) package_free(package);
                        return false;
                }
                g_ptr_array_add(packages, package);
        }
        return true;
}
