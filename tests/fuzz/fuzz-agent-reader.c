/* SPDX-License-Identifier: MIT */

/* Whatever a guest sends, the reader keeps its bounds. The first byte chooses whether the channel
 * is in sync already, and in what portions the rest arrives. */

#include "host/agent-reader.h"
#include "host/agent.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int on_reply(Json *reply, bool is_delimited, void *userdata, Fault *f)
{
        (void) f;
        g_assert(json_object_is_type(reply, json_type_object));
        if (is_delimited)
                agent_reader_settle(*(AgentReader **) userdata);
        return 0;
}

static void on_diverted(const char *key, const void *bytes, size_t size, void *userdata)
{
        volatile unsigned char sum = 0;

        (void) userdata;
        g_assert(strlen(key) > 0 && size > 0);
        for (size_t i = 0; i < size; i++)
                sum ^= ((const unsigned char *) bytes)[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        static const AgentReaderHandlers handlers = {on_reply, on_diverted};
        AgentReader *r = NULL;
        size_t portion;

        if (size == 0)
                return 0;
        r = agent_reader_new(&handlers, &r);
        if (bytes[0] & 1)
                agent_reader_settle(r);
        portion = (size_t) (bytes[0] >> 1) + 1;
        bytes++;
        size--;
        while (size > 0) {
                Fault f = {0};
                size_t n = MIN(size, portion);
                int err = agent_reader_feed(r, bytes, n, &f);

                g_assert(err == 0 || f.code == FAULT_AGENT_MISBEHAVED);
                if (err < 0)
                        agent_reader_seek(r);
                bytes += n;
                size -= n;
        }
        agent_reader_free(r);
        return 0;
}
