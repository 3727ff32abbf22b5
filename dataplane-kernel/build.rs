//! Link arguments of the kernel image (they hold for the binary only: the library is also tested on the host), and its
//! symbol table.
//!
//! A panic shows names, so the image must carry them, loaded. Linkers keep `.symtab` out of memory, and what `cargo
//! build` runs after the link is nothing; but `gcc` runs its linker through any program that `-wrapper` names. That is
//! this program: called as `build-script link COMMAND...`, it runs the linker and then completes the image.

#[path = "build/symbols.rs"]
mod symbols;

use std::env;
use std::error::Error;
use std::process::{Command, ExitCode};

/// First argument when called in place of the linker.
const LINK: &str = "link";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, command)) if first == LINK => return link(command),
        _ => tell_cargo(),
    };
    result.map_or_else(failed, |()| ExitCode::SUCCESS)
}

fn failed(error: Box<dyn Error>) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn tell_cargo() -> Result<(), Box<dyn Error>> {
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let script = format!("-T{here}/kernel.ld");
    let mut arguments = vec![
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        &script,
    ];
    let wrapper = format!("{},{LINK}", env::current_exe()?.display());
    if linker_is_gcc() {
        arguments.extend(["-wrapper", &wrapper]);
    } else {
        println!("cargo::warning=the linker is not gcc: the kernel's backtraces will be without names");
    }
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=kernel.ld");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/symbols.rs");
    Ok(())
}

/// Other compilers know nothing of `-wrapper`.
fn linker_is_gcc() -> bool {
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let version = Command::new(linker).arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("Free Software Foundation"))
}

/// Runs the linker and completes what it has written.
fn link(command: &[String]) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else {
        return failed("no linker to run".into());
    };
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => {}
        Ok(status) => {
            return status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from);
        }
        Err(error) => return failed(format!("{program}: {error}").into()),
    }
    let output = arguments.iter().skip_while(|argument| *argument != "-o").nth(1);
    match output.map(|path| symbols::append(path.as_ref())) {
        Some(Err(error)) => failed(error),
        _ => ExitCode::SUCCESS,
    }
}
