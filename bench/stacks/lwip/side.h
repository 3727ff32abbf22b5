/* What bench.c asks of one lwIP. */
#ifndef SIDE_H
#define SIDE_H

#define SIDE_REQUEST 64

typedef void (*side_wire)(void *context, const void *frame, unsigned len);

struct side_count {
	unsigned long opened, bytes;
};

void side_init(int last_octet, int max_flows, side_wire to, void *context);
void side_listen(int port);
void side_connect(int flow, int local_port, int port);
int side_send(int flow, const void *bytes, int len);
void side_close(int flow);
void side_forget(int flow);
void side_input(const void *frame, unsigned len);
const struct side_count *side_count(void);

#endif
