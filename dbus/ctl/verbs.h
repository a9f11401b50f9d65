/* SPDX-License-Identifier: MIT */
#pragma once

/* Every verb, each in its file verb-NAME.c, in the order of the help. */

#include "dbus/ctl/ctl.h"

#define VERBS(X) \
        X(status) \
        X(template_import) \
        X(template_list) \
        X(template_show) \
        X(template_warm) \
        X(template_cool) \
        X(template_pool) \
        X(template_remove) \
        X(domains) \
        X(create) \
        X(list) \
        X(show) \
        X(wait) \
        X(start) \
        X(stop) \
        X(pause) \
        X(resume) \
        X(extend) \
        X(network) \
        X(destroy) \
        X(exec) \
        X(commands) \
        X(log) \
        X(kill) \
        X(push) \
        X(pull) \
        X(snapshot) \
        X(snapshots) \
        X(restore) \
        X(branch) \
        X(promote) \
        X(diff) \
        X(cat) \
        X(extract) \
        X(playbook_create) \
        X(playbook_import) \
        X(playbook_list) \
        X(playbook_show) \
        X(playbook_extract) \
        X(playbook_remove) \
        X(verify) \
        X(ask) \
        X(answer) \
        X(apply) \
        X(cancel) \
        X(approvals) \
        X(review) \
        X(approve) \
        X(deny) \
        X(audit) \
        X(audit_verify) \
        X(audit_export)

#define X(verb) extern const Verb verb_##verb;
VERBS(X)
#undef X
