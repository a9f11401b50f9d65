/* SPDX-License-Identifier: MIT */
#include "base/fault.h"

#include "base/escape.h"

#include <errno.h>
#include <glib.h>
#include <stdarg.h>
#include <string.h>

static const struct {
        const char *name;
        const char *documentation;
        int error;
        int exit_status;
} faults[_FAULT_MAX] = {[FAULT_NONE] = {"None", "Nothing failed.", 0, 0},
#define X(id, err, bus, exit_status, doc) [FAULT_##id] = {bus, doc, err, exit_status},
                        FAULTS(X)
#undef X
};

static void set_text(Fault *f, FaultCode code, const char *text)
{
        if (!f || f->code != FAULT_NONE)
                return;
        f->code = code;
        escape_print_into(f->message, sizeof f->message, text, strlen(text));
}

int fault_set_text(Fault *f, FaultCode code, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);
        set_text(f, code, text);
        return fault_to_errno(code);
}

int fault_set_errno_text(Fault *f, FaultCode code, int error, const char *format, ...)
{
        va_list ap;

        error = error < 0 ? -error : error;
        if (error == ENOSPC || error == EDQUOT)
                code = FAULT_NO_SPACE;
        else if (error == ENOMEM)
                code = FAULT_NO_MEMORY;
        va_start(ap, format);
        g_autofree char *what = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_autofree char *text = g_strdup_printf("%s: %s", what, g_strerror(error));
        set_text(f, code, text);
        return fault_to_errno(code);
}

void fault_clear(Fault *f)
{
        if (f)
                *f = (Fault){0};
}

bool fault_is_set(const Fault *f)
{
        return f && f->code != FAULT_NONE;
}

int fault_to_errno(FaultCode code)
{
        return -faults[code].error;
}

const char *fault_to_string(FaultCode code)
{
        return faults[code].name;
}

FaultCode fault_from_string(const char *name)
{
        for (FaultCode code = FAULT_NONE + 1; code < _FAULT_MAX; code++)
                if (g_str_equal(faults[code].name, name))
                        return code;
        return FAULT_NONE;
}

int fault_to_exit_status(FaultCode code)
{
        return faults[code].exit_status;
}

const char *fault_documentation(FaultCode code)
{
        return faults[code].documentation;
}
