//! Dialogues with the text protocol, and what a stream may do to it.

mod support;

use kv::shard::Settings;
use proptest::prelude::*;
use support::{Session, settings};

#[test]
fn items_are_stored_and_served() {
    Session::new().play(
        r"
        > get a
        END
        > set a 7 0 5\nhello
        STORED
        > get a
        VALUE a 7 5
        hello
        END
        > gets a b a
        VALUE a 7 5 1
        hello
        VALUE a 7 5 1
        hello
        END
        > append a 9 0 6\n world
        STORED
        > prepend a 9 0 2\nO 
        STORED
        > get a
        VALUE a 7 13
        O hello world
        END
        ",
    );
}

#[test]
fn conditions_hold() {
    Session::new().play(
        r"
        > add a 0 0 1\n1
        STORED
        > add a 0 0 1\n2
        NOT_STORED
        > replace b 0 0 1\n1
        NOT_STORED
        > append b 0 0 1\n1
        NOT_STORED
        > gets a
        VALUE a 0 1 1
        1
        END
        > cas a 0 0 1 2\n9
        EXISTS
        > cas a 0 0 1 1\n9
        STORED
        > cas b 0 0 1 1\n9
        NOT_FOUND
        > incr a 5
        14
        > decr a 100
        0
        > get a
        VALUE a 0 2
        0 
        END
        > delete a
        DELETED
        > delete a
        NOT_FOUND
        ",
    );
}

#[test]
fn time_passes() {
    let mut session = Session::new();
    session
        .play("> set a 0 10 1\\n1\nSTORED\n> set b 0 1700000010 1\\n1\nSTORED\n> set c 0 -1 1\\n1\nSTORED");
    session
        .play("> get a b c\nVALUE a 0 1\n1\nVALUE b 0 1\n1\nEND\n> mg a t\nHD t10\n> touch b 100\nTOUCHED");
    session.shard.set_uptime(9);
    session.play("> mg a t l\nHD t1 l9\n> gat 50 a\nVALUE a 0 1\n1\nEND\n> mg a t\nHD t50");
    session.shard.set_uptime(59);
    session.play("> get a b\nVALUE b 0 1\n1\nEND");
    session.play("> flush_all 5\nOK\n> get b\nVALUE b 0 1\n1\nEND");
    session.shard.set_uptime(64);
    session.play("> get b\nEND\n> set b 0 0 1\\n2\nSTORED\n> get b\nVALUE b 0 1\n2\nEND");
}

#[test]
fn a_stale_item_is_renewed_by_one_client() {
    Session::new().play(
        r"
        > ms a 3 T100\nold
        HD
        > md a I
        HD
        > mg a v
        VA 3 X W
        old
        > mg a v
        VA 3 Z X
        old
        ",
    );
    let mut session = Session::new();
    assert_eq!(session.say("mg new v N30\r\n"), b"VA 0 W\r\n\r\n");
    assert_eq!(session.say("mg new v N30 R40\r\n"), b"VA 0 Z\r\n\r\n");
    assert_eq!(
        session.say("ms new 3 T100\r\nnew\r\nmg new R200 v\r\n"),
        b"HD\r\nVA 3 W\r\nnew\r\n"
    );
}

#[test]
fn what_1_6_18_does_not_know_yet_works_as_documented() {
    Session::new().play(
        r"
        > ms a 1 E100 c s\n1
        HD c100 s1
        > mg a C100 v c
        HD c100
        > mg a C99 v
        VA 1
        1
        > ms a 2 MA s\n23
        HD s3
        > md a x
        HD
        > mg a s
        HD s0
        > ms log 1 MA N0\n1
        HD
        > mg log s t
        HD s1 t-1
        ",
    );
}

#[test]
fn an_item_too_large_is_swallowed_and_its_predecessor_gone() {
    let mut session = Session::new();
    session.play("> set a 0 0 1\\n1\nSTORED");
    let large = format!("set a 0 0 {}\r\n{}\r\nget a\r\n", 1 << 20, "v".repeat(1 << 20));
    assert_eq!(
        session.say_in_pieces(large.as_bytes(), 1460),
        b"SERVER_ERROR object too large for cache\r\nEND\r\n"
    );
    let mut session = Session::with(Settings {
        item: 2 << 20,
        ..settings()
    });
    let value = "v".repeat(1 << 20);
    let set = format!("set a 0 0 {}\r\n{value}\r\nget a\r\n", value.len());
    let reply = format!("STORED\r\nVALUE a 0 {}\r\n{value}\r\nEND\r\n", value.len());
    assert!(session.say_in_pieces(set.as_bytes(), 1460) == reply.as_bytes());
}

#[test]
fn statistics_count_what_happened() {
    let mut session = Session::new();
    session.say("set a 0 0 1\r\n1\r\nget a b\r\ndelete b\r\nincr a 1\r\n");
    let stats = String::from_utf8(session.say("stats\r\n")).unwrap();
    for line in [
        "cmd_get 2",
        "get_hits 1",
        "get_misses 1",
        "cmd_set 1",
        "delete_misses 1",
        "incr_hits 1",
        "curr_items 1",
        "limit_maxbytes 67108864",
        "threads 1",
    ] {
        assert!(
            stats.contains(&format!("STAT {line}\r\n")),
            "no {line} in {stats}"
        );
    }
    assert!(stats.ends_with("END\r\n"));
    for (name, line) in [
        ("settings", "STAT item_size_max 1048576"),
        ("slabs", "used_chunks 1"),
        ("items", ":number 1"),
        ("sizes", "sizes_status"),
    ] {
        let stats = String::from_utf8(session.say(format!("stats {name}\r\n"))).unwrap();
        assert!(stats.contains(line) && stats.ends_with("END\r\n"), "{stats}");
    }
    assert_eq!(session.say("stats reset\r\n"), b"RESET\r\n");
    let stats = String::from_utf8(session.say("stats\r\n")).unwrap();
    assert!(stats.contains("STAT cmd_get 0\r\n"));
    assert_eq!(session.say("stats nonsense\r\n"), b"ERROR\r\n");
}

#[test]
fn a_line_without_end_closes_unless_it_is_a_long_get() {
    let mut session = Session::new();
    session.say_in_pieces(&[b'x'; 3_000], 100);
    assert!(session.connection.is_closing());
    let mut session = Session::new();
    session.say("set k1234 0 0 1\r\n1\r\n");
    let keys: String = (0..5_000).map(|number| format!(" k{number}")).collect();
    let reply = session.say_in_pieces(format!("get{keys}\r\n").as_bytes(), 1_000);
    assert_eq!(reply, b"VALUE k1234 0 1\r\n1\r\nEND\r\n");
    session.say_in_pieces(&[b"get ".to_vec(), vec![b'x'; 2 << 20]].concat(), 10_000);
    assert!(session.connection.is_closing());
}

fn any_script() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "get",
        "gets",
        "set",
        "add",
        "cas",
        "incr",
        "touch",
        "gat",
        "delete",
        "ms",
        "mg",
        "md",
        "ma",
        "me",
        "mn",
        "a",
        "b",
        "0",
        "1",
        "5",
        "-1",
        "noreply",
        "v",
        "k",
        "c",
        "T0",
        "N0",
        "MA",
        "b",
        "flush_all",
        "verbosity",
        "cache_memlimit",
        "append",
    ]);
    let line = (
        prop::collection::vec(words, 0..8),
        prop::sample::select(vec!["\r\n", "\n", "\r\nhello\r\n", "", "\r\n\r\n"]),
    )
        .prop_map(|(words, end)| (words.join(" ") + end).into_bytes());
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop_oneof![8 => line, 1 => noise], 0..40).prop_map(|parts| parts.concat())
}

fn any_binary() -> impl Strategy<Value = Vec<u8>> {
    let frame = (
        0..0x26u8,
        0..4u16,
        0..24u8,
        0..40u32,
        prop::collection::vec(any::<u8>(), 0..60),
    )
        .prop_map(|(opcode, key, extras, body, rest)| {
            let mut frame = vec![0x80, opcode];
            frame.extend(key.to_be_bytes());
            frame.extend([extras, 0, 0, 0]);
            frame.extend(body.to_be_bytes());
            frame.extend([0; 12]);
            frame.extend(rest);
            frame
        });
    prop::collection::vec(frame, 1..20).prop_map(|frames| frames.concat())
}

#[test]
fn a_request_that_is_none_ends_the_connection_with_its_last_byte() {
    let mut session = Session::new();
    let nop = [&[0x80, 0x0a][..], &[0; 22]].concat();
    session.say_in_pieces(&nop, 5);
    session.say_in_pieces(&[0; 23], 5);
    assert!(!session.connection.is_closing());
    session.say([0]);
    assert!(session.connection.is_closing());
}

proptest! {
    #[test]
    fn replies_do_not_depend_on_how_the_stream_is_cut(script in prop_oneof![any_script(), any_binary()], piece in 1..40usize) {
        let mut whole = Session::new();
        let mut cut = Session::new();
        let expected = whole.say(&script);
        let got = cut.say_in_pieces(&script, piece);
        prop_assert_eq!(got, expected);
        prop_assert_eq!(whole.connection.is_closing(), cut.connection.is_closing());
    }
}
