//! `std::fs` in the volume at `/data`: what a program does to files, and what it reads about them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

const LARGE_BYTES: usize = 8 << 20;

fn main() -> std::io::Result<()> {
    std::env::set_current_dir("/data")?;
    one_file()?;
    positions()?;
    tree()?;
    many()?;
    large()?;
    failures();
    threads()?;
    println!("files tour done");
    Ok(())
}

fn one_file() -> std::io::Result<()> {
    fs::write("note", "first line\n")?;
    OpenOptions::new()
        .append(true)
        .open("note")?
        .write_all(b"second line\n")?;
    assert_eq!(fs::read_to_string("/data/note")?, "first line\nsecond line\n");
    let lines: Vec<String> = BufReader::new(File::open("note")?)
        .lines()
        .collect::<Result<_, _>>()?;
    assert_eq!(lines, ["first line", "second line"]);
    let about = fs::metadata("note")?;
    assert!(
        about.is_file() && about.len() == 23 && about.nlink() == 1,
        "{about:?}"
    );
    let age = SystemTime::now()
        .duration_since(about.modified()?)
        .unwrap_or_default();
    assert!(age < Duration::from_secs(600), "{age:?}");
    fs::set_permissions("note", PermissionsExt::from_mode(0o4600))?;
    assert_eq!(fs::metadata("note")?.mode(), 0o100_600, "no set-user-id");
    assert_eq!(fs::copy("note", "copy")?, 23);
    assert_eq!(fs::read("copy")?, fs::read("note")?);
    fs::rename("copy", "moved")?;
    fs::remove_file("moved")?;
    assert!(!Path::new("copy").exists() && !Path::new("moved").exists());
    println!("one file fine");
    Ok(())
}

fn positions() -> std::io::Result<()> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open("positions")?;
    file.write_all(b"0123456789")?;
    file.write_all_at(b"xy", 3)?;
    assert_eq!(file.stream_position()?, 10);
    file.seek(SeekFrom::End(-8))?;
    let mut rest = String::new();
    file.read_to_string(&mut rest)?;
    assert_eq!(rest, "2xy56789");
    file.set_len(4)?;
    file.sync_all()?;
    let other = file.try_clone()?;
    drop(file);
    let mut four = [0; 4];
    other.read_exact_at(&mut four, 0)?;
    assert_eq!(&four, b"012x");
    let mut slices = [std::io::IoSlice::new(b"ab"), std::io::IoSlice::new(b"cd")];
    (&other).seek(SeekFrom::Start(0))?;
    assert_eq!((&other).write_vectored(&slices)?, 4);
    slices.reverse();
    println!("positions fine");
    Ok(())
}

fn tree() -> std::io::Result<()> {
    fs::create_dir_all("tree/a/b/c")?;
    fs::write("tree/a/leaf", "leaf")?;
    fs::write("tree/a/b/c/leaf", "deep leaf")?;
    assert_eq!(fs::read("tree/a/b/../leaf")?, b"leaf");
    assert_eq!(fs::canonicalize("tree/a/./b")?, Path::new("/data/tree/a/b"));
    let mut sizes: Vec<(String, u64)> = Vec::new();
    for entry in fs::read_dir("tree/a")? {
        let entry = entry?;
        let kind = if entry.file_type()?.is_dir() {
            0
        } else {
            entry.metadata()?.len()
        };
        sizes.push((entry.file_name().into_string().expect("text"), kind));
    }
    sizes.sort();
    assert_eq!(sizes, [("b".to_owned(), 0), ("leaf".to_owned(), 4)]);
    let error = fs::remove_dir("tree/a").expect_err("it is not empty");
    assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
    fs::remove_dir_all("tree")?;
    assert!(!fs::exists("tree")?);
    let top: BTreeSet<_> = fs::read_dir("/")?
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(top, BTreeSet::from(["data".into()]));
    println!("tree fine");
    Ok(())
}

fn many() -> std::io::Result<()> {
    fs::create_dir("many")?;
    for number in 0..600 {
        fs::write(format!("many/{number:03}"), number.to_string())?;
    }
    let names: BTreeSet<_> = fs::read_dir("many")?
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 600);
    let open: Vec<File> = (0..200)
        .map(|number| File::open(format!("many/{number:03}")))
        .collect::<Result<_, _>>()?;
    let mut text = String::new();
    (&open[199]).read_to_string(&mut text)?;
    assert_eq!(text, "199");
    println!("many fine");
    Ok(())
}

fn large() -> std::io::Result<()> {
    let bytes: Vec<u8> = (0..LARGE_BYTES / 4)
        .flat_map(|i| {
            u32::try_from(i)
                .expect("8 MiB")
                .wrapping_mul(0x9e37_79b9)
                .to_le_bytes()
        })
        .collect();
    let mut file = File::create("large")?;
    assert_eq!(file.write(&bytes)?, LARGE_BYTES, "in one call");
    drop(file);
    assert_eq!(fs::metadata("large")?.len(), LARGE_BYTES as u64);
    assert!(
        fs::read("large")? == bytes,
        "what was written is not what is read"
    );
    println!("large fine");
    Ok(())
}

fn failures() {
    let kind = |result: std::io::Result<File>| result.expect_err("it should fail").kind();
    assert_eq!(kind(File::open("missing")), ErrorKind::NotFound);
    assert_eq!(kind(File::open("note/x")), ErrorKind::NotADirectory);
    assert_eq!(kind(File::create_new("note")), ErrorKind::AlreadyExists);
    assert_eq!(kind(File::create("/data")), ErrorKind::IsADirectory);
    assert!(File::open("note").expect("it is there").write(b"x").is_err());
    assert!(
        File::create("only-written")
            .expect("it is new")
            .read(&mut [0])
            .is_err()
    );
    assert!(fs::File::open(format!("/{}", "x".repeat(5000))).is_err());
    println!("failures fine");
}

/// More threads than there are calls at a time.
fn threads() -> std::io::Result<()> {
    std::thread::scope(|scope| {
        for worker in 0..16u8 {
            scope.spawn(move || {
                let path = format!("worker-{worker}");
                for round in 0..20u8 {
                    fs::write(&path, [worker ^ round; 3000]).expect("a write");
                    assert_eq!(fs::read(&path).expect("a read"), [worker ^ round; 3000]);
                }
                fs::remove_file(&path).expect("a removal");
            });
        }
    });
    println!("threads fine");
    Ok(())
}
