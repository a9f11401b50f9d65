/* SPDX-License-Identifier: MIT */
#include "tests/bench/bare-domain.h"

#include "host/image.h"
#include "host/xml.h"
#include "tests/bench/bus.h"

#include <err.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME         "bench-floor"
#define AGENT_SOCKET "socket,id=fluid.agent,path="

struct BareDomain {
        virConnectPtr connection;
        virDomainPtr domain;
        char *xml;
        GPtrArray *files;
};

static void fail(const char *what)
{
        errx(1, "libvirt cannot %s: %s", what, virGetLastErrorMessage());
}

static XmlDoc *load_definition(virDomainPtr domain, unsigned flags)
{
        char *text = virDomainGetXMLDesc(domain, flags);
        XmlDoc *doc;
        Fault f = {0};

        if (!text)
                fail("tell what the sandbox's domain is");
        if (xml_parse("the sandbox's domain", text, "domain", &doc, &f) < 0)
                errx(1, "%s", f.message);
        free(text);
        return doc;
}

/* -- files of its own ----------------------------------------------------------------------- */

static const char *add_file(BareDomain *d, const char *directory, const char *suffix)
{
        char *path = g_strdup_printf("%s/" NAME "%s", directory, suffix);

        g_ptr_array_add(d->files, path);
        return path;
}

/* What runs tells what a disk stands on; the definition does not. */
static void make_overlay(const char *path, xmlNode *running_disk)
{
        xmlNode *backing = xml_find(running_disk, "backingStore");
        g_autofree char *present = xml_get(xml_find(running_disk, "source"), "file");
        g_autofree char *backing_path = xml_get(xml_find(backing, "source"), "file");
        g_autofree char *backing_format = xml_get(xml_find(backing, "format"), "type");
        ImageFormat format;
        struct stat st;
        Fault f = {0};

        if (!present || !backing_path || !backing_format)
                errx(1, "a disk of the sandbox stands on nothing");
        if (stat(present, &st) < 0)
                err(1, "cannot look at '%s'", present);
        if (image_format_from_string(backing_format, &format, &f) < 0 ||
            image_create_overlay(path, backing_path, format, 0, st.st_uid, st.st_gid, &f) < 0)
                errx(1, "%s", f.message);
}

static xmlNode *find_disk(xmlNode *devices, const char *target)
{
        for (xmlNode *node = xml_first(devices); node; node = xml_next(node))
                if (xml_is(node, "disk") && xml_has(xml_find(node, "target"), "dev", target))
                        return node;
        errx(1, "the sandbox runs without its disk '%s'", target);
}

static void set_disks(BareDomain *d, const char *directory, xmlNode *devices, xmlNode *running)
{
        for (xmlNode *node = xml_first(devices); node; node = xml_next(node)) {
                if (!xml_is(node, "disk"))
                        continue;
                g_autofree char *target = xml_get(xml_find(node, "target"), "dev");
                g_autofree char *suffix = g_strdup_printf("-%s.qcow2", target);
                const char *path = add_file(d, directory, suffix);
                make_overlay(path, find_disk(running, target));
                xml_set(xml_find(node, "source"), "file", path);
        }
}

static void set_console(BareDomain *d, const char *directory, xmlNode *devices)
{
        const char *path = add_file(d, directory, ".log");

        for (xmlNode *node = xml_first(devices); node; node = xml_next(node))
                if ((xml_is(node, "serial") || xml_is(node, "console")) &&
                    xml_has(node, "type", "file"))
                        xml_set(xml_find(node, "source"), "path", path);
}

/* QEMU's arguments are in a namespace of their own, so they are found by their value. */
static void set_agent_socket(BareDomain *d, const char *directory, xmlNode *domain)
{
        g_autofree char *value = g_strconcat(AGENT_SOCKET, add_file(d, directory, ".sock"),
                                             ",server=on,wait=off", NULL);

        for (xmlNode *node = xml_first(domain); node; node = xml_next(node))
                for (xmlNode *argument = node->ns ? xml_first(node) : NULL; argument;
                     argument = xml_next(argument)) {
                        g_autofree char *present = xml_get(argument, "value");
                        if (!present || !g_str_has_prefix(present, AGENT_SOCKET))
                                continue;
                        xml_set(argument, "value", value);
                        return;
                }
        errx(1, "the sandbox's domain has no agent");
}

static void make_definition(BareDomain *d, const char *directory, virDomainPtr sandbox)
{
        static const char *const identity[] = {"name", "uuid", "title", "metadata"};
        g_autoptr(XmlDoc) doc =
                load_definition(sandbox, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
        g_autoptr(XmlDoc) running = load_definition(sandbox, 0);
        xmlNode *domain = xmlDocGetRootElement(doc);
        xmlNode *devices = xml_find(domain, "devices");

        for (size_t i = 0; i < G_N_ELEMENTS(identity); i++)
                xml_remove(xml_find(domain, identity[i]));
        xml_add(domain, "name", NAME);
        set_disks(d, directory, devices, xml_find(xmlDocGetRootElement(running), "devices"));
        set_console(d, directory, devices);
        set_agent_socket(d, directory, domain);
        d->xml = xml_format(doc);
}

/* -- life ----------------------------------------------------------------------------------- */

BareDomain *bare_domain_new(const char *sandbox, const char *directory)
{
        BareDomain *d = g_new0(BareDomain, 1);
        g_autofree char *name = bus_domain_name(sandbox);

        d->connection = virConnectOpen("qemu:///system");
        virDomainPtr domain = d->connection ? virDomainLookupByName(d->connection, name) : NULL;
        if (!domain)
                fail("find the sandbox");
        d->files = g_ptr_array_new_with_free_func(g_free);
        make_definition(d, directory, domain);
        (void) virDomainFree(domain);
        return d;
}

BareDomain *bare_domain_free(BareDomain *d)
{
        if (!d)
                return NULL;
        for (guint i = 0; i < d->files->len; i++)
                (void) unlink(d->files->pdata[i]);
        g_ptr_array_unref(d->files);
        (void) virConnectClose(d->connection);
        g_free(d->xml);
        g_free(d);
        return NULL;
}

void bare_domain_start(BareDomain *d)
{
        d->domain = virDomainCreateXML(d->connection, d->xml, VIR_DOMAIN_START_PAUSED);
        if (!d->domain)
                fail("start the bare domain");
}

void bare_domain_stop(BareDomain *d)
{
        if (virDomainDestroy(d->domain) < 0)
                fail("end the bare domain");
        (void) virDomainFree(g_steal_pointer(&d->domain));
}
