//! Which endpoint a path is of, in one word, so that requests can be counted by it.

/// The endpoints below `/_matrix/federation/` and a version.
const FEDERATION: [&str; 29] = [
    "3pid/onbind",
    "backfill",
    "event",
    "event_auth",
    "exchange_third_party_invite",
    "get_missing_events",
    "hierarchy",
    "invite",
    "make_join",
    "make_knock",
    "make_leave",
    "media/download",
    "media/thumbnail",
    "openid/userinfo",
    "org.comity/after",
    "publicRooms",
    "query/directory",
    "query/profile",
    "send",
    "send_join",
    "send_knock",
    "send_leave",
    "state",
    "state_ids",
    "timestamp_to_event",
    "user/devices",
    "user/keys/claim",
    "user/keys/query",
    "version",
];

/// The endpoint that a path, without its query, is of; `other` if it is none that we know. There
/// are only so many answers, whatever paths others think of.
#[must_use]
pub fn endpoint_name(path: &str) -> &'static str {
    if path.starts_with("/.well-known/") {
        return "well-known";
    }
    let Some((layer, rest)) = path
        .strip_prefix("/_matrix/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return "other";
    };
    let rest = rest.split_once('/').map_or("", |(_version, rest)| rest);
    let is_of = |name: &str| {
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| after.is_empty() || after.starts_with('/'))
    };
    match layer {
        "federation" => FEDERATION
            .into_iter()
            .find(|name| is_of(name))
            .unwrap_or("other"),
        "key" if is_of("server") => "key/server",
        "key" if is_of("query") => "key/query",
        "policy" if is_of("sign") => "policy/sign",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint_name;

    #[test]
    fn ids_and_versions_are_left_out() {
        for (path, name) in [
            ("/_matrix/federation/v1/send/17", "send"),
            ("/_matrix/federation/v2/send_join/!a:b/$c", "send_join"),
            ("/_matrix/federation/v1/user/keys/query", "user/keys/query"),
            ("/_matrix/federation/v1/query/profile", "query/profile"),
            ("/_matrix/federation/v1/query/anything", "other"),
            (
                "/_matrix/federation/unstable/org.comity/after",
                "org.comity/after",
            ),
            ("/_matrix/federation/v1/senders", "other"),
            ("/_matrix/federation", "other"),
            ("/_matrix/key/v2/server/ed25519:1", "key/server"),
            ("/_matrix/policy/v1/sign", "policy/sign"),
            ("/.well-known/matrix/server", "well-known"),
            ("/wp-admin", "other"),
        ] {
            assert_eq!(endpoint_name(path), name, "{path}");
        }
    }
}
