//! Server ACLs: which servers a room does not want to hear (client-server API, "Server ACLs").

use ruma_common::ServerName;
use serde_json::Value;

use super::canonical_json::Object;
use crate::{
    engine::{
        facts::{Blocked, Facts},
        world::Room,
    },
    transport::server_address::{Host, parse_server_name},
};

const SERVER_ACL: &str = "m.room.server_acl";

/// Whether a room's current state lets a server take part (ACL-1).
pub fn allows(facts: &Facts<'_>, room: &Room, server: &ServerName) -> Result<bool, Blocked> {
    let Some(event_id) = room.state.get(SERVER_ACL, "") else {
        return Ok(true);
    };
    let event = facts.held(event_id)?;
    Ok(event.is_none_or(|event| content_allows(&event.pdu.content(), server)))
}

/// Whether the content of an `m.room.server_acl` event allows a server: matched without its port,
/// whatever the case (ACL-2).
#[must_use]
pub fn content_allows(content: &Object, server: &ServerName) -> bool {
    let Ok((host, _)) = parse_server_name(server.as_str()) else {
        return false;
    };
    let literals = content
        .get("allow_ip_literals")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let name = match host {
        Host::Ip(_) if !literals => return false,
        Host::Ip(address) if address.is_ipv6() => format!("[{address}]"),
        Host::Ip(address) => address.to_string(),
        Host::Name(name) => name.to_ascii_lowercase(),
    };
    !matches_any(content.get("deny"), &name) && matches_any(content.get("allow"), &name)
}

fn matches_any(patterns: Option<&Value>, name: &str) -> bool {
    let patterns = patterns.and_then(Value::as_array).into_iter().flatten();
    patterns
        .filter_map(Value::as_str)
        .any(|pattern| glob(&pattern.to_ascii_lowercase(), name))
}

/// Whether `text` as a whole is what `pattern` says, where `*` is any run of characters and `?` is
/// one. Takes time proportional to the product of the lengths at worst.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, t));
                p += 1;
            }
            Some(expected) if *expected == '?' || expected == character => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((star, from)) = last_star else {
                    return false;
                };
                last_star = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|character| *character == '*'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allows(content: Value, server: &str) -> bool {
        let Value::Object(content) = content else {
            panic!("no object")
        };
        content_allows(&content, <&ServerName>::try_from(server).unwrap())
    }

    #[test]
    fn acl_1_deny_beats_allow_and_nobody_is_allowed_by_silence() {
        let acl = json!({ "allow": ["*"], "deny": ["*.evil.example", "evil.example"] });
        assert!(allows(acl.clone(), "good.example"));
        assert!(!allows(acl.clone(), "evil.example"));
        assert!(!allows(acl, "very.evil.example:8448"));
        assert!(!allows(json!({}), "good.example"));
        assert!(!allows(json!({ "allow": "*" }), "good.example"));
    }

    #[test]
    fn acl_1_ip_literals_can_be_denied() {
        let acl = json!({ "allow": ["*"], "allow_ip_literals": false });
        assert!(!allows(acl.clone(), "127.0.0.1:8448"));
        assert!(!allows(acl.clone(), "[::1]"));
        assert!(allows(acl, "localhost:8448"));
        assert!(allows(
            json!({ "allow": ["*"], "allow_ip_literals": "no" }),
            "127.0.0.1"
        ));
    }

    #[test]
    fn acl_2_globs_match_whole_names_whatever_the_case() {
        let acl = json!({ "allow": ["EX?MPLE.*", 5] });
        assert!(allows(acl.clone(), "example.org"));
        assert!(allows(acl.clone(), "Example.com:1"));
        assert!(!allows(acl.clone(), "exmple.org"));
        assert!(!allows(acl, "my.example.org"));
        assert!(glob("*a*b", "xaab") && !glob("*a*b", "xaabc") && glob("***", ""));
    }
}
