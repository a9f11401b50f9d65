# SPDX-License-Identifier: MIT
"""Ansible's count of what became of each host, and of what changed, for fluid-ansible: as JSON, at FLUID_RECAP."""

import json
import os

from ansible.plugins.callback import CallbackBase

WORDS = {"ok": "ok", "changed": "changed", "unreachable": "unreachable", "failures": "failed", "skipped": "skipped",
         "rescued": "rescued", "ignored": "ignored"}

CHANGES_MAX = 10000


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "fluid_recap"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.changes = {}

    def v2_runner_on_ok(self, result):
        if not result.is_changed():
            return
        name = result.task_name
        if name in self.changes or len(self.changes) < CHANGES_MAX:
            self.changes[name] = self.changes.get(name, 0) + 1

    def v2_playbook_on_stats(self, stats):
        hosts = {}
        for host in stats.processed:
            summary = stats.summarize(host)
            hosts[host] = {word: summary[name] for name, word in WORDS.items()}
        with open(os.environ["FLUID_RECAP"], "w", encoding="utf-8") as out:
            json.dump({"hosts": hosts, "changes": self.changes}, out)
