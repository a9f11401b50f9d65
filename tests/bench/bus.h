/* SPDX-License-Identifier: MIT */
#pragma once

/* fluid as its callers see it, for programs that measure: what fails ends the program. */

#include <glib.h>
#include <systemd/sd-bus.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus, sd_bus_flush_close_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

/* The system bus; calls may take minutes. */
sd_bus *bus_open(void);

/* Calls and returns the reply; arguments as for sd_bus_call_method(). */
sd_bus_message *bus_call(sd_bus *bus, const char *object, const char *interface, const char *method,
                         const char *types, ...);

/* Asks for a sandbox of the template "mini"; its object path, before it has booted. */
char *bus_create_sandbox(sd_bus *bus, const char *name);
void bus_wait_until_ready(sd_bus *bus, const char *sandbox);
void bus_destroy_sandbox(sd_bus *bus, const char *sandbox);

/* Runs a shell script in it, which has to succeed. */
void bus_run_script(sd_bus *bus, const char *sandbox, const char *script);

/* "fluid-ID", the name of its domain. */
char *bus_domain_name(const char *sandbox);
