//! What is tested: built by cargo when the first test asks, so that no test ever runs against yesterday's kernel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The way a guest program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// As any app: position-independent, aborts on panic.
    Plain,
    /// Linked to fixed addresses (`ET_EXEC`).
    Fixed,
    /// Unwinds on panic.
    Unwinding,
}

impl Build {
    /// The cargo profile, which is also the name of its output folder.
    fn profile(self) -> &'static str {
        match self {
            Build::Plain => "guest",
            Build::Fixed => "guest-fixed",
            Build::Unwinding => "guest-unwinding",
        }
    }

    /// Profiles are described here and not in the workspace: nobody else has a use for them.
    fn settings(self) -> Vec<String> {
        let profile = self.profile();
        let mut settings = vec![
            format!("profile.{profile}.inherits='release'"),
            format!("profile.{profile}.lto='off'"),
            format!("profile.{profile}.codegen-units=16"),
        ];
        match self {
            Build::Plain => {}
            Build::Fixed => settings.push(format!(
                "target.{TRIPLE}.rustflags=['-Ctarget-feature=+crt-static','-Crelocation-model=static']"
            )),
            Build::Unwinding => settings.push(format!("profile.{profile}.panic='unwind'")),
        }
        settings
    }
}

/// The launcher.
#[must_use]
pub fn ix() -> &'static Path {
    release("ix")
}

/// The echo server.
#[must_use]
pub fn echo() -> &'static Path {
    release("echo")
}

/// The bridge and router.
#[must_use]
pub fn forward() -> &'static Path {
    release("forward")
}

/// The HTTP server.
#[must_use]
pub fn http() -> &'static Path {
    release("http")
}

/// The load generator.
#[must_use]
pub fn load() -> &'static Path {
    release("load")
}

/// The ping-pong over message sizes.
#[must_use]
pub fn netpipe() -> &'static Path {
    release("netpipe")
}

/// The example of calls over UDP.
#[must_use]
pub fn rpc() -> &'static Path {
    release("rpc")
}

/// The memcached server.
#[must_use]
pub fn kv() -> &'static Path {
    release("kv")
}

/// The echo server in C, of libix' examples.
///
/// # Panics
/// If it does not compile.
#[must_use]
pub fn echo_in_c() -> PathBuf {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "-p", "libix-c"]);
    finish(cargo);
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../libix/c");
    let program = folder("release").join("echo-in-c");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-static-pie", "-I"]).arg(&library);
    cc.arg(library.join("examples/echo.c"))
        .arg(existing(folder("release").join("libix.a")));
    cc.arg("-o").arg(&program);
    finish(cc);
    existing(program)
}

/// A plugin for QEMU, of `bench/plugin`.
///
/// # Panics
/// If it does not compile.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/plugin");
    let library = profile_folder().join(format!("{name}.so"));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-fPIC", "-shared"])
        .arg(source.join(format!("{name}.c")));
    cc.arg("-o").arg(&library);
    finish(cc);
    existing(library)
}

/// The kernel image.
#[must_use]
pub fn kernel() -> &'static Path {
    release("ixion-kernel")
}

/// Where crates that `ix new` has made are built: all in one folder, so that what they depend on is compiled once.
#[must_use]
pub fn new_crates() -> PathBuf {
    target().join("new")
}

/// Debian's kernel, unpacked by `scripts/linux`.
#[must_use]
pub fn linux() -> PathBuf {
    target().join("linux")
}

/// A program of this package: cargo has built it along with the one that asks.
#[must_use]
pub fn beside(name: &str) -> PathBuf {
    existing(profile_folder().join(name))
}

/// A guest program.
///
/// # Panics
/// If it does not build, or there is none of that name.
#[must_use]
pub fn guest(name: &str, build: Build) -> PathBuf {
    static DONE: [OnceLock<()>; 3] = [const { OnceLock::new() }; 3];
    DONE[build as usize].get_or_init(|| {
        let mut cargo = cargo();
        cargo.args(["build", "-p", "ixion-guests", "--profile", build.profile()]);
        for setting in build.settings() {
            cargo.args(["--config", &setting]);
        }
        finish(cargo);
    });
    existing(folder(build.profile()).join(name))
}

fn release(name: &str) -> &'static Path {
    static RELEASED: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = cargo();
        // The workspace's default members: `ix`, the kernel and the apps.
        cargo.args(["build", "--release"]);
        finish(cargo);
        folder("release")
    });
    Box::leak(existing(RELEASED.join(name)).into_boxed_path())
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the workspace"),
    );
    cargo
        .arg("--quiet")
        .arg("--locked")
        .env("CARGO_TARGET_DIR", target());
    forget_cargo(&mut cargo);
    cargo
}

/// Takes from `command` the variables by which cargo tells this test about itself. Build scripts look at them, and build
/// again when they differ from those of a build by hand.
pub fn forget_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
}

fn finish(mut command: Command) {
    let status = command.status().expect("the compiler can be started");
    assert!(status.success(), "{command:?} failed");
}

/// The folder of this package's programs, `TARGET/TRIPLE/PROFILE`. Test programs lie in `deps` in it.
fn profile_folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let own = std::env::current_exe().expect("a program knows its file");
        let mut folders = own
            .ancestors()
            .skip(1)
            .skip_while(|folder| folder.ends_with("deps"));
        folders.next().expect("it lies in a folder").to_owned()
    });
    &FOLDER
}

fn target() -> &'static Path {
    profile_folder().ancestors().nth(2).expect("two folders above")
}

fn folder(profile: &str) -> PathBuf {
    target().join(TRIPLE).join(profile)
}
