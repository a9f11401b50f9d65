/* SPDX-License-Identifier: MIT */
#include "dbus/ctl/place.c"

#include "tests/tap.h"

static const struct {
        const char *text, *sandbox, *path, *point; /* sandbox NULL: a mistake */
} cases[] = {
        {"web:/etc/x@clean", "web", "/etc/x", "clean"},
        {"web:/etc/x", "web", "/etc/x", "now"},
        {"web:/@template", "web", "/", "template"},
        {"web:/a@b@c", "web", "/a@b", "c"},
        {"web:/a:b@c", "web", "/a:b", "c"},
        {"web:/getty@.service", "web", "/getty@.service", "now"},
        {"web:/getty@tty1.service@now", "web", "/getty@tty1.service", "now"},
        {"web:/a@b/c", "web", "/a@b/c", "now"},
        {"web:/a@", "web", "/a@", "now"},
        {"web:/a b\n@x y", "web", "/a b\n@x y", "now"},
        {"web.1_x-:/a@0", "web.1_x-", "/a", "0"},
        {"web", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
        {":/a", NULL, NULL, NULL},
        {"web:", NULL, NULL, NULL},
        {"web:a", NULL, NULL, NULL},
        {"web:@now", NULL, NULL, NULL},
        {"/a@b:/c", NULL, NULL, NULL},
        {"../x:/a", NULL, NULL, NULL},
        {"a b:/c", NULL, NULL, NULL},
};

int main(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(Place) place = {0};
                Fault f = {0};

                int r = place_parse(cases[i].text, &place, &f);
                if (!cases[i].sandbox) {
                        tap_ok(r < 0 && f.code == FAULT_INVALID_ARGUMENT && !place.path,
                               "'%s' is no place", cases[i].text);
                        continue;
                }
                tap_is_str(place.sandbox, cases[i].sandbox, "the sandbox of case %zu is right", i);
                tap_is_str(place.path, cases[i].path, "so is the path");
                tap_is_str(place.point, cases[i].point, "and the point");
        }
        return tap_done();
}
