/*
 * lwIP under the loads of ../src/workload.rs, the same way:
 *
 *     lwip-bench one|many|bulk|churn FLOWS MILLISECONDS SIDE.SO
 *
 * prints nanoseconds per request, segment or connection, both sides together.
 */
#define _GNU_SOURCE
#include "side.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE 4096
#define MANY 32
#define SEGMENT 1460
#define FLOWS_PER_PORT 40000
#define FIRST_CLIENT_PORT 10000
#define FIRST_SERVER_PORT 7000

struct frame {
	unsigned len;
	char bytes[1516];
};

struct wire {
	struct frame frames[QUEUE];
	unsigned head, tail;
};

/* The functions of one copy of side.so. */
struct side {
	__typeof__(&side_init) init;
	__typeof__(&side_listen) listen;
	__typeof__(&side_connect) connect;
	__typeof__(&side_send) send;
	__typeof__(&side_close) close;
	__typeof__(&side_forget) forget;
	__typeof__(&side_input) input;
	__typeof__(&side_count) count;
};

static struct side client, server;
static struct wire there, back;
static char bytes[64 * SEGMENT];
static uint64_t state = 1;
static int flows;

static void put(void *context, const void *frame, unsigned len)
{
	struct wire *wire = context;
	struct frame *place = &wire->frames[wire->tail++ % QUEUE];

	if (len > sizeof(place->bytes) || wire->tail - wire->head > QUEUE)
		abort();
	place->len = len;
	memcpy(place->bytes, frame, len);
}

static int deliver(struct wire *wire, const struct side *to)
{
	int delivered = 0;

	for (; wire->head != wire->tail; wire->head++, delivered++) {
		struct frame *frame = &wire->frames[wire->head % QUEUE];

		to->input(frame->bytes, frame->len);
	}
	wire->head = wire->tail = 0; /* the same, cached frames again */
	return delivered;
}

static void settle(void)
{
	while (deliver(&there, &server) | deliver(&back, &client))
		;
}

static void load(struct side *side, const char *path)
{
	void *library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);

	if (!library) {
		fprintf(stderr, "lwip-bench: %s\n", dlerror());
		exit(1);
	}
	side->init = dlsym(library, "side_init");
	side->listen = dlsym(library, "side_listen");
	side->connect = dlsym(library, "side_connect");
	side->send = dlsym(library, "side_send");
	side->close = dlsym(library, "side_close");
	side->forget = dlsym(library, "side_forget");
	side->input = dlsym(library, "side_input");
	side->count = dlsym(library, "side_count");
}

static uint32_t below(uint32_t bound)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (state >> 32) * bound >> 32;
}

static void open_flow(int flow)
{
	client.connect(flow, FIRST_CLIENT_PORT + flow % FLOWS_PER_PORT, FIRST_SERVER_PORT + flow / FLOWS_PER_PORT);
	settle();
}

static int requests(int count)
{
	unsigned long before = client.count()->bytes;

	for (int i = 0; i < count; i++) {
		int start = (int64_t)flows * i / count, end = (int64_t)flows * (i + 1) / count;

		client.send(start + below(end - start), bytes, SIDE_REQUEST);
	}
	settle();
	if (client.count()->bytes - before != (unsigned long)count * SIDE_REQUEST)
		abort();
	return count;
}

static int bulk(void)
{
	unsigned long start = server.count()->bytes, sent = 0, total = 1024 * SEGMENT;

	while (server.count()->bytes - start < total) {
		unsigned long more = total - sent;

		sent += client.send(0, bytes, more < sizeof(bytes) ? more : sizeof(bytes));
		deliver(&there, &server);
		deliver(&back, &client);
	}
	return 1024;
}

static int churn(void)
{
	static unsigned turn;

	for (int i = 0; i < 64; i++) {
		client.connect(flows, 1024 + turn++ % 8192, FIRST_SERVER_PORT);
		settle();
		client.close(flows);
		settle();
		client.forget(flows);
		settle();
	}
	return 64;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int work(const char *load)
{
	if (!strcmp(load, "one"))
		return requests(1);
	if (!strcmp(load, "many"))
		return requests(flows < MANY ? flows : MANY);
	return strcmp(load, "bulk") ? churn() : bulk();
}

static double repeat(const char *load, double enough, int *calls)
{
	double start = now(), elapsed;
	uint64_t done = 0;

	for (;;) {
		for (int i = 0; i < *calls; i++)
			done += work(load);
		elapsed = now() - start;
		if (elapsed >= enough)
			return elapsed / done;
		if (elapsed < enough / 50 && *calls < 4096)
			*calls *= 2;
	}
}

int main(int argc, char **argv)
{
	int calls = 1;
	double enough;

	if (argc != 5) {
		fprintf(stderr, "usage: lwip-bench one|many|bulk|churn FLOWS MILLISECONDS SIDE.SO\n");
		return 2;
	}
	flows = atoi(argv[2]);
	enough = atof(argv[3]) * 1e6;
	load(&client, argv[4]);
	load(&server, argv[4]);
	client.init(1, flows + 1, put, &there);
	server.init(2, flows + 1, put, &back);
	for (int port = 0; port <= (flows - 1) / FLOWS_PER_PORT; port++)
		server.listen(FIRST_SERVER_PORT + port);
	for (int flow = 0; flow < flows; flow++)
		open_flow(flow);
	if (client.count()->opened != (unsigned long)flows)
		abort();
	repeat(argv[1], enough / 10, &calls);
	printf("%.1f\n", repeat(argv[1], enough, &calls));
	return 0;
}
