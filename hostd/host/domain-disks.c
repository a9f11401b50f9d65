/* SPDX-License-Identifier: MIT */
#include "host/hypervisor.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "host/hypervisor-private.h"
#include "host/image.h"
#include "host/xml.h"

#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MERGE_MAX_USEC      (120 * USEC_PER_SEC)
#define MERGE_POLL_MIN_USEC (2 * USEC_PER_MSEC)
#define MERGE_POLL_MAX_USEC (100 * USEC_PER_MSEC)

#define FLATTEN_POLL_MIN_USEC (5 * USEC_PER_MSEC)
#define FLATTEN_POLL_MAX_USEC (500 * USEC_PER_MSEC)

DomainDisk *domain_disks_free(DomainDisk *disks, size_t n)
{
        for (size_t i = 0; disks && i < n; i++) {
                g_free(disks[i].target);
                g_free(disks[i].path);
        }
        g_free(disks);
        return NULL;
}

static int load_xml(DomainCall *call, unsigned flags, XmlDoc **ret, Fault *f)
{
        char *text = virDomainGetXMLDesc(call->domain, flags);

        if (!text)
                return call_fault(call, f, "read the definition of");
        int r = xml_parse("the domain's definition", text, "domain", ret, f);
        free(text);
        return r;
}

static bool is_disk(xmlNode *node)
{
        return xml_is(node, "disk") && !xml_has(node, "device", "cdrom") &&
               !xml_has(node, "device", "floppy");
}

static xmlNode *first_disk(XmlDoc *doc)
{
        xmlNode *node = xml_first(xml_find(xmlDocGetRootElement(doc), "devices"));

        while (node && !is_disk(node))
                node = xml_next(node);
        return node;
}

static xmlNode *next_disk(xmlNode *node)
{
        do
                node = xml_next(node);
        while (node && !is_disk(node));
        return node;
}

static xmlNode *find_disk(XmlDoc *doc, const char *target)
{
        xmlNode *node = first_disk(doc);

        while (node && !xml_has(xml_find(node, "target"), "dev", target))
                node = next_disk(node);
        return node;
}

/* Every disk of the XML, and no other, is to be among `disks`. */
static int check_targets(XmlDoc *doc, const DomainDisk *disks, size_t n, Fault *f)
{
        size_t n_present = 0;

        for (xmlNode *node = first_disk(doc); node; node = next_disk(node))
                n_present++;
        for (size_t i = 0; i < n; i++)
                if (!find_disk(doc, disks[i].target))
                        return fault_set(f, FAULT_NOT_FOUND, "the domain has no disk '%s'",
                                         disks[i].target);
        if (n != n_present)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "the domain has %zu disks, not %zu; all of them have to be named",
                                 n_present, n);
        return 0;
}

int hypervisor_domain_disks(Hypervisor *h, const char *id, DomainDisk **ret, size_t *ret_n,
                            Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_autoptr(XmlDoc) doc = NULL;
        int r = domain_call_begin_present(&call, h, id, f);

        if (r >= 0)
                r = load_xml(&call, 0, &doc, f);
        if (r < 0)
                return r;
        g_autoptr(GArray) disks = g_array_new(FALSE, FALSE, sizeof(DomainDisk));
        for (xmlNode *node = first_disk(doc); node; node = next_disk(node)) {
                DomainDisk disk = {
                        .target = xml_get(xml_find(node, "target"), "dev"),
                        .path = xml_get(xml_find(node, "source"), "file"),
                };
                g_array_append_val(disks, disk);
        }
        *ret_n = disks->len;
        *ret = (DomainDisk *) (void *) g_array_free(g_steal_pointer(&disks), FALSE);
        return 0;
}

/* libvirt reads the chain below the new file from its header, so what was recorded of it goes. */
static void set_source(xmlNode *node, const char *path)
{
        xmlNode *source = xml_find(node, "source");

        if (!source)
                source = xml_add(node, "source", NULL);
        xml_set(source, "file", path);
        xml_remove(xml_find(node, "backingStore"));
}

int hypervisor_set_domain_disks(Hypervisor *h, const char *id, const DomainDisk *disks, size_t n,
                                Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_autoptr(XmlDoc) doc = NULL;
        int r = domain_call_begin_present(&call, h, id, f);

        if (r >= 0 && virDomainIsActive(call.domain) == 1)
                r = fault_set(f, FAULT_WRONG_STATE,
                              "domain " DOMAIN_PREFIX "%s runs; stop it before its disks change",
                              id);
        if (r >= 0)
                r = load_xml(&call, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE, &doc, f);
        if (r >= 0)
                r = check_targets(doc, disks, n, f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                set_source(find_disk(doc, disks[i].target), disks[i].path);

        g_autofree char *xml = xml_format(doc);
        g_autoptr(VirDomain) defined = virDomainDefineXMLFlags(call.connection, xml, 0);
        return defined ? 0 : call_fault(&call, f, "define");
}

/* -- cutting -------------------------------------------------------------------------------- */

static char *format_cut(const DomainDisk *disks, size_t n)
{
        g_autoptr(XmlDoc) doc = xmlNewDoc((const xmlChar *) "1.0");
        xmlNode *root = xmlNewDocNode(doc, NULL, (const xmlChar *) "domainsnapshot", NULL);

        xmlDocSetRootElement(doc, root);
        xmlNode *list = xml_add(root, "disks", NULL);
        for (size_t i = 0; i < n; i++) {
                xmlNode *disk = xml_add(list, "disk", NULL);
                xml_set(disk, "name", disks[i].target);
                xml_set(disk, "snapshot", "external");
                xml_set(disk, "type", "file");
                xml_set(xml_add(disk, "driver", NULL), "type", "qcow2");
                xml_set(xml_add(disk, "source", NULL), "file", disks[i].path);
        }
        return xml_format(doc);
}

/* libvirt would make the overlay as root, where it may not change owners afterwards: QEMU could not
 * open it. */
static int create_overlay(xmlNode *node, const DomainDisk *disk, Fault *f)
{
        g_autofree char *present = xml_get(xml_find(node, "source"), "file");
        struct stat st;

        if (!present)
                return fault_set(f, FAULT_WRONG_STATE, "disk '%s' is not a file", disk->target);
        if (stat(present, &st) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot look at '%s'", present);
        return image_create_overlay(disk->path, present, IMAGE_QCOW2, 0, st.st_uid, st.st_gid, f);
}

/* Removes overlays after a failed cut, but none that the domain may be writing to. */
static void remove_unused(Hypervisor *h, const char *id, const DomainDisk *disks, size_t n)
{
        DomainDisk *present = NULL;
        size_t n_present = 0;

        if (hypervisor_domain_disks(h, id, &present, &n_present, NULL) < 0)
                return;
        for (size_t i = 0; i < n; i++) {
                bool is_used = false;
                for (size_t k = 0; k < n_present; k++)
                        is_used |= g_strcmp0(present[k].path, disks[i].path) == 0;
                if (!is_used)
                        (void) unlink(disks[i].path);
        }
        domain_disks_free(present, n_present);
}

int domain_end_flatten(DomainCall *call, const char *target, Fault *f)
{
        virDomainBlockJobInfo info;
        int r = virDomainGetBlockJobInfo(call->domain, target, &info, 0);

        if (r < 0)
                return call_fault(call, f, "ask for the disk's job of");
        if (r == 0 || info.type != VIR_DOMAIN_BLOCK_JOB_TYPE_PULL)
                return 0;
        hypervisor_count_ended_flatten(call->h);
        if (virDomainBlockJobAbort(call->domain, target, 0) == 0 ||
            virDomainGetBlockJobInfo(call->domain, target, &info, 0) == 0)
                return 0;
        return call_fault(call, f, "end the copying of the disks of");
}

static int cut(DomainCall *call, const DomainDisk *disks, size_t n, Fault *f)
{
        unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
                         VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
                         VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
        g_autofree char *xml = format_cut(disks, n);
        virDomainSnapshotPtr snapshot = virDomainSnapshotCreateXML(call->domain, xml, flags);

        if (!snapshot)
                return call_fault(call, f, "cut the disks of");
        (void) virDomainSnapshotFree(snapshot);
        return 0;
}

int hypervisor_cut_disks(Hypervisor *h, const char *id, const DomainDisk *disks, size_t n, Fault *f)
{
        g_auto(DomainCall) call = {0};
        g_autoptr(XmlDoc) doc = NULL;
        size_t n_made = 0;
        int r = domain_call_begin_present(&call, h, id, f);

        if (r >= 0)
                r = load_xml(&call, 0, &doc, f);
        /* Of those that run libvirt tells the number. */
        if (r >= 0 && !xmlHasProp(xmlDocGetRootElement(doc), (const xmlChar *) "id"))
                r = fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s does not run", id);
        if (r >= 0)
                r = check_targets(doc, disks, n, f);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = domain_end_flatten(&call, disks[i].target, f);
        while (r >= 0 && n_made < n) {
                r = create_overlay(find_disk(doc, disks[n_made].target), &disks[n_made], f);
                n_made += r >= 0;
        }
        if (r >= 0)
                r = cut(&call, disks, n, f);
        if (r < 0 && n_made > 0)
                remove_unused(h, id, disks, n_made);
        return r;
}

/* -- merging -------------------------------------------------------------------------------- */

/* 1 where the disk writes to `base` already, 0 where `base` is right below its top. */
static int check_base(DomainCall *call, const DomainDisk *base, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        int r = load_xml(call, 0, &doc, f);

        if (r < 0)
                return r;
        xmlNode *node = find_disk(doc, base->target);
        if (!node)
                return fault_set(f, FAULT_NOT_FOUND, "the domain has no disk '%s'", base->target);
        if (xml_has(xml_find(node, "source"), "file", base->path))
                return 1;
        if (!xml_has(xml_find(xml_find(node, "backingStore"), "source"), "file", base->path))
                return fault_set(f, FAULT_WRONG_STATE,
                                 "'%s' is not right below the top of disk '%s'", base->path,
                                 base->target);
        return 0;
}

/* 1 when the disk went over to the base, 0 when it is too early. */
static int try_pivot(DomainCall *call, const char *target, Fault *f)
{
        virDomainBlockJobInfo info;
        int r = virDomainGetBlockJobInfo(call->domain, target, &info, 0);

        if (r < 0)
                return call_fault(call, f, "watch the merge of");
        if (r == 0)
                return fault_set(f, FAULT_HYPERVISOR_FAILED, "the merge of disk '%s' stopped",
                                 target);
        if (info.cur < info.end || info.end == 0)
                return 0;
        if (virDomainBlockJobAbort(call->domain, target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT) == 0)
                return 1;
        return last_error_is(VIR_ERR_BLOCK_COPY_ACTIVE) ? 0
                                                        : call_fault(call, f, "end the merge of");
}

static int wait_and_pivot(DomainCall *call, const char *target, Fault *f)
{
        uint64_t deadline = now_monotonic_usec() + MERGE_MAX_USEC;
        uint64_t pause_usec = MERGE_POLL_MIN_USEC;
        int r;

        while ((r = try_pivot(call, target, f)) == 0) {
                if (now_monotonic_usec() >= deadline)
                        return fault_set(f, FAULT_TIMED_OUT,
                                         "disk '%s' was not merged within 120 s", target);
                g_usleep(pause_usec);
                pause_usec = MIN(2 * pause_usec, MERGE_POLL_MAX_USEC);
        }
        return MIN(r, 0);
}

/* A merge that an earlier call began, and did not end, goes on. */
static int merge(DomainCall *call, const DomainDisk *base, Fault *f)
{
        virDomainBlockJobInfo info;
        int r = domain_end_flatten(call, base->target, f);

        if (r >= 0)
                r = check_base(call, base, f);
        if (r != 0)
                return MIN(r, 0);
        r = virDomainGetBlockJobInfo(call->domain, base->target, &info, 0);
        if (r < 0)
                return call_fault(call, f, "watch the merge of");
        if (r == 0 && virDomainBlockCommit(call->domain, base->target, base->path, NULL, 0,
                                           VIR_DOMAIN_BLOCK_COMMIT_ACTIVE) < 0)
                return call_fault(call, f, "merge the disks of");
        r = wait_and_pivot(call, base->target, f);
        if (r < 0 && virDomainGetBlockJobInfo(call->domain, base->target, &info, 0) == 1)
                (void) virDomainBlockJobAbort(call->domain, base->target, 0);
        return r;
}

int hypervisor_merge_disks(Hypervisor *h, const char *id, const DomainDisk *base_disks, size_t n,
                           Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = merge(&call, &base_disks[i], f);
        return r;
}

/* -- flattening ----------------------------------------------------------------------------- */

typedef struct Flatten {
        const DomainDisk *base;
        char *top;             /* where the domain wrote to at the beginning */
        unsigned ended_before; /* hypervisor_ended_flattens() then */
} Flatten;

static void flatten_clear(Flatten *flatten)
{
        g_free(flatten->top);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Flatten, flatten_clear)

/* 1 where the top of the disk stands on the base, 0 where it does not yet, negative where it is
 * another top by now. */
static int check_flat(DomainCall *call, Flatten *flatten, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        const DomainDisk *base = flatten->base;
        int r = load_xml(call, 0, &doc, f);

        if (r < 0)
                return r;
        xmlNode *node = find_disk(doc, base->target);
        g_autofree char *top = xml_get(xml_find(node, "source"), "file");
        if (!top)
                return fault_set(f, FAULT_NOT_FOUND, "the domain has no disk file '%s'",
                                 base->target);
        if (!flatten->top)
                flatten->top = g_strdup(top);
        if (!g_str_equal(top, flatten->top))
                return fault_set(f, FAULT_CANCELLED, "disk '%s' was cut while it was copied into",
                                 base->target);
        return xml_has(xml_find(xml_find(node, "backingStore"), "source"), "file", base->path);
}

/* In one directory the files name each other without it, and have to go on so. */
static int begin_flatten(DomainCall *call, const Flatten *flatten, Fault *f)
{
        const DomainDisk *base = flatten->base;
        g_autofree char *directory = g_path_get_dirname(flatten->top);
        g_autofree char *base_directory = g_path_get_dirname(base->path);
        unsigned flags =
                g_str_equal(directory, base_directory) ? VIR_DOMAIN_BLOCK_REBASE_RELATIVE : 0;

        if (virDomainBlockRebase(call->domain, base->target, base->path, 0, flags) == 0)
                return 0;
        /* Layers of a fluid before 0.2 name each other with the directory. */
        if (flags && virDomainBlockRebase(call->domain, base->target, base->path, 0, 0) == 0)
                return 0;
        return call_fault(call, f, "copy into the disks of");
}

/* What was copied is on the disk before the layers that it came from are removed. QEMU's names for
 * images are numbered as libvirt shows it; other answers than none are complaints. */
static int flush(DomainCall *call, const Flatten *flatten, Fault *f)
{
        g_autoptr(XmlDoc) doc = NULL;
        char *words = NULL;
        int r = load_xml(call, 0, &doc, f);

        if (r < 0)
                return r;
        g_autofree char *number =
                xml_get(xml_find(find_disk(doc, flatten->base->target), "source"), "index");
        g_autofree char *command =
                g_strdup_printf("qemu-io libvirt-%s-format flush", number ? number : "0");
        if (virDomainQemuMonitorCommand(call->domain, command, &words,
                                        VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
                return call_fault(call, f, "flush the disks of");
        if (g_strchomp(words)[0])
                r = fault_set(f, FAULT_HYPERVISOR_FAILED, "cannot flush disk '%s': %s",
                              flatten->base->target, words);
        free(words);
        return r;
}

/* Nothing tells why a job is no more. */
static int fault_ended(DomainCall *call, const Flatten *flatten, Fault *f)
{
        const char *target = flatten->base->target;

        if (virDomainIsActive(call->domain) == 0 ||
            hypervisor_ended_flattens(call->h) != flatten->ended_before)
                return fault_set(f, FAULT_CANCELLED, "the copying into disk '%s' was ended",
                                 target);
        return fault_set(f, FAULT_HYPERVISOR_FAILED,
                         "QEMU gave up copying into disk '%s'; is there room for it?", target);
}

static int wait_for_flatten(DomainCall *call, Flatten *flatten, Fault *f)
{
        uint64_t pause_usec = FLATTEN_POLL_MIN_USEC;
        virDomainBlockJobInfo info;
        int r;

        while ((r = virDomainGetBlockJobInfo(call->domain, flatten->base->target, &info, 0)) == 1) {
                g_usleep(pause_usec);
                pause_usec = MIN(2 * pause_usec, FLATTEN_POLL_MAX_USEC);
        }
        if (r < 0 && virDomainIsActive(call->domain) != 0)
                return call_fault(call, f, "watch the copying into the disks of");
        r = check_flat(call, flatten, f);
        return r == 0 ? fault_ended(call, flatten, f) : r < 0 ? r : flush(call, flatten, f);
}

static int flatten_disk(DomainCall *call, const DomainDisk *base, Fault *f)
{
        g_auto(Flatten)
                flatten = {.base = base, .ended_before = hypervisor_ended_flattens(call->h)};
        virDomainBlockJobInfo info;
        int r = check_flat(call, &flatten, f);

        if (r != 0)
                return r < 0 ? r : flush(call, &flatten, f);
        r = virDomainGetBlockJobInfo(call->domain, base->target, &info, 0);
        if (r < 0)
                return call_fault(call, f, "ask for the disk's job of");
        if (r == 0)
                r = begin_flatten(call, &flatten, f);
        else if (info.type != VIR_DOMAIN_BLOCK_JOB_TYPE_PULL)
                r = fault_set(f, FAULT_BUSY, "another job is under way on disk '%s'", base->target);
        return r < 0 ? r : wait_for_flatten(call, &flatten, f);
}

int hypervisor_flatten_disks(Hypervisor *h, const char *id, const DomainDisk *bases, size_t n,
                             Fault *f)
{
        g_auto(DomainCall) call = {0};
        int r = domain_call_begin_present(&call, h, id, f);

        if (r >= 0 && virDomainIsActive(call.domain) == 0)
                r = fault_set(f, FAULT_WRONG_STATE, "domain " DOMAIN_PREFIX "%s does not run", id);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = flatten_disk(&call, &bases[i], f);
        return r;
}
