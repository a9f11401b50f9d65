/* SPDX-License-Identifier: MIT */
#include "api/authorise.h"

#include "base/quantity.h"

#include <string.h>

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define FLAG_ALLOW_INTERACTION 1U

#define ANSWER_TIMEOUT_USEC (10 * USEC_PER_SEC)
/* A person may have to type a password. */
#define PERSON_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define OBSERVES_FOR_USEC   (5 * USEC_PER_SEC)

typedef struct Question {
        Call *call;
        AuthoriseDone done;
} Question;

static int read_answer(sd_bus_message *reply, const char *action, Fault *f)
{
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int is_authorised, is_challenge;

        if (error && sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                                            SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                return fault_set(f, FAULT_DENIED,
                                 "polkit is not on the bus, and without it only root may do this "
                                 "(action %s): install polkitd, or call as root",
                                 action);
        if (error)
                return fault_set(f, FAULT_DENIED, "polkit could not decide on action %s: %s",
                                 action, error->message ? error->message : error->name);
        if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &is_authorised, &is_challenge) < 0)
                return fault_set(f, FAULT_DENIED, "polkit's answer on action %s is not understood",
                                 action);
        if (is_authorised)
                return 0;
        if (is_challenge)
                return fault_set(f, FAULT_DENIED,
                                 "polkit wants a person to authenticate for action %s: allow "
                                 "interactive authorisation in the call, or add a polkit rule",
                                 action);
        return fault_set(f, FAULT_DENIED, "polkit does not allow action %s", action);
}

static int on_answer(sd_bus_message *reply, void *userdata, G_GNUC_UNUSED sd_bus_error *error)
{
        const Question question = *(Question *) userdata;
        Call *call = question.call;
        const char *action = call->method->action;
        Fault f = {0};
        int r = read_answer(reply, action, &f);

        call->polkit = sd_bus_slot_unref(call->polkit);
        if (r >= 0 && g_str_equal(action, ACTION_OBSERVE))
                callers_set_observes(call->api->callers, sd_bus_message_get_sender(call->message),
                                     now_monotonic_usec() + OBSERVES_FOR_USEC);
        question.done(call, r, &f);
        return 1;
}

static int ask(Call *call, bool is_interactive, Question *question)
{
        g_autoptr(sd_bus_message) m = NULL;
        sd_bus *bus = call->api->bus;
        int r = sd_bus_message_new_method_call(bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                               "CheckAuthorization");

        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(call->message),
                                          call->method->action, 0,
                                          is_interactive ? FLAG_ALLOW_INTERACTION : 0U, "");
        if (r >= 0)
                r = sd_bus_call_async(bus, &call->polkit, m, on_answer, question,
                                      is_interactive ? PERSON_TIMEOUT_USEC : ANSWER_TIMEOUT_USEC);
        if (r >= 0)
                (void) sd_bus_slot_set_destroy_callback(call->polkit, g_free);
        return r;
}

int authorise(Call *call, AuthoriseDone done, Fault *f)
{
        const char *sender = sd_bus_message_get_sender(call->message);
        Question *question;
        int r;

        if (caller_is_admin(&call->caller))
                return 1;
        if (!sender)
                return fault_set(f, FAULT_DENIED, "the caller has no name on the bus");
        if (g_str_equal(call->method->action, ACTION_OBSERVE) &&
            callers_observes(call->api->callers, sender))
                return 1;
        question = g_new(Question, 1);
        *question = (Question){call, done};
        r = ask(call, sd_bus_message_get_allow_interactive_authorization(call->message) > 0,
                question);
        if (r < 0) {
                g_free(question);
                return fault_set_errno(f, FAULT_DENIED, r, "polkit cannot be asked");
        }
        return 0;
}
