/* libix for programs in C: servers and clients that run on Ixion's dataplane and, started without `ix`, on Linux sockets.
 *
 *     cc -static-pie -I libix/c -o echo echo.c libix.a
 *
 * A program fills in a struct ix_handler and calls ix_run. Its functions are called on one thread, when something has
 * happened, and must not block. Every function here is to be called from within them.
 *
 * Results are 0 (or a count) for success and -(an enum ix_status) for failure. Names of connections, ports and timers are
 * plain numbers that go stale: using one whose object is gone is IX_BAD_HANDLE, never anything worse.
 */
#ifndef IX_H
#define IX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why something failed; ix_status_text says it in words. */
enum ix_status {
    IX_NO_MEMORY = 1,
    IX_NO_BUFFERS = 2,
    IX_INVALID = 3,
    IX_AGAIN = 4,
    IX_FAULT = 5,
    IX_NO_SUCH_CALL = 6,
    IX_NOT_SUPPORTED = 7,
    IX_BAD_HANDLE = 8,
    IX_CLOSED = 9,
    IX_CONNECTION_REFUSED = 10,
    IX_CONNECTION_RESET = 11,
    IX_TIMED_OUT = 12,
    IX_ADDRESS_IN_USE = 13,
    IX_ADDRESS_NOT_AVAILABLE = 14,
    IX_UNREACHABLE = 15,
    IX_MESSAGE_TOO_LONG = 16,
    IX_BUSY = 17,
    IX_ABORTED = 18
};

/* The way to the dataplane; given to every function of a handler, and good only while that runs. */
typedef struct ix_io ix_io;

/* Received bytes, where the NIC put them. Whoever is given one owns it: it ends in ix_buf_free, ix_send_buf or
 * ix_udp_send_buf. Until then it holds that much of its sender's TCP window. */
typedef struct ix_buf ix_buf;

typedef uint64_t ix_flow;     /* a TCP connection */
typedef uint64_t ix_listener; /* a port listened on */
typedef uint64_t ix_udp;      /* a bound UDP port */
typedef uint64_t ix_timer;    /* a timer that has not gone off yet */

/* An IP address and port. */
struct ix_address {
    uint16_t family; /* 4 or 6 */
    uint16_t port;   /* in host byte order */
    uint8_t ip[16];  /* the first 4 count for IPv4 */
};

/* What a program does when things happen. A null function does the plain thing. */
struct ix_handler {
    void *context; /* handed to each of them */
    /* Once, before all others: the place to listen and to connect. Below 0: ix_run returns it. */
    int (*on_start)(void *context, ix_io *io);
    /* A peer wants to connect: not 0 to accept (the default), 0 to reset it. */
    int (*on_knock)(void *context, ix_io *io, ix_flow flow, const struct ix_address *peer);
    /* A connect has finished; if it failed, the flow is gone and no on_dead follows. */
    void (*on_connected)(void *context, ix_io *io, ix_flow flow, int status);
    /* The next bytes of the stream. By default they are dropped. */
    void (*on_recv)(void *context, ix_io *io, ix_flow flow, ix_buf *data);
    /* The peer has acknowledged so many more bytes. */
    void (*on_sent)(void *context, ix_io *io, ix_flow flow, size_t count);
    /* The peer has finished sending. By default our side finishes too. */
    void (*on_eof)(void *context, ix_io *io, ix_flow flow);
    /* The flow is gone: 0 after an orderly close by both sides, or the reason. */
    void (*on_dead)(void *context, ix_io *io, ix_flow flow, int status);
    /* A datagram. By default it is dropped. */
    void (*on_udp)(void *context, ix_io *io, ix_udp port, const struct ix_address *peer, ix_buf *data);
    /* A datagram has left, or could not be sent. */
    void (*on_udp_sent)(void *context, ix_io *io, ix_udp port, int status);
    /* A timer went off. */
    void (*on_timer)(void *context, ix_io *io, ix_timer timer);
    /* `ix` asks the program to finish. By default everything is closed in order, and ix_run returns. */
    void (*on_stop)(void *context, ix_io *io);
};

/* Runs until the loop is stopped and every connection is closed. */
int ix_run(const struct ix_handler *handler);

/* What a result below 0 means, in English. */
const char *ix_status_text(int status);

/* Listens on a port of every address. */
int ix_listen(ix_io *io, uint16_t port, ix_listener *listener);

/* Stops that; connections not yet accepted are reset. */
void ix_unlisten(ix_io *io, ix_listener listener);

/* Opens a connection; on_connected tells the outcome. What is sent before waits. */
int ix_connect(ix_io *io, const struct ix_address *remote, ix_flow *flow);

/* Sends received bytes from where they are. The buffer is no longer the caller's, whatever the result. */
int ix_send_buf(ix_io *io, ix_flow flow, ix_buf *data);

/* Sends bytes from where they are. They must stay as they are until release(argument), which may be null, is called: when
 * the peer has acknowledged them, when the flow is dead, or at once if this fails. */
int ix_send(ix_io *io, ix_flow flow, const void *bytes, size_t len, void (*release)(void *argument), void *argument);

/* Sends a copy. */
int ix_send_copy(ix_io *io, ix_flow flow, const void *bytes, size_t len);

/* Bytes sent and not acknowledged. There is no bound but the program's own. */
size_t ix_backlog(ix_io *io, ix_flow flow);

/* Closes in order: what was sent is still delivered. */
int ix_close(ix_io *io, ix_flow flow);

/* Half close: FIN after what was sent; receiving goes on. */
int ix_shutdown(ix_io *io, ix_flow flow);

/* Resets the connection. */
int ix_abort(ix_io *io, ix_flow flow);

/* Binds a UDP port (0: any free one) of every address. */
int ix_udp_bind(ix_io *io, uint16_t port, ix_udp *bound);

/* Gives it back. */
void ix_udp_unbind(ix_io *io, ix_udp port);

/* Sends a received buffer as a datagram, from where it is. The buffer is no longer the caller's. */
void ix_udp_send_buf(ix_io *io, ix_udp port, const struct ix_address *peer, ix_buf *data);

/* Sends a copy as a datagram. */
void ix_udp_send_copy(ix_io *io, ix_udp port, const struct ix_address *peer, const void *bytes, size_t len);

/* Starts a one-shot timer. */
int ix_timer_start(ix_io *io, uint64_t nanoseconds, ix_timer *timer);

/* Stops it. */
void ix_timer_cancel(ix_io *io, ix_timer timer);

/* Nanoseconds since some point in the past. */
uint64_t ix_now_ns(ix_io *io);

/* Stops listening, closes every flow, and ends the loop when the last is gone, or after a second. */
void ix_stop(ix_io *io);

/* The bytes of a buffer, and how many. */
const uint8_t *ix_buf_bytes(const ix_buf *data);
size_t ix_buf_len(const ix_buf *data);

/* Gives it back to the kernel, which opens its sender's window. Null is ignored. */
void ix_buf_free(ix_buf *data);

#ifdef __cplusplus
}
#endif

#endif
