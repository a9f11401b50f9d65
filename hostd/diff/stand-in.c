/* SPDX-License-Identifier: MIT */
#include "diff/stand-in.h"

#include "base/cleanup.h"
#include "diff/foreign.h"
#include "diff/pair.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool parse_number(const char **text, char end, unsigned max, unsigned *ret)
{
        char *after = NULL;
        unsigned long value = g_ascii_isdigit(**text) ? strtoul(*text, &after, 10) : 0;

        if (!after || *after != end || value > max)
                return false;
        *ret = (unsigned) value;
        *text = end ? after + 1 : after;
        return true;
}

int stand_in_parse(const char *text, bool is_reason, StandIns ins[static 2], Fault *f)
{
        bool is_new = g_str_has_prefix(text, "new:");
        StandIn in = {.fd = -1};
        const char *at = text + strlen("new:");
        unsigned fd = 0;

        if ((!is_new && !g_str_has_prefix(text, "old:")) ||
            !parse_number(&at, '=', UINT16_MAX, &in.place) ||
            (!is_reason && (!parse_number(&at, '\0', INT32_MAX, &fd) || fd <= STDERR_FILENO)) ||
            (is_reason && !*at))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "'%s' is not old:PLACE=%s", text,
                                 is_reason ? "TEXT" : "FD");
        if (ins[is_new].n == STAND_INS_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "at most %d places", STAND_INS_MAX);
        if (is_reason)
                in.reason = at;
        else
                in.fd = (int) fd;
        ins[is_new].list[ins[is_new].n++] = in;
        return 0;
}

int stand_ins_open(StandIns *ins, Fault *f)
{
        const DiskFormat format = DISK_RAW;
        int r = 0;

        for (unsigned i = 0; r == 0 && i < ins->n; i++)
                if (ins->list[i].fd >= 0)
                        r = chain_open_fds(&ins->list[i].fd, &format, 1, NULL, &ins->list[i].chain,
                                           f);
        return r;
}

void stand_ins_close(StandIns *ins)
{
        for (unsigned i = 0; i < ins->n; i++)
                ins->list[i].chain = chain_free(ins->list[i].chain);
}

static int use(Storage *storage, const StandIn *in, Fault *f)
{
        Place *place = storage_place(storage, in->place);
        Signature signature;

        if (!place || !place_is_foreign(place) || place->stand_in)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "place %u of %s needs nothing that stands in for it", in->place,
                                 storage->name);
        if (in->reason) {
                g_free(place->reason);
                place->reason = g_strdup(in->reason);
                return 0;
        }
        g_autoptr(Volume) volume = volume_new_disk(0, in->chain);
        int r = signature_read(volume, &signature, f);
        if (r < 0)
                return r;
        if (!signature_is_ext(&signature))
                return fault_set(f, FAULT_IMAGE_REFUSED,
                                 "what stands in for place %u of %s has no ext4 file system",
                                 in->place, storage->name);
        place->stand_in = TAKE_PTR(volume);
        place->reason = (g_free(place->reason), NULL);
        return 0;
}

int stand_ins_use(const StandIns *ins, Storage *storage, Fault *f)
{
        int r = 0;

        for (unsigned i = 0; ins && r == 0 && i < ins->n; i++)
                r = use(storage, &ins->list[i], f);
        return r;
}

static void drop(Place *place, const Place *other)
{
        place->stand_in = volume_free(place->stand_in);
        place->reason = g_strdup_printf("it could be read at one of the two points only; of the "
                                        "other: %s",
                                        other->reason);
}

static void match(Storage *storage, const Storage *others)
{
        Place *place;

        for (unsigned i = 0; (place = storage_place(storage, i)) != NULL; i++) {
                const Place *other = place->stand_in ? pair_find_at(others, place) : NULL;

                if (other && place_is_foreign(other) && !place_is_readable(other))
                        drop(place, other);
        }
}

void stand_ins_match(Storage *old, Storage *new)
{
        match(new, old);
        match(old, new);
}
