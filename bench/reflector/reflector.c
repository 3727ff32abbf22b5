/*
 * reflector - a guest that costs next to nothing: what its load reaches is what QEMU, the tap and the client can
 * carry, the ceiling for every guest measured here.
 *
 * It boots by PVH, drives virtio-net (modern PCI, split rings, polled) and answers ARP, UDP and TCP without any state:
 * a UDP datagram goes back with its addresses exchanged, a TCP segment's answer is made from its own sequence numbers
 * (SYN -> SYN-ACK, data -> the same data and an ACK, FIN -> FIN-ACK). That is no TCP; over a tap that loses nothing it
 * is enough for a load generator.
 *
 * Words of the command line, to try what a driver could do:
 *   pause=N    execute PAUSE at each empty poll after N of them
 *   many=N     ... at once when the batch before had N frames or more
 *   each       a doorbell per frame, not per batch
 *   two        headers and payload of a frame in two descriptors
 *   evidx      negotiate VIRTIO_F_EVENT_IDX
 *   nocsum     no checksum offload
 *   batch=N    frames taken per poll (64)
 *   wait=N     empty loop iterations between polls (0)
 *
 * 32-bit, no paging: gcc -m32 -O2 -ffreestanding -nostdlib -static -no-pie -T reflector.ld
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define QUEUE 256
#define BUFFER 2048
#define NET_HEADER 12

/* ---- machine ---- */

__asm__(".pushsection .note.pvh,\"a\",@note\n"
	".long 4, 4, 18\n"	/* XEN_ELFNOTE_PHYS32_ENTRY */
	".asciz \"Xen\"\n"
	".long start\n"
	".popsection\n"
	".globl start\n"
	"start: mov $stack_top, %esp\n"
	"push %ebx\n"
	"call main\n"
	".lcomm stack, 16384\n"
	".set stack_top, stack + 16384\n");

static void outl(u16 port, u32 v) { __asm__ volatile("outl %0,%1" :: "a"(v), "Nd"(port)); }
static void outb(u16 port, u8 v) { __asm__ volatile("outb %0,%1" :: "a"(v), "Nd"(port)); }
static u32 inl(u16 port) { u32 v; __asm__ volatile("inl %1,%0" : "=a"(v) : "Nd"(port)); return v; }
static void barrier(void) { __asm__ volatile("" ::: "memory"); }
static void full_barrier(void) { __asm__ volatile("lock addl $0,(%%esp)" ::: "memory", "cc"); }

static void say(const char *s)
{
	while (*s)
		outb(0x3f8, *s++);
	outb(0x3f8, '\n');
}

static void die(const char *s)
{
	say(s);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static u32 pci_read(u32 slot, u32 reg)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (reg & 0xfc));
	return inl(0xcfc) >> (reg & 3) * 8;
}

static void pci_write(u32 slot, u32 reg, u32 v)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (reg & 0xfc));
	outl(0xcfc, v);
}

void *memcpy(void *d, const void *s, u32 n)
{
	u8 *to = d;
	const u8 *from = s;
	for (; n >= 4; n -= 4, to += 4, from += 4)
		*(u32 *)to = *(const u32 *)from;
	while (n--)
		*to++ = *from++;
	return d;
}

/* ---- virtio ---- */

struct desc { u64 addr; u32 len; u16 flags, next; };
struct avail { u16 flags, idx, ring[QUEUE], used_event; };
struct used { u16 flags, idx; struct { u32 id, len; } ring[QUEUE]; u16 avail_event; };
struct queue {
	struct desc desc[QUEUE] __attribute__((aligned(16)));
	struct avail avail __attribute__((aligned(4)));
	volatile struct used used __attribute__((aligned(4)));
	u16 next, seen, kicked;
	volatile u16 *doorbell;
};

static struct queue rx, tx;
static u8 rx_buffers[QUEUE][BUFFER] __attribute__((aligned(4096)));
static u8 tx_buffers[QUEUE][BUFFER] __attribute__((aligned(4096)));
static volatile u8 *common, *notify, *device;
static u32 notify_step;
static u8 mac[6];
static int opt_pause = -1, opt_each, opt_two, opt_evidx, opt_nocsum, opt_many = 1000, opt_batch = 64, opt_wait;

#define R8(off) (*(volatile u8 *)(common + (off)))
#define R16(off) (*(volatile u16 *)(common + (off)))
#define R32(off) (*(volatile u32 *)(common + (off)))

/* Rings the doorbell if there is something new and the device asked to be told. */
static void kick(struct queue *q)
{
	if (q->kicked == q->avail.idx)
		return;
	full_barrier();
	u16 added = q->avail.idx - q->kicked;
	int wanted = opt_evidx ? (u16)(q->avail.idx - q->used.avail_event - 1) < added : !(q->used.flags & 1);
	q->kicked = q->avail.idx;
	if (wanted)
		*q->doorbell = q == &tx;
}

static void find_device(void)
{
	u32 slot = 0;
	while (slot < 32 && pci_read(slot, 0) != 0x10411af4)
		slot++;
	if (slot == 32)
		die("reflector: no virtio-net (modern)");
	pci_write(slot, 4, (pci_read(slot, 4) & 0xffff) | 6);
	for (u32 cap = pci_read(slot, 0x34) & 0xfc; cap; cap = pci_read(slot, cap + 1) & 0xfc) {
		if ((pci_read(slot, cap) & 0xff) != 9)
			continue;
		u32 bar = pci_read(slot, cap + 4) & 0xff, type = pci_read(slot, cap + 3) & 0xff;
		u32 base = pci_read(slot, 0x10 + bar * 4), high = base & 4 ? pci_read(slot, 0x14 + bar * 4) : 0;
		volatile u8 *at = (volatile u8 *)((base & ~15u) + pci_read(slot, cap + 8));
		if (type <= 4 && high)
			die("reflector: BAR above 4 GiB");
		if (type == 1)
			common = at;
		if (type == 2)
			notify = at, notify_step = pci_read(slot, cap + 16);
		if (type == 4)
			device = at;
	}
}

static void start_queue(u16 index, struct queue *q)
{
	R16(22) = index;
	R16(24) = QUEUE;
	u32 parts[3] = { (u32)q->desc, (u32)&q->avail, (u32)&q->used };
	for (u32 i = 0; i < 3; i++) {
		R32(32 + 8 * i) = parts[i];
		R32(36 + 8 * i) = 0;
	}
	q->doorbell = (volatile u16 *)(notify + R16(30) * notify_step);
	q->avail.flags = 1;	/* no interrupts */
	R16(28) = 1;
}

static void start_device(void)
{
	u32 low = 1u << 5;
	if (!opt_nocsum)
		low |= 3;
	if (opt_evidx)
		low |= 1u << 29;
	R8(20) = 0;
	while (R8(20))
		;
	R8(20) = 1 | 2;
	R32(0) = 0;
	low &= R32(4);
	R32(8) = 0; R32(12) = low;
	R32(8) = 1; R32(12) = 1;	/* VIRTIO_F_VERSION_1 */
	R8(20) = 1 | 2 | 8;
	if (!(R8(20) & 8))
		die("reflector: features refused");
	for (u32 i = 0; i < 6; i++)
		mac[i] = device[i];
	start_queue(0, &rx);
	start_queue(1, &tx);
	for (u16 i = 0; i < QUEUE; i++) {
		rx.desc[i] = (struct desc){ (u32)rx_buffers[i], BUFFER, 2, 0 };
		rx.avail.ring[i] = i;
		/* Frame i leaves from descriptor i, or from i and i + QUEUE / 2. */
		tx.desc[i] = (struct desc){ (u32)tx_buffers[i], 0, 0, 0 };
		tx.avail.ring[i] = i;
	}
	rx.avail.idx = QUEUE;
	R8(20) = 1 | 2 | 8 | 4;
	kick(&rx);
}

static u8 *tx_begin(void)
{
	u32 slots = opt_two ? QUEUE / 2 : QUEUE;
	if ((u16)(tx.avail.idx - tx.used.idx) >= slots) {
		kick(&tx);
		while ((u16)(tx.avail.idx - tx.used.idx) >= slots)
			barrier();
	}
	return tx_buffers[tx.avail.idx % slots] + NET_HEADER;
}

static void tx_commit(u32 head, u32 len, u32 csum_start, u32 csum_offset)
{
	u16 slot = tx.avail.idx % (opt_two ? QUEUE / 2 : QUEUE);
	u8 *h = tx_buffers[slot];
	h[0] = csum_start && !opt_nocsum;
	*(u16 *)(h + 6) = csum_start;
	*(u16 *)(h + 8) = csum_offset;
	tx.desc[slot].len = NET_HEADER + len;
	if (opt_two && len > head) {
		tx.desc[slot].len = NET_HEADER + head;
		tx.desc[slot].flags = 1;
		tx.desc[slot].next = slot + QUEUE / 2;
		tx.desc[slot + QUEUE / 2] = (struct desc){ (u32)(h + NET_HEADER + head), len - head, 0, 0 };
	} else {
		tx.desc[slot].flags = 0;
	}
	tx.avail.ring[tx.avail.idx % QUEUE] = slot;
	barrier();
	tx.avail.idx++;
	if (opt_each)
		kick(&tx);
}

/* ---- frames ---- */

static u16 swap16(u16 v) { return v << 8 | v >> 8; }
static u32 swap32(u32 v) { return __builtin_bswap32(v); }

static u32 sum(const u8 *p, u32 len)
{
	u32 s = 0;
	for (; len > 1; len -= 2, p += 2)
		s += *(const u16 *)p;
	return len ? s + *p : s;
}

static u16 fold(u32 s)
{
	s = (s & 0xffff) + (s >> 16);
	return (s & 0xffff) + (s >> 16);
}

/* Checksum of the transport header at p: of the pseudo-header only when the device does the rest. */
static void transport_checksum(u8 *ip, u8 *p, u32 len, u32 offset)
{
	u32 s = sum(ip + 12, 8) + swap16(ip[9]) + swap16(len);
	*(u16 *)(p + offset) = 0;
	if (opt_nocsum)
		s += sum(p, len);
	*(u16 *)(p + offset) = opt_nocsum ? ~fold(s) : fold(s);
}

static void answer_arp(const u8 *f)
{
	static const u8 fixed[8] = { 0, 1, 8, 0, 6, 4, 0, 2 };
	u8 *t = tx_begin();
	memcpy(t, f + 6, 6);
	memcpy(t + 6, mac, 6);
	memcpy(t + 12, f + 12, 2);
	memcpy(t + 14, fixed, 8);
	memcpy(t + 22, mac, 6);
	memcpy(t + 28, f + 38, 4);
	memcpy(t + 32, f + 22, 10);
	tx_commit(42, 42, 0, 0);
}

static void answer_ip(const u8 *f, u32 len)
{
	u32 ip_len = swap16(*(const u16 *)(f + 16));
	if (f[14] != 0x45 || ip_len + 14 > len || ip_len < 28 || ip_len > 1500)
		return;
	if (f[23] == 17) {
		u8 *t = tx_begin();
		memcpy(t, f + 6, 6);
		memcpy(t + 6, f, 6);
		memcpy(t + 12, f + 12, 14);
		memcpy(t + 26, f + 30, 4);
		memcpy(t + 30, f + 26, 4);
		memcpy(t + 34, f + 36, 2);
		memcpy(t + 36, f + 34, 2);
		memcpy(t + 38, f + 38, ip_len - 24);
		transport_checksum(t + 14, t + 34, ip_len - 20, 6);
		tx_commit(42, ip_len + 14, 34, 6);
		return;
	}
	u32 seq = swap32(*(const u32 *)(f + 38)), ack = swap32(*(const u32 *)(f + 42));
	u32 header = f[46] >> 4 << 2, flags = f[47], data = ip_len - 20 - header;
	if (f[23] != 6 || header < 20 || header + 20 > ip_len || flags & 4)
		return;
	u32 reply = 0x10;
	if (flags & 2)
		reply |= 2, ack = 0x10000;
	if (flags & 1)
		reply |= 1;
	if (data)
		reply |= 8;
	if (reply == 0x10)
		return;
	u8 *t = tx_begin();
	memcpy(t, f + 6, 6);
	memcpy(t + 6, f, 6);
	memcpy(t + 12, f + 12, 14);
	*(u16 *)(t + 16) = swap16(40 + data);
	*(u16 *)(t + 24) = 0;
	memcpy(t + 26, f + 30, 4);
	memcpy(t + 30, f + 26, 4);
	*(u16 *)(t + 24) = ~fold(sum(t + 14, 20));
	memcpy(t + 34, f + 36, 2);
	memcpy(t + 36, f + 34, 2);
	*(u32 *)(t + 38) = swap32(ack);
	*(u32 *)(t + 42) = swap32(seq + data + (flags & 3 ? 1 : 0));
	t[46] = 0x50;
	t[47] = reply;
	*(u16 *)(t + 48) = 0xffff;
	*(u16 *)(t + 52) = 0;
	memcpy(t + 54, f + 34 + header, data);
	transport_checksum(t + 14, t + 34, 20 + data, 16);
	tx_commit(54, 54 + data, 34, 16);
}

static int poll(void)
{
	int n = 0;
	while (n < opt_batch && rx.seen != rx.used.idx) {
		barrier();
		u32 id = rx.used.ring[rx.seen % QUEUE].id, len = rx.used.ring[rx.seen % QUEUE].len;
		const u8 *f = rx_buffers[id] + NET_HEADER;
		u16 type = *(const u16 *)(f + 12);
		if (type == 0x0608 && f[21] == 1)
			answer_arp(f);
		else if (type == 0x0008)
			answer_ip(f, len - NET_HEADER);
		rx.avail.ring[rx.avail.idx % QUEUE] = id;
		barrier();
		rx.avail.idx++;
		rx.seen++;
		n++;
	}
	return n;
}

static int word(const char **at, const char *w)
{
	const char *p = *at;
	while (*w && *p == *w)
		p++, w++;
	if (*w)
		return 0;
	*at = p;
	return 1;
}

static int number(const char *p)
{
	int n = 0;
	while (*p >= '0' && *p <= '9')
		n = n * 10 + *p++ - '0';
	return n;
}

static void options(const char *p)
{
	for (; *p; p++) {
		if (word(&p, "pause="))
			opt_pause = number(p);
		opt_each |= word(&p, "each");
		opt_two |= word(&p, "two");
		opt_evidx |= word(&p, "evidx");
		opt_nocsum |= word(&p, "nocsum");
		if (word(&p, "many="))
			opt_many = number(p);
		if (word(&p, "batch="))
			opt_batch = number(p);
		if (word(&p, "wait="))
			opt_wait = number(p);
		while (*p && *p != ' ')
			p++;
		if (!*p)
			return;
	}
}

void main(u32 start_info)
{
	options((const char *)*(u32 *)(start_info + 24));
	find_device();
	start_device();
	say("GUEST READY: reflector");
	for (int empty = 0, last = 0;;) {
		int n = poll();
		kick(&tx);
		kick(&rx);
		empty = n ? 0 : empty + 1;
		last = n ? n : last;
		if (opt_pause >= 0 && empty && (empty > opt_pause || last >= opt_many))
			__asm__ volatile("pause");
		for (volatile int i = 0; i < opt_wait; i++)
			;
	}
}
