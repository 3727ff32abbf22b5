use super::Finding;
use crate::host::Host;
use crate::nic::Nic;
use std::collections::BTreeSet;

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

/// Whether there are cores that Linux keeps its own work off, and its ticks.
pub(super) fn isolated(host: &Host) -> Finding {
    let text = |name| host.text(&format!("{CPUS}/{name}")).unwrap_or_default();
    let (isolated, tickless) = (text("isolated"), text("nohz_full"));
    let cure =
        "boot with isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3, and name them in --cpus";
    if cpu_list(&isolated).is_empty() {
        return Finding::warn(
            "cores",
            "none is isolated: others may run where a dataplane polls",
            cure,
        );
    }
    if !cpu_list(&isolated).is_subset(&cpu_list(&tickless)) {
        return Finding::warn(
            "cores",
            format!("{isolated} isolated, but not all without ticks"),
            cure,
        );
    }
    Finding::ok("cores", format!("{isolated} isolated, and without ticks"))
}

/// For each card that could be passed through, whether isolated cores are on its node. Where there is one node, nothing.
pub(super) fn distances(host: &Host, nics: &[Nic]) -> Vec<Finding> {
    let isolated = cpu_list(&host.text(&format!("{CPUS}/isolated")).unwrap_or_default());
    let nodes = host.names(NODES).into_iter();
    let nodes: Vec<u32> = nodes
        .filter_map(|name| name.strip_prefix("node")?.parse().ok())
        .collect();
    let cards = nics.iter().filter_map(|nic| Some((nic, nic.numa_node?)));
    if nodes.len() < 2 || isolated.is_empty() {
        return Vec::new();
    }
    cards
        .map(|(nic, node)| distance(host, nic, node, &isolated, &nodes))
        .collect()
}

fn distance(host: &Host, nic: &Nic, node: u32, isolated: &BTreeSet<u32>, nodes: &[u32]) -> Finding {
    let cpus = |node: u32| {
        host.text(&format!("{NODES}/node{node}/cpulist"))
            .unwrap_or_default()
    };
    let nearest = host
        .text(&format!("{NODES}/node{node}/distance"))
        .unwrap_or_default();
    let distances = nearest
        .split_ascii_whitespace()
        .filter_map(|text| text.parse::<u32>().ok());
    let mut with_cores = nodes
        .iter()
        .zip(distances)
        .filter(|&(&other, _)| !cpu_list(&cpus(other)).is_disjoint(isolated));
    if !cpu_list(&cpus(node)).is_disjoint(isolated) {
        return Finding::ok(
            "numa",
            format!("{} is on node {node}, and so are isolated cores", nic.bdf),
        );
    }
    let found = with_cores.by_ref().min_by_key(|&(_, distance)| distance).map_or_else(
        || format!("{} is on node {node}, and no isolated core is on any", nic.bdf),
        |(other, distance)| {
            format!("{} is on node {node}; the nearest isolated cores are on node {other}, distance {distance}", nic.bdf)
        },
    );
    Finding::warn(
        "numa",
        found,
        format!("isolate cores of node {node}: {}", cpus(node)),
    )
}

/// A list as sysfs writes it: `0-3,8`.
fn cpu_list(text: &str) -> BTreeSet<u32> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    });
    // More cores than Linux can have are nonsense, not a list to go through.
    ranges.flatten().take(1 << 16).collect()
}
