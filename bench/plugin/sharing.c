/*
 * sharing - QEMU TCG plugin that sees which lines of the cache go from one CPU of the guest to another, as they would on
 * a machine that keeps caches coherent by invalidation. What lies in the lines is the reader's business:
 * tests/src/lines.rs.
 *
 * File: struct sharing, one entry for each line of 64 bytes of guest memory up to 512 MiB. Another process writes `on`:
 * only accesses while it is 1 are looked at. A line *moves* when a CPU reads what another was the last to write, or writes
 * what others have had since it last did. Its owner is unknown until it is written first, and it has not moved then.
 *
 * What devices do to memory is not seen, nor what the MMU does to page tables.
 *
 * Argument: out=FILE.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAGIC 0x3152485353584921ull	/* "!IXSSHR1" */
#define LINE_SHIFT 6
#define LINES (1u << 23)
#define CPUS 8

/* The state of a line, of which all that matters is changed at once. */
union state {
	struct {
		uint8_t holders;	/* CPUs that have it as it is */
		uint8_t owner;		/* 1 + the CPU that has written it, and no other has read it since; 0: none */
		uint8_t readers;	/* CPUs that have read it */
		uint8_t writers;	/* CPUs that have written it */
		uint32_t moves;
	};
	uint64_t word;
};
struct line {
	_Atomic uint64_t state;
	/* Of one move, any: who had written, who came, and by which address. */
	_Atomic uint64_t writer_pc, mover_pc, address;
	_Atomic uint64_t last_writer_pc;
};
struct sharing {
	uint64_t magic;
	_Atomic uint64_t on;
	struct line line[LINES];
};

static struct sharing *sharing;

/* The state after an access, and whether that moved the line. */
static union state after(union state s, unsigned int cpu, bool is_store)
{
	uint8_t bit = 1u << cpu;
	if (is_store) {
		/* Clean copies of what nobody has written yet are no news. */
		if (s.owner != cpu + 1 && s.writers && (s.holders & ~bit))
			s.moves++;
		s.owner = cpu + 1;
		s.holders = bit;
		s.writers |= bit;
	} else {
		if (!(s.holders & bit) && s.owner)
			s.moves++;
		if (s.owner != cpu + 1)
			s.owner = 0;
		s.holders |= bit;
		s.readers |= bit;
	}
	return s;
}

static void on_access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *pc)
{
	if (!atomic_load_explicit(&sharing->on, memory_order_relaxed))
		return;
	struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, address);
	if (!at || qemu_plugin_hwaddr_is_io(at))
		return;
	uint64_t number = qemu_plugin_hwaddr_phys_addr(at) >> LINE_SHIFT;
	if (number >= LINES)
		return;
	struct line *line = &sharing->line[number];
	bool is_store = qemu_plugin_mem_is_store(info);
	union state old = { .word = atomic_load(&line->state) }, new;
	do {
		new = after(old, cpu, is_store);
		if (new.word == old.word)
			break;
	} while (!atomic_compare_exchange_weak(&line->state, &old.word, new.word));
	if (new.moves != old.moves) {
		atomic_store_explicit(&line->writer_pc, line->last_writer_pc, memory_order_relaxed);
		atomic_store_explicit(&line->mover_pc, (uintptr_t)pc, memory_order_relaxed);
		atomic_store_explicit(&line->address, address, memory_order_relaxed);
	}
	if (is_store)
		atomic_store_explicit(&line->last_writer_pc, (uintptr_t)pc, memory_order_relaxed);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		void *pc = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);
		qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, pc);
	}
}

static struct sharing *map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(struct sharing)))
		return NULL;
	void *p = mmap(NULL, sizeof(struct sharing), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	if (!info->system_emulation || info->system.smp_vcpus > CPUS) {
		fprintf(stderr, "sharing: for machines with %d CPUs at most\n", CPUS);
		return -1;
	}
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			sharing = map_file(argv[i] + 4);
	if (!sharing) {
		fprintf(stderr, "sharing: out=FILE is missing, or the file cannot be made\n");
		return -1;
	}
	sharing->magic = MAGIC;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
