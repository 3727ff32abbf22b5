//! Requests and their responses, as they stand on the wire; the loader is played by the test.

use http_server::connection::{Connection, Now};
use http_server::request::Limits;
use http_server::site::{Cache, Content, File, Job, Loaded, Outcome, Site, Stamp};
use std::time::{Duration, SystemTime};

const NOW: Now = Now {
    ms: 5_000,
    date: "Sun, 09 Sep 2001 01:50:00 GMT",
};

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

struct Client {
    connection: Connection,
    site: Site,
    loads: Vec<String>,
}

impl Client {
    fn new(max_requests: u32) -> Self {
        let limits = Limits {
            head_bytes: 4_096,
            body_bytes: 1_000,
        };
        Client {
            connection: Connection::new(limits, max_requests),
            site: Site::new(Cache::new(1 << 20, 1_000)),
            loads: Vec::new(),
        }
    }

    /// Sends all of `input`, loads what is asked for, and returns what comes back.
    fn say(&mut self, input: &str) -> String {
        let mut input = input.as_bytes();
        let mut output = Vec::new();
        loop {
            let used = self.connection.receive(&mut self.site, input, NOW);
            input = &input[used..];
            let mut more = !input.is_empty();
            if let Some(name) = self.connection.awaited() {
                let name = name.to_owned();
                let loaded = self.load(&name);
                self.connection.on_loaded(&mut self.site, &loaded, NOW);
                more = true;
            }
            while let Some(piece) = self.connection.next_output() {
                output.extend_from_slice(piece.bytes().expect("in memory"));
                more = true;
            }
            if !more {
                return String::from_utf8(output).expect("text");
            }
        }
    }

    fn load(&mut self, name: &str) -> Loaded {
        let jobs: Vec<Job> = self.site.take_jobs().collect();
        assert!(
            matches!(&jobs[..], [Job::Load { name: job, .. }] if job == name),
            "{jobs:?}"
        );
        self.loads.push(name.to_owned());
        let stamp = Stamp {
            len: CONTENT.len() as u64,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
        };
        let outcome = match name {
            "folder" => Outcome::Folder,
            "missing" => Outcome::Missing,
            "broken" => Outcome::Failed,
            _ => Outcome::Found(File::new(name, stamp, Content::Whole(CONTENT.into()))),
        };
        self.site.learn(name, outcome, NOW.ms)
    }

    fn get(&mut self, path: &str, fields: &str) -> String {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
    }
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("none")
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head").1
}

#[test]
fn a_file_is_read_once_and_served_again() {
    let mut client = Client::new(100);
    let first = client.get("/a.txt", "");
    assert_eq!(
        first,
        format!(
            "HTTP/1.1 200 OK\r\nServer: ixion-http/0.1.0\r\nDate: Sun, 09 Sep 2001 01:50:00 GMT\r\n\
             ETag: \"24-de0b6b3a7640000\"\r\nAccept-Ranges: bytes\r\n\
             Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 36\r\n\r\n{}",
            str::from_utf8(CONTENT).unwrap()
        )
    );
    assert_eq!(client.get("/a.txt?query", ""), first);
    assert_eq!(client.get("//%61.txt", ""), first);
    assert_eq!(client.loads, ["a.txt"]);
    assert!(client.connection.wants_input());
}

#[test]
fn head_is_get_without_the_body() {
    let mut client = Client::new(100);
    let get = client.get("/a.txt", "");
    let head = client.say("HEAD /a.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!(head, get[..get.len() - CONTENT.len()]);
}

#[test]
fn folders_have_an_index_and_names_end_with_a_slash() {
    let mut client = Client::new(100);
    assert!(client.get("/", "").contains("text/html"));
    assert!(client.get("/folder/", "").contains("text/html"));
    assert_eq!(client.loads, ["index.html", "folder/index.html"]);
    let moved = client.get("/folder", "");
    assert_eq!(status(&moved), "301");
    assert!(moved.contains("\r\nLocation: /folder/\r\n"));
    let moved = client.get("//folder", "");
    assert!(
        moved.contains("\r\nLocation: /folder/\r\n"),
        "not another host: {moved}"
    );
    assert_eq!(status(&client.get("/missing", "")), "404");
    assert_eq!(status(&client.get("/broken", "")), "500");
}

#[test]
fn ranges_are_cut_out() {
    let mut client = Client::new(100);
    for (range, status_wanted, content_range, bytes) in [
        ("bytes=0-3", "206", "bytes 0-3/36", "0123"),
        ("bytes=30-", "206", "bytes 30-35/36", "uvwxyz"),
        ("bytes=-2", "206", "bytes 34-35/36", "yz"),
    ] {
        let response = client.get("/a.txt", &format!("Range: {range}\r\n"));
        assert_eq!(
            (status(&response), body(&response)),
            (status_wanted, bytes),
            "{range}"
        );
        assert!(
            response.contains(&format!("\r\nContent-Range: {content_range}\r\n")),
            "{response}"
        );
    }
    let none = client.get("/a.txt", "Range: bytes=36-\r\n");
    assert_eq!(status(&none), "416");
    assert!(none.contains("\r\nContent-Range: bytes */36\r\n"));
    for fields in [
        "Range: bytes=1-0\r\n",
        "Range: bytes=0-1\r\nRange: bytes=0-1\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n",
    ] {
        assert_eq!(status(&client.get("/a.txt", fields)), "200", "{fields}");
    }
}

#[test]
fn several_ranges_come_in_parts() {
    let mut client = Client::new(100);
    let response = client.get("/a.txt", "Range: bytes=0-1,-2\r\n");
    assert_eq!(status(&response), "206");
    let boundary = response
        .split_once("boundary=")
        .unwrap()
        .1
        .split("\r\n")
        .next()
        .unwrap();
    let part = |range: &str, bytes: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/36\r\n\r\n{bytes}"
        )
    };
    let wanted = format!(
        "{}{}\r\n--{boundary}--\r\n",
        part("0-1", "01"),
        part("34-35", "yz")
    );
    assert_eq!(body(&response), wanted);
    assert!(response.contains(&format!("\r\nContent-Length: {}\r\n", wanted.len())));
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let mut client = Client::new(100);
    for fields in [
        "If-None-Match: \"24-de0b6b3a7640000\"\r\n",
        "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n",
    ] {
        let response = client.get("/a.txt", fields);
        assert_eq!((status(&response), body(&response)), ("304", ""));
        assert!(response.contains("\r\nETag: "), "{response}");
        assert!(!response.contains("Content-Length"), "{response}");
    }
    assert_eq!(status(&client.get("/a.txt", "If-Match: \"other\"\r\n")), "412");
}

#[test]
fn pipelined_requests_are_answered_in_order_though_files_are_missing() {
    let mut client = Client::new(100);
    let input = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody\
                 GET /missing HTTP/1.1\r\nHost: x\r\n\r\nGET /api/status HTTP/1.1\r\nHost: x\r\n\r\n";
    let output = client.say(input);
    let statuses: Vec<&str> = output.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(statuses, ["200", "200", "404", "200"]);
    assert!(output.contains("\r\n\r\nbodyHTTP/1.1 404"));
    assert!(output.contains("\"requests\":3,"), "{output}");
}

#[test]
fn chunks_come_back_in_chunks() {
    let mut client = Client::new(100);
    let chunked = "POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: text/x\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    let response = client.say(chunked);
    assert!(response.contains("\r\nTransfer-Encoding: chunked\r\n"));
    assert!(response.contains("\r\nContent-Type: text/x\r\n"));
    assert_eq!(body(&response), "5\r\nabcde\r\n0\r\n\r\n");
    let empty =
        client.say("POST /api/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(body(&empty), "0\r\n\r\n");
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let mut client = Client::new(100);
    let head = "POST /api/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(client.say(head), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(body(&client.say("ok")), "ok");
    let at_once = client.say(&format!("{head}ok"));
    assert!(at_once.ends_with("\r\n\r\nok"));
    let too_large =
        client.say("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    assert_eq!(status(&too_large), "413");
}

#[test]
fn the_connection_ends_when_one_side_wants_it() {
    let mut client = Client::new(100);
    let response = client.get("/a", "Connection: close\r\n");
    assert!(response.contains("\r\nConnection: close\r\n"));
    assert!(client.connection.is_finished());
    assert_eq!(client.get("/a", ""), "", "nothing is answered after that");

    let mut old = Client::new(100);
    let response = old.say("GET /a HTTP/1.0\r\n\r\n");
    assert!(response.contains("\r\nConnection: close\r\n"));
    assert!(old.connection.is_finished());

    let mut old = Client::new(100);
    let response = old.say("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(response.contains("\r\nConnection: keep-alive\r\n"));
    assert!(!old.connection.is_finished());

    let mut limited = Client::new(2);
    assert!(!limited.get("/a", "").contains("Connection: close"));
    assert!(limited.get("/a", "").contains("\r\nConnection: close\r\n"));
    assert!(limited.connection.is_finished());
}

#[test]
fn a_client_that_dawdles_is_told_so() {
    let mut client = Client::new(100);
    assert_eq!(client.say("GET /a HT"), "");
    client.connection.time_out(&mut client.site, NOW);
    assert_eq!(status(&client.say("")), "408");
    assert!(client.connection.is_finished());
}

#[test]
fn options_tells_the_methods() {
    let mut client = Client::new(100);
    for target in ["*", "/", "/a"] {
        let response = client.say(&format!("OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(status(&response), "204");
        assert!(response.contains("\r\nAllow: GET, HEAD, POST, OPTIONS\r\n"));
    }
    let refused = client.say("DELETE /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"));
}
