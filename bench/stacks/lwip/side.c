/*
 * One lwIP (Debian's liblwip) with an Ethernet interface that is a function call. Loaded twice by bench.c, each time into
 * a namespace of its own with a liblwip of its own, so that client and server share nothing. Time stands still for it.
 */
#include "side.h"

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <netif/ethernet.h>
#include <stdlib.h>
#include <string.h>

static struct netif nic;
static side_wire wire;
static void *wire_context;
static struct tcp_pcb **flows;
static struct side_count count;
static struct tcp_pcb *closing;

static err_t output(struct netif *netif, struct pbuf *packet)
{
	char frame[2048];

	(void)netif;
	pbuf_copy_partial(packet, frame, packet->tot_len, 0);
	wire(wire_context, frame, packet->tot_len);
	return ERR_OK;
}

static err_t init_nic(struct netif *netif)
{
	netif->linkoutput = output;
	netif->output = etharp_output;
	netif->mtu = 1500;
	netif->hwaddr_len = 6;
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
	return ERR_OK;
}

static void on_error(void *argument, err_t error)
{
	(void)argument;
	(void)error;
	abort();
}

/* The echo: requests are answered, more than a request is a bulk transfer and only counted; FIN is answered by FIN. */
static err_t on_server_data(void *argument, struct tcp_pcb *flow, struct pbuf *data, err_t error)
{
	(void)argument;
	(void)error;
	if (!data) {
		tcp_close(flow);
		return ERR_OK;
	}
	tcp_recved(flow, data->tot_len);
	count.bytes += data->tot_len;
	if (data->tot_len == SIDE_REQUEST) {
		tcp_write(flow, data->payload, data->len, TCP_WRITE_FLAG_COPY);
		tcp_output(flow);
	}
	pbuf_free(data);
	return ERR_OK;
}

static err_t on_client_data(void *argument, struct tcp_pcb *flow, struct pbuf *data, err_t error)
{
	(void)argument;
	(void)error;
	if (!data) {
		closing = flow;
		return ERR_OK;
	}
	tcp_recved(flow, data->tot_len);
	count.bytes += data->tot_len;
	pbuf_free(data);
	return ERR_OK;
}

static err_t on_accept(void *argument, struct tcp_pcb *flow, err_t error)
{
	(void)argument;
	(void)error;
	tcp_nagle_disable(flow);
	tcp_recv(flow, on_server_data);
	tcp_err(flow, on_error);
	return ERR_OK;
}

static err_t on_connected(void *argument, struct tcp_pcb *flow, err_t error)
{
	(void)argument;
	(void)flow;
	(void)error;
	count.opened++;
	return ERR_OK;
}

void side_init(int last_octet, int max_flows, side_wire to, void *context)
{
	ip4_addr_t address, mask, gateway;

	wire = to;
	wire_context = context;
	flows = calloc(max_flows, sizeof(*flows));
	lwip_init();
	IP4_ADDR(&address, 10, 0, 0, last_octet);
	IP4_ADDR(&mask, 255, 255, 255, 0);
	IP4_ADDR(&gateway, 0, 0, 0, 0);
	netif_add(&nic, &address, &mask, &gateway, NULL, init_nic, ethernet_input);
	memcpy(nic.hwaddr, "\2\0\0\0\0", 5);
	nic.hwaddr[5] = last_octet;
	netif_set_default(&nic);
	netif_set_up(&nic);
}

void side_listen(int port)
{
	struct tcp_pcb *listener = tcp_new();

	tcp_bind(listener, IP_ADDR_ANY, port);
	listener = tcp_listen(listener);
	tcp_accept(listener, on_accept);
}

void side_connect(int flow, int local_port, int port)
{
	ip_addr_t server;
	struct tcp_pcb *pcb = flows[flow] = tcp_new();

	IP_ADDR4(&server, 10, 0, 0, 2);
	tcp_nagle_disable(pcb);
	tcp_recv(pcb, on_client_data);
	tcp_err(pcb, on_error);
	tcp_bind(pcb, IP_ADDR_ANY, local_port);
	if (tcp_connect(pcb, &server, port, on_connected) != ERR_OK)
		abort();
}

int side_send(int flow, const void *bytes, int len)
{
	struct tcp_pcb *pcb = flows[flow];
	int room = tcp_sndbuf(pcb);

	if (len > room)
		len = room;
	/* By reference: the bytes stay as they are. */
	if (len > 0 && tcp_write(pcb, bytes, len, 0) != ERR_OK)
		len = 0;
	tcp_output(pcb);
	return len;
}

void side_close(int flow)
{
	tcp_close(flows[flow]);
}

/* The client's end is in TIME-WAIT now; it makes way. */
void side_forget(int flow)
{
	if (closing == flows[flow])
		tcp_abort(closing);
	closing = NULL;
}

void side_input(const void *frame, unsigned len)
{
	/* Not PBUF_POOL: in Debian's build its buffers are smaller than it says, and a full frame writes past the end. */
	struct pbuf *packet = pbuf_alloc(PBUF_RAW, len, PBUF_RAM);

	if (!packet)
		abort();
	pbuf_take(packet, frame, len);
	if (nic.input(packet, &nic) != ERR_OK)
		pbuf_free(packet);
}

const struct side_count *side_count(void)
{
	return &count;
}
