/* SPDX-License-Identifier: MIT */

/* Any text as NAME:PATH@POINT: what is accepted is put together again to what was given. */

#include "base/name.h"
#include "dbus/ctl/place.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = g_strndup((const char *) data, size);
        g_auto(Place) place = {0};
        Fault f = {0};

        if (place_parse(text, &place, &f) < 0) {
                g_assert(f.code == FAULT_INVALID_ARGUMENT && !place.sandbox);
                return 0;
        }
        g_assert(name_is_valid(place.sandbox) && name_is_valid(place.point));
        g_assert(place.path[0] == '/');
        g_autofree char *whole =
                g_strdup_printf("%s:%s@%s", place.sandbox, place.path, place.point);
        g_autofree char *implied = g_strdup_printf("%s:%s", place.sandbox, place.path);
        g_assert(g_str_equal(whole, text) ||
                 (g_str_equal(implied, text) && g_str_equal(place.point, POINT_NOW)));
        return 0;
}
