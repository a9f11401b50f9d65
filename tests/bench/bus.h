/* SPDX-License-Identifier: MIT */
#pragma once

/* fluid as its callers see it, for programs that measure: what fails ends the program. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus, sd_bus_flush_close_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

/* The system bus; calls may take minutes. */
sd_bus *bus_open(void);

/* Calls and returns the reply; arguments as for sd_bus_call_method(). */
sd_bus_message *bus_call(sd_bus *bus, const char *object, const char *interface, const char *method,
                         const char *types, ...);

/* The object that a reply begins with; freed by the caller. */
char *bus_read_object(sd_bus_message *reply);

/* A property that is a number of 32 or 64 bits, or a string (freed by the caller). */
uint64_t bus_get_number(sd_bus *bus, const char *object, const char *interface,
                        const char *property);
char *bus_get_text(sd_bus *bus, const char *object, const char *interface, const char *property);

/* -- sandboxes ------------------------------------------------------------------------------ */

/* Asks for a sandbox of the template "mini"; its object path, before it has started. */
char *bus_create_sandbox(sd_bus *bus, const char *name);
/* The same of any template; `boots`: even where something quicker is there. */
char *bus_create_sandbox_of(sd_bus *bus, const char *template, const char *name, bool boots);
void bus_wait_until_ready(sd_bus *bus, const char *sandbox);
void bus_destroy_sandbox(sd_bus *bus, const char *sandbox);

/* What was measured is what was meant: "boot", "memory" or "pool". */
void bus_check_started_from(sd_bus *bus, const char *sandbox, const char *expected);

/* Runs /bin/true or a shell script in it, which has to succeed. */
void bus_run_true(sd_bus *bus, const char *sandbox);
void bus_run_script(sd_bus *bus, const char *sandbox, const char *script);

/* "fluid-ID", the name of its domain. */
char *bus_domain_name(const char *sandbox);

/* -- templates ------------------------------------------------------------------------------ */

/* Makes it warm and returns its object path. */
char *bus_warm_template(sd_bus *bus, const char *name);
/* With its pool, if it has one; returns when nothing is left. */
void bus_cool_template(sd_bus *bus, const char *template);
