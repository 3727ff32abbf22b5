//! No machine: `ix` becomes the app, a process of this host that serves over its sockets.
//!
//! The app sees what it would see in a machine: its arguments, and no variables but those given to it. Signals, output and
//! the exit status are its own from here on, so there is nothing left for `ix` to do, to list or to stop.

use crate::config::Plan;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Becomes the app of `plan`. Returns only if that fails, and says why.
#[must_use]
pub fn become_app(plan: &Plan) -> io::Error {
    let variables = plan.env.iter().map(|variable| (&variable.key, &variable.value));
    // With a slash in it, so that it is not looked for along a path.
    Command::new(Path::new(".").join(&plan.app))
        .arg0(&plan.app)
        .args(&plan.args)
        .env_clear()
        .envs(variables)
        .exec()
}
