//! Tokens by which users of one server prove to others who they are.

use comity_core::messaging::{
    command::{Command, CommandError, Reply},
    notice::{Question, Told},
};
use comity_tests::simulation::{Liar, Network};
use http::Request;
use serde_json::json;

use crate::{forger::body, stage::user};

fn find(
    network: &mut Network,
    asker: &str,
    server: &str,
    token: &str,
) -> Result<Reply, CommandError> {
    let (server, token) = (server.try_into().unwrap(), token.to_owned());
    network.run(asker, Command::OpenIdUser { server, token })
}

/// OPENID-1: anybody may ask, with the token alone.
/// ERR-15.
#[test]
fn openid_1_a_token_names_its_user() {
    let mut network = Network::of(&["one", "two"]);
    let question = Question::OpenIdUser("good & odd".to_owned());
    let told = Told::OpenIdUser(user("one"));
    network.server("one").knows(question, told);
    for asker in ["one", "two"] {
        let found = find(&mut network, asker, "one", "good & odd");
        assert_eq!(found, Ok(Reply::OpenIdUser(user("one"))));
        find(&mut network, asker, "one", "bad").unwrap_err();
    }
    network.add_liar(Liar::new("liar"));
    let mut ask = |query: &str| {
        let target = format!("/_matrix/federation/v1/openid/userinfo{query}");
        let request = Request::get(target).body(bytes::Bytes::new()).unwrap();
        let response = network.ask_with("liar", "one", request);
        (response.status().as_u16(), body(&response))
    };
    let (status, answer) = ask("?access_token=good+%26%20odd");
    assert_eq!((status, answer), (200, json!({ "sub": user("one") })));
    for (query, code) in [
        ("?access_token=bad", "M_UNKNOWN_TOKEN"),
        ("", "M_MISSING_TOKEN"),
    ] {
        let (status, answer) = ask(query);
        assert_eq!((status, &answer["errcode"]), (401, &json!(code)), "{query}");
    }
}

/// OPENID-1: a server speaks for its own users only.
#[test]
fn openid_1_the_user_must_be_of_the_server_that_was_asked() {
    let mut network = Network::of(&["one"]);
    let mut liar = Liar::new("liar");
    let mut answers = vec![json!({ "sub": "@eve:liar" }), json!({ "sub": user("one") })];
    liar.says(move |_, _| (200, answers.pop().unwrap()));
    network.add_liar(liar);
    find(&mut network, "one", "liar", "any").unwrap_err();
    find(&mut network, "one", "liar", "any").unwrap();
}
