/* SPDX-License-Identifier: MIT */
#include "host/blueprint-private.h"

#include "base/cleanup.h"

#include <string.h>

void source_disk_free(void *pointer)
{
        SourceDisk *disk = pointer;

        g_free(disk->target);
        g_free(disk->path);
        g_free(disk->format);
        g_free(disk);
}

/* Letters only: the target becomes part of file names. */
static bool is_disk_target(const char *target)
{
        size_t length = strlen(target);

        return length >= 3 && length <= 8 && strspn(target, "abcdefghijklmnopqrstuvwxyz") == length;
}

/* Why a disk that has something in it cannot be cloned, or NULL. */
static const char *disk_refusal(xmlNode *disk)
{
        static const char *const buses[] = {"virtio", "sata", "scsi", "ide", NULL};
        static const char *const formats[] = {"qcow2", "raw", NULL};
        xmlNode *source = xml_find(disk, "source"), *target = xml_find(disk, "target");
        g_autofree char *device = xml_get(disk, "device");
        g_autofree char *bus = xml_get(target, "bus");
        g_autofree char *format = xml_get(xml_find(disk, "driver"), "type");
        g_autofree char *name = xml_get(target, "dev");
        g_autofree char *path = xml_get(source, "file");

        if (device && (g_str_equal(device, "cdrom") || g_str_equal(device, "floppy")))
                return "has a medium in it; eject it";
        if (device && !g_str_equal(device, "disk"))
                return "is a device of the host; detach it";
        if (!xml_has(disk, "type", "file") || !path || path[0] != '/')
                return "is not a file; copy it into a qcow2 file";
        if (xml_find(disk, "readonly") || xml_find(disk, "shareable") ||
            xml_find(disk, "transient"))
                return "is read-only, shared or transient; detach it";
        if (xml_find(disk, "encryption") || xml_find(source, "encryption"))
                return "is encrypted; copy it into a plain file";
        if (xml_find(disk, "mirror") || xml_find(source, "slices"))
                return "is being copied or a slice of a file; wait, or copy it into a file";
        if (!blueprint_is_one_of(format, formats))
                return "is neither qcow2 nor raw; convert it";
        if (!blueprint_is_one_of(bus, buses))
                return "is on a bus other than virtio, sata, scsi or ide; move it";
        return name && is_disk_target(name) ? NULL : "has an unusable target name";
}

static bool is_empty_drive(xmlNode *disk)
{
        xmlNode *source = xml_find(disk, "source");

        return (xml_has(disk, "device", "cdrom") || xml_has(disk, "device", "floppy")) &&
               (!source || (!source->properties && !xml_first(source)));
}

/* Order in which firmware tries disks: <boot order='…'/> where there is one, else as written. */
static guint64 boot_order(xmlNode *disk)
{
        g_autofree char *text = xml_get(xml_find(disk, "boot"), "order");
        guint64 order = G_MAXUINT64;

        if (text)
                (void) g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT32, &order, NULL);
        return order;
}

static void insert_disk(BlueprintReader *in, SourceDisk *disk, guint64 order)
{
        guint at = 0;

        while (at < in->boot_orders->len && g_array_index(in->boot_orders, guint64, at) <= order)
                at++;
        g_array_insert_val(in->boot_orders, at, order);
        g_ptr_array_insert(in->blueprint->disks, (gint) at, disk);
}

/* What the guest can see of a disk, without what is in it. */
static void add_disk_stub(BlueprintReader *in, xmlNode *devices, xmlNode *disk)
{
        static const char *const visible[] = {"serial",  "wwn",      "vendor", "product",
                                              "blockio", "geometry", "boot",   NULL};
        xmlNode *stub = xml_add(devices, "disk", NULL);
        xmlNode *target = xml_add(stub, "target", NULL);
        static const char *const attributes[] = {"dev", "bus"};

        xml_set(stub, "device", "disk");
        g_autofree char *model = xml_get(disk, "model");
        if (model)
                xml_set(stub, "model", model);
        for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
                g_autofree char *value = xml_get(xml_find(disk, "target"), attributes[i]);
                xml_set(target, attributes[i], value);
        }
        for (xmlNode *child = xml_first(disk); child; child = xml_next(child))
                if (!child->ns && g_strv_contains(visible, (const char *) child->name))
                        blueprint_copy_node(in, stub, child);
}

static bool has_target(const Blueprint *b, const char *target)
{
        for (guint i = 0; i < b->disks->len; i++)
                if (g_str_equal(((SourceDisk *) b->disks->pdata[i])->target, target))
                        return true;
        return false;
}

void blueprint_read_disk(BlueprintReader *in, xmlNode *devices, xmlNode *disk)
{
        g_autofree char *target = xml_get(xml_find(disk, "target"), "dev");
        const char *refusal = is_empty_drive(disk) ? NULL : disk_refusal(disk);

        if (is_empty_drive(disk))
                return;
        if (!refusal && has_target(in->blueprint, target))
                refusal = "is there twice";
        if (refusal) {
                blueprint_refuse(in, "disk '%.20s' %s", target ? target : "?", refusal);
                return;
        }
        SourceDisk *source = g_new0(SourceDisk, 1);
        *source = (SourceDisk){
                .target = TAKE_PTR(target),
                .path = xml_get(xml_find(disk, "source"), "file"),
                .format = xml_get(xml_find(disk, "driver"), "type"),
        };
        insert_disk(in, source, boot_order(disk));
        add_disk_stub(in, devices, disk);
}
