use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::{prctl, signal::Signal};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Starts `command` so that it dies with this thread, whatever kills us, and inherits the `shared` descriptors under
/// their numbers. It gets a process group of its own, so that a Ctrl-C at the terminal is ours to pass on.
pub fn spawn_tied(command: &mut Command, shared: &[BorrowedFd<'_>]) -> io::Result<Child> {
    let numbers: Vec<i32> = shared.iter().map(AsRawFd::as_raw_fd).collect();
    let parent = std::process::id();
    let prepare = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if std::os::unix::process::parent_id() != parent {
            // We died before the line above: no signal would come any more.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        for &number in &numbers {
            // SAFETY: `shared` borrows the descriptors until the child has been spawned, and a fork has them all.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    command.process_group(0);
    // SAFETY: between fork and exec, `prepare` makes three kinds of system calls and neither allocates nor locks.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::spawn_tied;
    use std::io::{Read, pipe};
    use std::os::fd::{AsFd, AsRawFd};
    use std::process::Command;

    #[test]
    fn shared_descriptors_keep_their_numbers() {
        let (mut reader, writer) = pipe().unwrap();
        let script = format!("echo through > /proc/self/fd/{}", writer.as_raw_fd());
        let mut command = Command::new("sh");
        let mut child = spawn_tied(command.args(["-c", &script]), &[writer.as_fd()]).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(text, "through\n");
    }
}
