//! `stats`: a snapshot told by the names that memcached's clients know.

use crate::VERSION;
use crate::binary;
use crate::replies::Replies;
use crate::snapshot::Snapshot;

/// Which statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    General,
    Items,
    Slabs,
    Settings,
    Sizes,
    Connections,
}

impl Kind {
    /// By the word after `stats`, empty for none.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"" => Kind::General,
            b"items" => Kind::Items,
            b"slabs" => Kind::Slabs,
            b"settings" => Kind::Settings,
            b"sizes" => Kind::Sizes,
            b"conns" => Kind::Connections,
            _ => return None,
        })
    }
}

/// How they are told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StatsReply {
    Text(Kind),
    Binary(Kind, binary::Header),
}

/// Tells them.
pub(crate) fn tell(snapshot: &Snapshot, reply: StatsReply, replies: &mut Replies) {
    match reply {
        StatsReply::Text(kind) => {
            each(snapshot, kind, |name, value| {
                for part in ["STAT ", name, " ", value, "\r\n"] {
                    replies.text(part.as_bytes());
                }
            });
            replies.phrase(crate::across::END);
        }
        StatsReply::Binary(kind, header) => {
            each(snapshot, kind, |name, value| {
                binary::tell_pair(header, name.as_bytes(), value.as_bytes(), replies);
            });
            binary::tell_pair(header, b"", b"", replies);
        }
    }
}

fn each(snapshot: &Snapshot, kind: Kind, mut tell: impl FnMut(&str, &str)) {
    match kind {
        Kind::General => general(snapshot, &mut tell),
        Kind::Settings => settings(snapshot, &mut tell),
        Kind::Items => items(snapshot, &mut tell),
        Kind::Slabs => slabs(snapshot, &mut tell),
        Kind::Sizes => tell("sizes_status", "disabled"),
        Kind::Connections => {}
    }
}

fn general(snapshot: &Snapshot, tell: &mut impl FnMut(&str, &str)) {
    let mut number = |name: &str, value: u64| tell(name, itoa::Buffer::new().format(value));
    let traffic = &snapshot.traffic;
    number("pid", u64::from(std::process::id()));
    number("uptime", u64::from(snapshot.uptime));
    number("time", u64::try_from(snapshot.unix_time).unwrap_or(0));
    number("pointer_size", 64);
    number("max_connections", u64::from(snapshot.settings.connections));
    number("curr_connections", traffic.connections);
    number("total_connections", traffic.total_connections);
    number("rejected_connections", traffic.rejected_connections);
    for (name, value) in snapshot.counters.each() {
        number(name, value);
    }
    number("auth_cmds", 0);
    number("auth_errors", 0);
    number("bytes_read", traffic.bytes_read);
    number("bytes_written", traffic.bytes_written);
    number("limit_maxbytes", snapshot.limit as u64);
    number("accepting_conns", 1);
    number("threads", snapshot.cores as u64);
    number("hash_bytes", snapshot.table_bytes as u64);
    number("bytes", snapshot.bytes as u64);
    number("curr_items", snapshot.items as u64);
    tell("version", VERSION);
}

fn settings(snapshot: &Snapshot, tell: &mut impl FnMut(&str, &str)) {
    let settings = &snapshot.settings;
    let mut number = |name: &str, value: u64| tell(name, itoa::Buffer::new().format(value));
    number("maxbytes", settings.memory as u64);
    number("maxconns", u64::from(settings.connections));
    number("tcpport", u64::from(settings.port));
    number("udpport", u64::from(settings.udp_port));
    number("verbosity", u64::from(settings.verbosity));
    number("num_threads", snapshot.cores as u64);
    number("item_size_max", settings.item as u64);
    for (name, value) in [
        ("evictions", "on"),
        ("growth_factor", "1.25"),
        ("detail_enabled", "no"),
        ("cas_enabled", "yes"),
        ("binding_protocol", "auto-negotiate"),
        ("auth_enabled_sasl", "no"),
        ("maxconns_fast", "yes"),
        ("lru_crawler", "yes"),
        ("flush_enabled", "yes"),
        ("dump_enabled", "no"),
        ("hash_algorithm", "foldhash"),
    ] {
        tell(name, value);
    }
}

fn items(snapshot: &Snapshot, tell: &mut impl FnMut(&str, &str)) {
    for (class, usage) in (1..).zip(&snapshot.classes) {
        if usage.used > 0 {
            tell(&format!("items:{class}:number"), &usage.used.to_string());
        }
    }
}

fn slabs(snapshot: &Snapshot, tell: &mut impl FnMut(&str, &str)) {
    let mut active = 0;
    for (class, usage) in (1..).zip(&snapshot.classes) {
        if usage.total == 0 {
            continue;
        }
        active += 1;
        for (name, value) in [
            ("chunk_size", usage.size),
            ("total_chunks", usage.total),
            ("used_chunks", usage.used),
            ("free_chunks", usage.total - usage.used),
            ("chunks_being_sent", usage.in_limbo),
        ] {
            tell(&format!("{class}:{name}"), &value.to_string());
        }
    }
    tell("active_slabs", &active.to_string());
    tell("total_malloced", &snapshot.bytes.to_string());
}
