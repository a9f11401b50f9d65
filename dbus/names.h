/* SPDX-License-Identifier: MIT */
#pragma once

/* The names of the contract in dbus/sh.fluid.Host1.*.xml. */

#define BUS_NAME         "sh.fluid.Host1"
#define BUS_ERROR_PREFIX "sh.fluid.Host1.Error."

#define PATH_ROOT     "/sh/fluid/Host1"
#define PATH_SANDBOX  PATH_ROOT "/sandbox"
#define PATH_SNAPSHOT PATH_ROOT "/snapshot"
#define PATH_COMMAND  PATH_ROOT "/command"
#define PATH_TEMPLATE PATH_ROOT "/template"
#define PATH_APPROVAL PATH_ROOT "/approval"
#define PATH_PLAYBOOK PATH_ROOT "/playbook"

#define INTERFACE_MANAGER  "sh.fluid.Host1.Manager"
#define INTERFACE_TEMPLATE "sh.fluid.Host1.Template"
#define INTERFACE_SANDBOX  "sh.fluid.Host1.Sandbox"
#define INTERFACE_SNAPSHOT "sh.fluid.Host1.Snapshot"
#define INTERFACE_COMMAND  "sh.fluid.Host1.Command"
#define INTERFACE_APPROVAL "sh.fluid.Host1.Approval"
#define INTERFACE_PLAYBOOK "sh.fluid.Host1.Playbook"

/* polkit actions, one per risk: dbus/sh.fluid.host1.policy */
#define ACTION_OBSERVE         "sh.fluid.host1.observe"
#define ACTION_CREATE          "sh.fluid.host1.create"
#define ACTION_USE             "sh.fluid.host1.use"
#define ACTION_SET_NETWORK     "sh.fluid.host1.set-network"
#define ACTION_MANAGE_TEMPLATE "sh.fluid.host1.manage-templates"
#define ACTION_APPROVE         "sh.fluid.host1.approve"
