//! `docs/conformance.md` names tests; they must exist, and every script must say which RFC it is about.

use std::path::{Path, PathBuf};

/// All names in backticks with a slash (scripts) or `::` (functions) lead somewhere.
pub(crate) fn named_tests_exist(scripts: &Path) -> Result<(), String> {
    let netstack = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = netstack.join("../../docs/conformance.md");
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let mut missing = Vec::new();
    let mut found = 0;
    // What stands between backticks is every second piece of a line.
    for name in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let exists = if name.starts_with("rfc") && name.contains('/') {
            scripts.join(format!("{name}.pkt")).is_file()
        } else if let Some(place) = ["stack::", "properties::", "src::"]
            .iter()
            .find(|root| name.starts_with(**root))
        {
            is_test(&netstack, place.trim_end_matches(':'), &name[place.len()..])
        } else {
            continue;
        };
        found += 1;
        if !exists {
            missing.push(name);
        }
    }
    if missing.is_empty() && found > 100 {
        return Ok(());
    }
    Err(format!("of {found} tests named these do not exist: {missing:#?}"))
}

/// Where Linux is known to answer otherwise is told in the document, too.
pub(crate) fn differences_are_told(scripts: &[PathBuf]) -> Result<(), String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let (_, rest) = text.split_once("## Where Linux").ok_or("no section on Linux")?;
    let section = rest.split("\n## ").next().unwrap_or(rest);
    for path in scripts {
        let script = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let differs = script.lines().any(|line| line.starts_with("differs "));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if differs != section.contains(&format!("/{name}`")) {
            return Err(format!(
                "{name} differs from Linux, or does not: the script and the document disagree"
            ));
        }
    }
    Ok(())
}

/// A function `a::b::name` in the file `a/b.rs` below a root.
fn is_test(netstack: &Path, root: &str, path: &str) -> bool {
    let Some((modules, function)) = path.rsplit_once("::") else {
        return false;
    };
    let folder = if root == "src" {
        netstack.join("src")
    } else {
        netstack.join("tests").join(root)
    };
    let file = folder.join(format!("{}.rs", modules.replace("::", "/")));
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {function}(")))
}
