use crate::backend::{probe, qemu};
use crate::images;
use std::process::{Command, Stdio};

/// What has to be tried out, since no file tells.
pub struct Trials {
    /// Whether KVM runs a guest of ours, or why not.
    pub kvm: Result<(), String>,
    /// QEMU's version, or why there is none.
    pub qemu: Result<String, String>,
    /// Whether there is a kernel image to run, or why not.
    pub kernel: Result<(), String>,
}

impl Trials {
    /// Tries everything out.
    #[must_use]
    pub fn here() -> Self {
        Self {
            kvm: match probe::probe() {
                probe::Verdict::Usable => Ok(()),
                verdict => Err(verdict.to_string()),
            },
            qemu: qemu_version(),
            kernel: images::find_kernel(None)
                .map(drop)
                .map_err(|error| error.to_string()),
        }
    }
}

fn qemu_version() -> Result<String, String> {
    let program = qemu::find().map_err(|error| error.to_string())?;
    let failed = |why: String| format!("{} does not start: {why}", program.display());
    let output = Command::new(&program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or("it tells no version").to_owned())
}
