/* SPDX-License-Identifier: MIT */
#include "diff/deb822.h"

#include <string.h>

bool deb822_next_stanza(Span *rest, Span *ret)
{
        const char *start = NULL, *end = NULL;
        Span line;

        while (span_next_line(rest, &line)) {
                if (span_trim(line).size > 0) {
                        start = start ? start : line.bytes;
                        end = line.bytes + line.size;
                } else if (start) {
                        break;
                }
        }
        if (!start)
                return false;
        *ret = (Span){start, (size_t) (end - start)};
        return true;
}

static bool goes_on(Span rest)
{
        return rest.size > 0 && (rest.bytes[0] == ' ' || rest.bytes[0] == '\t');
}

bool deb822_next_field(Span *stanza, Span *ret_name, Span *ret_value)
{
        Span line, name;

        while (span_next_line(stanza, &line)) {
                const char *start = line.bytes, *end = line.bytes + line.size;
                Span more;

                while (goes_on(*stanza) && span_next_line(stanza, &more))
                        end = more.bytes + more.size;
                if (line.size == 0 || line.bytes[0] == '#' || !span_has(line, ':'))
                        continue;
                Span value = line;
                (void) span_next_part(&value, ':', &name);
                *ret_name = span_trim(name);
                start += name.size + 1;
                *ret_value = span_trim((Span){start, (size_t) (end - start)});
                return true;
        }
        return false;
}

bool deb822_find(Span stanza, const char *name, Span *ret)
{
        Span field, value;

        while (deb822_next_field(&stanza, &field, &value))
                if (field.size == strlen(name) &&
                    g_ascii_strncasecmp(field.bytes, name, field.size) == 0) {
                        *ret = value;
                        return true;
                }
        return false;
}
