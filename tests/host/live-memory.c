/* SPDX-License-Identifier: MIT */

/* Memory, and copying into disks, of host/hypervisor.h against a real libvirtd and guest, inside
 * tests/env/with-host --no-hostd:
 *
 *     live-memory KERNEL INITRD CMDLINE-FILE DISK.qcow2 */

#include "tests/host/live-guest.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

/* The content of the source's memory, as it was saved and baked. */
static const DomainMemory stream = {NULL, DIRECTORY "/stream", DIRECTORY "/stream.xml"};
static const DomainMemory image = {DIRECTORY "/ram", DIRECTORY "/state", DIRECTORY "/xml"};

static void cut_short(const char *from, const char *to, unsigned size)
{
        g_free(output_of("head -c %u %s > %s", size, from, to));
}

/* A process that counts in the guest's memory: by lines added, so that no reader finds a file that
 * was just emptied. */
static const char count_script[] = "(while :; do echo >> /dev/count; sleep 0.05; done) "
                                   ">/dev/null 2>&1 </dev/null & echo $! > /dev/counter";

static int count_of(const Guest *g)
{
        g_autofree char *text = in_guest(g, "wc -l < /dev/count");

        return atoi(text);
}

static void expect_counting(const Guest *g, int at_least, const char *what)
{
        uint64_t deadline = now_monotonic_usec() + WAIT_USEC;
        int first = count_of(g), second = 0;

        while (second <= first && now_monotonic_usec() < deadline)
                second = count_of(g);
        tap_ok(first >= at_least && second > first, "%s", what);
        tap_note("from %d it went to %d, then %d", at_least, first, second);
}

static void on_connected(bool is_connected, void *userdata)
{
        (void) is_connected;
        (void) userdata;
}

static void on_domain(const char *sandbox_id, DomainState state, void *userdata)
{
        (void) sandbox_id;
        (void) state;
        (void) userdata;
}

static const HypervisorObserver observer = {.connected = on_connected, .domain = on_domain};

/* -- cases ---------------------------------------------------------------------------------- */

static void test_abi(void)
{
        g_autofree char *abi = NULL;

        TIMED("what a memory depends on can be told", hypervisor_memory_abi, t.h, &abi);
        tap_ok(abi && g_regex_match_simple(
                              "^qemu \\d+\\.\\d+\\.\\d+, libvirt \\d+\\.\\d+\\.\\d+, tcg$", abi, 0,
                              0),
               "it is QEMU, libvirt and the kind of virtualisation");
        tap_note("%s", abi);
}

static void note_timing(const DomainTiming *timing)
{
        tap_note("define %.1f ms, start %.1f ms, restore %.1f ms",
                 (double) timing->define_usec / 1000, (double) timing->start_usec / 1000,
                 (double) timing->restore_usec / 1000);
}

static uint64_t used_bytes(const char *path)
{
        struct stat st;

        return stat(path, &st) < 0 ? 0 : (uint64_t) st.st_blocks * 512;
}

static bool is_private(const char *path, uid_t owner)
{
        struct stat st;

        return stat(path, &st) == 0 && st.st_uid == owner && (st.st_mode & 07777) == 0600;
}

static void test_pause(const Guest *g)
{
        TIMED("a guest is paused", hypervisor_pause_domain, t.h, g->id.text);
        expect_state(g, DOMAIN_PAUSED, "it is paused");
        TIMED("pausing it twice is nothing", hypervisor_pause_domain, t.h, g->id.text);
        TIMED("it is resumed", hypervisor_resume_domain, t.h, g->id.text);
        TIMED("resuming it twice is nothing", hypervisor_resume_domain, t.h, g->id.text);
        expect_counting(g, 1, "it goes on");
}

static void test_save(const Guest *g, const char *top)
{
        DomainDisk cut = {.target = (char *) "vda", .path = (char *) top};

        tap_ok(g_file_set_contents(stream.state, "", 0, NULL), "there is a file in the way");
        REFUSED(EXISTS, "a save does not overwrite it", hypervisor_save_memory, t.h, g->id.text,
                &stream);
        tap_ok(access(stream.xml, F_OK) < 0, "and leaves no file of its own");
        expect_counting(g, 1, "the guest goes on after the failure");
        (void) unlink(stream.state);

        uint64_t since = now_monotonic_usec();
        TIMED("the memory of a running guest is saved", hypervisor_save_memory, t.h, g->id.text,
              &stream);
        expect_state(g, DOMAIN_PAUSED, "it is paused after that");
        TIMED("its disk is cut while it is", hypervisor_cut_disks, t.h, g->id.text, &cut, 1);
        TIMED("it is resumed", hypervisor_resume_domain, t.h, g->id.text);
        tap_note("all three: %.1f ms, %.1f MiB", (double) (now_monotonic_usec() - since) / 1000,
                 (double) used_bytes(stream.state) / (1 << 20));
        tap_ok(is_private(stream.state, 0) && is_private(stream.xml, 0), "only root may read it");
        expect_counting(g, 1, "the guest goes on");
        g_autofree char *written = in_guest(g, "echo later > /later; sync; cat /later");
        tap_is_str(written, "later", "and writes to its new layer");

        static const DomainMemory again = {NULL, DIRECTORY "/again", DIRECTORY "/again.xml"};
        TIMED("it is paused", hypervisor_pause_domain, t.h, g->id.text);
        TIMED("a paused guest is saved", hypervisor_save_memory, t.h, g->id.text, &again);
        TIMED("it is resumed", hypervisor_resume_domain, t.h, g->id.text);
        tap_ok(unlink(again.state) == 0 && unlink(again.xml) == 0, "its files are removed");
}

/* A file system of 1 MiB stands in for a full disk. */
static void test_no_room(const Guest *g)
{
        static const DomainMemory full = {NULL, DIRECTORY "/full/state", DIRECTORY "/full/xml"};
        g_autofree char *made = output_of("mkdir " DIRECTORY "/full && mount -t tmpfs -o size=1m "
                                          "none " DIRECTORY "/full && echo made");

        tap_is_str(made, "made", "there is a small file system");
        REFUSED(NO_SPACE, "a memory that has no room is not saved", hypervisor_save_memory, t.h,
                g->id.text, &full);
        g_autofree char *left = output_of("ls " DIRECTORY "/full");
        tap_is_str(left, "", "no file is left");
        expect_counting(g, 1, "the guest goes on after the failure");
        g_autofree char *gone = output_of("umount " DIRECTORY "/full && echo gone");
        tap_is_str(gone, "gone", "nobody has a file there open");
}

static void test_stream(const DomainMemory *memory, const char *layer, int count)
{
        g_autoptr(Guest) g = guest_new("copy", layer);
        DomainTiming timing = {0};

        g->spec.memory = memory;
        TIMED("another domain starts from the stream", hypervisor_create_domain, t.h, &g->spec,
              &timing);
        note_timing(&timing);
        expect_counting(g, count, "its guest goes on with what ran");
        g_autofree char *later = in_guest(g, "cat /later 2>/dev/null || echo none");
        tap_is_str(later, "none", "and has not what was written later");
}

static void test_bake(const char *layer)
{
        g_autoptr(Guest) g = guest_new("bake", layer);
        g_autoptr(GArray) before = NULL, after = NULL;

        g->spec.memory = &stream;
        (void) hypervisor_list_own_domains(t.h, &before, NULL);
        TIMED("an image is baked", hypervisor_bake_memory, t.h, &g->spec, &image);
        (void) hypervisor_list_own_domains(t.h, &after, NULL);
        tap_ok(before && after && before->len == after->len, "its domain is gone");
        tap_ok(is_private(image.ram, t.uid), "only QEMU's user may read the RAM");
        tap_ok(is_private(image.state, 0) && is_private(image.xml, 0),
               "only root may read the rest");
        tap_note("RAM %.1f MiB, state %.1f KiB", (double) used_bytes(image.ram) / (1 << 20),
                 (double) used_bytes(image.state) / 1024);
        REFUSED(EXISTS, "an image is not overwritten", hypervisor_bake_memory, t.h, &g->spec,
                &image);
        tap_ok(access(image.ram, F_OK) == 0 && access(image.state, F_OK) == 0, "it is left alone");

        static const DomainMemory damaged = {NULL, DIRECTORY "/damaged", DIRECTORY "/stream.xml"};
        static const DomainMemory other = {DIRECTORY "/ram2", DIRECTORY "/state2",
                                           DIRECTORY "/xml2"};
        cut_short(stream.state, damaged.state, 20000000);
        g->spec.memory = &damaged;
        REFUSED(HYPERVISOR_FAILED, "a stream that is cut short makes no image",
                hypervisor_bake_memory, t.h, &g->spec, &other);
        tap_ok(access(other.ram, F_OK) < 0 && access(other.state, F_OK) < 0 &&
                       access(other.xml, F_OK) < 0,
               "and leaves no file");
        expect_state(g, DOMAIN_ABSENT, "and no domain");
}

typedef struct Clone {
        Guest *guest;
        DomainTiming timing;
        Fault fault;
        int result;
} Clone;

static void *start_clone(void *data)
{
        Clone *clone = data;

        clone->result =
                hypervisor_create_domain(t.h, &clone->guest->spec, &clone->timing, &clone->fault);
        return NULL;
}

static void note_memory(const Guest *g)
{
        g_autofree char *usage = output_of("grep -hE '^(Rss|Pss|Private_Dirty|Anonymous):' "
                                           "/proc/$(cat /run/libvirt/qemu/" DOMAIN_PREFIX
                                           "%s.pid)/smaps_rollup | tr -s ' \\n' ' '",
                                           g->id.text);

        tap_note("%s", usage);
}

static void test_clones(Clone *clones, size_t n, const char *layer, int count)
{
        GThread *threads[8];
        uint64_t since = now_monotonic_usec();

        for (size_t i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("clone%zu", i);
                clones[i] = (Clone){.guest = guest_new(name, layer)};
                clones[i].guest->spec.memory = &image;
                threads[i] = g_thread_new(name, start_clone, &clones[i]);
        }
        for (size_t i = 0; i < n; i++)
                (void) g_thread_join(threads[i]);
        tap_note("%zu at once: %.1f ms", n, (double) (now_monotonic_usec() - since) / 1000);
        for (size_t i = 0; i < n; i++) {
                tap_ok(clones[i].result == 0, "a domain starts from the image");
                tap_note("%s", clones[i].fault.message);
                note_timing(&clones[i].timing);
                note_memory(clones[i].guest);
        }
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (size_t i = 0; i < n; i++) {
                char *generation = output_of(
                        "virsh qemu-monitor-command " DOMAIN_PREFIX
                        "%s '{\"execute\":\"query-vm-generation-id\"}' | grep -o '\"guid\".*\"}'",
                        clones[i].guest->id.text);
                tap_ok(strlen(generation) > 40, "the guest is told its generation");
                tap_note("%s", generation);
                (void) g_hash_table_add(seen, generation);
                expect_counting(clones[i].guest, count, "it goes on with what ran");
        }
        tap_is_int(g_hash_table_size(seen), (int64_t) n, "their generations are different");
        g_autofree char *pid = in_guest(clones[0].guest, "kill -0 $(cat /dev/counter); echo $?");
        tap_is_str(pid, "0", "processes have the numbers that they had");
        note_memory(clones[0].guest);
}

static void renew_overlay(const Guest *g, const char *layer)
{
        (void) unlink(g->disk.path);
        make_overlay(g->disk.path, layer);
}

static void test_definition(Guest *g, const char *layer, int count)
{
        DomainTiming timing = {0};

        REFUSED(WRONG_STATE, "a domain that runs is not started from a memory",
                hypervisor_start_domain_from, t.h, &g->spec, NULL);
        TIMED("a clone is stopped", hypervisor_stop_domain, t.h, g->id.text);
        expect_state(g, DOMAIN_SHUT_OFF, "it is still defined");
        REFUSED(WRONG_STATE, "what is off is not paused", hypervisor_pause_domain, t.h, g->id.text);
        REFUSED(WRONG_STATE, "nor resumed", hypervisor_resume_domain, t.h, g->id.text);
        REFUSED(WRONG_STATE, "nor saved", hypervisor_save_memory, t.h, g->id.text, &stream);
        renew_overlay(g, layer);
        TIMED("it is started", hypervisor_start_domain, t.h, g->id.text);
        g_autofree char *count_file = in_guest(g, "test -e /dev/count; echo $?");
        tap_is_str(count_file, "1", "it boots: nothing of the memory is there");

        TIMED("it is stopped again", hypervisor_stop_domain, t.h, g->id.text);
        renew_overlay(g, layer);
        g->spec.stays_paused = true;
        TIMED("it is started from the image", hypervisor_start_domain_from, t.h, &g->spec, &timing);
        note_timing(&timing);
        expect_state(g, DOMAIN_PAUSED, "it stays paused where that is wanted");
        TIMED("it is resumed", hypervisor_resume_domain, t.h, g->id.text);
        expect_counting(g, count, "its guest goes on with what ran");
        g->spec.stays_paused = false;
}

/* A clone can be saved itself, and its stream be started from. */
static void test_second_generation(Guest *g)
{
        static const DomainMemory again = {NULL, DIRECTORY "/again", DIRECTORY "/again.xml"};
        g_autofree char *top = in_directory("again-top.qcow2");
        DomainDisk cut = {.target = (char *) "vda", .path = top};
        int count = count_of(g);

        TIMED("a clone is saved", hypervisor_save_memory, t.h, g->id.text, &again);
        TIMED("its disk is cut", hypervisor_cut_disks, t.h, g->id.text, &cut, 1);
        TIMED("it is resumed", hypervisor_resume_domain, t.h, g->id.text);
        expect_counting(g, count, "it goes on");
        tap_note("%.1f MiB", (double) used_bytes(again.state) / (1 << 20));
        test_stream(&again, g->disk.path, count);
}

static void test_damaged(Guest *g, const char *layer)
{
        static const DomainMemory damaged = {DIRECTORY "/ram", DIRECTORY "/short",
                                             DIRECTORY "/xml"};
        g_autoptr(Guest) new = guest_new("damaged", layer);
        cut_short(image.state, damaged.state, 100000);

        new->spec.memory = &damaged;
        REFUSED(HYPERVISOR_FAILED, "a state that is cut short is not started from",
                hypervisor_create_domain, t.h, &new->spec, NULL);
        expect_state(new, DOMAIN_ABSENT, "no domain is left");
        g->spec.memory = &damaged;
        TIMED("a clone is stopped", hypervisor_stop_domain, t.h, g->id.text);
        REFUSED(HYPERVISOR_FAILED, "nor by a domain that is there already",
                hypervisor_start_domain_from, t.h, &g->spec, NULL);
        expect_state(g, DOMAIN_CRASHED, "it is off, as a QEMU that gave up is");
        g->spec.memory = &image;

        new->spec.memory = &image;
        new->spec.memory_bytes *= 2;
        REFUSED(WRONG_STATE, "a guest with another size is not started from it",
                hypervisor_create_domain, t.h, &new->spec, NULL);
        expect_state(new, DOMAIN_ABSENT, "no domain is left");
}

/* QEMU waits for its memory, as where the daemon was killed in between. */
static void test_loading(const char *layer)
{
        g_autoptr(Guest) g = guest_new("loading", layer);
        g_autofree char *xml = NULL;

        if (domain_format_xml(&g->spec, "qemu", &xml, NULL) < 0)
                tap_bail_out("no XML");
        g_auto(GStrv) parts = g_strsplit(xml, "</qemu:commandline>", 2);
        g_autofree char *waiting = g_strconcat(
                parts[0],
                "<qemu:arg value='-incoming'/><qemu:arg value='defer'/></qemu:commandline>",
                parts[1], NULL);
        tap_ok(g_file_set_contents("/run/waiting.xml", waiting, -1, NULL), "there is a definition");
        g_autofree char *made = output_of("virsh -q create --paused /run/waiting.xml && echo made");
        tap_is_str(made, "made", "QEMU is started with it");
        expect_state(g, DOMAIN_LOADING, "a domain that waits for its memory is loading");
        TIMED("it is removed, though it has no definition", hypervisor_remove_domain, t.h,
              g->id.text);
        expect_state(g, DOMAIN_ABSENT, "it is gone");
}

/* -- flattening ----------------------------------------------------------------------------- */

typedef struct Flattening {
        const Guest *guest;
        DomainDisk base;
        Fault fault;
        int result;
} Flattening;

static void *flatten(void *data)
{
        Flattening *q = data;

        q->result = hypervisor_flatten_disks(t.h, q->guest->id.text, &q->base, 1, &q->fault);
        return NULL;
}

static char *backing_of(const char *path)
{
        return output_of(
                "qemu-img info -U -f qcow2 %s | sed -n 's/^backing file: \\([^ ]*\\).*/\\1/p'",
                path);
}

static void cut_to(const Guest *g, const char *path)
{
        DomainDisk disk = {.target = (char *) "vda", .path = (char *) path};

        TIMED("its disk is cut", hypervisor_cut_disks, t.h, g->id.text, &disk, 1);
}

static const char write_script[] =
        "cd /; n=$(ls -d w* 2>/dev/null | wc -l); for i in 1 2 3 4; do f=/w$((n + i)); "
        "dd if=/dev/urandom of=$f bs=64k count=32 2>/dev/null; md5sum $f >> /sums; sync; done";
static const char check_script[] =
        "sync; echo 3 > /proc/sys/vm/drop_caches; cd /; md5sum -c /sums 2>&1 | grep -vc ': OK$'";

static void test_flatten(void)
{
        g_autoptr(Guest) g = guest_new("flat", t.template);
        g_autofree char *middle = in_directory("flat-1.qcow2"), *top = in_directory("flat-2.qcow2");
        g_autofree char *last = in_directory("flat-3.qcow2");
        Flattening q = {.guest = g, .base = {(char *) "vda", t.template}};

        TIMED("a domain is made", hypervisor_create_domain, t.h, &g->spec, NULL);
        do_in_guest(g, write_script);
        cut_to(g, middle);
        do_in_guest(g, write_script);
        cut_to(g, top);
        g_autofree char *relative = backing_of(top);
        tap_is_str(relative, "flat-1.qcow2", "layers name each other without their directory");

        g_autofree char *slow =
                output_of("virsh -q blockpull " DOMAIN_PREFIX "%s vda --base %s --bandwidth 1 2>&1",
                          g->id.text, t.template);
        tap_note("%s", slow);
        GThread *thread = g_thread_new("flatten", flatten, &q);
        g_usleep(2 * USEC_PER_SEC); /* of the 16 that the slow one takes */
        cut_to(g, last);
        (void) g_thread_join(thread);
        tap_ok(q.result < 0 && q.fault.code == FAULT_CANCELLED, "a cut ends the copying");
        tap_note("%s", q.fault.message);
        g_autofree char *bad = in_guest(g, check_script);
        tap_is_str(bad, "0", "no harm is done to the guest's files");

        q.fault = (Fault){0};
        uint64_t since = now_monotonic_usec();
        thread = g_thread_new("flatten", flatten, &q);
        do_in_guest(g, write_script);
        (void) g_thread_join(thread);
        timed_ok(q.result, &q.fault, since, "the disk is flattened while the guest writes");
        g_autofree char *base = backing_of(last);
        tap_is_str(base, "template.qcow2", "it stands on the template alone");
        tap_ok(unlink(g->disk.path) == 0 && unlink(middle) == 0 && unlink(top) == 0,
               "the layers in between are removed");
        g_autofree char *bad_again = in_guest(g, check_script);
        tap_is_str(bad_again, "0", "the guest's files are as they were written");
        TIMED("flattening it twice is nothing", hypervisor_flatten_disks, t.h, g->id.text, &q.base,
              1);

        TIMED("it is paused", hypervisor_pause_domain, t.h, g->id.text);
        g_autofree char *clean = output_of("qemu-img check -U -q -f qcow2 %s && echo clean", last);
        tap_is_str(clean, "clean", "qemu-img finds no error in it");
        (void) unlink(last);
}

/* The content of a disk that nobody writes to is the same to the byte. */
static void test_flatten_paused(void)
{
        static const char hash[] = "qemu-img convert -U -f qcow2 -O raw %s " DIRECTORY
                                   "/raw && md5sum < " DIRECTORY "/raw";
        g_autofree char *elsewhere =
                output_of("mkdir -m 755 " DIRECTORY "/elsewhere && ln %s " DIRECTORY
                          "/elsewhere/base && echo made",
                          t.template);
        g_autoptr(Guest) g = guest_new("still", DIRECTORY "/elsewhere/base");
        g_autofree char *top = in_directory("still-1.qcow2");
        DomainDisk base = {(char *) "vda", (char *) DIRECTORY "/elsewhere/base"};

        tap_is_str(elsewhere, "made", "there is a template in another directory");
        TIMED("a domain is made", hypervisor_create_domain, t.h, &g->spec, NULL);
        do_in_guest(g, write_script);
        cut_to(g, top);
        TIMED("it is paused", hypervisor_pause_domain, t.h, g->id.text);
        g_autofree char *before = output_of(hash, top);
        TIMED("its disk is flattened", hypervisor_flatten_disks, t.h, g->id.text, &base, 1);
        g_autofree char *after = output_of(hash, top);
        tap_is_str(after, before, "its content is the same");
        tap_ok(strlen(before) > 30, "and was hashed");
        g_autofree char *backing = backing_of(top);
        tap_is_str(backing, base.path, "it names the template with its directory");
        (void) unlink(top);
}

int main(int argc, char **argv)
{
        Clone clones[3];

        set_up(argc, argv, &observer);
        test_abi();
        Guest *source = guest_new("source", t.template);
        g_autofree char *top = in_directory("source-1.qcow2");
        DomainTiming timing = {0};
        TIMED("a domain boots", hypervisor_create_domain, t.h, &source->spec, &timing);
        note_timing(&timing);
        do_in_guest(source, count_script);
        test_pause(source);
        int count = count_of(source);
        note_memory(source);
        test_no_room(source);
        test_save(source, top);
        note_memory(source);
        test_stream(&stream, source->disk.path, count);
        test_bake(source->disk.path);
        test_clones(clones, G_N_ELEMENTS(clones), source->disk.path, count);
        test_definition(clones[0].guest, source->disk.path, count);
        test_second_generation(clones[1].guest);
        test_damaged(clones[2].guest, source->disk.path);
        test_loading(source->disk.path);
        for (size_t i = 0; i < G_N_ELEMENTS(clones); i++)
                (void) guest_free(clones[i].guest);
        (void) guest_free(source);
        test_flatten();
        test_flatten_paused();

        tear_down();
        return tap_done();
}
