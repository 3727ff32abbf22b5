# Makes the lab as it was after boot; all processes of earlier tests have been killed. Run by busybox' shell.
set -e
give_back() { # BDF DRIVER
    device=/sys/bus/pci/devices/$1
    echo > $device/driver_override
    now=$(basename "$(readlink $device/driver || echo none)")
    [ "$now" = "$2" ] && return
    # Waits until whoever had it is gone.
    [ "$now" = none ] || echo $1 > $device/driver/unbind
    echo $1 > /sys/bus/pci/drivers/$2/bind
}
give_back 0000:00:01.0 e1000e
give_back 0000:00:02.0 virtio-pci
for link in /sys/class/net/*; do
    link=${link##*/}
    case $(readlink -f /sys/class/net/$link) in
    */virtual/net/lo) ;;
    */virtual/*) ip link delete $link ;;
    *)
        ip address flush dev $link
        ip link set $link down nomaster
        ;;
    esac
done
rm -rf /run/* /tmp/*
dmesg -c >/dev/null
