//! The command line, which is memcached's as far as it makes sense here.

use crate::shard::Settings;
use clap::{ArgAction, Parser};

/// A memcached server.
#[derive(Clone, Debug, Parser)]
#[command(name = "kv", version = crate::VERSION)]
pub struct Options {
    /// TCP port.
    #[arg(short, long, value_name = "NUM", default_value_t = 11211)]
    port: u16,

    /// UDP port; 0: none.
    #[arg(short = 'U', long, value_name = "NUM", default_value_t = 0)]
    udp_port: u16,

    /// Memory for items, in MiB.
    #[arg(short, long, value_name = "NUM", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    memory_limit: u32,

    /// Largest item: bytes, or a number with k or m behind it (1k to 1024m).
    #[arg(short = 'I', long, value_name = "NUM", default_value = "1m", value_parser = item_size)]
    max_item_size: usize,

    /// Connections at a time.
    #[arg(short, long, value_name = "NUM", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    conn_limit: u32,

    /// Cores to serve on [default: all that there are].
    #[arg(short, long, value_name = "NUM", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Say more on standard error; twice: each connection.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// Least and most that an item's limit can be, in bytes.
const ITEM_SIZES: core::ops::RangeInclusive<usize> = 1024..=1 << 30;

fn item_size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|error| format!("{error}"))?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| ITEM_SIZES.contains(bytes))
        .ok_or_else(|| "an item's limit is from 1k to 1024m".to_owned())
}

impl Options {
    /// Cores to serve on.
    #[must_use]
    pub fn cores(&self) -> u16 {
        self.threads.unwrap_or_else(libix::cores)
    }

    /// # Errors
    /// If the options contradict each other.
    pub fn settings(&self, cores: u16) -> Result<Settings, String> {
        let memory = (self.memory_limit as usize) << 20;
        if self.max_item_size > memory / usize::from(cores.max(1)) / 2 {
            let most = "an item may take half of a core's share of the memory at most";
            return Err(format!("{most}: raise -m, or lower -I or -t"));
        }
        Ok(Settings {
            memory,
            item: self.max_item_size,
            connections: self.conn_limit,
            port: self.port,
            udp_port: self.udp_port,
            verbosity: u32::from(self.verbose),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Options;
    use clap::Parser;

    fn settings(line: &str) -> Result<crate::shard::Settings, String> {
        let options = Options::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        options.settings(options.threads.unwrap_or(1))
    }

    #[test]
    fn options_are_memcacheds() {
        let settings = settings("kv -p 11311 -U 11311 -m 128 -I 2m -c 10 -vv").unwrap();
        assert_eq!((settings.port, settings.udp_port), (11311, 11311));
        assert_eq!((settings.memory, settings.item), (128 << 20, 2 << 20));
        assert_eq!((settings.connections, settings.verbosity), (10, 2));
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        for line in [
            "kv -I 10",
            "kv -I 2000m",
            "kv -I x",
            "kv -I 10m -t 4",
            "kv -t 0",
            "kv -I 40m",
            "kv -m 0",
            "kv -I 99999999999999999m",
        ] {
            assert!(settings(line).is_err(), "{line}");
        }
        assert_eq!(settings("kv -I 512k").unwrap().item, 512 << 10);
    }
}
