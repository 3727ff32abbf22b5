//! Resolves each name it is given, and prints what came of it; after `--until-found`, again and again until there is an
//! address.

use libix::{Error, dns, task};
use std::time::Duration;

/// Prints it; tells whether there is an address.
async fn resolve(name: &str) -> bool {
    match dns::resolve(name).await {
        Ok(dns::Addresses { ips, ttl }) => {
            println!("{name}: {ips:?} for {ttl:?}");
            true
        }
        Err(error) => {
            println!("{name}: {error}");
            false
        }
    }
}

async fn resolve_all(words: Vec<String>) -> Result<(), Error> {
    let mut until_found = false;
    for word in words {
        if word == "--until-found" {
            until_found = true;
            continue;
        }
        while !resolve(&word).await && until_found {
            task::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    task::run(resolve_all(std::env::args().skip(1).collect()))
}
