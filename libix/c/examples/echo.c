/* Echo server: sends back what it receives, from where it was received, over TCP and UDP. */

#include <ix.h>
#include <stdio.h>
#include <stdlib.h>

static int on_start(void *context, ix_io *io)
{
    uint16_t port = *(uint16_t *)context;
    ix_listener listener;
    ix_udp bound;
    int status = ix_listen(io, port, &listener);
    if (status == 0)
        status = ix_udp_bind(io, port, &bound);
    if (status == 0) {
        printf("echo: tcp and udp port %u\n", port);
        fflush(stdout);
    }
    return status;
}

static void on_recv(void *context, ix_io *io, ix_flow flow, ix_buf *data)
{
    (void)context;
    /* Fails only if the flow is closed, and then nobody waits for the echo. */
    ix_send_buf(io, flow, data);
}

static void on_udp(void *context, ix_io *io, ix_udp port, const struct ix_address *peer, ix_buf *data)
{
    (void)context;
    ix_udp_send_buf(io, port, peer, data);
}

int main(int argc, char **argv)
{
    uint16_t port = argc > 1 ? (uint16_t)atoi(argv[1]) : 7;
    struct ix_handler echo = {
        .context = &port,
        .on_start = on_start,
        .on_recv = on_recv,
        .on_udp = on_udp,
    };
    int status = ix_run(&echo);
    if (status < 0) {
        fprintf(stderr, "echo: %s\n", ix_status_text(status));
        return 1;
    }
    return 0;
}
