//! A Markdown file, as what can be done with it.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::path::{Path, PathBuf};

/// A file.
pub(crate) struct Chapter {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) commands: Vec<Command>,
    /// Contents of the blocks of programs.
    pub(crate) programs: Vec<String>,
    pub(crate) links: Vec<String>,
    /// Blocks that are none of these, and where.
    pub(crate) strays: Vec<String>,
}

/// Something to type.
pub(crate) struct Command {
    pub(crate) mode: Mode,
    pub(crate) script: String,
    /// Lines of its output.
    pub(crate) expected: Vec<String>,
    /// File and line.
    pub(crate) place: String,
}

/// What is done about it.
pub(crate) enum Mode {
    Foreground,
    Background,
    Skipped(String),
}

impl Mode {
    /// Of a block's info string, if it is a command.
    fn of(info: &str) -> Option<Self> {
        match info.split_once(',') {
            None if info == "sh" => Some(Mode::Foreground),
            Some(("sh", "background")) => Some(Mode::Background),
            Some(("sh", reason)) => Some(Mode::Skipped(reason.strip_prefix("skip-")?.replace('-', " "))),
            _ => None,
        }
    }
}

/// A block of code, whole.
struct Block {
    info: Option<String>,
    text: String,
    line: usize,
}

impl Chapter {
    pub(crate) fn read(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut chapter = Chapter {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            folder: path.parent().unwrap().to_owned(),
            commands: Vec::new(),
            programs: Vec::new(),
            links: Vec::new(),
            strays: Vec::new(),
        };
        let mut block: Option<Block> = None;
        // Whether the last block was a command, to which output may belong.
        let mut speaks = false;
        for (event, range) in Parser::new(&text).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    block = Some(Block {
                        info: match kind {
                            CodeBlockKind::Fenced(info) => Some(info.to_string()),
                            CodeBlockKind::Indented => None,
                        },
                        text: String::new(),
                        line: text[..range.start].matches('\n').count() + 1,
                    });
                }
                Event::Text(part) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&part);
                    }
                }
                Event::End(TagEnd::CodeBlock) => {
                    if let Some(block) = block.take() {
                        speaks = chapter.add(block, speaks);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. }) => chapter.links.push(dest_url.to_string()),
                Event::Start(Tag::Paragraph) => speaks = false,
                _ => {}
            }
        }
        chapter
    }

    /// Takes a block; `true` if output may follow.
    fn add(&mut self, block: Block, speaks: bool) -> bool {
        let place = format!("{}:{}", self.name, block.line);
        let info = block.info.unwrap_or_default();
        if let Some(mode) = Mode::of(&info) {
            let speaks = !matches!(mode, Mode::Skipped(_));
            self.commands.push(Command {
                mode,
                script: block.text,
                expected: Vec::new(),
                place,
            });
            return speaks;
        }
        match (info.as_str(), self.commands.last_mut()) {
            ("text", Some(command)) if speaks => {
                command.expected = block.text.lines().map(str::to_owned).collect();
            }
            ("rust", _) => self.programs.push(block.text),
            _ => self.strays.push(format!("{place} `{info}`")),
        }
        false
    }
}

/// The piece of a file that `program`, which is mdBook's `#include` and nothing else, stands for.
pub(crate) fn included(program: &str, folder: &Path) -> Result<String, String> {
    let include = program
        .trim()
        .strip_prefix("{{#include ")
        .and_then(|rest| rest.strip_suffix("}}"))
        .ok_or_else(|| format!("{program:?} is not included from a file"))?;
    let (path, anchor) = include.split_once(':').ok_or("no anchor")?;
    let text = std::fs::read_to_string(folder.join(path)).map_err(|error| format!("{path}: {error}"))?;
    let is = |line: &str, word: &str| line.trim() == format!("// {word}: {anchor}");
    let mut lines = text.lines().skip_while(|line| !is(line, "ANCHOR"));
    lines.next().ok_or(format!("{path} has no {anchor}"))?;
    let piece: Vec<_> = lines
        .by_ref()
        .take_while(|line| !is(line, "ANCHOR_END"))
        .collect();
    if !text.lines().any(|line| is(line, "ANCHOR_END")) {
        return Err(format!("{anchor} in {path} has no end"));
    }
    Ok(piece.join("\n"))
}

/// Whether `line` says what is `expected` of it: its parts between `...`, in order.
fn says(line: &str, expected: &str) -> bool {
    let mut rest = line;
    expected
        .split("...")
        .map(str::trim)
        .all(|part| match rest.find(part) {
            Some(place) => {
                rest = &rest[place + part.len()..];
                true
            }
            None => false,
        })
}

/// The first of the `expected` lines that `output` does not say, in their order.
pub(crate) fn missing<'e>(output: &str, expected: &'e [String]) -> Option<&'e str> {
    let mut lines = output.lines();
    expected
        .iter()
        .find(|wanted| !lines.any(|line| says(line, wanted)))
        .map(String::as_str)
}

#[test]
fn output_is_lines_in_order_with_gaps() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let output = "building\nNAME   PID\nhello  17  running\ndone\n";
    assert_eq!(missing(output, &lines("NAME ... PID\nhello ... running")), None);
    assert_eq!(missing(output, &lines("hello\nNAME")), Some("NAME"));
    assert_eq!(missing(output, &lines("done\ndone")), Some("done"));
    assert_eq!(
        missing(output, &lines("hello ... stopped")),
        Some("hello ... stopped")
    );
}
