/*
 * insncount - QEMU TCG plugin that counts how often each translated block of the guest runs on each CPU, in a file that
 * another process reads while the guest runs. What the counts mean (whose function, kernel or app) is the reader's
 * business: bench/src/counts.rs.
 *
 * File, all u64: struct counts. Of the records {pc, instructions in the block} and of each CPU's runs of them `used` are
 * valid; they are only appended. A block cut short by a fault or an interrupt counts whole.
 *
 * Arguments: out=FILE; for a guest that polls, idle=PC, where functions begin that it calls in a turn of its polling loop
 * that has found nothing, and work=PC, where those begin that run when it has found something (both repeatable).
 * Instructions of a CPU from one call of the former to the next are idle unless ring 3 or one of the latter ran on it in
 * between.
 *
 * The one CPU of a machine adds to its counters in translated code. Where there are several, they would do so without a
 * lock, all to the same; then each calls on_block, and adds to its own.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAGIC 0x33544e4353584921ull	/* "!IXSCNT3" */
#define RECORDS (1u << 20)
#define HASH (1u << 21)
#define CPUS 8

struct record { uint64_t pc, insns; };
struct cpu {
	uint64_t total;		/* instructions */
	uint64_t idle;		/* of these, in turns without work */
	uint64_t busy;		/* grows whenever there is work */
	uint64_t turn_total, turn_busy;	/* the former, when the turn began */
};
struct counts {
	uint64_t magic, cpus, used;
	struct cpu cpu[CPUS];
	struct record record[RECORDS];
	uint64_t runs[CPUS][RECORDS];
};

/* Where a block begins. */
enum { IDLE = 1, WORK = 2 };

static struct counts *counts;
static struct list { int n; uint64_t pc[256]; } idle, work;
static uint32_t table[HASH];	/* index + 1 of the record of (pc, insns) */
static uint8_t kind[RECORDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of those three: CPUs translate at the same time */

static int has(const struct list *list, uint64_t pc)
{
	for (int i = 0; i < list->n; i++)
		if (list->pc[i] == pc)
			return 1;
	return 0;
}

static uint8_t kind_of(uint64_t pc)
{
	return (has(&idle, pc) ? IDLE : 0) | (!(pc >> 63) || has(&work, pc) ? WORK : 0);
}

/* The index of the record; RECORDS if there is no room. */
static uint32_t record_of(uint64_t pc, uint64_t insns)
{
	uint32_t h = ((pc ^ insns << 56) * 0x9e3779b97f4a7c15ull) >> 43;
	for (;; h++) {
		uint32_t *slot = &table[h % HASH];
		if (!*slot) {
			if (counts->used == RECORDS)
				return RECORDS;
			counts->record[counts->used] = (struct record){ pc, insns };
			kind[counts->used] = kind_of(pc);
			*slot = ++counts->used;
		}
		struct record *r = &counts->record[*slot - 1];
		if (r->pc == pc && r->insns == insns)
			return *slot - 1;
	}
}

static void end_turn(struct cpu *cpu)
{
	if (cpu->busy == cpu->turn_busy)
		cpu->idle += cpu->total - cpu->turn_total;
	cpu->turn_total = cpu->total;
	cpu->turn_busy = cpu->busy;
}

static void on_idle(unsigned int cpu, void *unused)
{
	(void)unused;
	end_turn(&counts->cpu[cpu]);
}

static void on_block(unsigned int number, void *index)
{
	uint32_t i = (uintptr_t)index;
	struct cpu *cpu = &counts->cpu[number];
	if (kind[i] & IDLE)
		end_turn(cpu);
	counts->runs[number][i]++;
	cpu->total += counts->record[i].insns;
	cpu->busy += kind[i] & WORK;
}

static void add(struct qemu_plugin_tb *tb, uint64_t *counter, uint64_t n)
{
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, counter, n);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	uint64_t insns = qemu_plugin_tb_n_insns(tb);
	pthread_mutex_lock(&lock);
	uint32_t i = record_of(qemu_plugin_tb_vaddr(tb), insns);
	pthread_mutex_unlock(&lock);
	if (i == RECORDS)
		return;
	if (counts->cpus > 1) {
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)i);
		return;
	}
	add(tb, &counts->runs[0][i], 1);
	if (!idle.n)
		return;
	add(tb, &counts->cpu[0].total, insns);
	if (kind[i] & WORK)
		add(tb, &counts->cpu[0].busy, 1);
	if (kind[i] & IDLE)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_idle, QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void put(struct list *list, const char *hex)
{
	if (list->n < 256)
		list->pc[list->n++] = strtoull(hex, NULL, 16);
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
	if (!info->system_emulation || info->system.smp_vcpus > CPUS) {
		fprintf(stderr, "insncount: for machines with %d CPUs at most\n", CPUS);
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
	counts->cpus = info->system.smp_vcpus;
	counts->magic = MAGIC;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
