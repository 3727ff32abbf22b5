/*
 * pingpong - the other side of apps/netpipe as a Linux programmer would write it: blocking calls, one client at a time.
 * A message is four bytes of length, most significant first, and its content; it goes back once it is whole.
 *
 *   pingpong [-p PORT]
 *
 * gcc -O2 -Wall -static -o pingpong pingpong.c
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_BYTES (16u << 20)

static char message[4 + MAX_BYTES];

static void die(const char *m)
{
	perror(m);
	exit(1);
}

static int receive(int fd, char *to, size_t n)
{
	while (n > 0) {
		ssize_t r = recv(fd, to, n, 0);
		if (r <= 0)
			return 0;
		to += r;
		n -= r;
	}
	return 1;
}

static int answer(int fd, size_t n)
{
	for (const char *from = message; n > 0;) {
		ssize_t w = send(fd, from, n, MSG_NOSIGNAL);
		if (w <= 0)
			return 0;
		from += w;
		n -= w;
	}
	return 1;
}

static void serve(int fd)
{
	/* What is there of a message beyond its length comes with one call where it is short. */
	for (;;) {
		ssize_t r = recv(fd, message, sizeof(message), 0);
		if (r <= 0 || (r < 4 && !receive(fd, message + r, 4 - r)))
			return;
		size_t have = r < 4 ? 4 : r, n;
		uint32_t length;
		memcpy(&length, message, 4);
		n = 4 + (size_t)ntohl(length);
		if (n > sizeof(message) || have > n || !receive(fd, message + have, n - have) || !answer(fd, n))
			return;
	}
}

int main(int argc, char **argv)
{
	int o, one = 1, port = 5002;
	while ((o = getopt(argc, argv, "p:")) != -1) {
		if (o != 'p')
			return 2;
		port = atoi(optarg);
	}
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int l = socket(AF_INET, SOCK_STREAM, 0), c;
	if (l < 0)
		die("socket");
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&a, sizeof(a)) || listen(l, 16))
		die("listen");
	while ((c = accept(l, NULL, NULL)) >= 0) {
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		serve(c);
		close(c);
	}
	die("accept");
}
