/* SPDX-License-Identifier: MIT */

/* host/hypervisor.h against a real libvirtd, inside tests/env/with-host --no-hostd:
 *
 *     live-hypervisor KERNEL INITRD CMDLINE-FILE DISK.qcow2 */

#include "base/cleanup.h"
#include "base/file.h"
#include "base/name.h"
#include "base/quantity.h"
#include "host/hypervisor.h"
#include "host/image.h"
#include "tests/host/timed.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DIRECTORY "/var/lib/libvirt/fluid-live"
#define WAIT_USEC (30 * USEC_PER_SEC)

typedef struct Live {
        sd_event *event;
        Hypervisor *h;
        Id id;
        GString *news; /* "+" connected, "-" lost, then a letter for each state, in order */
        int connected, lost;
        DomainState state; /* as last told */
        uid_t uid;
        gid_t gid;
        char *kernel, *initrd, *cmdline, *template;
} Live;

static void on_connected(bool is_connected, void *userdata)
{
        Live *t = userdata;

        g_string_append_c(t->news, is_connected ? '+' : '-');
        if (is_connected)
                t->connected++;
        else
                t->lost++;
}

static void on_domain(const char *sandbox_id, DomainState state, void *userdata)
{
        static const char letters[] = "aopRc";
        Live *t = userdata;

        if (!g_str_equal(sandbox_id, t->id.text))
                return;
        t->state = state;
        g_string_append_c(t->news, letters[state]);
}

static const HypervisorObserver observer = {.connected = on_connected, .domain = on_domain};

static bool is_first_connected(Live *t)
{
        return t->connected >= 1;
}

static bool is_lost(Live *t)
{
        return t->lost >= 1;
}

static bool is_connected_again(Live *t)
{
        return t->connected >= 2 && hypervisor_is_connected(t->h);
}

static bool is_told_running(Live *t)
{
        return t->state == DOMAIN_RUNNING;
}

static bool is_told_crashed_or_off(Live *t)
{
        return t->state == DOMAIN_SHUT_OFF || t->state == DOMAIN_CRASHED;
}

static bool is_told_off(Live *t)
{
        return t->state == DOMAIN_SHUT_OFF;
}

static bool is_told_absent(Live *t)
{
        return t->state == DOMAIN_ABSENT;
}

/* Runs the loop until the condition holds. */
static bool wait_until(Live *t, bool (*holds)(Live *t))
{
        uint64_t deadline = now_monotonic_usec() + WAIT_USEC;

        while (!holds(t) && now_monotonic_usec() < deadline)
                (void) sd_event_run(t->event, 100 * USEC_PER_MSEC);
        return holds(t);
}

static char *layer_path(const char *name)
{
        return g_strconcat(DIRECTORY "/sandbox/", name, ".qcow2", NULL);
}

/* The exit status of a shell command of the test's own, whose output is dropped. */
__attribute__((format(printf, 1, 2))) static int run_shell(const char *format, ...)
{
        va_list args;
        int status = -1;

        va_start(args, format);
        g_autofree char *command = g_strdup_vprintf(format, args);
        va_end(args);
        char *argv[] = {(char *) "/bin/sh", (char *) "-c", command, NULL};
        return g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                            &status, NULL)
                       ? status
                       : -1;
}

static void prepare_files(Live *t, const char *disk)
{
        char sha256[SHA256_HEX_SIZE];
        g_autofree char *overlay = layer_path("0");
        ImageInfo info;
        Fault f = {0};

        if (make_directory(DIRECTORY, 0755, 0, 0, &f) < 0 ||
            make_directory(DIRECTORY "/sandbox", 0770, 0, t->gid, &f) < 0)
                tap_bail_out(f.message);
        struct {
                const char *from, *to;
        } copies[] = {{t->kernel, DIRECTORY "/vmlinuz"}, {t->initrd, DIRECTORY "/initrd"}};
        for (size_t i = 0; i < G_N_ELEMENTS(copies); i++) {
                autofd fd = open(copies[i].from, O_RDONLY | O_CLOEXEC);
                tap_ok(file_import(fd, copies[i].to, 64 << 20, 0444, 0, 0, sha256, &f) == 0,
                       "%s is copied", copies[i].to);
        }
        autofd fd = open(disk, O_RDONLY | O_CLOEXEC);
        t->template = g_strdup(DIRECTORY "/template.qcow2");
        TIMED("the disk is imported", image_import, fd, t->template, _IMAGE_FORMAT_MAX, &info);
        TIMED("an overlay is made", image_create_overlay, overlay, t->template, IMAGE_QCOW2, 0,
              t->uid, t->gid);
}

static int create(Live *t, Fault *f)
{
        g_autofree char *path = layer_path("0");
        DomainDisk disk = {.target = (char *) "vda", .path = path};
        DomainSpec spec = {
                .id = t->id.text,
                .title = "live test",
                .vcpus = 1,
                .memory_bytes = UINT64_C(256) << 20,
                .disks = &disk,
                .n_disks = 1,
                .kernel = DIRECTORY "/vmlinuz",
                .initrd = DIRECTORY "/initrd",
                .cmdline = t->cmdline,
                .agent_socket = DIRECTORY "/sandbox/agent.sock",
                .console_log = DIRECTORY "/sandbox/console.log",
                .qemu_uid = t->uid,
                .qemu_gid = t->gid,
        };
        return hypervisor_create_domain(t->h, &spec, NULL, f);
}

static void expect_top(Live *t, const char *name, const char *what)
{
        g_autofree char *expected = layer_path(name);
        DomainDisk *disks = NULL;
        size_t n = 0;
        Fault f = {0};

        if (hypervisor_domain_disks(t->h, t->id.text, &disks, &n, &f) < 0)
                tap_note("%s", f.message);
        tap_is_str(n == 1 ? disks[0].path : NULL, expected, "%s", what);
        domain_disks_free(disks, n);
}

static void expect_state(Live *t, DomainState expected, const char *what)
{
        DomainState state = _DOMAIN_STATE_MAX;
        Fault f = {0};

        if (hypervisor_domain_state(t->h, t->id.text, &state, &f) < 0)
                tap_note("%s", f.message);
        tap_is_int(state, expected, "%s", what);
}

static unsigned count_own(Live *t)
{
        g_autoptr(GArray) entries = NULL;

        return hypervisor_list_own_domains(t->h, &entries, NULL) < 0 ? 99 : entries->len;
}

static void with_top(const char *name, DomainDisk *ret)
{
        *ret = (DomainDisk){.target = (char *) "vda", .path = layer_path(name)};
}

static void test_connect(Live *t)
{
        Fault f = {0};
        DomainState state;

        if (hypervisor_new(t->event, "qemu:///system", "auto", &observer, t, &t->h, &f) < 0)
                tap_bail_out(f.message);
        int r = hypervisor_domain_state(t->h, t->id.text, &state, &f);
        tap_ok(r == 0 || f.code == FAULT_HYPERVISOR_UNAVAILABLE,
               "a call before the connection is there says so");
        tap_ok(wait_until(t, is_first_connected), "the observer hears of the connection");
}

static void test_create(Live *t)
{
        expect_state(t, DOMAIN_ABSENT, "a sandbox that was not made is absent");
        TIMED("a domain is made and started", create, t);
        tap_ok(wait_until(t, is_told_running), "the observer hears that it runs");
        expect_state(t, DOMAIN_RUNNING, "it runs");
        tap_is_int(count_own(t), 1, "it is listed");

        Fault f = {0};
        tap_ok(create(t, &f) < 0 && f.code == FAULT_EXISTS, "it is not made twice");
}

static bool is_booted(Live *t)
{
        g_autofree char *text = NULL;

        (void) t;
        return file_read(DIRECTORY "/sandbox/console.log", 1 << 20, &text, NULL, NULL) == 0 &&
               strstr(text, "activate this console");
}

/* Asks the guest's agent, without waiting, for a file of random bytes. */
static void write_in_guest(void)
{
        static const char request[] =
                "\xff{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/sh\",\"arg\":[\"-c\","
                "\"dd if=/dev/urandom of=/live-test bs=1M count=8; sync\"]}}\n";
        struct sockaddr_un address = {.sun_family = AF_UNIX,
                                      .sun_path = DIRECTORY "/sandbox/agent.sock"};
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char reply[1024];

        if (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0 ||
            write_all(fd, request, sizeof request - 1) < 0 || read(fd, reply, sizeof reply) <= 0)
                tap_bail_out("the guest's agent does not answer");
}

static bool has_written(Live *t)
{
        g_autofree char *path = layer_path("2");
        struct stat st;

        (void) t;
        return stat(path, &st) == 0 && st.st_blocks * 512 >= 8 << 20;
}

static bool is_told_paused(Live *t)
{
        return t->state == DOMAIN_PAUSED;
}

/* The last cut is undone while the guest is paused, so that its disk has to be the same after it.
 */
static void test_merge(Live *t)
{
        DomainDisk first, second;
        Fault f = {0};

        with_top("1", &first);
        with_top("2", &second);
        write_in_guest();
        tap_ok(wait_until(t, has_written), "the guest's data goes to the newest layer");
        tap_is_int(run_shell("virsh -q suspend %s%s", DOMAIN_PREFIX, t->id.text), 0,
                   "the guest is paused");
        tap_ok(wait_until(t, is_told_paused), "the observer hears that it is paused");
        tap_is_int(run_shell("qemu-img convert -U -f qcow2 -O raw %s %s", second.path,
                             DIRECTORY "/before.raw"),
                   0, "its disk is kept for comparison");
        TIMED("the last cut is undone", hypervisor_merge_disks, t->h, t->id.text, &first, 1);
        expect_top(t, "1", "the domain is back on the layer below");
        tap_is_int(run_shell("qemu-img compare -U -q -f qcow2 -F raw %s %s", first.path,
                             DIRECTORY "/before.raw"),
                   0, "its disk is the same");
        tap_is_int(run_shell("virsh -q resume %s%s", DOMAIN_PREFIX, t->id.text), 0,
                   "the guest goes on");
        TIMED("undoing it twice is nothing", hypervisor_merge_disks, t->h, t->id.text, &first, 1);
        f = (Fault){0};
        tap_ok(hypervisor_merge_disks(t->h, t->id.text, &second, 1, &f) < 0 &&
                       f.code == FAULT_WRONG_STATE,
               "a merge into what is not below is refused");
        g_free(first.path);
        g_free(second.path);
}

static void test_cut(Live *t)
{
        DomainDisk first, second, taken;
        struct stat st;
        Fault f = {0};

        tap_ok(wait_until(t, is_booted), "the guest boots, its console goes to the log");
        with_top("1", &first);
        with_top("2", &second);
        with_top("0", &taken);
        TIMED("a running disk is cut", hypervisor_cut_disks, t->h, t->id.text, &first, 1);
        expect_top(t, "1", "the domain writes to the new overlay");
        tap_ok(stat(first.path, &st) == 0 && st.st_uid == t->uid && (st.st_mode & 07777) == 0600,
               "the new overlay belongs to QEMU's user alone");
        tap_ok(hypervisor_cut_disks(t->h, t->id.text, &taken, 1, &f) < 0 &&
                       access(taken.path, F_OK) == 0,
               "a cut to a file that exists fails and leaves the file");
        expect_top(t, "1", "after a failed cut the domain writes where it did");
        TIMED("it is cut again", hypervisor_cut_disks, t->h, t->id.text, &second, 1);

        g_free(first.path);
        g_free(second.path);
        g_free(taken.path);
}

static void test_stop(Live *t)
{
        DomainDisk old;
        Fault f = {0};

        with_top("0", &old);
        tap_ok(hypervisor_set_domain_disks(t->h, t->id.text, &old, 1, &f) < 0 &&
                       f.code == FAULT_WRONG_STATE,
               "the disks of a running domain are not exchanged");
        TIMED("the power button is pressed", hypervisor_shut_down_domain, t->h, t->id.text);
        TIMED("the plug is pulled", hypervisor_stop_domain, t->h, t->id.text);
        tap_ok(wait_until(t, is_told_off), "the observer hears that it is off");
        f = (Fault){0};
        tap_ok(hypervisor_shut_down_domain(t->h, t->id.text, &f) < 0 && f.code == FAULT_WRONG_STATE,
               "a domain that is off has no power button");
        TIMED("pulling it twice is nothing", hypervisor_stop_domain, t->h, t->id.text);
        expect_top(t, "1", "the definition followed the cut");
        TIMED("its disks are exchanged", hypervisor_set_domain_disks, t->h, t->id.text, &old, 1);
        expect_top(t, "0", "the definition has the other disk");
        TIMED("it starts on the other disk", hypervisor_start_domain, t->h, t->id.text);
        tap_ok(wait_until(t, is_told_running), "the observer hears that it runs again");
        f = (Fault){0};
        tap_ok(hypervisor_start_domain(t->h, t->id.text, &f) < 0 && f.code == FAULT_WRONG_STATE,
               "a running domain is not started");
        g_free(old.path);
}

static int read_pid(const char *path)
{
        g_autofree char *text = NULL;

        return file_read(path, 64, &text, NULL, NULL) < 0 ? -1 : atoi(text);
}

static int count_fds(void)
{
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        int n = 0;

        while (dir && g_dir_read_name(dir))
                n++;
        return n;
}

static void test_reconnect(Live *t)
{
        int pid = read_pid("/run/libvirtd.pid"), fds = count_fds();
        uint64_t killed_at = now_monotonic_usec();
        DomainState state;
        Fault f = {0};

        if (pid <= 1)
                tap_bail_out("libvirtd has no pid file");
        (void) kill(pid, SIGKILL);
        tap_ok(wait_until(t, is_lost), "the observer hears that libvirtd died");
        tap_note("%.1f ms", (double) (now_monotonic_usec() - killed_at) / 1000);
        tap_ok(hypervisor_domain_state(t->h, t->id.text, &state, &f) < 0 &&
                       f.code == FAULT_HYPERVISOR_UNAVAILABLE,
               "a call without libvirtd says that it does not answer");
        tap_note("%s", f.message);
        tap_is_int(run_shell("libvirtd -d"), 0, "libvirtd is started again");
        tap_ok(wait_until(t, is_connected_again), "the observer hears of the new connection");
        tap_is_int(count_fds(), fds, "a lost connection leaves no descriptor open");
        expect_state(t, DOMAIN_RUNNING, "the domain ran on");
        TIMED("it is stopped by the new libvirtd", hypervisor_stop_domain, t->h, t->id.text);
        tap_ok(wait_until(t, is_told_off), "events come from the new libvirtd");
}

/* libvirtd sends no event for a domain that it finds dead after its own start. */
static void test_end_in_between(Live *t)
{
        int connected = t->connected;

        TIMED("it is started once more", hypervisor_start_domain, t->h, t->id.text);
        tap_ok(wait_until(t, is_told_running), "and heard of");
        int libvirtd = read_pid("/run/libvirtd.pid");
        g_autofree char *path =
                g_strconcat("/run/libvirt/qemu/" DOMAIN_PREFIX, t->id.text, ".pid", NULL);
        int qemu = read_pid(path);
        if (libvirtd <= 1 || qemu <= 1)
                tap_bail_out("there is no pid file");
        (void) kill(libvirtd, SIGKILL);
        (void) kill(qemu, SIGKILL);
        tap_is_int(run_shell("libvirtd -d"), 0,
                   "libvirtd is killed with its domain and started again");
        tap_ok(wait_until(t, is_told_crashed_or_off),
               "the observer hears that the domain ended meanwhile");
        tap_is_int(t->connected, connected + 1, "over the new connection");
}

static void test_foreign(Live *t)
{
        static const char xml[] =
                "<domain type='qemu'><name>fluid-00000000feed</name><memory>65536</memory>"
                "<os><type>hvm</type></os></domain>";
        g_autoptr(GPtrArray) foreign = NULL;
        Fault f = {0};

        tap_ok(g_file_set_contents("/run/foreign.xml", xml, -1, NULL) &&
                       run_shell("virsh -q define /run/foreign.xml") == 0,
               "somebody defines a domain with a name like ours");
        tap_ok(hypervisor_remove_domain(t->h, "00000000feed", &f) < 0 && f.code == FAULT_EXISTS,
               "it is not removed");
        tap_note("%s", f.message);
        tap_is_int(count_own(t), 1, "it is not listed as ours");
        tap_ok(hypervisor_list_foreign_domains(t->h, &foreign, NULL) == 0 && foreign->len == 1 &&
                       g_str_equal(((ForeignDomain *) foreign->pdata[0])->name,
                                   "fluid-00000000feed"),
               "it is listed as another's");
}

static void test_blueprint(Live *t)
{
        g_autoptr(Blueprint) b = NULL;
        g_autofree char *name = g_strconcat(DOMAIN_PREFIX, t->id.text, NULL);
        Fault f = {0};

        tap_ok(hypervisor_domain_blueprint(t->h, "nobody", &b, &f) < 0 && f.code == FAULT_NOT_FOUND,
               "an unknown domain has no blueprint");
        f = (Fault){0};
        tap_ok(hypervisor_domain_blueprint(t->h, name, &b, &f) < 0 && f.code == FAULT_NOT_CLONEABLE,
               "a domain with arguments for QEMU has no blueprint");
        tap_note("%s", f.message);
}

static const char foreign_machine[] =
        "<domain type='qemu'><name>somebody</name><memory unit='MiB'>192</memory>"
        "<vcpu>1</vcpu><os><type machine='q35'>hvm</type></os>"
        "<features><acpi/><apic/><hyperv><relaxed state='on'/></hyperv></features>"
        "<cpu mode='host-model'/><genid/><devices>"
        "<controller type='scsi' index='0' model='virtio-scsi'/>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        "<source file='/srv/somebody.qcow2'/><target dev='sda' bus='scsi'/>"
        "<serial>S1</serial><boot order='1'/></disk>"
        "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>"
        "<interface type='user'/><graphics type='vnc'/></devices></domain>";

/* What libvirt itself makes of a plain definition can be cloned, and libvirt takes the clone. */
static void test_clone(Live *t)
{
        g_autoptr(Blueprint) b = NULL;
        g_autofree char *path = layer_path("clone");
        DomainDisk disk = {.target = (char *) "sda", .path = path};
        Id id = id_new();
        Fault f = {0};

        tap_ok(g_file_set_contents("/run/foreign.xml", foreign_machine, -1, NULL) &&
                       run_shell("virsh -q define /run/foreign.xml") == 0,
               "somebody defines a domain");
        if (!tap_ok(hypervisor_domain_blueprint(t->h, "somebody", &b, &f) == 0,
                    "it has a blueprint"))
                tap_bail_out(f.message);
        DomainSpec spec = {
                .id = id.text,
                .blueprint = b->xml,
                .vcpus = b->vcpus,
                .memory_bytes = b->memory_bytes,
                .disks = &disk,
                .n_disks = 1,
                .agent_socket = DIRECTORY "/sandbox/clone.sock",
                .console_log = DIRECTORY "/sandbox/clone.log",
                .qemu_uid = t->uid,
                .qemu_gid = t->gid,
        };
        TIMED("an overlay for it is made", image_create_overlay, path, t->template, IMAGE_QCOW2, 0,
              t->uid, t->gid);
        TIMED("a clone of it starts", hypervisor_create_domain, t->h, &spec, NULL);
        TIMED("the clone is removed", hypervisor_remove_domain, t->h, id.text);
        tap_is_int(run_shell("virsh -q undefine somebody"), 0, "the source is still there");
}

/* A domain whose QEMU cannot start leaves no definition. */
static void test_failed_create(Live *t)
{
        Id id = id_new();
        DomainDisk disk = {.target = (char *) "vda", .path = (char *) DIRECTORY "/missing.qcow2"};
        DomainSpec spec = {
                .id = id.text,
                .vcpus = 1,
                .memory_bytes = UINT64_C(128) << 20,
                .disks = &disk,
                .n_disks = 1,
                .agent_socket = DIRECTORY "/sandbox/failed.sock",
                .qemu_uid = t->uid,
                .qemu_gid = t->gid,
        };
        DomainState state = _DOMAIN_STATE_MAX;
        Fault f = {0};

        tap_ok(hypervisor_create_domain(t->h, &spec, NULL, &f) < 0 &&
                       f.code == FAULT_HYPERVISOR_FAILED,
               "a domain without its disk does not start");
        tap_note("%s", f.message);
        tap_ok(hypervisor_domain_state(t->h, id.text, &state, NULL) == 0 && state == DOMAIN_ABSENT,
               "and leaves no definition");
}

static void test_remove(Live *t)
{
        TIMED("the domain is removed", hypervisor_remove_domain, t->h, t->id.text);
        tap_ok(wait_until(t, is_told_absent), "the observer hears that it is gone");
        TIMED("removing it twice is nothing", hypervisor_remove_domain, t->h, t->id.text);
        tap_is_int(count_own(t), 0, "nothing is left");

        uint64_t since = now_monotonic_usec();
        t->h = hypervisor_free(t->h);
        tap_ok(now_monotonic_usec() - since < WAIT_USEC / 2, "the connection ends");
}

static void test_hung_libvirtd(Live *t)
{
        int pid = read_pid("/run/libvirtd.pid");
        Fault f = {0};

        t->connected = 0;
        if (pid <= 1 ||
            hypervisor_new(t->event, "qemu:///system", "qemu", &observer, t, &t->h, &f) < 0)
                tap_bail_out("cannot connect again");
        tap_ok(wait_until(t, is_first_connected), "there is a connection again");
        (void) kill(pid, SIGSTOP);
        uint64_t since = now_monotonic_usec();
        t->h = hypervisor_free(t->h);
        tap_ok(now_monotonic_usec() - since < WAIT_USEC / 2,
               "a libvirtd that hangs does not hold up the end");
        (void) kill(pid, SIGCONT);
}

int main(int argc, char **argv)
{
        Live t = {.id = id_new(), .news = g_string_new(NULL), .state = _DOMAIN_STATE_MAX};
        const struct passwd *qemu = getpwnam("libvirt-qemu");
        Fault f = {0};

        if (argc != 5)
                tap_bail_out("usage: live-hypervisor KERNEL INITRD CMDLINE-FILE DISK");
        if (!qemu)
                tap_bail_out("there is no user libvirt-qemu");
        (void) signal(SIGPIPE, SIG_IGN); /* as in the daemon: libvirt writes to sockets */
        t.uid = qemu->pw_uid;
        t.gid = qemu->pw_gid;
        t.kernel = argv[1];
        t.initrd = argv[2];
        if (sd_event_new(&t.event) < 0 || file_read(argv[3], 4096, &t.cmdline, NULL, &f) < 0)
                tap_bail_out(f.message);
        g_strstrip(t.cmdline);
        (void) remove_tree(DIRECTORY, NULL);
        prepare_files(&t, argv[4]);

        test_connect(&t);
        test_create(&t);
        test_cut(&t);
        test_merge(&t);
        test_stop(&t);
        test_reconnect(&t);
        test_end_in_between(&t);
        test_foreign(&t);
        test_blueprint(&t);
        test_clone(&t);
        test_failed_create(&t);
        test_remove(&t);
        test_hung_libvirtd(&t);

        tap_note("news: %s", t.news->str);
        (void) remove_tree(DIRECTORY, NULL);
        g_string_free(t.news, TRUE);
        g_free(t.cmdline);
        g_free(t.template);
        sd_event_unref(t.event);
        return tap_done();
}
