//! What operators may do, and nobody else.

use http::Method;
use serde_json::json;

use super::Stage;
use crate::client_api::{RETRY, STATUS};

#[test]
fn only_an_operator_makes_the_server_try_others_again() {
    let stage = Stage::new();
    let (olga, alice) = (stage.client("olga"), stage.client("alice"));
    assert_eq!(olga.post(RETRY, &json!({})), json!({ "retrying": 2 }));
    let one = json!({ "destination": "there.example" });
    assert_eq!(olga.post(RETRY, &one), json!({ "retrying": 1 }));
    for wrong in [
        json!({ "destination": "not a name" }),
        json!({ "destination": 7 }),
    ] {
        assert_eq!(olga.refused(Method::POST, RETRY, &wrong).0, 400);
    }
    let refused = alice.refused(Method::POST, RETRY, &one);
    assert_eq!(refused, (403, "M_FORBIDDEN".to_owned()));
}

#[test]
fn only_an_operator_sees_how_the_server_stands() {
    let stage = Stage::new();
    let status = stage.client("olga").get(STATUS);
    assert_eq!(
        status,
        json!({ "destinations": [], "jobs": [], "rooms": [], "joins": [] })
    );
    let refused = stage
        .client("alice")
        .refused(Method::GET, STATUS, &json!({}));
    assert_eq!(refused, (403, "M_FORBIDDEN".to_owned()));
}
