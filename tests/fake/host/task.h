/* SPDX-License-Identifier: MIT */
#pragma once

/* A task in a guest, as guest.c and process.c see it. */

#include "host/guest.h"

/* One step of the loop later, finish() is called; then the task is freed. */
struct GuestTask {
        sd_event_source *step, *timer;
        Agent *agent;
        void (*finish)(GuestTask *task, int r, const Fault *f);
        void *userdata;
        char *id, *path; /* of the command, of the file */
        bool waits;      /* for its guest, which is paused */
        FakeIdentity given;
        bool sets_clock;
        int64_t pid;
        uint64_t offset, max;
        uint64_t output_max;
        int signal, mode;
        bool freezes;
        GuestExecHandlers exec;
        GuestReadHandlers read;
        GuestWriteHandlers write;
        GuestDone done;
};

int fake_task_new(sd_event *event, Agent *agent, const char *what,
                  void (*finish)(GuestTask *, int, const Fault *), void *userdata, GuestTask **ret,
                  Fault *f);
void fake_task_free(GuestTask *task);
