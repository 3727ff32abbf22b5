/*
 * insncount - QEMU TCG plugin that counts how often each translated block of the guest runs, in a file that another
 * process reads while the guest runs. What the counts mean (whose function, kernel or app) is the reader's business:
 * bench/src/counts.rs.
 *
 * File: {magic, records} and then that many {pc, instructions in the block, runs}, all u64. Records are only appended.
 * A block cut short by a fault or an interrupt counts whole.
 *
 * Arguments: out=FILE. One virtual CPU only: the counters are added to by translated code, without a lock.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MAGIC 0x31544e4353584921ull	/* "!IXSCNT1" */
#define RECORDS (1u << 20)
#define HASH (1u << 21)

struct record { uint64_t pc, insns, runs; };
struct counts { uint64_t magic, used; struct record record[RECORDS]; };

static struct counts *counts;
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

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	struct record *r = record_of(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb));
	if (r)
		qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &r->runs, 1);
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
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			counts = map_file(argv[i] + 4);
	if (!counts) {
		fprintf(stderr, "insncount: out=FILE is missing, or the file cannot be made\n");
		return -1;
	}
	counts->magic = MAGIC;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
