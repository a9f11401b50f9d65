/* SPDX-License-Identifier: MIT */

/* The hook's scanner of a domain's XML: what it takes, it reads as libxml2 does. */

#define main hook_main
int main(int argc, char **argv);
#include "hooks/fluid-hook.c"
#undef main

#include "host/xml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count_lines(const char *text, const char *line)
{
        unsigned count = 0;
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **l = lines; *l; l++)
                count += g_str_equal(*l, line);
        return count;
}

/* Whether a child of <metadata> declares the namespace itself, as libvirt writes it, and has an id
 * that the hook takes; one in no such namespace does not count. */
static bool has_mark(xmlNode *metadata)
{
        for (xmlNode *node = metadata ? xml_first(metadata) : NULL; node; node = xml_next(node)) {
                g_autofree char *id = xml_get(node, "id");
                for (const xmlNs *ns = node->nsDef; id && ns; ns = ns->next)
                        if (g_strcmp0((const char *) ns->href, "urn:fluid:sandbox:1") == 0 &&
                            strlen(id) == 12 && strspn(id, "0123456789abcdef") == 12)
                                return true;
        }
        return false;
}

/* Not less, and not more where no value is such a line and no element in a default namespace. */
static void expect_lines(const char *xml, const Domain *d, const char *line, unsigned expected)
{
        g_autofree char *quoted = g_strdup_printf("'%s'", line);
        g_autofree char *double_quoted = g_strdup_printf("\"%s\"", line);
        unsigned count = count_lines(d->nics, line);

        if (count < expected || (count > expected && !strstr(xml, quoted) &&
                                 !strstr(xml, double_quoted) && !strstr(xml, "xmlns=")))
                abort();
}

static void compare(const char *xml, const Domain *d)
{
        g_autoptr(XmlDoc) doc = NULL;
        unsigned metadata = 0, devices = 0, interfaces = 0, hostdevs = 0;

        /* libvirt has no such documents: only one root, no references in what is compared. */
        if (strchr(xml, '&') || xml_parse("a domain", xml, "domain", &doc, NULL) < 0)
                return;
        xmlNode *root = xmlDocGetRootElement(doc), *mark = NULL;
        for (xmlNode *node = xml_first(root); node; node = xml_next(node)) {
                if (xml_is(node, "metadata") && metadata++ == 0)
                        mark = node;
                devices += xml_is(node, "devices");
                for (xmlNode *device = xml_is(node, "devices") ? xml_first(node) : NULL; device;
                     device = xml_next(device)) {
                        interfaces += xml_is(device, "interface");
                        hostdevs += xml_is(device, "hostdev");
                }
        }
        if (metadata > 1 || devices > 1 || strlen(d->nics) == sizeof d->nics - 1)
                return;
        if (has_mark(mark) != (d->id[0] != '\0'))
                abort();
        expect_lines(xml, d, "interface", interfaces);
        expect_lines(xml, d, "hostdev", hostdevs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *xml = g_strndup((const char *) data, size);
        g_autofree char *copy = g_strdup(xml);
        Domain d = {0};

        if (!scan(copy, &d))
                return 0;
        if ((d.id[0] && strlen(d.id) != 12) || !memchr(d.nics, '\0', sizeof d.nics))
                abort();
        compare(xml, &d);
        return 0;
}
