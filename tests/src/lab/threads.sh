# What the lab's processes are doing: name, state, system call and kernel stack of each thread.
for task in /proc/[0-9]*/task/*; do
    # Kernel threads have no command line.
    [ -n "$(tr -d '\0' 2>/dev/null < $task/../../cmdline)" ] || continue
    echo "$task $(tr '\0' ' ' < $task/../../cmdline)"
    grep -h -E '^(Name|State|SigCgt)' $task/status
    cat $task/syscall $task/stack
done 2>/dev/null
grep . /sys/kernel/debug/kvm/*/vcpu*/* /sys/kernel/debug/kvm/*/*exits 2>/dev/null
dmesg | tail -n 20
