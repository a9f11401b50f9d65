# SPDX-License-Identifier: MIT
"""Ansible's count of what became of each host, for fluid-ansible: as JSON, at the path in FLUID_RECAP."""

import json
import os

from ansible.plugins.callback import CallbackBase

WORDS = {"ok": "ok", "changed": "changed", "unreachable": "unreachable", "failures": "failed", "skipped": "skipped",
         "rescued": "rescued", "ignored": "ignored"}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "fluid_recap"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats):
        hosts = {}
        for host in stats.processed:
            summary = stats.summarize(host)
            hosts[host] = {word: summary[name] for name, word in WORDS.items()}
        with open(os.environ["FLUID_RECAP"], "w", encoding="utf-8") as out:
            json.dump(hosts, out)
