# What the lab's processes are doing: state, system call and kernel stack of each thread. Forks little: the lab may be
# short of time. Kernel threads, which have no command line, are left out.
files=
for process in /proc/[0-9]*; do
    words=
    read -r words < $process/cmdline
    [ -z "$words" ] || files="$files $process/cmdline $process/task/*/stat $process/task/*/syscall $process/task/*/stack"
done 2>/dev/null
grep -s -a . $files /sys/kernel/debug/kvm/*/*exits
dmesg | tail -n 20
