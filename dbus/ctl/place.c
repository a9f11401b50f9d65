/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/place.h"

#include "base/cleanup.h"
#include "base/escape.h"
#include "base/name.h"

#include <string.h>

int place_parse(const char *text, Place *ret, Fault *f)
{
        const char *colon = strchr(text, ':');

        if (!colon || colon == text)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.80s' is not NAME:PATH or NAME:PATH@POINT", text);
        g_autofree char *sandbox = g_strndup(text, (size_t) (colon - text));
        int r = name_check("sandbox", sandbox, f);
        if (r < 0)
                return r;
        const char *path = colon + 1, *at = strrchr(path, '@');
        if (*path != '/')
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the path '%.80s' is not absolute: it begins with /", path);
        bool has_point = at && name_is_valid(at + 1);
        *ret = (Place){
                .sandbox = TAKE_PTR(sandbox),
                .path = has_point ? g_strndup(path, (size_t) (at - path)) : g_strdup(path),
                .point = g_strdup(has_point ? at + 1 : POINT_NOW),
        };
        return 0;
}

char *place_printable(const Place *place)
{
        size_t size;
        g_autofree char *bytes = escape_undo(place->path, &size);

        return escape_print(bytes, size);
}

void place_done(Place *place)
{
        g_free(place->sandbox);
        g_free(place->path);
        g_free(place->point);
        *place = (Place){0};
}
