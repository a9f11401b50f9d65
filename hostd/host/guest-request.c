/* SPDX-License-Identifier: MIT */
#include "host/guest-task.h"

#include "base/cleanup.h"
#include "base/name.h"

#include <string.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MARK         "FLUID_COMMAND"

/* qemu-ga knows neither directory nor user; this becomes the program in their stead. $4 names the
 * variables that the caller has set. util-linux' setpriv leaves no process of its own behind; where
 * there is none (busybox has another program of that name) su serves, in a syntax that the su of
 * util-linux and that of busybox share. The prefix keeps its variables apart from the caller's. */
static const char wrapper[] =
        "set -f\n"
        "fluid_marker=$1 fluid_directory=$2 fluid_user=$3 fluid_given=$4 fluid_found=\n"
        "shift 4\n"
        "fluid_fail() { echo \"$fluid_marker$1\" >&2; exit 125; }\n"
        "fluid_preset() { case $fluid_given in *\" $1 \"*) ;; *) export \"$1=$2\" ;; esac; }\n"
        "fluid_is_user() { [ \"$fluid_name\" = \"$fluid_user\" ] || [ \"$fluid_uid\" = \"$fluid_user\" ]; }\n"
        "if [ -n \"$fluid_user\" ]; then\n"
        "        fluid_passwd=$(getent passwd \"$fluid_user\" 2>/dev/null) ||\n"
        "                fluid_passwd=$(cat /etc/passwd)\n"
        "        while IFS=: read -r fluid_name _ fluid_uid fluid_gid _ fluid_home _; do\n"
        "                if fluid_is_user; then break; fi\n"
        "        done <<END\n"
        "$fluid_passwd\n"
        "END\n"
        "        fluid_is_user || fluid_fail user\n"
        "        fluid_preset HOME \"$fluid_home\"\n"
        "        fluid_preset USER \"$fluid_name\"\n"
        "        fluid_preset LOGNAME \"$fluid_name\"\n"
        "fi\n"
        "cd -- \"$fluid_directory\" 2>/dev/null || fluid_fail directory\n"
        "case $1 in\n"
        "*/*) if [ -f \"$1\" ] && [ -x \"$1\" ]; then fluid_found=1; fi ;;\n"
        "*)\n"
        "        IFS=:\n"
        "        for fluid_at in $PATH; do\n"
        "                if [ -f \"$fluid_at/$1\" ] && [ -x \"$fluid_at/$1\" ]; then fluid_found=1; fi\n"
        "        done\n"
        "        unset IFS ;;\n"
        "esac\n"
        "[ -n \"$fluid_found\" ] || fluid_fail program\n"
        "[ -n \"$fluid_user\" ] || exec \"$@\"\n"
        "case $(setpriv --help 2>&1) in\n"
        "*--reuid*) exec setpriv --reuid=\"$fluid_uid\" --regid=\"$fluid_gid\" --init-groups -- \"$@\" ;;\n"
        "esac\n"
        "command -v su >/dev/null || fluid_fail switch\n"
        "exec su -p -s /bin/sh -c 'exec \"$@\"' -- \"$fluid_name\" sh \"$@\"\n";

static bool is_root(const char *user)
{
        return !user || g_str_equal(user, "root") || g_str_equal(user, "0");
}

static bool needs_wrapper(const GuestExecSpec *spec)
{
        if (!is_root(spec->user) || (spec->directory && !g_str_equal(spec->directory, "/")))
                return true;
        /* qemu-ga would look it up in its own PATH. */
        for (const char *const *e = spec->environment; e && *e; e++)
                if (g_str_has_prefix(*e, "PATH=") && !strchr(spec->argv[0], '/'))
                        return true;
        return false;
}

/* -- checks --------------------------------------------------------------------------------- */

static int check_variable(const char *variable, Fault *f)
{
        const char *end = strchr(variable, '=');
        int err = guest_check_text("environment variable", variable, f);

        if (err < 0)
                return err;
        if (!end || end == variable)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the environment variable '%s' is not of the form NAME=value",
                                 variable);
        if (g_str_has_prefix(variable, MARK "="))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the environment variable " MARK " is reserved");
        return 0;
}

/* Passes through getent and a line-wise comparison: what cannot be a name is refused here. */
static int check_user(const char *user, Fault *f)
{
        int err = guest_check_text("user", user, f);

        if (err < 0)
                return err;
        if (*user == '-' || strpbrk(user, ":/\n"))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not a user's name", user);
        return 0;
}

static int check_spec(const GuestExecSpec *spec, Fault *f)
{
        int err = 0;

        if (spec->id && !id_is_valid(spec->id))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not a command's id", spec->id);
        if (!spec->argv || !spec->argv[0])
                return fault_set(f, FAULT_INVALID_ARGUMENT, "no program is given");
        err = guest_check_text("program", spec->argv[0], f);
        for (const char *const *a = spec->argv; err >= 0 && *a; a++)
                err = **a ? guest_check_text("argument", *a, f) : 0;
        for (const char *const *e = spec->environment; err >= 0 && e && *e; e++)
                err = check_variable(*e, f);
        if (err >= 0 && spec->directory)
                err = guest_check_path(spec->directory, f);
        if (err >= 0 && spec->user)
                err = check_user(spec->user, f);
        if (err >= 0 && spec->input_size > GUEST_INPUT_MAX)
                err = fault_set(f, FAULT_LIMITS_EXCEEDED,
                                "the input is larger than %d bytes; push it as a file first",
                                GUEST_INPUT_MAX);
        return err;
}

/* -- formatting ----------------------------------------------------------------------------- */

static void add_string(Json *array, const char *text)
{
        json_object_array_add(array, json_object_new_string(text));
}

static bool caller_sets(const GuestExecSpec *spec, const char *name, size_t size)
{
        for (const char *const *e = spec->environment; e && *e; e++)
                if (strncmp(*e, name, size) == 0 && (*e)[size] == '=')
                        return true;
        return false;
}

static void add_default(Json *array, const GuestExecSpec *spec, const char *variable)
{
        if (!caller_sets(spec, variable, (size_t) (strchr(variable, '=') - variable)))
                add_string(array, variable);
}

/* guest-exec's `env` replaces all of the agent's own. */
static Json *format_environment(const GuestExecSpec *spec)
{
        static const char *const defaults[] = {PATH_DEFAULT, "SHELL=/bin/sh", "LANG=C.UTF-8"};
        static const char *const of_root[] = {"HOME=/root", "USER=root", "LOGNAME=root"};
        Json *array = json_object_new_array();

        if (spec->id) {
                g_autofree char *mark = g_strdup_printf(MARK "=%s", spec->id);
                add_string(array, mark);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(defaults); i++)
                add_default(array, spec, defaults[i]);
        for (size_t i = 0; is_root(spec->user) && i < G_N_ELEMENTS(of_root); i++)
                add_default(array, spec, of_root[i]);
        for (const char *const *e = spec->environment; e && *e; e++)
                add_string(array, *e);
        return array;
}

static void add_wrapper(Json *array, const GuestExecSpec *spec, const char *marker)
{
        g_autoptr(GString) given = g_string_new(" ");

        for (const char *const *e = spec->environment; e && *e; e++)
                g_string_append_printf(given, "%.*s ", (int) strcspn(*e, "="), *e);
        add_string(array, "-c");
        add_string(array, wrapper);
        add_string(array, "sh");
        add_string(array, marker);
        add_string(array, spec->directory ? spec->directory : "/");
        add_string(array, is_root(spec->user) ? "" : spec->user);
        add_string(array, given->str);
}

int guest_request_format(const GuestExecSpec *spec, Json **ret_arguments, char **ret_marker,
                         Fault *f)
{
        g_autofree char *marker = NULL, *input = NULL;
        Json *arguments, *array;
        int err = check_spec(spec, f);

        if (err < 0)
                return err;
        arguments = json_object_new_object();
        array = json_object_new_array();
        if (needs_wrapper(spec)) {
                marker = g_strdup_printf("fluid:%s:", id_new().text);
                add_wrapper(array, spec, marker);
        }
        for (const char *const *a = spec->argv + !marker; *a; a++)
                add_string(array, *a);
        json_object_object_add(arguments, "path",
                               json_object_new_string(marker ? "/bin/sh" : spec->argv[0]));
        json_object_object_add(arguments, "arg", array);
        json_object_object_add(arguments, "env", format_environment(spec));
        json_object_object_add(arguments, "capture-output", json_object_new_boolean(true));
        if (spec->input_size > 0) {
                input = g_base64_encode(spec->input, spec->input_size);
                json_object_object_add(arguments, "input-data", json_object_new_string(input));
        }
        *ret_arguments = arguments;
        *ret_marker = TAKE_PTR(marker);
        return 0;
}

int guest_request_explain(const GuestExecSpec *spec, const char *text, Fault *f)
{
        if (g_str_equal(text, "user\n"))
                return fault_set(f, FAULT_COMMAND_NOT_RUN, "the sandbox has no user '%s'",
                                 spec->user);
        if (g_str_equal(text, "directory\n"))
                return fault_set(f, FAULT_COMMAND_NOT_RUN,
                                 "the directory '%s' does not exist in the sandbox",
                                 spec->directory);
        if (g_str_equal(text, "program\n"))
                return fault_set(f, FAULT_COMMAND_NOT_RUN, "the sandbox has no program '%s'",
                                 spec->argv[0]);
        return fault_set(f, FAULT_COMMAND_NOT_RUN,
                         "the sandbox has neither setpriv nor su to become user '%s'", spec->user);
}
