/* SPDX-License-Identifier: MIT */

/* Who a guest is, and the keys of this host's making. */

#include "base/name.h"
#include "host/ssh-key.h"
#include "tests/fake/host/state.h"
#include "tests/fake/host/task.h"

#include <string.h>

#define FAKE_LATE_USEC 800000

static void replace(char **text, char **given)
{
        if (!*given)
                return;
        g_free(*text);
        *text = g_steal_pointer(given);
}

static void finish(GuestTask *task, int r, const Fault *f)
{
        FakeDomain *d = fake_domain_of_agent(task->agent);
        GuestDone done = task->done;
        void *userdata = task->userdata;
        Fault why = {0};

        if (r == 0 && !fake.identity_works && !task->given.has_settled) {
                r = fault_set(&why, FAULT_AGENT_REFUSED, "cannot write /etc/hostname");
                f = &why;
        }
        if (r == 0 && task->sets_clock && fake.late_clocks > 0) {
                fake.late_clocks--;
                g_usleep(FAKE_LATE_USEC);
        }
        if (r == 0 && d) {
                FakeIdentity *identity = &d->guest.identity;

                identity->renewals += task->given.machine_id != NULL;
                identity->clocks += task->sets_clock;
                identity->has_settled |= task->given.has_settled;
                replace(&identity->hostname, &task->given.hostname);
                replace(&identity->machine_id, &task->given.machine_id);
                replace(&identity->ssh_host_key, &task->given.ssh_host_key);
                replace(&identity->seed, &task->given.seed);
        }
        fake_task_free(task);
        done(r, f, userdata);
}

static int begin(sd_event *event, Agent *agent, const char *what, GuestDone done, void *userdata,
                 GuestTask **ret, Fault *f)
{
        int r = fake_task_new(event, agent, what, finish, userdata, ret, f);

        if (r == 0)
                (*ret)->done = done;
        return r;
}

static bool is_hostname(const char *name)
{
        return *name && strlen(name) <= 63 && g_ascii_isalnum(*name) &&
               strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") ==
                       strlen(name);
}

int guest_renew_identity(sd_event *event, Agent *agent, const GuestIdentity *identity,
                         GuestDone done, void *userdata, GuestTask **ret, Fault *f)
{
        int r;

        if ((identity->hostname && !is_hostname(identity->hostname)) ||
            (identity->machine_id && (strlen(identity->machine_id) != 32 ||
                                      strspn(identity->machine_id, "0123456789abcdef") != 32)) ||
            !identity->ssh_host_key != !identity->ssh_host_key_public ||
            identity->seed_size > GUEST_SEED_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "that is no identity");
        r = begin(event, agent, "guest_renew_identity", done, userdata, ret, f);
        if (r < 0)
                return r;
        (*ret)->sets_clock = identity->sets_clock;
        (*ret)->given = (FakeIdentity){
                .hostname = g_strdup(identity->hostname),
                .machine_id = g_strdup(identity->machine_id),
                .ssh_host_key = g_strdup(identity->ssh_host_key),
                .seed = identity->seed_size > 0
                                ? g_compute_checksum_for_data(G_CHECKSUM_SHA256, identity->seed,
                                                              identity->seed_size)
                                : NULL,
        };
        return 0;
}

int guest_set_hostname(sd_event *event, Agent *agent, const char *hostname, GuestDone done,
                       void *userdata, GuestTask **ret, Fault *f)
{
        int r;

        if (!is_hostname(hostname))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "that is no hostname");
        r = begin(event, agent, "guest_set_hostname", done, userdata, ret, f);
        if (r == 0)
                (*ret)->given.hostname = g_strdup(hostname);
        return r;
}

char *guest_hostname_from_name(const char *name)
{
        char *hostname = g_strdup(name);

        for (char *p = hostname; *p; p++)
                if (*p == '_')
                        *p = '-';
        return hostname;
}

int guest_put_program(sd_event *event, Agent *agent, GuestDone done, void *userdata,
                      GuestTask **ret, Fault *f)
{
        return begin(event, agent, "guest_put_program", done, userdata, ret, f);
}

int guest_settle(sd_event *event, Agent *agent, G_GNUC_UNUSED uint64_t timeout_usec, GuestDone done,
                 void *userdata, GuestTask **ret, Fault *f)
{
        int r = begin(event, agent, "guest_settle", done, userdata, ret, f);

        if (r == 0)
                (*ret)->given.has_settled = true;
        return r;
}

void fake_host_delay_clocks(unsigned n)
{
        fake.late_clocks = n;
}

/* -- keys ------------------------------------------------------------------------------------- */

int ssh_key_new(const char *comment, char **ret_private, char **ret_public, Fault *f)
{
        Id id = id_new();
        int r = fake_call("ssh_key_new", f);

        if (r < 0)
                return r;
        *ret_private = g_strdup_printf("private %s\n", id.text);
        *ret_public = g_strdup_printf("public %s %s\n", id.text, comment);
        return 0;
}

char *ssh_key_wipe(char *private_text)
{
        g_free(private_text);
        return NULL;
}

/* -- the script ------------------------------------------------------------------------------- */

const FakeIdentity *fake_host_identity(const char *id)
{
        const FakeDomain *d;

        fake_lock();
        d = fake_domain_find(id);
        fake_unlock();
        return d ? &d->guest.identity : NULL;
}

void fake_host_set_identity(bool works)
{
        fake.identity_works = works;
}
