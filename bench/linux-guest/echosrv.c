/*
 * echosrv - what a Linux programmer would write: an epoll loop that echoes TCP, and a thread that echoes UDP.
 *
 *   echosrv [-p PORT] [-b] [-t LOOPS]
 *
 * -b: the epoll loop spins (timeout 0) instead of sleeping. -t: so many loops, each in a thread, with a listener (among
 * which Linux spreads connections) and connections of its own.
 *
 * gcc -O2 -Wall -static -pthread -o echosrv echosrv.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int port = 7, spin;

static void die(const char *m)
{
	perror(m);
	exit(1);
}

static int bound(int type)
{
	int one = 1, fd = socket(AF_INET, type, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (void *)&a, sizeof(a)))
		die("bind");
	return fd;
}

static void accept_all(int ep, int listener)
{
	int c, one = 1;
	while ((c = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = c };
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
	}
}

static void echo(int fd)
{
	static __thread char buf[65536];
	ssize_t r = recv(fd, buf, sizeof(buf), 0);
	if (r == 0 || (r < 0 && errno != EAGAIN)) {
		close(fd);
		return;
	}
	for (ssize_t o = 0; o < r;) {
		ssize_t w = send(fd, buf + o, r - o, MSG_NOSIGNAL);
		if (w < 0 && errno == EAGAIN)
			sched_yield();
		else if (w <= 0)
			return;
		else
			o += w;
	}
}

static void *tcp_loop(void *unused)
{
	struct epoll_event ev[256], e = { .events = EPOLLIN };
	int l = bound(SOCK_STREAM | SOCK_NONBLOCK), ep = epoll_create1(0);
	if (listen(l, 4096))
		die("listen");
	e.data.fd = l;
	epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
	for (;;) {
		int n = epoll_wait(ep, ev, 256, spin ? 0 : -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == l)
				accept_all(ep, l);
			else
				echo(ev[i].data.fd);
		}
	}
	return unused;
}

static void *udp_loop(void *unused)
{
	static char b[65536];
	int fd = bound(SOCK_DGRAM);
	for (;;) {
		struct sockaddr_in a;
		socklen_t al = sizeof(a);
		ssize_t r = recvfrom(fd, b, sizeof(b), 0, (void *)&a, &al);
		if (r >= 0)
			sendto(fd, b, r, 0, (void *)&a, al);
	}
	return unused;
}

int main(int argc, char **argv)
{
	int o, loops = 1;
	while ((o = getopt(argc, argv, "p:bt:")) != -1)
		switch (o) {
		case 'p': port = atoi(optarg); break;
		case 'b': spin = 1; break;
		case 't': loops = atoi(optarg); break;
		default: return 2;
		}
	struct rlimit rl = { 1 << 17, 1 << 17 };
	setrlimit(RLIMIT_NOFILE, &rl);
	pthread_t t;
	pthread_create(&t, NULL, udp_loop, NULL);
	for (int i = 1; i < loops; i++)
		pthread_create(&t, NULL, tcp_loop, NULL);
	tcp_loop(NULL);
}
