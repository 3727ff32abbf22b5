/*
 * insncount - QEMU TCG plugin that counts how often each translated block of the guest runs, in a file that another
 * process reads while the guest runs. What the counts mean (whose function, kernel or app) is the reader's business:
 * bench/src/counts.rs.
 *
 * File, all u64: the head (struct counts) and then `used` records {pc, instructions in the block, runs}. Records are only
 * appended. A block cut short by a fault or an interrupt counts whole.
 *
 * Arguments: out=FILE; for a guest that polls, idle=PC, where functions begin that it calls in a turn of its polling loop
 * that has found nothing, and work=PC, where those begin that run when it has found something (both repeatable).
 * Instructions from one call of the former to the next are idle unless ring 3 or one of the latter ran in between.
 *
 * One virtual CPU only: the counters are added to by translated code, without a lock.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAGIC 0x32544e4353584921ull	/* "!IXSCNT2" */
#define RECORDS (1u << 20)
#define HASH (1u << 21)

struct record { uint64_t pc, insns, runs; };
struct counts {
	uint64_t magic, used;
	uint64_t total;		/* instructions */
	uint64_t idle;		/* of these, in turns without work */
	uint64_t busy;		/* grows whenever there is work */
	uint64_t turn_total, turn_busy;	/* the former, when the turn began */
	struct record record[RECORDS];
};

static struct counts *counts;
static struct list { int n; uint64_t pc[256]; } idle, work;
static uint32_t table[HASH];	/* index + 1 of the record of (pc, insns) */

static struct record *record_of(uint64_t pc, uint64_t insns)
{
	uint32_t h = ((pc ^ insns << 56) * 0x9e3779b97f4a7c15ull) >> 43;
	for (;; h++) {
		uint32_t *slot = &table[h % HASH];
		if (!*slot) {
			if (counts->used == RECORDS)
				return NULL;
			counts->record[counts->used] = (struct record){ pc, insns, 0 };
			*slot = ++counts->used;
		}
		struct record *r = &counts->record[*slot - 1];
		if (r->pc == pc && r->insns == insns)
			return r;
	}
}

static void on_idle(unsigned int cpu, void *unused)
{
	(void)cpu, (void)unused;
	if (counts->busy == counts->turn_busy)
		counts->idle += counts->total - counts->turn_total;
	counts->turn_total = counts->total;
	counts->turn_busy = counts->busy;
}

static void add(struct qemu_plugin_tb *tb, uint64_t *counter, uint64_t n)
{
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, counter, n);
}

static int has(const struct list *list, uint64_t pc)
{
	for (int i = 0; i < list->n; i++)
		if (list->pc[i] == pc)
			return 1;
	return 0;
}

static void put(struct list *list, const char *hex)
{
	if (list->n < 256)
		list->pc[list->n++] = strtoull(hex, NULL, 16);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	uint64_t pc = qemu_plugin_tb_vaddr(tb), insns = qemu_plugin_tb_n_insns(tb);
	struct record *r = record_of(pc, insns);
	if (r)
		add(tb, &r->runs, 1);
	if (!idle.n)
		return;
	add(tb, &counts->total, insns);
	if (!(pc >> 63) || has(&work, pc))
		add(tb, &counts->busy, 1);
	if (has(&idle, pc))
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_idle, QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static struct counts *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(struct counts)))
		return NULL;
	void *p = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	if (!info->system_emulation || info->system.smp_vcpus != 1) {
		fprintf(stderr, "insncount: for machines with one CPU\n");
		return -1;
	}
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			counts = map_file(argv[i] + 4);
		else if (!strncmp(argv[i], "idle=", 5))
			put(&idle, argv[i] + 5);
		else if (!strncmp(argv[i], "work=", 5))
			put(&work, argv[i] + 5);
	}
	if (!counts) {
		fprintf(stderr, "insncount: out=FILE is missing, or the file cannot be made\n");
		return -1;
	}
	counts->magic = MAGIC;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
