# How another core comes up. What stands between `trampoline_start` and `trampoline_end` is copied to a page below
# 1 MiB, where the core starts in real mode with CS = page / 16, IP = 0, and everything else as after INIT.

.section .rodata.trampoline, "a"
.code16
.global trampoline_start
trampoline_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movl $0x620, %eax                           # PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $(boot_root - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx                      # EFER
    rdmsr
    orl $0x900, %eax                            # LME, NXE
    wrmsr
    lgdtl trampoline_gdt_pointer - trampoline_start
    movl $0x80010033, %eax                      # PG, WP, NE, ET, MP, PE; caches on
    movl %eax, %cr0                             # from real mode into long mode at once
    ljmpl $8, $(secondary_long - KERNEL_BASE)
trampoline_gdt_pointer:
    .word 15
    .long boot_gdt - KERNEL_BASE
.global trampoline_end
trampoline_end:

.section .text.boot, "ax"
.code64
secondary_long:
    movabsq $secondary_high, %rax
    jmp *%rax
secondary_high:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movq {launch}(%rip), %rax                   # the kernel's own tables
    movq %rax, %cr3
    movq {launch}+8(%rip), %rsp
    movl {launch}+16(%rip), %edi                # first argument
    xorl %ebp, %ebp
    pushq $0                                    # return address 0: backtraces end here
    jmp {secondary_main}
.text
