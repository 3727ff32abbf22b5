//! The HTTP server, by the clients of its field: curl, wrk, and requests that no client would send.

use ixion_tests::{Folder, Namespace, Run, Runner, artifacts, peer};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ORIGIN: &str = "http://10.77.0.2";

/// A folder to serve, a namespace to ask from, and the server.
struct Site {
    folder: Folder,
    namespace: Namespace,
    run: Run,
}

impl Site {
    fn start(args: &[&str]) -> Self {
        let folder = Folder::new();
        let root = folder.join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("index.html"), "<h1>Ixion</h1>\n").unwrap();
        fs::write(root.join("sub/index.html"), "<h1>below</h1>\n").unwrap();
        fs::write(root.join("sub/with space.txt"), "found\n").unwrap();
        fs::write(root.join("data.bin"), peer::pattern(1, 100_000)).unwrap();
        // Above what is kept in memory: it is read as it is sent.
        fs::write(root.join("large.bin"), peer::pattern(2, 20 << 20)).unwrap();
        fs::write(folder.join("secret"), "secret").unwrap();
        Site::serve(folder, args)
    }

    fn serve(folder: Folder, args: &[&str]) -> Self {
        let namespace = Namespace::new().unwrap();
        let volume = format!("{}:/srv:ro", folder.join("root").display());
        let mut runner = Runner::new(artifacts::http())
            .on(&namespace)
            .options(&["--volume", &volume, "--grace", "30"]);
        if folder.join("tls").is_dir() {
            let volume = format!("{}:/tls:ro", folder.join("tls").display());
            runner = runner.options(&["--volume", &volume]);
        }
        let run = runner.args(args).start();
        run.wait_for(" on port ");
        Site {
            folder,
            namespace,
            run,
        }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.join("root").join(name)
    }

    /// curl's output; it fails if the server's answer is not whole.
    fn curl(&self, words: &[&str]) -> Output {
        self.namespace
            .command("curl")
            .args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*"])
            .args(words)
            .output()
            .expect("curl can be started")
    }

    /// What curl printed of a successful exchange.
    fn text(&self, words: &[&str]) -> String {
        let output = self.curl(words);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "curl {words:?}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The status alone.
    fn status(&self, words: &[&str]) -> String {
        let mut words = words.to_vec();
        words.extend(["--output", "/dev/null", "--write-out", "%{http_code}"]);
        self.text(&words)
    }

    fn connect(&self) -> TcpStream {
        peer::connect(&self.namespace, peer::guest(80))
    }
}

fn of(path: &str) -> String {
    format!("{ORIGIN}{path}")
}

/// What comes until the server ends the connection, or until `enough`.
fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    let mut text = Vec::new();
    let mut room = [0; 4096];
    loop {
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if enough(&so_far) {
            return so_far;
        }
        match stream.read(&mut room) {
            Ok(0) => return so_far,
            Ok(count) => text.extend_from_slice(&room[..count]),
            Err(error) => panic!("{error} after {so_far:?}"),
        }
    }
}

#[test]
fn curl_gets_what_lies_in_the_folder() {
    let site = Site::start(&[]);
    let before = site.run.held();
    assert_eq!(site.text(&[&of("/")]), "<h1>Ixion</h1>\n");
    assert_eq!(site.text(&[&of("/sub/")]), "<h1>below</h1>\n");
    assert_eq!(site.text(&["--location", &of("/sub")]), "<h1>below</h1>\n");
    assert_eq!(site.text(&[&of("/sub/with%20space.txt")]), "found\n");
    for name in ["data.bin", "large.bin"] {
        let output = site.curl(&[&of(&format!("/{name}"))]);
        peer::assert_same(&output.stdout, &fs::read(site.root(name)).unwrap());
    }
    let head = site.text(&["--head", &of("/data.bin")]);
    assert!(head.contains("Content-Length: 100000\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: application/octet-stream\r\n"),
        "{head}"
    );
    for (path, status) in [
        ("/nothing", "404"),
        ("/../secret", "400"),
        ("/%2e%2e/secret", "400"),
        ("/..%2fsecret", "400"),
        ("/.hidden", "404"),
        ("/data.bin/x", "404"),
    ] {
        assert_eq!(site.status(&["--path-as-is", &of(path)]), status, "{path}");
    }
    site.run.wait_until_home(&before);
    site.run.stop().assert_code(0);
}

#[test]
fn curl_gets_parts_and_nothing_twice() {
    let site = Site::start(&[]);
    for name in ["data.bin", "large.bin"] {
        let (url, whole) = (of(&format!("/{name}")), fs::read(site.root(name)).unwrap());
        for (range, part) in [
            ("0-0", &whole[..1]),
            ("5000-79999", &whole[5_000..80_000]),
            ("-10", &whole[whole.len() - 10..]),
            ("99990-", &whole[99_990..]),
        ] {
            let output = site.curl(&["--range", range, &url]);
            peer::assert_same(&output.stdout, part);
            assert_eq!(site.status(&["--range", range, &url]), "206");
        }
        assert_eq!(site.status(&["--range", "99999999-", &url]), "416");
        let parts = site.curl(&["--range", "10-19,50-59", &url]).stdout;
        for part in [&whole[10..20], &whole[50..60]] {
            assert!(parts.windows(10).any(|window| window == part), "{name}");
        }
    }
    let tags = site.folder.join("tags");
    let tags = tags.to_str().unwrap();
    let url = of("/data.bin");
    assert_eq!(site.status(&["--etag-save", tags, &url]), "200");
    assert_eq!(site.status(&["--etag-compare", tags, &url]), "304");
    let file = site.root("data.bin");
    assert_eq!(site.status(&["--time-cond", file.to_str().unwrap(), &url]), "304");
    site.run.stop().assert_code(0);
}

#[test]
fn curl_posts_in_every_way() {
    let site = Site::start(&[]);
    let body = site.folder.join("body");
    fs::write(&body, peer::pattern(3, 1 << 20)).unwrap();
    let data = format!("@{}", body.display());
    let url = of("/api/echo");
    for fields in [
        &[][..],
        &["--header", "Transfer-Encoding: chunked"],
        &["--header", "Expect: 100-continue"],
        &["--http1.0"],
    ] {
        let output = site.curl(&[&["--data-binary", &data, &url][..], fields].concat());
        peer::assert_same(&output.stdout, &fs::read(&body).unwrap());
    }
    fs::write(&body, vec![0; (1 << 20) + 1]).unwrap();
    assert_eq!(site.status(&["--data-binary", &data, &url]), "413");
    let status: serde_json::Value = serde_json::from_str(&site.text(&[&of("/api/status")])).expect("JSON");
    assert_eq!(status["requests"], 5, "{status}");
    site.run.stop().assert_code(0);
}

#[test]
fn a_changed_file_is_seen() {
    let site = Site::start(&["--valid-ms", "200"]);
    let url = of("/index.html");
    assert_eq!(site.text(&[&url]), "<h1>Ixion</h1>\n");
    fs::write(site.root("index.html"), "<h1>changed</h1>\n").unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while site.text(&[&url]) != "<h1>changed</h1>\n" {
        assert!(Instant::now() < until, "the old file is served for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::remove_file(site.root("index.html")).unwrap();
    while site.status(&[&url]) != "404" {
        assert!(Instant::now() < until, "the removed file is served for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    site.run.stop().assert_code(0);
}

#[test]
fn links_lead_nowhere_else() {
    let folder = Folder::new();
    fs::create_dir(folder.join("root")).unwrap();
    fs::write(folder.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("root/link")).unwrap();
    let site = Site::serve(folder, &[]);
    assert_eq!(site.status(&[&of("/link")]), "404");
    site.run.stop().assert_code(0);
}

#[test]
fn wrk_finds_no_error_under_load() {
    let site = Site::start(&[]);
    let before = site.run.held();
    let wrk = site
        .namespace
        .command("wrk")
        .args([
            "--threads",
            "2",
            "--connections",
            "50",
            "--duration",
            "3s",
            &of("/data.bin"),
        ])
        .output()
        .expect("wrk can be started");
    let said = String::from_utf8_lossy(&wrk.stdout);
    assert!(wrk.status.success(), "{said}");
    assert!(
        !said.contains("Socket errors") && !said.contains("Non-2xx"),
        "{said}"
    );
    let count = said
        .split(" requests in ")
        .next()
        .and_then(|text| text.rsplit(' ').next()?.parse::<u64>().ok());
    assert!(count.is_some_and(|count| count > 100), "{said}");
    site.run.wait_until_home(&before);
    site.run.stop().assert_code(0);
}

#[test]
fn malformed_requests_get_their_status_and_harm_nobody() {
    let site = Site::start(&[]);
    let before = site.run.held();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/http/corpus");
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut stream = site.connect();
        stream.write_all(&fs::read(&path).unwrap()).unwrap();
        let response = read_until(&mut stream, |text| text.contains("\r\n\r\n"));
        assert!(
            response.starts_with(&format!("HTTP/1.1 {} ", &name[..3])),
            "{name}: {response}"
        );
    }
    assert_eq!(site.text(&[&of("/")]), "<h1>Ixion</h1>\n");
    site.run.wait_until_home(&before);
    site.run.stop().assert_code(0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::start(&[]);
    let mut stream = site.connect();
    let mut requests = String::new();
    for number in 0..200 {
        let path = ["/", "/nothing", "/sub/", "/api/status"][number % 4];
        requests += &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    requests += "GET /sub/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // Each in pieces that end anywhere.
    for piece in requests.as_bytes().chunks(997) {
        stream.write_all(piece).unwrap();
    }
    let text = read_until(&mut stream, |_| false);
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(statuses.len(), 201);
    for (number, status) in statuses.iter().enumerate() {
        assert_eq!(
            *status,
            if number % 4 == 1 { "404" } else { "200" },
            "response {number}"
        );
    }
    assert!(text.ends_with("<h1>below</h1>\n"));
    site.run.stop().assert_code(0);
}

#[test]
fn who_is_too_slow_is_let_go() {
    let args = [
        "--head-timeout",
        "1",
        "--body-timeout",
        "1",
        "--idle-timeout",
        "1",
        "--send-timeout",
        "1",
    ];
    let site = Site::start(&args);
    let before = site.run.held();
    // A head a byte at a time, as slowloris does.
    let mut slow = site.connect();
    for byte in "GET / HTTP/1.1\r\nHost: x\r\nA: b".bytes() {
        if slow.write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let answer = read_until(&mut slow, |_| false);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut body = site.connect();
    body.write_all(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        .unwrap();
    let answer = read_until(&mut body, |_| false);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut idle = site.connect();
    idle.write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = read_until(&mut idle, |_| false);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // One that asks for much and reads nothing.
    let mut deaf = site.connect();
    deaf.write_all(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let mut rest = Vec::new();
    let end = deaf.read_to_end(&mut rest);
    assert_eq!(end.expect_err("not all of it").kind(), ErrorKind::ConnectionReset);
    drop((slow, body, idle, deaf));
    let status: serde_json::Value = serde_json::from_str(&site.text(&[&of("/api/status")])).expect("JSON");
    assert_eq!(status["timeouts"], 3, "{status}");
    site.run.wait_until_home(&before);
    site.run.stop().assert_code(0);
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let site = Site::start(&["--max-connections", "5"]);
    let mut streams: Vec<TcpStream> = (0..5).map(|_| site.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        read_until(stream, |text| text.contains("\r\n\r\n"));
    }
    assert!(!site.curl(&[&of("/")]).status.success());
    drop(streams);
    let until = Instant::now() + Duration::from_secs(20);
    while !site.curl(&[&of("/")]).status.success() {
        assert!(Instant::now() < until, "it never lets anybody in again");
    }
    site.run.stop().assert_code(0);
}

#[test]
fn a_download_under_way_is_finished_when_the_server_is_stopped() {
    let site = Site::start(&["--drain-timeout", "30"]);
    let mut stream = site.connect();
    let idle = site.connect();
    stream
        .write_all(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut text = vec![0; 1_000];
    stream.read_exact(&mut text).unwrap();
    site.run.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!((&idle).read(&mut [0]).expect("an orderly end"), 0);
    drop(idle);
    stream.read_to_end(&mut text).expect("the rest of it");
    let body = text
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head")
        + 4;
    peer::assert_same(&text[body..], &fs::read(site.root("large.bin")).unwrap());
    drop(stream);
    site.run.finish().assert_code(0);
}

#[test]
fn https_is_spoken_with_a_certificate() {
    let folder = Folder::new();
    let root = folder.join("root");
    let tls = folder.join("tls");
    fs::create_dir(&root).unwrap();
    fs::create_dir(&tls).unwrap();
    fs::write(root.join("index.html"), "<h1>secure</h1>\n").unwrap();
    fs::write(root.join("large.bin"), peer::pattern(2, 6 << 20)).unwrap();
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ixion"
                .split(' '),
        )
        .args(["-addext", "subjectAltName=IP:10.77.0.2"])
        .arg("-keyout")
        .arg(tls.join("key.pem"))
        .arg("-out")
        .arg(tls.join("cert.pem"))
        .output()
        .expect("openssl can be started");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificate = tls.join("cert.pem");
    let trusted = ["--cacert", certificate.to_str().unwrap(), "--tlsv1.3"];
    let site = Site::serve(
        folder,
        &["--tls-cert", "/tls/cert.pem", "--tls-key", "/tls/key.pem"],
    );
    let before = site.run.held();
    let url = "https://10.77.0.2/";
    assert_eq!(site.text(&[&trusted[..], &[url]].concat()), "<h1>secure</h1>\n");
    assert_eq!(site.text(&["-k", url]), "<h1>secure</h1>\n");
    let large = format!("{url}large.bin");
    let output = site.curl(&[&trusted[..], &[&large]].concat());
    peer::assert_same(&output.stdout, &fs::read(site.root("large.bin")).unwrap());
    assert!(!site.curl(&["-k", "--tls-max", "1.2", url]).status.success());
    // One that does not speak TLS hears no HTTP.
    let mut plain = peer::connect(&site.namespace, peer::guest(443));
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(!read_until(&mut plain, |_| false).contains("HTTP"));
    drop(plain);
    site.run.wait_until_home(&before);
    site.run.stop().assert_code(0);
}
