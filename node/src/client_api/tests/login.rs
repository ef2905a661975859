//! Logging in with a password.

use super::*;

fn attempt(password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "alice" },
        "password": password,
    })
}

/// A stage with a user whose password is known, and a client that has a token of another user.
fn stage() -> (Stage, Client) {
    let stage = Stage::new();
    stage.accounts.add_user("alice").unwrap();
    assert!(stage.accounts.set_password("alice", "sesame").unwrap());
    let client = stage.client("bob");
    (stage, client)
}

/// The client that somebody is after an answer to a login.
fn logged_in(stage: &Stage, answer: &Value) -> Client {
    Client {
        api: stage.api.clone(),
        user_id: text(answer, "user_id").to_owned(),
        token: text(answer, "access_token").to_owned(),
    }
}

#[test]
fn who_knows_the_password_gets_a_token_and_a_device() {
    let (stage, client) = stage();
    let flows = client.get("login");
    assert_eq!(flows, json!({ "flows": [{ "type": "m.login.password" }] }));

    let by_name = client.post("login", &attempt("sesame"));
    let mut with_id = attempt("sesame");
    with_id["identifier"]["user"] = format!("@alice:{SERVER}").into();
    let by_id = client.post("login", &with_id);
    let of_old = json!({ "type": "m.login.password", "user": "alice", "password": "sesame" });
    let by_field = client.post("login", &of_old);
    for login in [&by_name, &by_id, &by_field] {
        let who = logged_in(&stage, login).get("account/whoami");
        assert_eq!(who["user_id"], format!("@alice:{SERVER}"));
        assert_eq!(who["device_id"], login["device_id"]);
    }
    assert_ne!(by_name["device_id"], by_id["device_id"]);
}

#[test]
fn a_device_that_logs_in_again_has_one_token() {
    let (stage, client) = stage();
    let mut body = attempt("sesame");
    body["device_id"] = "KITCHEN".into();
    let [first, second] = [(); 2].map(|()| client.post("login", &body));
    assert_eq!(second["device_id"], "KITCHEN");
    let first = logged_in(&stage, &first);
    let refused = first.refused(Method::GET, "account/whoami", &json!({}));
    assert_eq!(refused, (401, "M_UNKNOWN_TOKEN".to_owned()));
    logged_in(&stage, &second).get("account/whoami");

    body["device_id"] = "K".repeat(256).into();
    let refused = client.refused(Method::POST, "login", &body);
    assert_eq!(refused, (400, "M_INVALID_PARAM".to_owned()));
}

#[test]
fn nobody_else_gets_in() {
    let (stage, client) = stage();
    stage.accounts.add_user("carol").unwrap();
    let refused = |body: &Value| client.refused(Method::POST, "login", body);
    let forbidden = (403, "M_FORBIDDEN".to_owned());
    assert_eq!(refused(&attempt("Sesame")), forbidden);
    assert_eq!(refused(&attempt("")), forbidden);
    for user in ["carol", "nobody", "@alice:there.example"] {
        let mut body = attempt("sesame");
        body["identifier"]["user"] = user.into();
        assert_eq!(refused(&body), forbidden, "{user}");
    }
    for (field, value) in [
        ("type", json!("m.login.token")),
        ("identifier", json!({ "type": "m.id.phone" })),
    ] {
        let mut body = attempt("sesame");
        body[field] = value;
        assert_eq!(
            refused(&body),
            (400, "M_INVALID_PARAM".to_owned()),
            "{field}"
        );
    }
    let nobody = json!({ "type": "m.login.password", "password": "sesame" });
    assert_eq!(refused(&nobody), (400, "M_BAD_JSON".to_owned()));
}

#[test]
fn who_guesses_has_to_wait_even_with_the_right_password() {
    let (stage, client) = stage();
    stage.accounts.set_password("bob", "open").unwrap();
    for guess in 0..5 {
        let refused = client.refused(Method::POST, "login", &attempt(&guess.to_string()));
        assert_eq!(refused.0, 403, "{guess}");
    }
    let (status, answer) = client.request(Method::POST, "login", &attempt("sesame"));
    assert_eq!(
        (status.as_u16(), &answer["errcode"]),
        (429, &json!("M_LIMIT_EXCEEDED"))
    );
    assert!(
        answer["retry_after_ms"]
            .as_u64()
            .is_some_and(|wait| wait > 0)
    );
    let mut of_another = attempt("open");
    of_another["identifier"]["user"] = "bob".into();
    client.post("login", &of_another);
}

#[test]
fn a_right_password_ends_the_count_of_wrong_ones() {
    let (_stage, client) = stage();
    for _ in 0..2 {
        for _ in 0..4 {
            assert_eq!(client.refused(Method::POST, "login", &attempt("no")).0, 403);
        }
        client.post("login", &attempt("sesame"));
    }
}
