/* SPDX-License-Identifier: MIT */

/* What has to be done in a guest that went on from a memory image before it is ready: its clock is
 * that of then, and a copy has the identity and the random numbers of what it is a copy of. */

#include "core/internal.h"

#include "base/log.h"
#include "base/quantity.h"
#include "host/ssh-key.h"

#include <string.h>
#include <sys/random.h>

/* A guest gets the time with the call, and sets its clock when it comes to it. Where that took as
 * long as this, the clock may be as far behind: it is set again, soon, as the guest has all at hand
 * by then. */
#define CLOCK_LATE_USEC (700 * USEC_PER_MSEC)
#define CLOCK_TRIES     3

static int set_hostname(Sandbox *s, GuestDone done, Fault *f)
{
        g_autofree char *hostname = guest_hostname_from_name(s->row->name);

        return guest_set_hostname(s->manager->event, s->agent, hostname, done, s, &s->renewal_task,
                                  f);
}

/* However that went. */
static void is_practised(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;

        (void) r;
        (void) f;
        s->renewal_task = NULL;
        if (!s->manager->is_closing && s->state != SANDBOX_DESTROYING)
                sandbox_become_ready(s);
}

static void has_rested(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;

        s->renewal_task = NULL;
        if (r < 0 || s->manager->is_closing || s->state == SANDBOX_DESTROYING ||
            set_hostname(s, is_practised, NULL) < 0)
                is_practised(r, f, s);
}

/* What a guest does for the first time takes it long, above all when it is emulated: one that waits
 * in a pool has done before what it is asked for when it is handed out, a program and a name. */
static bool begin_rest(Sandbox *s)
{
        return g_str_equal(s->row->purpose, PURPOSE_POOL) &&
               guest_settle(s->manager->event, s->agent, 0, has_rested, s, &s->renewal_task,
                            NULL) >= 0;
}

/* Only then it gets a network, and DHCP the right name. */
static void is_renewed(Sandbox *s)
{
        s->renewal = RENEW_NOTHING;
        if (begin_rest(s))
                return;
        if (!network_begin(s))
                sandbox_become_ready(s);
}

static bool set_clock_again(Sandbox *s);

static void renewed(int r, const Fault *f, void *userdata)
{
        Sandbox *s = userdata;

        s->renewal_task = NULL;
        if (s->manager->is_closing || s->state == SANDBOX_DESTROYING)
                return;
        if (r >= 0 && s->renewal != RENEW_HOSTNAME && set_clock_again(s))
                return;
        sandbox_time(s, TIMING_IDENTITY);
        if (r >= 0) {
                is_renewed(s);
        } else if (f->code == FAULT_AGENT_UNAVAILABLE || f->code == FAULT_CANCELLED) {
                log_info("the guest agent of sandbox '%s' went away meanwhile: %s", s->row->name,
                         f->message);
        } else if (s->renewal == RENEW_CLOCK) {
                /* Nothing that what is in its memory should be lost for. */
                log_warning("the clock of sandbox '%s' is not right: %s", s->row->name, f->message);
                is_renewed(s);
        } else {
                sandbox_fail_boot(s, f);
        }
}

/* Random, so that no two guests ever have the same. */
static char *new_machine_id(void)
{
        Id parts[3] = {id_new(), id_new(), id_new()};

        return g_strdup_printf("%s%s%.8s", parts[0].text, parts[1].text, parts[2].text);
}

static int renew_identity(Sandbox *s, bool is_copy, Fault *f)
{
        g_autofree char *hostname = guest_hostname_from_name(s->row->name);
        g_autofree char *machine_id = new_machine_id();
        g_autofree char *public_key = NULL;
        char *private_key = NULL;
        uint8_t seed[GUEST_SEED_MAX];
        GuestIdentity identity = {.sets_clock = true};
        int r = 0;

        if (is_copy)
                r = ssh_key_new(hostname, &private_key, &public_key, f);
        if (r < 0)
                return r;
        while (getrandom(seed, sizeof seed, 0) != (ssize_t) sizeof seed)
                continue;
        identity.seed = seed;
        identity.seed_size = sizeof seed;
        if (is_copy) {
                identity.hostname = hostname;
                identity.machine_id = machine_id;
                identity.ssh_host_key = private_key;
                identity.ssh_host_key_public = public_key;
        }
        s->clock_usec = now_monotonic_usec();
        s->clock_tries++;
        r = guest_renew_identity(s->manager->event, s->agent, &identity, renewed, s,
                                 &s->renewal_task, f);
        (void) ssh_key_wipe(private_key);
        explicit_bzero(seed, sizeof seed);
        return r;
}

static bool set_clock_again(Sandbox *s)
{
        if (now_monotonic_usec() - s->clock_usec < CLOCK_LATE_USEC)
                return false;
        if (s->clock_tries == CLOCK_TRIES) {
                log_info("the clock of sandbox '%s' may be late: the guest took long to set it",
                         s->row->name);
                return false;
        }
        /* Whoever it is, it is by now. */
        s->renewal = RENEW_CLOCK;
        return renew_identity(s, false, NULL) >= 0;
}

/* Does what is due before the guest is ready; true where that goes on. */
bool sandbox_begin_renewal(Sandbox *s)
{
        Fault f = {0};
        int r = 0;

        if (s->renewal_task)
                return true;
        s->clock_tries = 0;
        switch (s->renewal) {
        case RENEW_NOTHING:
                return false;
        case RENEW_CLOCK:
        case RENEW_IDENTITY:
                r = renew_identity(s, s->renewal == RENEW_IDENTITY, &f);
                break;
        case RENEW_HOSTNAME:
                r = set_hostname(s, renewed, &f);
                break;
        }
        if (r < 0 && s->renewal == RENEW_CLOCK)
                return false;
        if (r < 0)
                sandbox_fail_boot(s, &f);
        return true;
}
