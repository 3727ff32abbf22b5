# PVH entry (Xen "x86/HVM direct boot ABI"): 32-bit protected mode, paging off, flat segments, EBX = physical address
# of hvm_start_info. Everything here runs at physical addresses until the jump to the higher half.

.set KERNEL_BASE, 0xffffffff80000000
.set XEN_ELFNOTE_PHYS32_ENTRY, 18

.section .note.pvh, "a", @note
.balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_start - KERNEL_BASE

.section .text.boot, "ax"
.code32
.global pvh_start
pvh_start:
    cli
    cld
    movl %ebx, %ebp

    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb unfit
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx                               # LM: long mode
    jnc unfit
    btl $20, %edx                               # NX
    jnc unfit

    # The first 4 GiB in 2 MiB pages, present and writable: at 0, in the direct map; the first 2 GiB at KERNEL_BASE.
    movl $(boot_directories - KERNEL_BASE), %edi
    movl $0x83, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b
    movl $(boot_directories - KERNEL_BASE + 3), %eax
    movl $(boot_low_pointers - KERNEL_BASE), %edi
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 2b
    movl $(boot_directories - KERNEL_BASE + 3), boot_high_pointers - KERNEL_BASE + 510 * 8
    movl $(boot_directories - KERNEL_BASE + 4096 + 3), boot_high_pointers - KERNEL_BASE + 511 * 8
    movl $(boot_low_pointers - KERNEL_BASE + 3), boot_root - KERNEL_BASE
    movl $(boot_low_pointers - KERNEL_BASE + 3), boot_root - KERNEL_BASE + 256 * 8
    movl $(boot_high_pointers - KERNEL_BASE + 3), boot_root - KERNEL_BASE + 511 * 8

    movl %cr4, %eax
    orl $0x620, %eax                            # PAE, OSFXSR, OSXMMEXCPT: compiled code uses SSE at once
    movl %eax, %cr4
    movl $(boot_root - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx                      # EFER
    rdmsr
    orl $0x900, %eax                            # LME, NXE
    wrmsr
    movl %cr0, %eax
    andl $0xfffffff3, %eax                      # EM, TS: off
    orl $0x80010023, %eax                       # PG, WP, NE, MP, PE
    movl %eax, %cr0
    lgdt boot_gdt_pointer - KERNEL_BASE
    ljmp $8, $(enter_long - KERNEL_BASE)

unfit:
    movb ${boot_failed}, %al
    movw ${exit_port}, %dx
    outb %al, %dx
3:  hlt
    jmp 3b

.code64
enter_long:
    movabsq $enter_high, %rax
    jmp *%rax
enter_high:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movabsq $__kernel_stack_top, %rsp

    # Until the real ones are loaded, every exception leads to early_fault, instead of to a silent reset.
    leaq early_fault(%rip), %rax
    movl %eax, %edx
    andl $0xffff, %edx
    orl $0x00080000, %edx                       # selector 8, offset 15..0
    movl %eax, %ecx
    andl $0xffff0000, %ecx
    orl $0x8e00, %ecx                           # offset 31..16, present interrupt gate
    shrq $32, %rax
    leaq boot_idt(%rip), %rdi
    movl $32, %esi
4:  movl %edx, (%rdi)
    movl %ecx, 4(%rdi)
    movl %eax, 8(%rdi)
    addq $16, %rdi
    decl %esi
    jnz 4b
    lidt boot_idt_pointer(%rip)

    xorl %eax, %eax
    movl %ebp, %edi                             # first argument; the upper half becomes zero
    xorl %ebp, %ebp
    pushq %rax                                  # return address 0: backtraces end here
    jmp {kernel_main}

early_fault:
    leaq early_fault_text(%rip), %rsi
    movw ${serial_port}, %dx
5:  lodsb
    testb %al, %al
    jz 6f
    outb %al, %dx
    jmp 5b
6:  movb ${kernel_panic}, %al
    movw ${exit_port}, %dx
    outb %al, %dx
7:  hlt
    jmp 7b

.section .rodata.boot, "a"
.balign 8
boot_gdt:
    .quad 0
    .quad 0x00209a0000000000                    # 64-bit code
boot_gdt_pointer:
    .word 15
    .long boot_gdt - KERNEL_BASE
boot_idt_pointer:
    .word 32 * 16 - 1
    .quad boot_idt
early_fault_text:
    .asciz "\nKERNEL FAULT: before the kernel could handle it\n"

.section .bss.boot, "aw", @nobits
.balign 4096
boot_root:
    .skip 4096
boot_low_pointers:
    .skip 4096
boot_high_pointers:
    .skip 4096
boot_directories:
    .skip 4 * 4096
boot_idt:
    .skip 32 * 16

.section .symbols, "a"
    .ascii "IXIONSYM"
    .long 0, 16
.text
