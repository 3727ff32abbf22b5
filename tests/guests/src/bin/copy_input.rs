//! Copies standard input to standard output, and says on standard error how much that was. Meanwhile another thread must
//! get on with its files, if it is given a folder for them.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let other = std::env::args().nth(1).map(|folder| {
        std::thread::spawn(move || {
            for round in 0..10u8 {
                let path = format!("{folder}/round");
                std::fs::write(&path, [round]).expect("a write");
                assert_eq!(std::fs::read(&path).expect("a read"), [round]);
            }
            eprintln!("files went on");
        })
    });
    eprintln!("reading");
    let mut total = 0;
    let mut room = vec![0; 100_000];
    loop {
        let count = io::stdin().lock().read(&mut room)?;
        if count == 0 {
            break;
        }
        io::stdout().write_all(&room[..count])?;
        io::stdout().flush()?;
        total += count;
    }
    if let Some(other) = other {
        other.join().expect("the other thread");
    }
    eprintln!("copied {total} bytes");
    Ok(())
}
