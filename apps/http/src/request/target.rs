//! What is asked for (RFC 9112, section 3.2), and the file that this names.

use super::Refusal;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Something the server has, by its path as it came: still encoded, with `/` at the front, without the query.
    Resource(String),
    /// The server itself: `*`.
    Server,
}

impl Target {
    pub(super) fn parse(method: &Method, target: &str) -> Result<Self, Refusal> {
        if method == Method::CONNECT {
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "this is no proxy"));
        }
        if target == "*" && method == Method::OPTIONS {
            return Ok(Target::Server);
        }
        let path = if target.starts_with('/') {
            target
        } else {
            after_authority(target).ok_or(Refusal::bad("the target is neither a path nor an address"))?
        };
        let end = path.find(['?', '#']).unwrap_or(path.len());
        Ok(Target::Resource(path[..end].to_owned()))
    }
}

/// The path of an absolute address; whoever it names, it has come here.
fn after_authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority_is_there = end > 0;
    let path = &rest[end..];
    authority_is_there.then_some(if path.starts_with('/') { path } else { "/" })
}

/// The path under the served folder that `path` names: decoded, relative, and with nothing in it that leads elsewhere.
/// It ends with `/`, or is empty, if a folder is meant.
///
/// # Errors
/// 400 for what cannot be a file's name, 404 for what is nobody's business.
pub fn resolve(path: &str) -> Result<String, Refusal> {
    let mut resolved = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = percent_decode_str(segment)
            .decode_utf8()
            .map_err(|_| Refusal::bad("the path is not UTF-8"))?;
        if name.is_empty() {
            continue;
        }
        if name == ".." || name.contains(['/', '\\', '\0']) {
            return Err(Refusal::bad("the path leads elsewhere"));
        }
        if name.starts_with('.') && name != ".well-known" {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such file"));
        }
        resolved.push_str(&name);
        if segments.peek().is_some() {
            resolved.push('/');
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::{Target, resolve};
    use http::Method;
    use proptest::proptest;
    use std::path::{Component, Path};

    #[test]
    fn targets_come_in_three_forms() {
        let parse = |target| Target::parse(&Method::GET, target);
        let resource = |path: &str| Ok(Target::Resource(path.to_owned()));
        assert_eq!(parse("/a/b?c=d"), resource("/a/b"));
        assert_eq!(parse("http://host:80/a?b"), resource("/a"));
        assert_eq!(parse("HTTPS://host?b"), resource("/"));
        assert!(parse("*").is_err());
        assert!(parse("a/b").is_err());
        assert!(parse("http:///a").is_err());
        assert!(parse("ftp://host/a").is_err());
        assert_eq!(Target::parse(&Method::OPTIONS, "*"), Ok(Target::Server));
        assert!(Target::parse(&Method::CONNECT, "host:80").is_err());
    }

    #[test]
    fn paths_are_decoded_and_stay_inside() {
        for (path, file) in [
            ("/", ""),
            ("/a.txt", "a.txt"),
            ("/a//b/", "a/b/"),
            ("/a%20b/%C3%A4", "a b/ä"),
            ("/.well-known/x", ".well-known/x"),
            ("/%2e%2ea", "..a"),
        ] {
            let resolved = resolve(path).map_err(|refusal| refusal.status.as_u16());
            let hidden = file.starts_with("..");
            assert_eq!(
                resolved,
                if hidden { Err(404) } else { Ok(file.to_owned()) },
                "{path}"
            );
        }
        for path in [
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/%2E./a",
            "/a%2fb",
            "/a%5cb",
            "/a%00",
            "/%ff",
        ] {
            assert_eq!(resolve(path).unwrap_err().status, 400, "{path}");
        }
        for path in ["/.git/config", "/a/.htaccess", "/.", "/./a"] {
            assert_eq!(resolve(path).unwrap_err().status, 404, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_out(path in "/([a.%2efF5c/\\\\]|%2e|%2f|\\.\\./){0,24}") {
            if let Ok(resolved) = resolve(&path) {
                assert!(Path::new(&resolved).components().all(|part| matches!(part, Component::Normal(_))));
            }
        }
    }
}
