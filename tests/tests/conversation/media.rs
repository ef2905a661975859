//! Files that users of different servers send each other.

use comity_core::{
    messaging::{
        command::{Command, CommandError, Reply},
        media::{Media, MediaContent, Thumbnail, WantedMedia},
        notice::{Question, Told},
    },
    transport::{multipart, remote_request::Endpoint, remote_response::RemoteBody},
};
use comity_tests::simulation::{Finished, Liar, Network};
use serde_json::json;

use crate::forger::body;

fn wanted(media_id: &str) -> WantedMedia {
    WantedMedia {
        media_id: media_id.to_owned(),
        thumbnail: None,
    }
}

fn small(media_id: &str) -> WantedMedia {
    WantedMedia {
        thumbnail: Some(Thumbnail {
            width: 32,
            height: 16,
            is_cropped: true,
            animated: false,
        }),
        ..wanted(media_id)
    }
}

fn picture() -> Media {
    Media {
        content: MediaContent::Bytes("\r\n--no boundary--".into()),
        content_type: Some("image/png".to_owned()),
        content_disposition: Some("inline; filename=cat.png".to_owned()),
    }
}

fn fetch(network: &mut Network, asker: &str, of: &str, wanted: WantedMedia) -> Finished {
    let server = of.try_into().unwrap();
    network.run(asker, Command::Media { server, wanted })
}

/// Two servers, of which one has a picture that may be shown small, and a song.
fn with_files() -> Network {
    let mut network = Network::of(&["one", "two"]);
    for (wanted, told) in [
        (wanted("cat_1"), Told::Media(picture())),
        (small("cat_1"), Told::Media(picture())),
        (small("song-2"), Told::NoThumbnail),
    ] {
        network.server("one").knows(Question::Media(wanted), told);
    }
    network
}

#[test]
fn media_1_a_file_is_had_from_its_server() {
    let mut network = with_files();
    for asker in ["one", "two"] {
        for wanted in [wanted("cat_1"), small("cat_1")] {
            let found = fetch(&mut network, asker, "one", wanted);
            assert_eq!(found, Ok(Reply::Media(Box::new(picture()))));
        }
    }
}

/// MEDIA-1, GEN-4: the answer is no JSON; its first part is, and holds nothing yet.
#[test]
fn media_1_another_server_gets_two_parts() {
    let mut network = with_files();
    network.add_liar(Liar::new("liar"));
    let endpoint = Endpoint::Question(Question::Media(wanted("cat_1")));
    let (parts, body) = network.ask("liar", "one", endpoint).into_parts();
    assert_eq!(parts.status, 200);
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        text.contains("Content-Type: application/json\r\n\r\n{}\r\n"),
        "{text}"
    );
    let headers = parts.headers;
    assert_eq!(
        multipart::read(&RemoteBody { headers, body }),
        Ok(picture())
    );
}

/// MEDIA-2, ERR-18: what is not here, and what has no small picture.
/// ERR-4.
#[test]
fn media_2_what_cannot_be_given_is_refused() {
    let mut network = with_files();
    network.add_liar(Liar::new("liar"));
    for (wanted, status, errcode) in [
        (wanted("nothing"), 404, "M_NOT_FOUND"),
        (wanted("no.id"), 404, "M_NOT_FOUND"),
        (small("song-2"), 400, "M_UNKNOWN"),
    ] {
        let endpoint = Endpoint::Question(Question::Media(wanted.clone()));
        let answer = network.ask("liar", "one", endpoint);
        assert_eq!(answer.status(), status, "{wanted:?}");
        assert_eq!(body(&answer)["errcode"], errcode);
    }
    let found = fetch(&mut network, "two", "one", wanted("nothing"));
    assert!(
        matches!(found, Err(CommandError::Refused { status: 404, .. })),
        "{found:?}"
    );
}

/// MEDIA-3: of a server that does not know the endpoint, a file is had as anybody could get it.
#[test]
fn media_3_old_servers_are_asked_as_of_old() {
    for refusal in [
        json!({ "errcode": "M_UNRECOGNIZED", "error": "?" }),
        json!("not found"),
    ] {
        let mut network = Network::of(&["one"]);
        network.add_liar(Liar::new("liar"));
        network.liar("liar").says(move |target, _| match target {
            "/_matrix/media/v3/download/liar/cat?allow_remote=false" => (200, json!("a cat")),
            _ => (404, refusal.clone()),
        });
        let found = fetch(&mut network, "one", "liar", wanted("cat"));
        let Ok(Reply::Media(media)) = found else {
            panic!("{found:?}");
        };
        assert_eq!(media.content, MediaContent::Bytes("\"a cat\"".into()));
    }
}

/// MEDIA-3: a server that says that there is no such file is believed.
#[test]
fn media_3_a_real_answer_is_not_asked_again() {
    let mut network = Network::of(&["one"]);
    network.add_liar(Liar::new("liar"));
    network.liar("liar").says(|target, _| {
        assert!(!target.starts_with("/_matrix/media"), "{target}");
        (404, json!({ "errcode": "M_NOT_FOUND", "error": "no cat" }))
    });
    let found = fetch(&mut network, "one", "liar", wanted("cat"));
    assert!(
        matches!(found, Err(CommandError::Refused { status: 404, .. })),
        "{found:?}"
    );
}

/// MEDIA-3: an id reaches no URL unless it is made as ids are.
#[test]
fn media_3_malformed_ids_are_asked_of_nobody() {
    let mut network = Network::of(&["one"]);
    network.add_liar(Liar::new("liar"));
    network.liar("liar").says(|target, _| panic!("{target}"));
    for media_id in ["", "../../secret", "a/b", "a%2Fb", "é", &"a".repeat(256)] {
        let found = fetch(&mut network, "one", "liar", wanted(media_id));
        assert!(matches!(found, Err(CommandError::Invalid(_))), "{found:?}");
    }
}

/// MEDIA-1: an answer that is no such thing is nobody's file.
#[test]
fn media_1_an_answer_without_parts_is_nonsense() {
    let mut network = Network::of(&["one"]);
    network.add_liar(Liar::new("liar"));
    network
        .liar("liar")
        .says(|_, _| (200, json!({ "file": "here" })));
    let found = fetch(&mut network, "one", "liar", wanted("cat"));
    assert!(
        matches!(found, Err(CommandError::Unreachable(_))),
        "{found:?}"
    );
}

/// MEDIA-4: where a file is elsewhere, that is told and not kept, and we ask nobody else for it.
#[test]
fn media_4_a_location_is_told_and_not_kept() {
    let mut network = Network::of(&["one", "two"]);
    let elsewhere = |place: &str| Media {
        content: MediaContent::Location(format!("https://cdn.example/{place}")),
        ..picture()
    };
    for place in ["first", "second"] {
        let told = Told::Media(elsewhere(place));
        network
            .server("one")
            .knows(Question::Media(wanted("cat_1")), told);
        let found = fetch(&mut network, "two", "one", wanted("cat_1"));
        let Ok(Reply::Media(media)) = found else {
            panic!("{found:?}");
        };
        assert_eq!(media.content, elsewhere(place).content);
    }
    let asked = network.traffic.iter().filter(|sent| sent.from == "two");
    assert!(asked.clone().all(|sent| sent.to == "one"));
    let for_media = asked.filter(|sent| sent.line.contains("/media/"));
    assert_eq!(for_media.count(), 2);
}
