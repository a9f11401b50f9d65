/* SPDX-License-Identifier: MIT */
#pragma once

/* A fault is the reason why a call failed, in words that its caller may read.
 *
 * A function that can fail in a way that its caller should understand takes a Fault as its last
 * argument and returns a negative errno: `return fault_set(f, FAULT_EXISTS, "…")`. A Fault may be
 * NULL where nobody reads it. The message says what failed, on what, and what to do; it is valid
 * UTF-8 without control characters whatever was put into it. */

#include <stdbool.h>
#include <stddef.h>

/* X(id, errno, bus error suffix, exit status of fluidctl, documentation) */
#define FAULTS(X) \
        X(INVALID_ARGUMENT, EINVAL, "InvalidArgument", 2, \
          "An argument or option value is outside what is allowed.") \
        X(UNKNOWN_OPTION, EINVAL, "UnknownOption", 2, \
          "An option key is not one that this method knows.") \
        X(NOT_FOUND, ENOENT, "NotFound", 4, \
          "The named object does not exist, or is not the caller's.") \
        X(EXISTS, EEXIST, "Exists", 1, "An object of that name exists already.") \
        X(WRONG_STATE, ESTALE, "WrongState", 1, \
          "The object is in a state in which this cannot be done.") \
        X(BUSY, EBUSY, "Busy", 1, "Another operation on the same object is under way.") \
        X(IN_USE, EBUSY, "InUse", 1, "Something else still stands on this object.") \
        X(DENIED, EACCES, "AccessDenied", 3, "The caller may not do this.") \
        X(LIMITS_EXCEEDED, EDQUOT, "LimitsExceeded", 1, "A quota or budget is used up.") \
        X(NO_SPACE, ENOSPC, "NoSpace", 1, "The host's disk has not enough room left.") \
        X(NO_MEMORY, ENOMEM, "NoMemory", 1, "The host has not enough memory left.") \
        X(TIMED_OUT, ETIMEDOUT, "TimedOut", 5, "The deadline passed first.") \
        X(CANCELLED, ECANCELED, "Cancelled", 1, "The operation was given up on request.") \
        X(AGENT_UNAVAILABLE, EHOSTDOWN, "AgentUnavailable", 1, \
          "The QEMU guest agent in the sandbox does not answer.") \
        X(AGENT_REFUSED, EREMOTEIO, "AgentRefused", 1, \
          "The guest answered with an error of its own.") \
        X(AGENT_MISBEHAVED, EBADMSG, "AgentMisbehaved", 1, \
          "The guest sent what is not the guest agent protocol.") \
        X(COMMAND_NOT_RUN, ENOEXEC, "CommandNotRun", 125, \
          "The command could not be started in the guest.") \
        X(IMAGE_REFUSED, EMEDIUMTYPE, "ImageRefused", 1, \
          "The image is damaged, of an unknown format, or refers to other files.") \
        X(NOT_CLONEABLE, EOPNOTSUPP, "NotCloneable", 1, \
          "The domain has parts that cannot be cloned safely.") \
        X(HYPERVISOR_UNAVAILABLE, ENOLINK, "HypervisorUnavailable", 1, \
          "libvirtd does not answer.") \
        X(HYPERVISOR_FAILED, EPROTO, "HypervisorFailed", 1, "libvirt or QEMU reported an error.") \
        X(NETWORK_FAILED, ENETDOWN, "NetworkFailed", 1, \
          "The network, or its rules in the kernel, could not be set up.") \
        X(DIFF_FAILED, EUCLEAN, "DiffFailed", 1, \
          "The two points could not be compared; the message says why.") \
        X(APPROVAL_EXPIRED, ETIME, "ApprovalExpired", 5, \
          "The approval was not decided, or not applied, in its time.") \
        X(ALREADY_DECIDED, EALREADY, "AlreadyDecided", 1, \
          "The approval has its answer already, or needs none any more.") \
        X(WRONG_HASH, EKEYREJECTED, "WrongHash", 1, \
          "The hash that was named is not that of the approval's content.") \
        X(OWN_REQUEST, EPERM, "OwnRequest", 3, \
          "Whoever asked, or is in the same login session, cannot answer.") \
        X(UNKNOWN_ALTERNATIVE, EINVAL, "UnknownAlternative", 2, \
          "The answer is none of the approval's alternatives.") \
        X(CONTENT_CHANGED, EKEYEXPIRED, "ContentChanged", 1, \
          "What was approved is not what it would be now.") \
        X(NOT_APPROVED, EACCES, "NotApproved", 3, \
          "The approval has no yes that could be applied.") \
        X(ALREADY_APPLIED, EALREADY, "AlreadyApplied", 1, \
          "What was approved has been applied already, and only once it may be.") \
        X(PLAYBOOK_FAILED, ECHILD, "PlaybookFailed", 1, \
          "Ansible failed on its way, or a host did; the log has what it said.") \
        X(IO, EIO, "InputOutput", 1, "Reading or writing a file of the host failed.") \
        X(INTERNAL, ENOTRECOVERABLE, "Internal", 1, "A mistake of fluid's own.")

typedef enum FaultCode {
        FAULT_NONE,
#define X(id, err, bus, exit_status, doc) FAULT_##id,
        FAULTS(X)
#undef X
                _FAULT_MAX,
} FaultCode;

/* At most this many bytes of message are kept, the final NUL included. */
#define FAULT_MESSAGE_MAX 512

typedef struct Fault {
        FaultCode code;
        char message[FAULT_MESSAGE_MAX];
} Fault;

/* Tells compilers and analyzers what they cannot see from outside: it is an error. */
static inline int fault_negative(int r)
{
        if (r >= 0)
                __builtin_unreachable();
        return r;
}

/* Sets code and message (control characters and invalid UTF-8 are escaped as \xNN) and returns
 * the code's negative errno. The first reason wins: a Fault that is set already is kept. */
#define fault_set(...) fault_negative(fault_set_text(__VA_ARGS__))
int fault_set_text(Fault *f, FaultCode code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The same with ": " and the text of errno value `error` (either sign) appended; ENOSPC, EDQUOT and
 * ENOMEM choose FAULT_NO_SPACE, FAULT_NO_SPACE and FAULT_NO_MEMORY instead of `code`. */
#define fault_set_errno(...) fault_negative(fault_set_errno_text(__VA_ARGS__))
int fault_set_errno_text(Fault *f, FaultCode code, int error, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Forgets the reason. */
void fault_clear(Fault *f);

bool fault_is_set(const Fault *f);

/* What it says; nothing where it is NULL. */
static inline Fault fault_copy(const Fault *f)
{
        return f ? *f : (Fault){0};
}

/* The code's negative errno; 0 for FAULT_NONE. */
int fault_to_errno(FaultCode code);

/* "NotFound" and so on; "None" for FAULT_NONE. */
const char *fault_to_string(FaultCode code);

/* FAULT_NONE if no code has that name. */
FaultCode fault_from_string(const char *name);

/* The exit status that fluidctl ends with; 0 for FAULT_NONE. */
int fault_to_exit_status(FaultCode code);

/* One sentence, for the manual page. */
const char *fault_documentation(FaultCode code);
